"""Rego's own tests, their coverage, explanations, and the one layout."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authorizer.policy.plan import Context
from authorizer.policy.plan.values import UNDEFINED
from authorizer.policy.rego import RegoError, explain, layout, parse, testing

POLICY = """package acme

default allow := false

allow if {
	input.method == "GET"
	some role in data.roles[input.user]
	role.level >= 3
}

allow if admins[input.user]

admins contains "root"

test_get if allow with input as {"method": "GET", "user": "bob"} with data.roles as {"bob": [{"level": 3}]}

test_post if not allow with input as {"method": "POST"}

test_wrong if allow with input as {}

todo_test_later if false
"""


def context():
    return Context(1, lambda size: b"1" * size)


def test_cases_named_by_a_variable_do_not_pass():
    text = 'package a\ntest_cases[name] if { some name, x in {"one": 1, "two": 2}; x == 1 }'
    (outcome,) = testing.run([parse(text, "a.rego")], context).failed
    assert outcome.name == "data.a.test_cases"


def test_tests_pass_fail_and_are_skipped():
    report = testing.run([parse(POLICY, "acme.rego")], context)
    assert [(one.name, str(one.place), one.failure, one.skipped) for one in report.outcomes] == [
        ("data.acme.test_get", "acme.rego:15:1", "", False),
        ("data.acme.test_post", "acme.rego:17:1", "", False),
        ("data.acme.test_wrong", "acme.rego:19:1", "it has no value", False),
        ("data.acme.todo_test_later", "acme.rego:21:1", "", True),
    ]
    assert report.summary == "2 passed, 1 failed, 1 skipped"


def test_coverage_names_the_expressions_that_never_held():
    (covered,) = testing.run([parse(POLICY, "acme.rego")], context, coverage=True).coverage
    assert covered.missing == ((11, 10), (13, 1))
    assert covered.total == 6


def test_an_error_is_a_failure():
    text = "package a\np := 1\np := 2 if input == 1\ntest_conflict if p with input as 1\n"
    (outcome,) = testing.run([parse(text, "a.rego")], context).failed
    assert "eval_conflict_error" in outcome.failure


def test_an_explanation_shows_where_each_body_stopped():
    module = parse(POLICY, "acme.rego")
    roles = {"roles": {"bob": [{"level": 1}, {"level": 2}]}}
    told = explain.explain([module], "acme/allow", context(), {"method": "GET", "user": "bob"}, data=roles)
    assert told.value is False
    assert [(one.rule, one.place.line, one.times, dict(one.known)) for one in told.stops] == [
        ("data.acme.allow", 8, 2, {"role": {"level": 2}}),
        ("data.acme.allow", 11, 1, {}),
    ]
    assert told.stops[0].render().splitlines() == [
        "acme.rego:8:2: data.acme.allow stopped here (2 times)",
        "     role.level >= 3",
        "     ^",
        "    role = {'level': 2}",
    ]


def test_an_explanation_of_what_holds_has_no_stops_in_what_held():
    told = explain.explain([parse(POLICY, "acme.rego")], "acme/allow", context(), {"user": "root"})
    assert told.value is True
    assert [one.place.line for one in told.stops] == [6]
    assert explain.explain([parse("package a\np if input.x", "a.rego")], "a/p", context(), {}).value is UNDEFINED


LAID = """package acme

import data.x

# top
default allow := false

allow if {
	# in
	input.method == "GET" # trailing
	x := {
		"a": 1,
		"b": [1, -2],
	}
	every k, v in x { v > 1; k != "" }
	$"a {x.a} b { [1,2][0] } c" == `raw
 text`
	f({y | y := x[_]}) == set() | {1 - 1}
}
"""


def test_the_layout_is_stable_and_keeps_comments():
    assert layout.layout(LAID, "x.rego") == LAID
    squeezed = LAID.replace("\t", "").replace(" := ", ":=").replace(" == ", "  ==  ").replace("\n\n", "\n\n\n\n")
    assert layout.layout(squeezed, "x.rego") == LAID


def test_what_is_no_module_is_not_laid_out():
    with pytest.raises(RegoError):
        layout.layout("package a\np := ]", "x.rego")


@settings(max_examples=60)
@given(st.lists(st.sampled_from([" ", "\t", "  "]), min_size=8, max_size=8))
def test_white_space_within_a_row_does_not_count(spaces):
    words = ["p", ":=", "x", "if", "{", "x", ":=", "1", "}"]
    text = "package a\n" + "".join(word + space for word, space in zip(words, [*spaces, ""], strict=True))
    assert layout.layout(text, "a.rego") == "package a\np := x if { x := 1 }\n"
