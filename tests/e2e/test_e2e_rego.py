"""Estates that come from OPA: the answers of opa-envoy-plugin, through a real Envoy."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from authorizer.demo.processes import Children
from authorizer.gateways.envoy import Check
from authorizer.service import Authorizer
from tests.e2e.shop import snapshot
from tests.e2e.world import Api, connection_manager, envoy, open_doors, send

CHECKS = Path(__file__).parents[3] / "shared/checks/ext-authz/opa-envoy-checks.json"

APPLICATION = b"""kind: Application
id: opa
http: {hosts: ["*"]}
rego: {entrypoint: %s, input: envoy}
"""

# After the tutorial of opa-envoy-plugin.
QUICK_START = """package envoy.authz
import input.attributes.request.http as http_request
default allow := false
allow if { is_token_valid; action_allowed }
is_token_valid if { now := time.now_ns() / 1000000000; token.payload.nbf <= now; now < token.payload.exp }
action_allowed if { http_request.method == "GET"; token.payload.role == "guest"; glob.match("/people*", [], http_request.path) }
action_allowed if { http_request.method == "GET"; token.payload.role == "admin"; glob.match("/people*", [], http_request.path) }
action_allowed if {
    http_request.method == "POST"; token.payload.role == "admin"; glob.match("/people", [], http_request.path)
    lower(input.parsed_body.firstname) != base64url.decode(token.payload.sub)
}
token := {"valid": valid, "payload": payload} if {
    [_, encoded] := split(http_request.headers.authorization, " ")
    [valid, _, payload] := io.jwt.decode_verify(encoded, {"secret": "secret"})
}
"""


def authorizer(text: str, entrypoint: str) -> Authorizer:
    return Authorizer(snapshot({"app.yaml": APPLICATION % entrypoint.encode(), "opa.rego": text.encode()}))


def checks():
    if not CHECKS.exists():
        return []
    document = json.loads(CHECKS.read_text(encoding="utf-8"))
    return [
        (one, document["policies"][one["policy"]], document["requests"][one["request"]]) for one in document["checks"]
    ]


@pytest.mark.skipif(not CHECKS.exists(), reason="the shared checks are not here")
@pytest.mark.parametrize(("check", "policy", "request_"), checks(), ids=lambda one: one.get("name"))
async def test_envoy_hears_what_opa_would_say(check, policy, request_, children: Children, api: Api, tmp_path: Path):
    http = request_["attributes"]["request"]["http"]
    headers = [
        (name, value)
        for name, value in http.get("headers", {}).items()
        if not name.startswith((":", "x-envoy", "x-forwarded", "content-length"))
    ]
    body = http.get("body", "").encode()
    async with open_doors(authorizer(policy["rego"], policy["entrypoint"])) as doors:
        gateway = await envoy(children, tmp_path, Check(address=doors.grpc, body_bytes=8192), api.address)
        reply = await send(gateway.url, http.get("method", "GET"), http.get("path", "/"), headers, body)
    (decision,) = doors.decisions
    if check["status_code"] == 0:
        assert (reply.status, decision.reason.code) == (200, "allowed")
        ((_, _, seen),) = api.seen
        assert {name: seen.get(name) for name in check.get("ok_headers", {})} == check.get("ok_headers", {})
    else:
        assert reply.status == check.get("denied_http_status", 403), decision
        assert not api.seen
        told = check.get("denied_headers", {})
        assert {name: reply.headers.get(name.lower()) for name in told} == told
        if "denied_body" in check:
            assert reply.body.decode() == check["denied_body"]


def token(role: str, name: str) -> str:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    claims = {"role": role, "sub": base64.urlsafe_b64encode(name.encode()).decode(), "nbf": 1_514_851_139, "exp": 4e9}
    head = json.dumps({"alg": "HS256", "typ": "JWT"}).encode()
    signed = f"{part(head)}.{part(json.dumps(claims).encode())}"
    return f"{signed}.{part(hmac.digest(b'secret', signed.encode(), hashlib.sha256))}"


METADATA = """package envoy.authz
import input.attributes.request.http as http
allow := {
    "allowed": http.path == "/open",
    "http_status": 418,
    "dynamic_metadata": {"who": "ann", "n": 7, "deep": {"list": [1.5, true, null], "text": "<&>"}},
}
"""


def showing(config: dict[str, Any]) -> None:
    """Tell the metadata of the check in the answer."""
    manager = connection_manager(config)
    names = {"who": "who", "n": "n", "deep": "deep", "list": "deep:list", "none": "none"}
    manager["route_config"]["response_headers_to_add"] = [
        {
            "header": {"key": f"x-told-{name}", "value": f"%DYNAMIC_METADATA(envoy.filters.http.ext_authz:{path})%"},
            "keep_empty_value": True,
        }
        for name, path in names.items()
    ]


async def test_envoy_has_the_metadata_of_a_rule(children: Children, api: Api, tmp_path: Path):
    async with open_doors(authorizer(METADATA, "envoy/authz/allow")) as doors:
        gateway = await envoy(children, tmp_path, Check(address=doors.grpc), api.address, showing)
        for path, status in (("/open", 200), ("/closed", 418)):
            reply = await send(gateway.url, "GET", path, [], b"")
            told = {name: reply.headers.get(f"x-told-{name}") for name in ("who", "n", "deep", "list", "none")}
            assert (reply.status, told["who"], told["n"]) == (status, "ann", "7"), told
            assert json.loads(told["deep"]) == {"list": [1.5, True, None], "text": "<&>"}
            assert json.loads(told["list"]) == [1.5, True, None]
            assert told["none"] in {"", "-", None}


async def test_the_quick_start_of_opa_envoy(children: Children, api: Api, tmp_path: Path):
    alice, bob = token("guest", "alice"), token("admin", "bob")
    person = b'{"firstname":"Charlie", "lastname":"OPA"}'
    own = b'{"firstname":"Bob", "lastname":"Rego"}'
    asked = [
        ("GET", alice, b"", 200),
        ("POST", alice, person, 403),
        ("POST", bob, person, 200),
        ("POST", bob, own, 403),
        ("GET", "", b"", 403),
        ("GET", alice[:-3] + "abc", b"", 403),
    ]
    async with open_doors(authorizer(QUICK_START, "envoy/authz/allow")) as doors:
        gateway = await envoy(children, tmp_path, Check(address=doors.grpc, body_bytes=8192), api.address)
        for method, who, body, status in asked:
            headers = [("authorization", f"Bearer {who}")] if who else []
            headers += [("content-type", "application/json")] if body else []
            reply = await send(gateway.url, method, "/people", headers, body)
            assert (method, reply.status) == (method, status), doors.decisions[-1]
