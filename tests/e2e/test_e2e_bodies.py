"""A body that Envoy keeps back is no reason to decide as if there were none."""

import asyncio
import contextlib
import json
from pathlib import Path

import grpc
import pytest
from grpc import aio

from authorizer.demo.processes import Children
from authorizer.gateways.envoy import Check
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer
from tests.e2e.world import Api, envoy, open_doors

POLICIES = b"""
kind: Application
id: app
model: pbac+fields
fields: {role: {type: string}}
rights: {edit: {fields: [role]}}
http: {hosts: ["*"], routes: {"POST /users": {right: edit, resource: {role: body.role}, trust: acted_on}}}
---
kind: Policies
policies:
  - {id: edit, right: app/edit, to: {anyone: true}}
  - {id: role, effect: deny, right: app/edit, where: {resource.role: {exists: true}}, reason: role_is_fixed}
"""
ROLE = json.dumps({"role": "admin"}).encode()
JSON = "Content-Type: application/json\r\n"
OWN = "x-envoy-auth-partial-body: false\r\n"
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(ROLE), ROLE)
DENIED = "no_credential"  # by the policy: whoever is nobody is asked to log in
REQUESTS = {
    "length": (f"{JSON}Content-Length: {len(ROLE)}\r\n", ROLE),
    "chunked": (f"{JSON}Transfer-Encoding: chunked\r\n", CHUNKED),
    "chunked, says it is whole": (f"{JSON}{OWN}Transfer-Encoding: chunked\r\n", CHUNKED),
    "chunked and empty": (f"{JSON}Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "none": ("", b""),
    "none, says it is whole": (OWN, b""),
    "none, and says so": ("Content-Length: 0\r\n", b""),
}


async def post(url: str, headers: str, body: bytes) -> None:
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST /users HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n".encode() + body)
    async with asyncio.timeout(10):
        await reader.read()
    writer.close()


async def post_over_http2(url: str) -> None:
    """Send a body without a content-length, as gRPC does."""
    with contextlib.suppress(grpc.RpcError):
        async with aio.insecure_channel(url.removeprefix("http://")) as channel:
            await channel.unary_unary("/users")(ROLE, timeout=10)


@pytest.mark.parametrize(
    ("body_bytes", "expected"),
    [
        (
            0,
            {
                "length": "body_missing",
                "chunked": "body_missing",
                "chunked, says it is whole": "body_missing",
                "chunked and empty": "body_missing",
                "none": "body_missing",
                "none, says it is whole": "body_missing",
                "none, and says so": "allowed",
                "HTTP/2": "body_missing",
            },
        ),
        (
            8192,
            {
                "length": DENIED,
                "chunked": DENIED,
                "chunked, says it is whole": DENIED,
                "chunked and empty": "allowed",
                "none": "allowed",
                "none, says it is whole": "allowed",
                "none, and says so": "allowed",
                "HTTP/2": "body_type",
            },
        ),
    ],
    ids=["kept back", "buffered"],
)
async def test_a_body_is_read_or_the_request_denied(
    body_bytes: int, expected: dict[str, str], children: Children, api: Api, tmp_path: Path
) -> None:
    sources = compile_documents({"p.yaml": POLICIES})
    assert sources.problems == ()
    authorizer = Authorizer(build(sources.documents(), {}, Options()))
    found = {}
    async with open_doors(authorizer) as doors:
        check = Check(address=doors.grpc, body_bytes=body_bytes)
        gateway = await envoy(children, tmp_path, check, api.address)
        for name, (headers, body) in REQUESTS.items():
            doors.decisions.clear()
            await post(gateway.url, headers, body)
            (found[name],) = (decision.reason.code for decision in doors.decisions)
        doors.decisions.clear()
        await post_over_http2(gateway.url)
        (found["HTTP/2"],) = (decision.reason.code for decision in doors.decisions)
    assert found == expected
