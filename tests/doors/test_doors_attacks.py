"""Every forged token through the gRPC door and through a real HTTP socket: 401 with the same reason, and no answer else."""

import asyncio
import json

import pytest

from authorizer.doors import ext_authz
from authorizer.doors.forward_auth import ForwardAuth
from authorizer.doors.forward_auth_peers import trust
from authorizer.doors.http1 import MAX_LINE, open_http
from authorizer.doors.wire.ext_authz_pb2 import CheckRequest, CheckResponse
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer
from tests import forge

NOW = 1_800_000_000
MADE = forge.material()
GOOD = forge.claims(NOW)
ATTACKS = [attack for attack in forge.attacks(MADE, GOOD) if attack.sendable]
HONEST = list(forge.honest(MADE, GOOD))
POLICIES = b"""
kind: Catalog
fields: {limit: {type: decimal, scope: assignee}}
---
kind: Application
id: api
model: pbac
rights: {read: {}}
http: {hosts: [api.example], routes: {GET /: {right: read}}}
---
kind: Policies
policies: [{id: everyone-known, right: api/read, to: {anyone: true}}]
"""


@pytest.fixture(scope="module")
def authorizer() -> Authorizer:
    compiled = compile_documents({"policies.yaml": POLICIES, "issuers.yaml": forge.issuers(MADE).encode()})
    return Authorizer(build(compiled.documents(), {}, Options()), clock=lambda: float(NOW))


def by_grpc(authorizer: Authorizer, token: str) -> tuple[int, str]:
    message = CheckRequest()
    http = message.attributes.request.http
    http.method, http.path, http.host = "GET", "/", "api.example"
    http.header_map.headers.add(key="authorization", raw_value=f"Bearer {token}".encode())
    answer = CheckResponse.FromString(ext_authz.handler(authorizer)(message.SerializeToString()))
    assert (answer.status.code == 0) is (not answer.HasField("denied_response"))
    return answer.denied_response.status.code or 200, answer.dynamic_metadata.fields["reason"].string_value


async def by_http(reader, writer, token: str) -> tuple[int, str]:
    writer.write(
        b"GET /authz/envoy/ HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer " + token.encode() + b"\r\n\r\n"
    )
    async with asyncio.timeout(30):
        top = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(top.lower().partition("content-length: ")[2].split()[0])
        body = await reader.readexactly(length)
    return int(top.split()[1]), json.loads(body)["reason"] if body else "allowed"


async def test_both_doors_refuse_every_forged_token_with_the_same_reason(authorizer):
    assert len(ATTACKS) > 300
    door = ForwardAuth(authorizer, trust(["127.0.0.1"]))
    opened = await open_http("127.0.0.1:0", door.handle, door.malformed)
    reader, writer = await asyncio.open_connection(*opened.address.split(":"))
    try:
        for attack in ATTACKS:
            status, reason = answer = by_grpc(authorizer, attack.token)
            # A token that is no token68 does not get as far as its own reason.
            assert status == 401, attack.name
            assert reason == attack.reason or reason.startswith("credential_"), attack.name
            if len(attack.token) < MAX_LINE - 100:  # of a longer one HTTP does not see the end: see test_forward_auth
                assert await by_http(reader, writer, attack.token) == answer, attack.name
        for name, token in HONEST:
            assert (name, by_grpc(authorizer, token)) == (name, (200, "allowed"))
            assert (name, await by_http(reader, writer, token)) == (name, (200, "allowed"))
    finally:
        writer.close()
        await opened.close(1.0)
