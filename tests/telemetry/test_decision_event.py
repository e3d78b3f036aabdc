"""A decision as an event: OPA's shape, documented, one line, free of secrets."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer import settings
from authorizer.errors import SettingsError
from authorizer.model import Decision, Duty
from authorizer.reasons import ALLOWED, authored, reason
from authorizer.settings import Drop
from authorizer.telemetry.decision_event import maker
from authorizer.telemetry.log_rules import Rules

PAGE = (Path(__file__).parents[2] / "docs" / "decision-log.md").read_text(encoding="utf-8")
TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DENIED = Decision(
    reason=reason("no_route"), id="ab-1", detail="why", application="orders", operation="read", subject="alice",
    client="app", policies=("p1",), sources=("orders.yaml:1:1",), revision="ff",
)  # fmt: skip
EVENT = (1e9, "GET", "api", "/orders/17?access_token=secret", "192.0.2.1", "grpc", DENIED, 0.0001234, TRACE)
LABELS = {"id": "a", "version": "1"}


def made(event=EVENT, rules=None):
    line = maker(LABELS, rules or Rules())(event)
    return None if line is None else json.loads(line)


def test_an_event_has_every_field_and_no_secret():
    assert made() == {
        "labels": LABELS,
        "decision_id": "ab-1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": made()["span_id"],
        "bundles": {"policy": {"revision": "ff"}},
        "path": "authorizer/decision",
        "input": {
            "attributes": {
                "request": {"http": {"method": "GET", "host": "api", "path": "/orders/17"}},
                "source": {"address": {"socketAddress": {"address": "192.0.2.1"}}},
            }
        },
        "result": {
            "allowed": False, "http_status": 403, "reason": "no_route", "detail": "why", "application": "orders",
            "operation": "read", "right": "", "subject": "alice", "client": "app", "policies": ["p1"],
            "sources": ["orders.yaml:1:1"], "attributes": [], "obligations": [], "advice": [],
        },
        "requested_by": "192.0.2.1",
        "timestamp": "2001-09-09T01:46:40.000000Z",
        "metrics": {"timer_server_handler_ns": 123400},
        "custom": {"transport": "grpc"},
    }  # fmt: skip


def test_the_page_tells_every_field():
    event = made(rules=Rules(erase=("/requested_by",), replace={"/result/subject": "x"}))
    top, _, below = PAGE.partition("| field of `result`")
    shown = [re.findall(r"`(\w+)`", row) for row in re.findall(r"^\| ([^|]+) \|", top, re.MULTILINE)]
    assert {name for names in shown for name in names} == set(event) | {"requested_by"}
    shown = re.findall(r"^\| (`[^|]+) \|", below.partition("\n\n")[0], re.MULTILINE)
    assert {name for row in shown for name in re.findall(r"`(\w+)`", row)} == set(event["result"])


def test_an_allow_is_a_200():
    result = made((0.0, "GET", "", "/", "", "http", Decision(reason=ALLOWED, allowed=True), 0.0, ""))["result"]
    assert (result["allowed"], result["http_status"], result["reason"]) == (True, 200, "allowed")


@pytest.mark.parametrize("target", [f"/reset/{TOKEN}", f"/x/{TOKEN}/y"])
def test_a_token_in_a_path_is_masked(target):
    assert "eyJ" not in json.dumps(made((0.0, "GET", "", target, "", "http", DENIED, 0.0, "")))


TEXT = st.text(st.characters(codec=None), max_size=60)


@given(TEXT, TEXT, TEXT, TEXT)
def test_any_text_becomes_one_line_of_valid_json(method, target, detail, trace):
    decision = Decision(reason=authored("x"), detail=detail)
    line = maker(LABELS)((0.0, method, target, target, method, "http", decision, 0.0, trace))
    assert line.count(b"\n") == 1
    assert "trace_id" not in json.loads(line.decode())


def test_fields_are_erased_and_replaced_by_rule():
    erase = ("/requested_by", "/input/attributes/source", "/result/nothing", "/result/reason/x")
    event = made(rules=Rules(erase=erase, replace={"/result/subject": "***", "/input/none/x": "y"}))
    assert (event["erased"], event["masked"]) == (list(erase[:2]), ["/result/subject"])
    assert event["result"]["subject"] == "***"
    assert "192.0.2.1" not in json.dumps(event)


@pytest.mark.parametrize(
    ("rule", "dropped"),
    [
        (Drop(decision="deny"), True),
        (Drop(application="orders", operation="read"), True),
        (Drop(application="orders", operation="write"), False),
        (Drop(reason="no_route", transport="grpc"), True),
        (Drop(transport="http"), False),
    ],
)
def test_decisions_are_dropped_by_rule_but_for_those_with_obligations(rule, dropped):
    assert (made(rules=Rules(drop=(rule,))) is None) is dropped
    bound = Decision(reason=reason("no_route"), application="orders", obligations=(Duty("d", "notification"),))
    assert made((*EVENT[:6], bound, 0.0, ""), Rules(drop=(rule,))) is not None


@pytest.mark.parametrize(
    "text",
    [
        "log: {erase: [result]}",
        "log: {erase: [/timestamp]}",
        "log: {erase: [/result/a~2]}",
        "log: {replace: {/labels/id: x}}",
        "log: {drop: [{}]}",
        "log: {drop: [{colour: red}]}",
        "log: {upload: {url: 'ftp://logs'}}",
        "log: {upload: {url: 'http://user:secret@logs'}}",
        "log: {upload: {buffer: here}}",
        "traces: {url: collector}",
    ],
)
def test_rules_and_addresses_that_could_not_work_are_refused(text):
    with pytest.raises(SettingsError):
        settings.load("policies: p\n" + text)


def test_rules_are_read():
    text = "policies: p\nlog: {erase: [/result/a~1b, /requested_by], drop: [{decision: allow, application: a}]}\n"
    found = settings.load(text).log
    assert (found.erase, found.drop) == (("/result/a~1b", "/requested_by"), (Drop(decision="allow", application="a"),))
