"""One case, every door, one answer: the bad inputs through gRPC bytes and through HTTP sockets, with real policies."""

import asyncio
import json
from pathlib import Path

import pytest
import yaml

from authorizer.doors import ext_authz
from authorizer.doors.forward_auth import ForwardAuth
from authorizer.doors.forward_auth_peers import trust
from authorizer.doors.http1 import open_http
from authorizer.doors.wire.ext_authz_pb2 import CheckRequest, CheckResponse
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer

FILES = Path(__file__).parents[1] / "cases"
TABLE = yaml.safe_load((FILES / "bad_input.yaml").read_text())
CASES = [TABLE["defaults"] | case for case in TABLE["cases"]]
HTTP_CASES = [case for case in CASES if case.get("http", True)]


def name(case) -> str:
    return f"{case['row']}-{case['name']}"


def octets(text) -> bytes:
    return ("".join(part * times for part, times in text) if isinstance(text, list) else text).encode("latin-1")


@pytest.fixture(scope="module")
def authorizer() -> Authorizer:
    compiled = compile_documents({"policies.yaml": (FILES / "bad_input_policies.yaml").read_bytes()})
    options = Options(identity_headers=dict.fromkeys(TABLE["managed"], "subject"))
    return Authorizer(build(compiled.documents(), {}, options))


def check_request(case) -> bytes:
    message = CheckRequest()
    http = message.attributes.request.http
    # Text that is not UTF-8 cannot stand in a protobuf string: Envoy puts a '!' there.
    http.method = octets(case["method"]).decode("utf-8", "replace")
    http.path = octets(case["target"]).decode("utf-8", "replace")
    http.host = octets(case["host"]).decode("utf-8", "replace")
    http.scheme, http.protocol = case["scheme"], case["protocol"]
    http.raw_body = octets(case["body"])
    lines = [(octets(key).lower().decode(), octets(value)) for key, value in case["headers"]]
    if case["body_state"] in {"complete", "partial"}:
        lines.append(("x-envoy-auth-partial-body", b"true" if case["body_state"] == "partial" else b"false"))
    for key, value in lines:
        http.header_map.headers.add(key=key, raw_value=value)
    message.attributes.context_extensions.update(case["context"])
    for namespace, members in case["metadata"].items():
        message.attributes.metadata_context.filter_metadata[namespace].update(members)
    return message.SerializeToString()


@pytest.mark.parametrize("case", CASES, ids=name)
def test_the_grpc_door(authorizer, case):
    answer = CheckResponse.FromString(ext_authz.handler(authorizer)(check_request(case)))
    assert answer.dynamic_metadata.fields["reason"].string_value == case["reason"]
    assert (answer.status.code == 0) is (case["reason"] == "allowed")
    if case["reason"] != "allowed":
        assert answer.denied_response.status.code == case["status"]
        assert json.loads(answer.denied_response.body)["reason"] == case["reason"]


@pytest.mark.parametrize("case", HTTP_CASES, ids=name)
async def test_the_http_door(authorizer, case):
    door = ForwardAuth(authorizer, trust(["127.0.0.1"]))
    opened = await open_http("127.0.0.1:0", door.handle, door.malformed)
    told = {"Method": "method", "Uri": "target", "Host": "host", "Proto": "scheme"}
    lines = [(f"X-Forwarded-{part}".encode(), octets(case[key])) for part, key in told.items()]
    lines += [(octets(key), octets(value)) for key, value in case["headers"]]
    call = b"".join(key + b": " + value + b"\r\n" for key, value in lines)
    reader, writer = await asyncio.open_connection(*opened.address.split(":"))
    writer.write(b"GET /authz/traefik HTTP/1.1\r\nHost: door\r\nConnection: close\r\n" + call + b"\r\n")
    async with asyncio.timeout(30):
        top, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await opened.close(1.0)
    assert int(top.split()[1]) == case["status"]
    assert body == b"" if case["reason"] == "allowed" else json.loads(body)["reason"] == case["reason"]
