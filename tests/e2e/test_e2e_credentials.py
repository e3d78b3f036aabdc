"""Every kind of credential through every gateway: the client gets the status and challenge that the decision has.

And what an API gets of a key that stood in the query; nonces; certificates as gateways tell of them.
"""

import asyncio
import contextlib
import ssl
import time
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from msgspec.structs import replace

from authorizer.demo.processes import Children
from authorizer.doors.forward_auth_profiles import PROFILES
from authorizer.gateways import haproxy, traefik
from authorizer.gateways.kinds import KINDS
from authorizer.pdp.api_keys import make
from authorizer.pdp.credentials import KeyPlaces
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.reasons import REASONS
from authorizer.service import Authorizer
from tests.doors.test_native_tls import LOOPBACK, Authority
from tests.e2e.world import Api, listening, marked, needed, open_doors, send, site, start, written
from tests.forge.world import CASES, CERTIFICATE_HEADER, HOST, world

GATEWAYS = marked("envoy", "envoy-http", "envoy-printed", "nginx", "caddy", "haproxy", "traefik")
# The others ask by gRPC, where every status passes.
PROFILE = {name: name for name in PROFILES if name != "envoy"} | {"envoy-http": "envoy"}


@pytest.mark.parametrize("name", GATEWAYS)
async def test_every_gateway_passes_credentials_and_challenges(
    name: str, children: Children, api: Api, tmp_path: Path
) -> None:
    made = world(time.time())
    profile = PROFILES[PROFILE[name]] if name in PROFILE else None
    found, expected = [], []
    async with open_doors(made.authorizer()) as doors:
        url = await start(name, children, tmp_path, doors.grpc, doors.http, api.address)
        for number, case in enumerate(CASES):
            doors.decisions.clear()
            api.seen.clear()
            lines = made.headers(case, number)
            lines += [(CERTIFICATE_HEADER, made.escaped(case["shows"]))] if "shows" in case else []
            reply = await send(url, "GET", case.get("target", "/read"), lines, host=HOST)
            (decision,) = doors.decisions
            found.append((case["name"], decision.reason.code, reply.status, reply.headers.get("www-authenticate", "")))
            status = REASONS[case["reason"]].status
            if status >= 400 and profile is not None and status not in profile.statuses:
                status = 403
            expected.append((case["name"], case["reason"], status, case.get("challenge", "")))
            assert len(api.seen) == (case["reason"] == "allowed")
    assert found == expected


@pytest.mark.parametrize("name", GATEWAYS)
async def test_every_gateway_passes_nonces(name: str, children: Children, api: Api, tmp_path: Path) -> None:
    made = world(time.time())
    async with open_doors(made.authorizer(nonce_key=b"k" * 32)) as doors:
        url = await start(name, children, tmp_path, doors.grpc, doors.http, api.address)
        told, statuses = "", []
        for number in range(3):
            proof = {"of": "of a key"} | ({"nonce": told} if told else {})
            case = {"send": {"authorization": "DPoP of a key"}, "proof": proof}
            reply = await send(url, "GET", "/read", made.headers(case, number), host=HOST)
            told = reply.headers.get("dpop-nonce", told)
            statuses.append((reply.status, 'error="use_dpop_nonce"' in reply.headers.get("www-authenticate", "")))
        assert statuses == [(401, True), (200, False), (200, False)]


TLS_HEADER = "x-forwarded-tls-client-cert"
TLS_OF_NGINX = """LISTEN ssl;
    ssl_certificate DIR/server.crt;
    ssl_certificate_key DIR/server.key;
    ssl_client_certificate DIR/authority.pem;
    ssl_verify_client optional"""
TLS_OF_CADDY = """https://:PORT {
	tls DIR/server.crt DIR/server.key {
		client_auth {
			mode verify_if_given
			trusted_ca_cert_file DIR/authority.pem
		}
	}"""
TOLD_BY_CADDY = "header_up X-Forwarded-Tls-Client-Cert {http.request.tls.client.certificate_der_base64}"
TLS_OF_TRAEFIK = """tls:
  stores: {default: {defaultCertificate: {certFile: DIR/server.crt, keyFile: DIR/server.key}}}
  options: {default: {clientAuth: {caFiles: [DIR/authority.pem], clientAuthType: VerifyClientCertIfGiven}}}
"""
# What stands in the place of what is printed, and how the gateway is run.
TLS = {
    "nginx": (
        {"LISTEN": TLS_OF_NGINX},
        ["-p", "DIR", "-e", "stderr", "-c", "DIR/nginx.conf", "-g", "master_process off;"],
    ),
    "haproxy": (
        {"LISTEN": "LISTEN ssl crt DIR/server.pem ca-file DIR/authority.pem verify optional"},
        ["-f", "DIR/haproxy.cfg"],
    ),
    "caddy": (
        {
            "# Caddy asks": "{\n\tadmin off\n\tauto_https off\n}\n# Caddy asks",
            "http://:PORT {": TLS_OF_CADDY,
            "\turi /authz/caddy": f"\turi /authz/caddy\n\t\t\t{TOLD_BY_CADDY}",
        },
        ["run", "--config", "DIR/Caddyfile", "--adapter", "caddyfile"],
    ),
    "traefik": (
        {
            "http:\n": f"{TLS_OF_TRAEFIK}http:\n",
            "[clean, authorizer]": "[clean, certificate, authorizer], tls: {}",
            "    clean:": "    certificate: {passTLSClientCert: {pem: true}}\n    clean:",
        },
        ["--configfile", "DIR/traefik.yaml"],
    ),
}


@pytest.mark.interop
@pytest.mark.parametrize("name", TLS)
async def test_a_gateway_tells_of_the_certificate_that_it_saw_and_of_no_other(
    name: str, children: Children, api: Api, tmp_path: Path
) -> None:
    authority, made = Authority(tmp_path, "authority"), world(time.time())
    pair = authority.issue("server", LOOPBACK, x509.DNSName(HOST))
    (tmp_path / "server.pem").write_bytes(b"".join(file.read_bytes() for file in pair))
    nobody, client = (ssl.create_default_context(cafile=str(authority.file)) for _ in range(2))
    client.load_cert_chain(*authority.issue("client", x509.UniformResourceIdentifier("spiffe://acme.example/web")))
    changes, command = TLS[name]
    async with open_doors(made.authorizer(header=TLS_HEADER)) as doors:
        printed = replace(site(doors.http, api.address), certificate=TLS_HEADER, pem=True)

        def filled(text: str) -> str:
            port = printed.listen.rpartition(":")[2]
            return text.replace("LISTEN", printed.listen).replace("PORT", port).replace("DIR", str(tmp_path))

        places = {filled(shown): filled(actual) for shown, actual in changes.items()}
        places |= {haproxy.LUA_FILE: str(tmp_path / "authorizer.lua")}
        places |= {traefik.DYNAMIC_FILE: str(tmp_path / "authorizer.yaml")}
        written(tmp_path, KINDS[name](printed), places)
        homes = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(tmp_path))
        run = [needed(name), *map(filled, command)]
        await children.start(name, run, log=tmp_path / f"{name}.log", environment=homes)
        await listening(printed.listen)
        for tls, claimed, status in (
            (client, "", 200),
            (client, made.escaped("other"), 200),
            (nobody, "", 401),
            (nobody, made.escaped("client"), 401),
        ):
            headers = {"Host": HOST} | ({TLS_HEADER: claimed} if claimed else {})
            async with aiohttp.ClientSession(trust_env=False, connector=aiohttp.TCPConnector(ssl=tls)) as session:
                url, found = f"https://{printed.listen}/mesh", 404
                async with asyncio.timeout(20):
                    while found == 404:  # until Traefik has read its routes; before, it knows no certificate either
                        with contextlib.suppress(aiohttp.ClientConnectionError):
                            async with session.get(url, headers=headers, server_hostname=HOST) as answer:
                                found = answer.status
                assert found == status


KEY, ID, HASH = make(bytes(range(42)), b"")
SCOPES = "{scopes: [read]}"
ROWS = f"""
kind: Application
id: strict
http: {{hosts: [strict.example], credentials: strip, routes: {{GET /read: {SCOPES}, GET /open: public}}}}
---
kind: Application
id: loose
http: {{hosts: [loose.example], routes: {{GET /read: {SCOPES}}}}}
---
kind: ApiKeys
keys: {{{ID}: {{hash: "{HASH}", is: {{client: [job]}}, scopes: [read]}}}}
"""


@pytest.mark.parametrize("name", ["envoy", "envoy-printed"])
async def test_envoy_takes_a_key_off_the_query(name: str, children: Children, api: Api, tmp_path: Path) -> None:
    documents = compile_documents({"a.yaml": ROWS.encode()}).documents()
    authorizer = Authorizer(build(documents, {}, Options(key_places=KeyPlaces("x-api-key", "key"))))
    async with open_doors(authorizer) as doors:
        url = await start(name, children, tmp_path, doors.grpc, doors.http, api.address)
        for host, target, reached in (
            ("strict.example", f"/read?a=1&key={KEY}&b=%2F&b", "/read?a=1&b=%2F&b="),
            ("strict.example", f"/read?key={KEY}", "/read"),
            ("strict.example", f"/read?k%65y={KEY}&key2=x", "/read?key2=x"),
            ("strict.example", f"/open?key={KEY}", "/open"),
            ("strict.example", "/open?b=2&a", "/open?b=2&a"),
            ("loose.example", f"/read?key={KEY}", f"/read?key={KEY}"),
        ):
            reply = await send(url, "GET", target, host=host)
            assert (reply.status, api.seen.pop()[1]) == (200, reached)
