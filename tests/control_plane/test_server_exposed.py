"""Who listens for other machines without TLS is told so."""

import logging

import pytest

from authorizer.control_plane.server import running as module
from authorizer.control_plane.server.running import Config, exposed, running

TOKENS = {"admin": "admin-admin-admin-admin", "authorizer": "authorizer-authorizer-auth"}


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["127.0.0.1"], False),
        (["127.8.8.8", "::1"], False),
        (["0.0.0.0"], True),
        (["::"], True),
        (["127.0.0.1", "10.0.0.1"], True),
        (["fe80::1%eth0"], True),
    ],
)
def test_what_other_machines_can_reach(addresses: list[str], expected: bool) -> None:
    assert exposed(addresses) is expected


@pytest.mark.parametrize("reachable", [False, True])
async def test_a_server_without_tls_warns_where_others_reach_it(tmp_path, caplog, monkeypatch, reachable: bool) -> None:
    if reachable:
        monkeypatch.setattr(module, "exposed", lambda addresses: list(addresses) == ["127.0.0.1"])
    with caplog.at_level(logging.WARNING, logger="authorizer.control_plane"):
        async with running(Config(state=tmp_path / "state", tokens=TOKENS)):
            pass
    assert any("has no TLS" in record.getMessage() for record in caplog.records) is reachable
