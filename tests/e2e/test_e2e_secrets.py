"""Every kind of credential through real workers: a proof counts once for all of them, and no secret comes out again."""

import json
import secrets
import time
from pathlib import Path
from typing import Any

import aiohttp

from authorizer.reasons import REASONS
from tests.e2e.fleet import serving
from tests.forge.world import CASES, CERTIFICATE_HEADER, HOST, World, world
from tests.upstream_idp.provider import running

OPAQUE = {"opaque-active": secrets.token_urlsafe(32), "opaque-inactive": secrets.token_urlsafe(32)}


def settings(home: Path, made: World) -> dict[str, Any]:
    """Write what serve reads, with secrets in each place that takes one; return its configuration."""
    for name, content in made.documents.items():
        (home / "policies").mkdir(exist_ok=True)
        (home / "policies" / name).write_bytes(content)
    for name in ("pepper", "client", "gateway"):
        (home / name).write_text(secrets.token_hex(32))
        (home / name).chmod(0o600)
    return {
        "workers": 2,
        "policies": str(home / "policies"),
        "state": str(home / "state"),
        "ext_authz": {"listen": ""},
        "forward_auth": {
            "listen": f"unix:{home}/h.sock",
            "shared_secret_file": str(home / "gateway"),
            "client_certificate": {"form": "pem", "header": CERTIFICATE_HEADER},
        },
        "credentials": {
            "api_key_parameter": "key",
            "pepper_file": str(home / "pepper"),
            "dpop": {"algorithms": ["ES256"], "lifetime_seconds": 300},
        },
        "identity_providers": {
            "clients": {"gateway": {"id": "authorizer", "secret_file": str(home / "client")}},
        },
        "log": {"level": "debug", "decisions": "stdout"},
    }


async def ask(address: str, target: str, lines: list[tuple[str, str]], secret: str) -> tuple[int, str]:
    """Ask one worker; return the status and everything that it answered, as text."""
    told = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", target), ("X-Forwarded-Host", HOST)]
    headers = [*told, ("X-Forwarded-Proto", "https"), ("X-Authorizer-Secret", secret), *lines]
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(address.removeprefix("unix:"))) as session,
        session.get("http://door/authz/traefik", headers=headers) as answer,
    ):
        return answer.status, f"{dict(answer.headers)} {await answer.text()}"


def planted(home: Path, made: World) -> list[str]:
    """Return all secrets; of a token its last part, which is secret by itself."""
    tokens = [*made.tokens.values(), *(made.proof(case, at) for at, case in enumerate(CASES) if "proof" in case)]
    files = [(home / name).read_text() for name in ("pepper", "client", "gateway")]
    pems = [pem.decode().splitlines()[1] for pem in (made.pem, made.other, made.prover)]
    return [*(token.split(".")[2] for token in tokens), *made.keys.values(), *OPAQUE.values(), *files, *pems]


async def test_workers_share_proofs_and_nothing_tells_a_secret(tmp_path: Path) -> None:
    async with running() as provider:
        made = world(time.time(), issuer=provider.url)
        provider.tokens = {OPAQUE["opaque-active"]: {"active": True, "sub": "ann", "aud": "api", "scope": "read"}}
        config = settings(tmp_path, made)
        gateway = (tmp_path / "gateway").read_text()
        told = []
        async with serving(tmp_path, config) as fleet:
            await fleet.announced()
            await fleet.ready()
            workers = fleet.endpoints["forward_auth"]
            assert len(workers) == 2
            for number, case in enumerate(CASES):
                lines = made.headers(case, number)
                named = case.get("send", {}).get("authorization", "").removeprefix("Bearer ")
                if named in OPAQUE:
                    lines = [("authorization", f"Bearer {OPAQUE[named]}")]
                elif named.startswith("opaque"):
                    continue
                lines += [(CERTIFICATE_HEADER, made.escaped(case["shows"]))] if "shows" in case else []
                # What is shown twice is shown to both workers.
                status, answer = await ask(workers[number % 2], case.get("target", "/read"), lines, gateway)
                assert (case["name"], status) == (case["name"], REASONS[case["reason"]].status)
                told.append(answer)
            status, answer = await ask(workers[0], f"/read?key={made.keys['current']}", [], gateway)
            assert status == 200
            told.append(answer)
            told.append((await ask(workers[0], f"/{made.keys['current']}", [], gateway))[1])
            told += [(await fleet.get(path))[1] for path in ("/metrics", "/readyz", "/healthz")]
            fleet.process.terminate()
            await fleet.end()
        told += [fleet.log.read_text(), fleet.decisions.read_text()]
        assert len(fleet.decisions.read_text().splitlines()) >= len(CASES)
    assert {json.loads(line)["result"]["allowed"] for line in fleet.decisions.read_text().splitlines()} == {True, False}
    found = [secret for secret in planted(tmp_path, made) if any(secret in text for text in told)]
    assert not found
