"""Client certificates as a real Envoy tells of them: beside the check, by name alone, in its header, by either interface."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509

from authorizer.demo.processes import Children
from authorizer.gateways.envoy import Check
from authorizer.pdp.certificates import Place
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer
from tests.doors.test_native_tls import LOOPBACK, Authority
from tests.e2e.world import Api, connection_manager, envoy, open_doors

DOCUMENTS = b"""
kind: Application
id: api
http: {hosts: [api.example], routes: {GET /: {groups: [known]}}}
---
kind: Certificates
certificates:
  mesh: {trust_domain: acme.example, is: {group: [known]}}
  names: {dns: [web.acme.example], is: {group: [known]}}
  subjects: {subjects: ['CN=x\\,O=Acme'], is: {group: [known]}}
"""
WORKLOAD = "spiffe://acme.example/ns/shop/sa/web"
HEADER = "x-forwarded-client-cert"
XFCC = Place(form="xfcc", header=HEADER)
# By the name of the client's certificate.
BY_URI, BY_DNS, BY_SUBJECT = {"uri": WORKLOAD}, {"dns": "web.acme.example"}, {"x,O=Acme": "CN=x\\,O=Acme"}


def told(**fields: Any) -> Callable[[dict[str, Any]], None]:
    """Return what makes Envoy tell in its header of the certificate that it saw."""

    def change(config: dict[str, Any]) -> None:
        manager = connection_manager(config)
        manager["forward_client_cert_details"] = "SANITIZE_SET"
        manager["set_current_client_cert_details"] = fields

    return change


def names_alone(config: dict[str, Any]) -> None:
    filters = connection_manager(config)["http_filters"]
    (asking,) = (each for each in filters if "include_peer_certificate" in each.get("typed_config", {}))
    asking["typed_config"]["include_peer_certificate"] = False


WAYS = {
    "the check": ("grpc", lambda _: None, Place(form="source"), BY_URI | BY_DNS | BY_SUBJECT),
    "names": ("grpc", names_alone, Place(form="source"), BY_URI | BY_DNS),
    "a header": ("grpc", told(uri=True, dns=True, subject=True), XFCC, BY_URI | BY_DNS | BY_SUBJECT),
    "a header with all": ("grpc", told(cert=True, chain=True), XFCC, BY_URI | BY_DNS | BY_SUBJECT),
    "a header with the chain": ("grpc", told(chain=True), XFCC, BY_URI | BY_DNS | BY_SUBJECT),
    "a header by HTTP": ("http", told(cert=True), XFCC, BY_URI | BY_DNS | BY_SUBJECT),
    "nothing": ("http", lambda _: None, XFCC, {}),
}


@pytest.mark.parametrize("way", WAYS)
async def test_who_shows_a_certificate_is_known_by_it(way: str, children: Children, api: Api, tmp_path: Path) -> None:
    protocol, change, place, known = WAYS[way]
    authority = Authority(tmp_path, "authority")
    shown = {
        "uri": authority.issue("uri", x509.UniformResourceIdentifier(WORKLOAD)),
        "dns": authority.issue("dns", x509.DNSName("web.acme.example")),
        "x,O=Acme": authority.issue("x,O=Acme"),
        "x": authority.issue("x", x509.UniformResourceIdentifier("spiffe://evil.example/web")),
        "": None,
    }
    certificate, key = authority.issue("server", LOOPBACK)

    def guarded(config: dict[str, Any]) -> None:
        change(config)
        files = {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}
        trusted = {"trusted_ca": {"filename": str(authority.file)}}
        config["static_resources"]["listeners"][0]["filter_chains"][0]["transport_socket"] = {
            "name": "tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {"tls_certificates": [files], "validation_context": trusted},
            },
        }

    options = Options(certificates={"grpc": place, "http": place})
    authorizer = Authorizer(build(compile_documents({"a.yaml": DOCUMENTS}).documents(), {}, options))
    async with open_doors(authorizer) as doors:
        check = Check(address=doors.grpc if protocol == "grpc" else doors.http, protocol=protocol)
        gateway = await envoy(children, tmp_path, check, api.address, guarded)
        for name, pair in shown.items():
            tls = ssl.create_default_context(cafile=str(authority.file))
            if pair is not None:
                tls.load_cert_chain(*pair)
            forged = {"Host": "api.example", HEADER: f"URI={WORKLOAD}", "client-cert": ":AAAA:"}
            async with (
                aiohttp.ClientSession(trust_env=False, connector=aiohttp.TCPConnector(ssl=tls)) as session,
                session.get(gateway.url.replace("http:", "https:"), headers=forged) as answer,
            ):
                decision = doors.decisions.pop()
                assert (name, answer.status, decision.subject) == (
                    name,
                    200 if name in known else 401,
                    known.get(name, ""),
                )
