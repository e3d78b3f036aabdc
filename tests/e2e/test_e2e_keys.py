"""A provider that misbehaves, and clients that flood: no request waits, none is answered wrongly, nothing grows."""

import asyncio
import contextlib
import itertools
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from authorizer.jose.encoding import encode_base64url
from tests import leaks
from tests.e2e.fleet import Serving, serving, until
from tests.upstream_idp.provider import Provider, running, text

POLICIES = """
kind: Application
id: api
http: {hosts: [api.example], routes: {GET /read: {authenticated: true}}}
---
kind: Issuers
issuers:
  main:
    issuer: ISSUER
    audiences: [api]
    algorithms: [ES256]
    discovery: true
    introspection: {endpoint: "ISSUER/introspect", client: gateway}
"""
TOLD = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/read", "X-Forwarded-Host": "api.example"}


class World:
    """An authorizer in a process of its own, its provider, and who asks it."""

    def __init__(self, provider: Provider, fleet: Serving, session: aiohttp.ClientSession) -> None:
        self.provider, self.fleet, self.session = provider, fleet, session
        self.number = itertools.count()

    def token(self, **more: Any) -> str:
        return self.provider.token("one", time.time(), jti=str(next(self.number)), **more)

    def unknown(self, kid: str) -> str:
        head = encode_base64url(json.dumps({"alg": "ES256", "kid": kid, "typ": "JWT"}).encode())
        return f"{head}.{self.token().partition('.')[2]}"

    async def ask(self, token: str) -> str:
        url = f"http://{self.fleet.endpoints['forward_auth'][0]}/authz/traefik"
        headers = TOLD | {"X-Forwarded-Proto": "https", "Authorization": f"Bearer {token}"}
        async with self.session.get(url, headers=headers) as answer:
            body = await answer.read()
            return json.loads(body)["reason"] if body else "allowed"

    async def load(self, count: int, make: Callable[[], str]) -> set[str]:
        """Ask so often, from eight connections; return the different answers."""

        async def some() -> set[str]:
            return {await self.ask(make()) for _ in range(count // 8)}

        return set().union(*await asyncio.gather(*(some() for _ in range(8))))

    async def trusted(self) -> bool:
        return await self.ask(self.token()) == "allowed"

    def memory(self) -> int:
        """Return the resident memory of serve, in bytes."""
        pages = int(Path(f"/proc/{self.fleet.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextlib.asynccontextmanager
async def world(home: Path, **knobs: float) -> AsyncIterator[World]:
    async with running() as provider:
        provider.rotate("one")
        (home / "policies").mkdir()
        (home / "policies" / "a.yaml").write_text(POLICIES.replace("ISSUER", provider.url))
        (home / "secret").write_text(leaks.secret("a-secret-of-the-gateway-for-tests"))
        clients = {"gateway": {"id": "gateway", "secret_file": str(home / "secret")}}
        config = {
            "policies": str(home / "policies"),
            "ext_authz": {"listen": ""},
            "forward_auth": {"listen": "127.0.0.1:0"},
            "identity_providers": {"clients": clients, **knobs},
        }
        async with serving(home, config) as fleet, aiohttp.ClientSession(trust_env=False) as session:
            await fleet.announced()
            await fleet.ready()
            made = World(provider, fleet, session)
            await until(made.trusted, 20)
            yield made


async def endless(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b" " * 65536)
    return response


def lying(told: dict[str, Any]) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    return text(json.dumps(told).encode())


FAULTS = {
    "redirecting": text(b"", 302, location="/keys"),
    "huge": endless,
    "failing": text(b"", 500),
    "no JSON": text(b"{"),
    "another's metadata": lying({"issuer": "https://other.example", "jwks_uri": "https://other.example/keys"}),
    "no keys": lying({"keys": [], "active": "yes"}),
}


async def test_a_provider_that_misbehaves_delays_nothing_and_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, cooldown_seconds=1, timeout_seconds=60, introspection_seconds=10) as it:
        for name, fault in FAULTS.items():
            it.provider.answer = fault
            calls = len(it.provider.calls)

            async def asked(calls: int = calls) -> bool:
                """Make the keys be fetched anew."""
                return await it.ask(it.unknown("new")) == "token_key" and len(it.provider.calls) > calls

            await until(asked, 20)
            assert await it.load(200, it.token) == {"allowed"}, name
            assert await it.load(16, lambda: f"opaque-{next(it.number)}") == {"introspection_failed"}, name
        before = it.memory()

        let, held = asyncio.Event(), []

        async def hangs(request: web.BaseRequest) -> web.Response:
            held.append(request.path)
            await let.wait()
            return web.Response(status=503)

        it.provider.answer = hangs

        async def fetching() -> bool:
            await it.ask(it.unknown("new"))
            return "/.well-known/openid-configuration" in held

        await until(fetching, 20)
        waiting = [asyncio.create_task(it.ask(f"opaque-{number}")) for number in range(8)]

        async def all_wait() -> bool:
            return held.count("/introspect") == len(waiting)

        await until(all_wait, 20)
        # All these were answered while the fetch and the introspections hung.
        assert await it.load(1000, it.token) == {"allowed"}
        assert not any(one.done() for one in waiting)
        let.set()
        assert set(await asyncio.gather(*waiting)) == {"introspection_failed"}
        it.provider.answer = None
        it.provider.rotate("two", "one")
        await until(it.trusted, 20)
        assert it.memory() - before < 32 * 2**20


async def test_ten_thousand_strangers_cause_no_call_and_no_growth(tmp_path: Path) -> None:
    async with world(tmp_path, cooldown_seconds=3600) as it:

        def stranger() -> str:
            """Return a token of an unknown key, of an unknown issuer, or of an unlisted tenant of a known one."""
            name = os.urandom(12).hex()
            named = ("", f"https://{name}.example", f"{it.provider.url}/{name}/v2.0")[next(it.number) % 3]
            if not named:
                return it.unknown(name)
            claims = {"iss": named, "aud": "api", "sub": "x", "exp": int(time.time()) + 60}
            parts = (encode_base64url(json.dumps(one).encode()) for one in ({"alg": "ES256", "kid": "one"}, claims))
            return ".".join((*parts, signature))

        signature = it.token().rpartition(".")[2]
        expected = {"token_key", "token_issuer"}
        assert await it.load(2000, stranger) == expected
        calls, memory, page = len(it.provider.calls), it.memory(), await it.fleet.get("/metrics")
        assert await it.load(10_000, stranger) == expected
        assert len(it.provider.calls) == calls
        assert it.memory() - memory < 8 * 2**20
        assert len((await it.fleet.get("/metrics"))[1].splitlines()) == len(page[1].splitlines())
        assert await it.trusted()
