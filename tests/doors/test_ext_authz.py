"""The ext_authz answer, read by a decoder that is not ours; nothing but an allowed decision may read as one."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.doors import ext_authz, faults
from authorizer.doors.ext_authz import FIXED, handler
from authorizer.doors.ext_authz_response import encode
from authorizer.doors.wire import ext_authz_pb2
from authorizer.model import Decision, Duty, Missing, Reason, Request
from authorizer.reasons import ALLOWED, REASONS, reason
from authorizer.service import Authorizer

auth = pytest.importorskip("envoy_data_plane.envoy.service.auth.v3")

ALLOW = Decision(
    reason=ALLOWED,
    allowed=True,
    id="d-1",
    application="shop",
    operation="GET /orders/{id}",
    policies=("readers", "staff"),
    revision="r1",
    upstream=(("x-auth-subject", "Zoë"), ("X-Auth-Decision", "d-1")),
    remove=("x-auth-client", "X-Auth-Decision"),
)


class Fixed(Authorizer):
    """Answers every request with one decision and remembers the request."""

    ready = True

    def __init__(self, decision: Decision) -> None:
        super().__init__()
        self.decision = decision
        self.requests: list[Request] = []
        self.refused: list[str] = []

    def refuse(self, code: str, request: Request) -> Decision:
        self.refused.append(code)
        return super().refuse(code, request)

    def check(self, request: Request) -> Decision:
        self.requests.append(request)
        return self.decision


class Broken(Authorizer):
    ready = True

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def check(self, request: Request) -> Decision:
        raise self.error


def check(**headers: str) -> bytes:
    http = auth.AttributeContextHttpRequest(
        method="GET", path="/orders/1", host="api.example", headers={n.replace("_", "-"): v for n, v in headers.items()}
    )
    return bytes(auth.CheckRequest(attributes=auth.AttributeContext(request=auth.AttributeContextRequest(http=http))))


def read(answer: bytes):
    assert answer, "an empty answer is an allow"
    return auth.CheckResponse.parse(answer)


def assert_denied(answer: bytes, status: int | None = None, code: str | None = None):
    response = read(answer)
    assert response.status.code != 0
    assert response.ok_response is None
    assert response.error_response is None
    if status is not None:
        assert response.denied_response.status.code == status
    if code is not None:
        assert response.dynamic_metadata.to_dict()["reason"] == code
    return response


def options(headers):
    return [(option.header.key, option.header.value) for option in headers]


def test_an_allow_sets_removes_and_describes():
    response = read(handler(Fixed(ALLOW))(check()))
    assert response.status.code == 0
    assert response.denied_response is None
    allowed = response.ok_response
    assert options(allowed.headers) == [("x-auth-subject", "Zoë"), ("x-auth-decision", "d-1")]
    assert set(allowed.headers_to_remove) == {
        "x-auth-client", "x_auth_client", "x_auth_subject", "x_auth_decision",
    }  # fmt: skip
    assert allowed.response_headers_to_add == []
    assert response.dynamic_metadata.to_dict() == {
        "decision_id": "d-1",
        "reason": "allowed",
        "application": "shop",
        "operation": "GET /orders/{id}",
        "policies": ["readers", "staff"],
        "revision": "r1",
    }


def test_headers_overwrite_and_are_never_appended_or_raw():
    denial = Decision(reason=REASONS["no_credential"], challenge="Bearer")
    for answer, part in ((encode(ALLOW), "ok_response"), (encode(denial), "denied_response")):
        options = getattr(ext_authz_pb2.CheckResponse.FromString(answer), part).headers
        assert options
        for option in options:
            assert option.append_action == ext_authz_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
            assert not option.HasField("append")
            assert option.header.raw_value == b""


def test_duties_are_told_to_the_gateway():
    duties = (Duty("four-eyes", "notification", {"to": "second"}),)
    decision = Decision(reason=ALLOWED, allowed=True, obligations=duties, advice=duties)
    shown = {"id": "four-eyes", "type": "notification", "properties": {"to": "second"}}
    assert read(encode(decision)).dynamic_metadata.to_dict() == {
        "reason": "allowed", "obligations": [shown], "advice": [shown],
    }  # fmt: skip


def test_an_allow_without_anything_to_say_is_not_empty():
    response = read(encode(Decision(reason=ALLOWED, allowed=True)))
    assert response.ok_response is not None


@pytest.mark.parametrize("code", sorted(REASONS))
@pytest.mark.parametrize("grpc", [False, True])
def test_every_reason_denies(code, grpc):
    response = assert_denied(encode(Decision(reason=REASONS[code], id="d-2"), grpc=grpc), code=code)
    shown = response.denied_response
    assert shown.status.code in {401, 403} if grpc else 400 <= shown.status.code <= 599
    assert shown.body
    assert response.dynamic_metadata.to_dict()["decision_id"] == "d-2"


@pytest.mark.parametrize(("code", "expected"), [("no_route", 7), ("not_ready", 14), ("no_credential", 16)])
def test_the_status_code_names_the_family(code, expected):
    assert read(encode(Decision(reason=REASONS[code]))).status.code == expected


def test_a_denial_is_problem_json_with_its_challenge():
    challenge = 'Bearer error="invalid_token"'
    decision = Decision(
        reason=REASONS["token_expired"], id="d", challenge=challenge, missing=Missing("export", ("pro",))
    )
    shown = assert_denied(handler(Fixed(decision))(check()), 401).denied_response
    assert dict(options(shown.headers)) == {"content-type": "application/problem+json", "www-authenticate": challenge}
    body = json.loads(shown.body)
    assert (body["reason"], body["status"], body["missing"]) == (
        "token_expired", 401, {"feature": "export", "plans": ["pro"]},
    )  # fmt: skip


@pytest.mark.parametrize(("code", "status"), [("token_expired", 401), ("no_route", 403), ("not_ready", 403)])
def test_a_grpc_caller_gets_text(code, status):
    decision = Decision(reason=REASONS[code])
    shown = assert_denied(handler(Fixed(decision))(check(content_type="application/grpc+proto")), status, code)
    assert shown.denied_response.body == f"{code}: {REASONS[code].text}"
    assert "content-type" not in dict(options(shown.denied_response.headers))


def test_upstream_headers_of_a_denial_are_not_sent():
    decision = Decision(reason=reason("no_route"), upstream=(("x-auth-subject", "alice"),))
    assert b"alice" not in encode(decision)


@pytest.mark.parametrize("truthy", [1, "yes", object()])
def test_only_true_allows(truthy):
    assert_denied(encode(Decision(reason=ALLOWED, allowed=truthy)))


@pytest.mark.parametrize(
    "decision",
    [
        Decision(reason=ALLOWED, allowed=True, upstream=(("x-a", "1\r\nx-role: admin"),)),
        Decision(reason=ALLOWED, allowed=True, upstream=(("x-a", "\x00"),)),
        Decision(reason=ALLOWED, allowed=True, upstream=(("x-a", "\udcff"),)),
        Decision(reason=ALLOWED, allowed=True, upstream=((":path", "/admin"),)),
        Decision(reason=ALLOWED, allowed=True, upstream=(("host", "other"),)),
        Decision(reason=ALLOWED, allowed=True, upstream=(("x a", "1"),)),
        Decision(reason=ALLOWED, allowed=True, application="\udcff"),
        Decision(reason=ALLOWED, allowed=True, policies=("\udcff",)),
        Decision(reason=REASONS["step_up"], challenge="Bearer\nx: y"),
        None,
    ],
)
def test_what_cannot_be_sent_is_denied(decision):
    core = Fixed(decision)
    assert_denied(handler(core)(check()), 503, "internal_error")
    assert core.refused == ["internal_error"]  # a second event: the first may have said "allowed"


@pytest.mark.parametrize(
    "error", [RuntimeError("secret"), MemoryError(), RecursionError(), ValueError(), KeyError("x"), AssertionError()]
)
def test_a_fault_of_the_core_is_denied(error):
    assert_denied(handler(Broken(error))(check()), 503, "internal_error")


def test_what_cannot_even_be_refused_is_denied():
    core = Broken(RuntimeError())
    core.refuse = core.check
    assert handler(core)(check()) == FIXED["internal_error"]


def test_a_fault_of_the_decoder_is_denied(monkeypatch):
    def broken(message: bytes) -> Request:
        raise RuntimeError

    monkeypatch.setattr(ext_authz, "decode", broken)
    assert_denied(handler(Fixed(ALLOW))(check()), 503, "internal_error")


@pytest.mark.parametrize(
    ("code", "status"), [("bad_check", 503), ("internal_error", 503), ("deadline", 503), ("body_limit", 403)]
)
def test_fixed_answers_deny(code, status):
    assert_denied(FIXED[code], status, code)


def test_the_empty_question_is_decided_and_not_waved_through():
    core = Fixed(Decision(reason=REASONS["method_missing"]))
    assert_denied(handler(core)(b""), 403, "method_missing")
    assert core.requests == [Request(body_state="unknown")]


@given(st.binary(max_size=200))
def test_any_bytes_are_answered_with_a_denial(message):
    assert_denied(handler(Fixed(Decision(reason=REASONS["no_route"])))(message))
    assert_denied(handler(Broken(RuntimeError()))(message))


@given(st.data())
def test_a_damaged_question_is_answered_with_a_denial(data):
    message = bytearray(check(content_type="application/json", authorization="Bearer x"))
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(message)))
    assert_denied(handler(Fixed(Decision(reason=REASONS["no_route"])))(bytes(message[:cut])))


@given(
    st.builds(
        Decision,
        reason=st.builds(Reason, st.text(), st.text(), st.integers(), st.text()),
        id=st.text(),
        detail=st.text(),
        application=st.text(),
        operation=st.text(),
        policies=st.tuples(st.text()),
        challenge=st.text(),
        upstream=st.tuples(st.tuples(st.text(), st.text())),
        remove=st.tuples(st.text()),
        revision=st.text(),
    ),
    st.sampled_from(["application/json", "application/grpc"]),
)
def test_any_decision_that_is_not_allowed_denies(decision, content_type):
    assert_denied(handler(Fixed(decision))(check(content_type=content_type)))


def test_a_fault_is_logged_once_without_its_message(caplog, monkeypatch):
    monkeypatch.setattr(faults, "_known", set())
    answer = handler(Broken(RuntimeError("token abc")))
    with caplog.at_level(logging.ERROR, "authorizer.doors"):
        for _ in range(3):
            answer(check())
    (record,) = caplog.records
    assert "RuntimeError" in record.getMessage()
    assert "test_ext_authz.py" in record.getMessage()
    assert "abc" not in caplog.text


def test_the_log_of_faults_is_bounded(caplog, monkeypatch):
    monkeypatch.setattr(faults, "_known", {("x", "y", line) for line in range(256)})
    with caplog.at_level(logging.ERROR, "authorizer.doors"):
        faults.report(RuntimeError())
    assert not caplog.records
