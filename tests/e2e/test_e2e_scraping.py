"""A real Prometheus scrapes two workers under load: well-formed for its own tool, no series from what clients send."""

import asyncio
import json
import random
import shutil
import string
import time
from pathlib import Path

import aiohttp
import pytest

from authorizer.demo.processes import Children
from authorizer.jose.sign import generate, load_private, public_jwk, sign_with
from tests.e2e.fleet import serving, until
from tests.e2e.prometheus import Prometheus

pytestmark = pytest.mark.interop

REQUESTS = 10_000
CLIENTS = 16
ISSUER = "https://login.example"
TRACE = "0af7651916cd43dd8448eb211c80319c"
POLICIES = """
kind: Application
id: api
http: {hosts: [api.example], routes: {"GET /open/{rest=**}": public, "GET /mine/{rest=**}": {authenticated: true}}}
---
kind: Issuers
issuers: {main: {issuer: "https://login.example", audiences: [api], algorithms: [EdDSA], jwks_file: keys.json}}
"""


async def test_series_do_not_grow_with_paths_subjects_and_tenants(children: Children, tmp_path: Path) -> None:
    pem = generate("EdDSA")
    key, chance = load_private(pem, "EdDSA"), random.Random(1)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "a.yaml").write_text(POLICIES)
    (tmp_path / "policies" / "keys.json").write_text(json.dumps({"keys": [public_jwk(pem, "EdDSA", "k")]}))
    told = {
        "policies": str(tmp_path / "policies"),
        "workers": 2,
        "ext_authz": {"listen": f"unix:{tmp_path}/g.sock"},
        "forward_auth": {"listen": "127.0.0.1:0"},
    }

    def word() -> str:
        return "".join(chance.choices(string.ascii_letters, k=12))

    def asked() -> dict[str, str]:
        """Return a question that nobody asked before, about anything and from anybody."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": "api", "sub": word(), "tenant": word(), "iat": now, "exp": now + 600}
        return {
            "x-forwarded-method": chance.choice(("GET", "GET", word())),
            "x-forwarded-uri": f"/{chance.choice(('open', 'mine', word()))}/{word()}",
            "x-forwarded-host": chance.choice(("api.example", "api.example", word())),
            "x-forwarded-proto": "https",
            "x-tenant": word(),
            "authorization": f"Bearer {sign_with(claims, key, 'EdDSA', 'k')}" if chance.random() < 0.8 else word(),
        }

    async def ask(session: aiohttp.ClientSession, url: str, count: int) -> set[int]:
        statuses = set()
        for _ in range(count):
            async with session.get(url, headers=asked()) as answer:
                await answer.read()
                statuses.add(answer.status)
        return statuses

    async with serving(tmp_path, told) as running, aiohttp.ClientSession(trust_env=False) as session:
        await running.announced()
        await running.ready()
        url = f"http://{running.endpoints['forward_auth'][0]}/authz/traefik"
        prometheus = Prometheus(tmp_path)
        prometheus.scrape(running.endpoints["admin"][0])
        await prometheus.start(children)
        count = 'count({__name__=~"authorizer_.*"})'
        decided = "sum(authorizer_decisions_total)"

        async def load(requests: int) -> set[int]:
            """Ask so often, and wait until Prometheus has seen it."""
            before = await prometheus.value(decided) or 0
            told = await asyncio.gather(*(ask(session, url, requests // CLIENTS) for _ in range(CLIENTS)))

            async def seen() -> bool:
                return (await prometheus.value(decided) or 0) == before + requests

            await until(seen, 30)
            return set().union(*told)

        assert await load(CLIENTS * 20) == {200, 401, 403}
        series = await prometheus.value(count)
        assert await load(REQUESTS) == {200, 401, 403}
        assert await prometheus.value(count) == series
        assert series is not None
        assert series < 300
        page = (await running.get("/metrics"))[1].encode()

        async def led_to() -> bool:
            now = int(time.time())
            query = "authorizer_decision_duration_seconds_bucket"
            found = await prometheus.ask("query_exemplars", query=query, start=str(now - 60), end=str(now + 60))
            return any(each["labels"] == {"trace_id": TRACE} for line in found for each in line["exemplars"])

        async with session.get(url, headers=asked() | {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}) as answer:
            await answer.read()
        await until(led_to, 30)
    promtool = shutil.which("promtool")
    assert promtool is not None
    process = await asyncio.create_subprocess_exec(promtool, "check", "metrics", stdin=-1, stdout=-1, stderr=-1)
    assert await asyncio.wait_for(process.communicate(page), 60) == (b"", b"")
    assert process.returncode == 0
