"""The signed word on a caller: an API checks it with another library and the keys that serve publishes, also when they change."""

import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import jwt

from authorizer.jose import sign
from tests.e2e.fleet import Serving, serving
from tests.forge.world import HOST, World, world

TOLD = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/read", "X-Forwarded-Host": HOST, "X-Forwarded-Proto": "https"}


def settings(home: Path, made: World, *keys: str) -> dict[str, Any]:
    (home / "policies").mkdir(exist_ok=True)
    for name, content in made.documents.items():
        (home / "policies" / name).write_bytes(content)
    return {
        "workers": 2,
        "policies": str(home / "policies"),
        "ext_authz": {"listen": ""},
        "forward_auth": {"listen": f"unix:{home}/h.sock"},
        "identity_headers": {"x-auth-assertion": "assertion"},
        "assertion": {"issuer": "https://authorizer.internal", "key_files": [str(home / key) for key in keys]},
    }


async def told(fleet: Serving, made: World) -> tuple[set[str], dict[str, Any]]:
    """Return what each worker says of a caller, and the keys that serve publishes."""
    await fleet.announced()
    await fleet.ready()
    found = set()
    for address in fleet.endpoints["forward_auth"]:
        headers = TOLD | {"Authorization": f"Bearer {made.tokens['good']}", "X-Auth-Assertion": "e30.e30.e30"}
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(address.removeprefix("unix:"))) as session,
            session.get("http://door/authz/traefik", headers=headers) as answer,
        ):
            assert answer.status == 200
            found.add(answer.headers["x-auth-assertion"])
    status, published = await fleet.get("/jwks.json")
    assert status == 200
    return found, json.loads(published)


async def test_an_api_checks_them_before_and_after_a_change_of_keys(tmp_path: Path) -> None:
    made = world(time.time())
    for name in ("first", "second"):
        (tmp_path / name).write_bytes(sign.generate("ES256"))
    seen = []
    for number, keys in enumerate((("first", "second"), ("second", "first"))):
        async with serving(tmp_path, settings(tmp_path, made, *keys), f"serve-{number}") as fleet:
            seen.append(await told(fleet, made))
    signers = [{jwt.get_unverified_header(word)["kid"] for word in words} for words, _ in seen]
    assert [len(each) for each in signers] == [1, 1]
    assert signers[0] != signers[1]
    for words, _ in seen:
        for _, published in seen:
            assert not any("d" in key for key in published["keys"])
            for word in words:
                key = jwt.PyJWKSet.from_dict(published)[jwt.get_unverified_header(word)["kid"]]
                claims = jwt.decode(word, key, ["ES256"], audience="api", issuer="https://authorizer.internal")
                assert (claims["sub"], claims["scope"], claims["idp"]) == ("ann", "read", "https://login.example")
