"""The denial that both doors share: its body, its status, its headers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.doors.headers import UnsendableError
from authorizer.doors.problem import denial, grpc_denial
from authorizer.model import Decision, Missing, Reason, StepUp
from authorizer.reasons import ALLOWED, REASONS, authored, reason

TENANT = Decision(
    reason=authored("wrong_tenant"),
    id="d-1",
    detail="tenant a is not b",
    subject="alice",
    application="shop",
    policies=("p1",),
    sources=("policies/shop.yaml:3:1",),
    overrode=("glass",),
    revision="r1",
)


def members(decision: Decision, status: int | None = None) -> dict[str, object]:
    return json.loads(denial(decision, status).body)


def test_body_has_the_stable_members_and_no_internals():
    assert members(TENANT) == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "reason": "wrong_tenant",
        "detail": "wrong tenant",
        "decision_id": "d-1",
    }


def test_body_tells_what_would_help():
    decision = Decision(
        reason=reason("no_matching_policy"),
        missing=Missing("export", ("pro", "max")),
        requestable=("elig-export",),
        step_up=StepUp("phr", 300),
    )
    shown = members(decision)
    assert shown["missing"] == {"feature": "export", "plans": ["pro", "max"]}
    assert shown["requestable"] == ["elig-export"]
    assert shown["step_up"] == {"acr_values": "phr", "max_age": 300}
    assert "decision_id" not in shown


@pytest.mark.parametrize("code", sorted(REASONS))
def test_every_reason_leaves_as_an_error(code):
    shown = denial(Decision(reason=REASONS[code]))
    assert 400 <= shown.status <= 599
    assert shown.body
    assert json.loads(shown.body)["status"] == shown.status
    assert dict(shown.headers)["content-type"] == "application/problem+json"
    assert ("www-authenticate" in dict(shown.headers)) == (shown.status == 401)


@pytest.mark.parametrize("status", [0, 100, 200, 204, 302, 399, 600, 799, -1])
def test_a_status_that_is_no_error_becomes_403(status):
    assert denial(TENANT, status).status == 403
    assert denial(Decision(reason=Reason("odd", "policy", status, "odd"))).status == 403


def test_a_contract_can_narrow_the_status():
    assert members(Decision(reason=REASONS["not_ready"]), 403)["status"] == 403


def test_an_allowed_decision_that_strays_here_denies():
    assert denial(Decision(reason=ALLOWED, allowed=True)).status == 403
    assert grpc_denial(Decision(reason=ALLOWED, allowed=True)).status == 403


def test_the_challenge_is_sent():
    challenge = 'Bearer error="insufficient_user_authentication", acr_values="phr", max_age="300"'
    shown = denial(Decision(reason=REASONS["step_up"], challenge=challenge))
    assert (shown.status, dict(shown.headers)["www-authenticate"]) == (401, challenge)


def test_a_challenge_that_breaks_the_header_is_refused():
    with pytest.raises(UnsendableError):
        denial(Decision(reason=REASONS["step_up"], challenge="Bearer\r\nset-cookie: a=b"))


@pytest.mark.parametrize(
    ("code", "status"), [("no_credential", 401), ("step_up", 401), ("no_route", 403), ("internal_error", 403)]
)
def test_grpc_callers_get_text_and_two_statuses_only(code, status):
    shown = grpc_denial(Decision(reason=REASONS[code]))
    assert shown.status == status
    assert shown.body.decode() == f"{code}: {REASONS[code].text}"
    assert [name for name, _ in shown.headers] == (["www-authenticate"] if status == 401 else [])


def test_grpc_text_is_bounded():
    assert len(grpc_denial(Decision(reason=Reason("x", "policy", 403, "long " * 1000))).body) == 200


@given(st.text(), st.text(), st.text())
def test_any_text_leaves_as_a_body(code, text, identifier):
    shown = denial(Decision(reason=Reason(code, "policy", 403, text), id=identifier))
    assert json.loads(shown.body)["status"] == 403
    assert grpc_denial(Decision(reason=Reason(code, "policy", 403, text))).body


def test_text_that_is_not_utf8_still_leaves_as_a_body():
    assert json.loads(denial(Decision(reason=Reason("x", "policy", 403, "\udcff"))).body)["status"] == 403
