"""The forward-auth door over real sockets: which answers each gateway gets."""

import json

import pytest

from authorizer.model import Decision, Missing, StepUp
from authorizer.reasons import ALLOWED, reason
from tests.doors.forward_auth_client import CALLS, FORWARDED, Fake, denied, door


@pytest.mark.parametrize("profile", CALLS)
async def test_an_allow_carries_only_headers_for_the_api(profile):
    target, headers = CALLS[profile]
    decision = Decision(
        reason=ALLOWED, allowed=True, id="id-1", upstream=(("X-Auth-Subject", "alice é"),), remove=("x-auth-client",)
    )
    async with door(Fake(decision)) as client:
        reply = await client.call(target, headers)
    expected = [("content-length", "0"), ("x-auth-subject", "alice é")]
    if profile == "envoy":
        removed = "x-auth-client, x_auth_subject, x_auth_client"
        expected.append(("x-envoy-auth-headers-to-remove", removed))
    if profile == "caddy":
        expected.append(("x-auth-client", ""))
    assert (reply.status, reply.headers, reply.body) == (200, expected, b"")


DENIALS = [
    ("no_route", {"envoy": 403, "traefik": 403, "caddy": 403, "nginx": 403}),
    ("no_credential", {"envoy": 401, "traefik": 401, "caddy": 401, "nginx": 401}),
    ("internal_error", {"envoy": 403, "traefik": 503, "caddy": 503, "nginx": 403}),
    ("wrong_tenant", {"envoy": 403, "traefik": 403, "caddy": 403, "nginx": 403}),
]


@pytest.mark.parametrize(("code", "statuses"), DENIALS)
@pytest.mark.parametrize("profile", CALLS)
async def test_a_denial_has_a_status_that_the_gateway_obeys(code, statuses, profile):
    target, headers = CALLS[profile]
    async with door(Fake(denied(code))) as client:
        reply = await client.call(target, headers)
    assert (reply.status, reply.reason) == (statuses[profile], code)
    assert reply.header("content-type") == "application/problem+json"
    assert json.loads(reply.body)["status"] == reply.status
    assert not {"server", "date"} & {name for name, _ in reply.headers}
    assert (reply.header("www-authenticate") is not None) is (reply.status == 401)


@pytest.mark.parametrize("profile", CALLS)
@pytest.mark.parametrize("status", [0, 100, 200, 204, 302, 404, 429, 500, 599, 799])
async def test_no_status_of_a_denial_can_be_an_allow(profile, status):
    target, headers = CALLS[profile]
    decision = Decision(reason=reason("no_route").__class__("odd", "policy", status, "odd"))
    async with door(Fake(decision)) as client:
        reply = await client.call(target, headers)
    bounds = {"envoy": (400, 499), "nginx": (401, 403)}.get(profile, (400, 599))
    assert bounds[0] <= reply.status <= bounds[1]


async def test_the_person_denied_is_told_what_would_help():
    decision = denied(
        "step_up", challenge='Bearer error="insufficient_user_authentication"', step_up=StepUp("mfa", 300),
        missing=Missing("export", ("gold",)), requestable=("r1",), policies=("secret-policy",), detail="internals",
        subject="alice",
    )  # fmt: skip
    async with door(Fake(decision)) as client:
        reply = await client.call("/authz/traefik", FORWARDED)
    body = json.loads(reply.body)
    assert body["missing"] == {"feature": "export", "plans": ["gold"]}
    assert body["step_up"] == {"acr_values": "mfa", "max_age": 300}
    assert body["decision_id"] == "id-1"
    assert reply.header("www-authenticate") == 'Bearer error="insufficient_user_authentication"'
    assert not any(word in reply.body for word in (b"secret-policy", b"internals", b"alice"))


async def test_a_grpc_caller_gets_text():
    async with door(Fake(denied("internal_error"))) as client:
        reply = await client.call("/authz/traefik", {**FORWARDED, "Content-Type": "application/grpc+proto"})
    assert (reply.status, reply.body) == (403, b"internal_error: the decision failed")


async def test_a_denial_of_a_head_request_has_no_body():
    async with door(Fake(denied("no_route"))) as client:
        reply = await client.call("/authz/envoy/x", method="HEAD")
        assert (reply.status, reply.body) == (403, b"")
        assert int(reply.header("content-length")) > 0


BROKEN = [
    RuntimeError("boom"),
    Decision(reason=ALLOWED, allowed=True, upstream=(("x-a", "b\r\nx-admin: 1"),)),
    Decision(reason=ALLOWED, allowed=True, upstream=(("x a", "b"),)),
    Decision(reason=ALLOWED, allowed=True, upstream=(("x-a", "\udcff"),)),
    Decision(reason=ALLOWED, allowed=True, upstream=(("content-length", "5"),)),
    Decision(reason=ALLOWED, allowed=True, remove=("x-a\r\nx-admin: 1",)),
    Decision(reason=reason("no_credential"), challenge="Bearer\r\nx: y"),
    None,
    Decision(reason=ALLOWED, allowed=1),
]


@pytest.mark.parametrize(
    ("profile", "broken"),
    [
        (profile, broken)
        for profile in ("envoy", "traefik", "nginx")
        for broken in BROKEN
        if profile == "envoy" or not getattr(broken, "remove", ())  # only Envoy is told what to remove
    ],
)
async def test_a_fault_of_ours_is_a_denial(profile, broken):
    target, headers = CALLS[profile]
    async with door(Fake(broken)) as client:
        reply = await client.call(target, headers)
    assert reply.status in {401, 403, 503}
    if profile == "envoy":
        assert reply.status < 500
    assert b"boom" not in reply.body
    assert b"x-admin" not in reply.body
