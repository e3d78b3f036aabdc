"""Every kind of credential through every gateway: the client gets the status and challenge that the decision has.

And what an API gets of a key that stood in the query.
"""

import time
from pathlib import Path

import pytest

from authorizer.demo.processes import Children
from authorizer.doors.forward_auth_profiles import PROFILES
from authorizer.pdp.api_keys import make
from authorizer.pdp.credentials import KeyPlaces
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.reasons import REASONS
from authorizer.service import Authorizer
from tests.e2e.world import Api, marked, open_doors, send, start
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
            # nginx passes the challenge of a 401 on, and of a 403 nothing at all.
            challenge = case.get("challenge", "") if (name, status) != ("nginx", 403) else ""
            expected.append((case["name"], case["reason"], status, challenge))
            assert len(api.seen) == (case["reason"] == "allowed")
    assert found == expected


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
