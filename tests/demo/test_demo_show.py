"""What the demo prints, and how it judges an answer."""

import sys

import pytest

from authorizer.demo.scenario import STEPS, Answer
from authorizer.demo.show import Screen, coloured, why_of

EVENT = {
    "method": "GET",
    "path": "/orders/42",
    "status": 403,
    "decision": "deny",
    "reason": "wrong_tenant",
    "detail": "gate own-tenant (orders.yaml:23:5): resource.tenant eq $assignee.tenant does not hold",
    "application": "orders",
    "right": "read",
    "policies": ["own-tenant"],
    "sources": ["orders.yaml:23:5"],
}
ALLOWED = {**EVENT, "status": 200, "decision": "allow", "policies": ["sales"], "sources": ["orders.yaml:31:5"]}


@pytest.mark.parametrize(
    ("event", "cure", "why"),
    [
        (ALLOWED, "", "orders/read: sales"),
        (EVENT, "", "wrong_tenant: gate own-tenant: resource.tenant eq $assignee.tenant does not hold"),
        (EVENT, "in plan enterprise", "wrong_tenant: in plan enterprise"),
        ({**EVENT, "reason": "no_credential"}, "", "no_credential"),
        ({**EVENT, "reason": "odd", "detail": ""}, "", "odd"),
    ],
)
def test_why(event: dict, cure: str, why: str) -> None:
    assert why_of(event, cure) == why


def test_a_long_why_is_cut() -> None:
    assert len(why_of({**EVENT, "detail": "x" * 500})) == 90


def test_a_row_is_plain_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(colour=False)
    screen.heading()
    screen.row({**EVENT, "path": "/a\x1b[31m"}, "alice")
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["method", "path", "caller", "status", "why"]
    assert row.split()[:4] == ["GET", "/a\N{REPLACEMENT CHARACTER}[31m", "alice", "403"]
    assert row.endswith("(orders.yaml:23)")
    assert "\x1b" not in row


def test_a_row_has_colour_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(colour=True).row(EVENT, "alice", mark="expected 200 allowed")
    row = capsys.readouterr().out
    assert "\x1b[31m403" in row
    assert "expected 200 allowed" in row


@pytest.mark.parametrize(
    ("terminal", "environment", "colour"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"TERM": "xterm"}, False),
    ],
)
def test_colour_is_for_terminals(
    terminal: bool, environment: dict[str, str], colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert coloured() is colour


PLAN = STEPS[2]


@pytest.mark.parametrize(
    ("answer", "promised"),
    [
        (Answer(STEPS[0], 200, "allowed"), True),
        (Answer(STEPS[0], 403, "no_route"), False),
        (Answer(PLAN, 403, "feature_not_in_plan", plans=("enterprise",)), True),
        (Answer(PLAN, 403, "feature_not_in_plan"), False),
        (Answer(PLAN, 403, "wrong_tenant", plans=("enterprise",)), False),
        (Answer(STEPS[5], 401, "no_credential", challenge="Bearer"), True),
        (Answer(STEPS[5], 401, "no_credential"), False),
    ],
)
def test_an_answer_is_the_promised_one_or_not(answer: Answer, promised: bool) -> None:
    assert answer.as_promised is promised


def test_there_are_eight_requests() -> None:
    assert [step.reason for step in STEPS] == [
        *("allowed", "wrong_tenant", "feature_not_in_plan", "step_up"),
        *("contract_ended", "no_credential", "no_route", "path_parameters"),
    ]
