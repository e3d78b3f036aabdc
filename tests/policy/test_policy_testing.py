"""Tests documents: what a case says, what is compared, which mistakes are told."""

import pytest

from authorizer.errors import DocumentError
from authorizer.model import ANYONE, AUTHENTICATED, Decision, Duty, Missing, StepUp, assignee_token
from authorizer.policy.documents import load
from authorizer.policy.testing import Case, Expect, failures, read_suites, run
from authorizer.reasons import ALLOWED, reason

SUITE = """\
kind: Tests
suite: s
now: 2026-01-01T00:00:00Z
subjects:
  ann:
    is: {group: [g, h], business_role_location: [[clerk, oslo], [lund, lund]]}
    attrs: {tenant: acme, plan: pro}
    env: {risk: 5}
cases:
  - name: one
    as: ann
    http: POST api.example/a/b?c=d
    headers: {x-a: b}
    attrs: {plan: , limit: 5}
    env: {acr: otp}
    data: {customers: [c-1]}
    body: {n: 1.50, t: "1", b: true, z: null, l: [x, {y: 007}]}
    expect: {decision: allow}
"""


def cases(text: str) -> tuple[Case, ...]:
    return read_suites(load(text, "f.yaml"))


def test_a_case():
    (case,) = cases(SUITE)
    assert (case.suite, case.name, case.subject, str(case.place)) == ("s", "one", "ann", "f.yaml:10:5")
    assert (case.method, case.host, case.target) == ("POST", "api.example", "/a/b?c=d")
    assert case.now == 1767225600.0
    assert case.tokens == {
        ANYONE,
        AUTHENTICATED,
        assignee_token("group", "g"),
        assignee_token("group", "h"),
        assignee_token("business_role_location", "clerk", "oslo"),
        assignee_token("business_role_location", "lund", "lund"),
    }
    assert case.attributes == {"tenant": "acme", "limit": "5"}
    assert case.env == {"risk": "5", "acr": "otp"}
    assert case.data == {"customers": ["c-1"]}
    assert case.headers == {"x-a": "b"}
    assert case.body == b'{"n": 1.50, "t": "1", "b": true, "z": null, "l": ["x", {"y": "007"}]}'


def test_a_comma_in_a_name():
    suite = SUITE.partition("  - name: one")[0]
    (case,) = cases(suite + "  - {name: senior, otp, fresh, http: GET h/, expect: {decision: deny}}\n")
    assert case.name == "senior, otp, fresh"
    assert (case.subject, case.tokens, case.body, case.target) == ("", frozenset({ANYONE}), b"", "/")


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("suite: s\n", "", "AZ210"),
        ("suite: s", "suit: s", "AZ204"),
        ("now: 2026-01-01T00:00:00Z\n", "", "T301"),
        ("now: 2026-01-01T00:00:00Z", "now: 2026-01-01", "T301"),
        ("as: ann", "as: bob", "T302"),
        ("as: ann", "is: ann", "AZ204"),
        ("POST api.example/a/b?c=d", "POST api.example", "T301"),
        ("POST api.example/a/b?c=d", "api.example/a", "T301"),
        ("group: [g, h]", "team: [g, h]", "R006"),
        ("[clerk, oslo]", "[clerk]", "T301"),
        ("expect: {decision: allow}", "expect: {reason: x}", "AZ210"),
        ("expect: {decision: allow}", "expect: {decision: allowed}", "T301"),
        ("expect: {decision: allow}", "expect: {decision: allow, policies: [x]}", "AZ204"),
        ("    expect: {decision: allow}", "", "AZ210"),
        ("expect: {decision: allow}", "expect: {decision: allow, missing: {plan: x}}", "AZ204"),
        (
            "    expect: {decision: allow}",
            "    expect: {decision: allow}\n  - {name: one, http: GET h/, expect: {decision: deny}}",
            "T303",
        ),
    ],
)
def test_mistakes(old, new, code):
    assert old in SUITE
    with pytest.raises(DocumentError) as caught:
        cases(SUITE.replace(old, new))
    assert code in {problem.code for problem in caught.value.problems}


DENIAL = Decision(
    reason=reason("path_encoded_slash"),
    policies=("a", "b"),
    overrode=("o",),
    missing=Missing("f", ("pro", "max")),
    requestable=("e",),
    step_up=StepUp("otp", 300),
    obligations=(Duty("tell", "t"),),
    advice=(Duty("hint", "t"),),
)


@pytest.mark.parametrize(
    ("expect", "lines"),
    [
        ({}, ()),
        ({"reason": "path_encoded_slash"}, ()),
        ({"reason": "bad_path"}, ()),
        ({"reason": "no_route"}, ("reason: expected no_route, got path_encoded_slash",)),
        ({"by": ("b", "a")}, ()),
        ({"by": ("a",)}, ("by: expected [a], got [a, b]",)),
        ({"by": ()}, ("by: expected [], got [a, b]",)),
        ({"missing_feature": "f", "missing_plans": ("max", "pro")}, ()),
        ({"missing_feature": "g"}, ("missing.feature: expected g, got f",)),
        ({"missing_plans": ("max",)}, ("missing.plans: expected [max], got [max, pro]",)),
        ({"requestable": ("e",), "overrode": ("o",), "obligations": ("tell",), "advice": ("hint",)}, ()),
        ({"requestable": ()}, ("requestable: expected [], got [e]",)),
        ({"obligations": ("page",)}, ("obl: expected [page], got [tell]",)),
        ({"step": {"acr_values": "otp", "max_age": "300"}}, ()),
        ({"step": {"acr_values": "phr"}}, ("step.acr_values: expected phr, got otp",)),
    ],
)
def test_comparison(expect, lines):
    assert failures(Expect("deny", **expect), DENIAL) == lines


def test_comparison_of_an_allow():
    allowed = Decision(reason=ALLOWED, allowed=True)
    assert failures(Expect("allow"), allowed) == ()
    assert failures(Expect("deny", step={"acr_values": "otp"}), allowed) == (
        "decision: expected deny, got allow",
        "step.acr_values: expected otp, got none",
    )


def test_a_header_that_nobody_should_get():
    (case,) = cases(SUITE.replace("{decision: allow}", "{decision: allow, headers: {x-a: '1', x-b: ''}}"))
    assert case.expect.headers == {"x-a": "1", "x-b": ""}


def test_comparison_of_headers():
    decision = Decision(reason=ALLOWED, allowed=True, upstream=(("x-a", "1"),), response=(("x-b", "2"),))
    assert failures(Expect("allow", headers={"X-A": "1", "x-b": "2", "x-c": ""}), decision) == ()
    assert failures(Expect("allow", headers={"x-a": "", "x-b": "3", "x-c": "4"}), decision) == (
        "headers.x-a: expected none, got 1",
        "headers.x-b: expected 3, got 2",
        "headers.x-c: expected 4, got none",
    )


def test_run():
    text = SUITE + "  - {name: two, http: GET h/, expect: {decision: deny}}\n"
    report = run(cases(text), lambda case: Decision(reason=reason("no_route")))
    assert (report.passed, len(report.failed)) == (1, 1)
    assert [result.case.name for result in report.failed] == ["one"]
