"""The printed Envoy and a door with mutual TLS: it asks who has the right certificate, and lets nothing pass otherwise."""

from pathlib import Path

import pytest
import yaml
from cryptography import x509
from msgspec.structs import replace

from authorizer.demo.gateway import start_envoy
from authorizer.demo.processes import Children
from authorizer.doors.native_tls import Tls
from authorizer.gateways import envoy
from authorizer.gateways.kinds import KINDS
from tests.doors.native_world import Core, serving
from tests.doors.test_native_tls import GATEWAY, LOOPBACK, Authority
from tests.e2e.world import Api, send, site


@pytest.mark.parametrize(
    ("doors_name", "gateways_name", "statuses"),
    [
        (LOOPBACK, GATEWAY, [200, 403]),
        (x509.DNSName("somebody.else"), GATEWAY, [503, 503]),
        (LOOPBACK, "spiffe://mesh/ns/edge/sa/other", [503, 503]),
    ],
)
async def test_both_sides_know_each_other(
    doors_name: x509.GeneralName,
    gateways_name: str,
    statuses: list[int],
    children: Children,
    api: Api,
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path, "authority")
    server = authority.issue("server", doors_name)
    client = authority.issue("client", x509.UniformResourceIdentifier(gateways_name))
    tls = Tls(certificate=server[0], key=server[1], client_ca=authority.file, client_names=frozenset({GATEWAY}))
    async with serving(Core(), tls=tls) as door:
        made = replace(site("", api.address), grpc=(door.address,), tls=True, client_certificate=True)
        text = KINDS["envoy"](made)["envoy.yaml"].replace("port_value: 9901", "port_value: 0")
        for shown, actual in (
            (envoy.CA_FILE, authority.file),
            (envoy.CERTIFICATE_FILE, client[0]),
            (envoy.KEY_FILE, client[1]),
        ):
            assert shown in text
            text = text.replace(shown, str(actual))
        gateway = await start_envoy(children, yaml.safe_load(text), tmp_path)
        assert [(await send(gateway.url, "GET", path)).status for path in ("/open", "/closed")] == statuses
    assert len(api.seen) == statuses.count(200)
