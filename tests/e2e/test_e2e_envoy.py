"""The Envoy that we recommend: it runs, and discovery finds nothing wrong with it."""

import asyncio
import re
from pathlib import Path

import pytest

from authorizer.cli import main
from authorizer.demo.processes import Children
from authorizer.discovery.catalogue import discover_once
from authorizer.gateways.envoy import Backend, Check
from tests.e2e.shop import shop
from tests.e2e.world import Api, careless, connection_manager, envoy, open_doors, send

NOBODY = "127.0.0.1:1"


async def test_discovery_reads_a_running_envoy(children: Children, tmp_path: Path) -> None:
    backends = [Backend("orders", "/orders", NOBODY), Backend("rest", "/", NOBODY)]
    gateway = await envoy(children, tmp_path, Check(address=NOBODY), NOBODY, backends=backends)
    found, _ = await discover_once(gateway.admin)
    assert [(api.name, api.hosts, api.flags) for api in found.apis] == [("orders", ("*",), ()), ("rest", ("*",), ())]
    assert [route.path for api in found.apis for route in api.routes] == ["/orders", "/"]
    again, changed = await discover_once(gateway.admin, found.digest)
    assert (again, changed) == (found, False)


async def test_discovery_sees_where_a_running_envoy_is_careless(children: Children, tmp_path: Path) -> None:
    def change(config: dict) -> None:
        careless(config)
        manager = connection_manager(config)
        manager["use_remote_address"] = False
        check = manager["http_filters"][0]["typed_config"]
        del check["encode_raw_headers"], check["validate_mutations"]
        check["grpc_service"]["timeout"] = "600s"
        off = {"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"}
        route = manager["route_config"]["virtual_hosts"][0]["routes"][0]
        route["typed_per_filter_config"] = {"authorizer": {**off, "disabled": True}}

    gateway = await envoy(children, tmp_path, Check(address=NOBODY, fail_open=True), NOBODY, change)
    found, _ = await discover_once(gateway.admin)
    (api,) = found.apis
    assert set(api.flags) == {
        *("normalisation_off", "merge_slashes_off", "escaped_slashes_kept", "underscores_kept", "remote_address_unset"),
        *("failure_mode_allow", "raw_headers_off", "mutations_unvalidated", "timeout_long"),
    }
    assert api.routes[0].flags == ("ext_authz_disabled",)


async def test_without_an_answer_nothing_passes(children: Children, api: Api, tmp_path: Path) -> None:
    gateway = await envoy(children, tmp_path, Check(address=NOBODY), api.address)
    assert (await send(gateway.url, "GET", "/")).status == 503
    assert not api.seen


@pytest.mark.parametrize(("told", "reason"), [("orders", "allowed"), ("payments", "context_mismatch")])
async def test_envoy_may_tell_the_application_and_must_agree(
    told: str, reason: str, children: Children, api: Api, tmp_path: Path
) -> None:
    def change(config: dict) -> None:
        route = connection_manager(config)["route_config"]["virtual_hosts"][0]["routes"][0]
        kind = {"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"}
        settings = {"context_extensions": {"application": told}}
        route["typed_per_filter_config"] = {"authorizer": {**kind, "check_settings": settings}}

    authorizer, tokens = shop(tmp_path)
    async with open_doors(authorizer) as doors:
        gateway = await envoy(children, tmp_path, Check(address=doors.grpc), api.address, change)
        # A client cannot say it in Envoy's place.
        headers = [("authorization", f"Bearer {tokens['alice']}"), ("application", "orders")]
        reply = await send(gateway.url, "GET", "/orders/17", headers, host="localhost")
    assert [decision.reason.code for decision in doors.decisions] == [reason]
    assert reply.status == (200 if reason == "allowed" else 403)


async def test_a_running_envoy_is_checked(
    children: Children, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(config: dict) -> None:
        careless(config)
        connection_manager(config)["forward_client_cert_details"] = "APPEND_FORWARD"

    for number, (made, expected) in enumerate([(None, set()), (change, {"AZ911", "AZ916", "AZ917", "AZ920"})]):
        home = tmp_path / str(number)
        home.mkdir()
        check = Check(address=NOBODY, fail_open=made is not None)
        gateway = await envoy(children, home, check, NOBODY, *([made] if made else []))
        await asyncio.to_thread(main, ["gateway", "envoy", "--check", gateway.admin])
        assert set(re.findall(r"AZ\d{3}", capsys.readouterr().out)) == expected
