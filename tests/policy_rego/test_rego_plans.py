"""What plans of ours give: the corners that a planner gets wrong. Each result was OPA 1.22's too."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authorizer.errors import AuthorizerError
from authorizer.policy.plan import Context, compile_plan, read
from authorizer.policy.plan.values import to_json
from authorizer.policy.rego import RegoError, compile_modules, parse

DATA = {"users": {"bob": {"level": 2}, "eve": {"level": 1}}, "a": {"given": 1}, "list": ["x", "y"]}


def result(text, input_=None, data=None, version=1):
    plan = compile_modules([parse("package a\n" + text, "a.rego", version)], entrypoints=["a/p"])
    assert json.loads(json.dumps(plan)) == plan
    context = Context(1, lambda size: b"1" * size)
    results = compile_plan(read(plan)).evaluate("a/p", input_ or {}, context, DATA if data is None else data)
    return to_json(results[0]["result"]) if results else "undefined"


PLANS = {
    "a function in place of a function": (
        "f(x) := g(x) + 1\ng(x) := x\nm(x) := g(x) * 10\np := [a, b] if {\n\ta := f(1) with g as m\n\tb := f(1)\n}",
        [11, 2],
    ),
    "a value in place of a builtin": ("q := count([1, 2])\np := [a, q] if a := q with count as 7", [7, 2]),
    "a builtin in place of a function": ("f(x) := x\nq := f([1, 2])\np := x if x := q with f as count", 2),
    "a variable in place of a builtin": (
        "q := count([1])\np := z if {\n\tv := input.v\n\tz := q with count as v\n}",
        5,
    ),
    "a document, and back": ("q := data.users.bob.level\np := [a, q] if a := q with data.users.bob.level as 9", [9, 2]),
    "a rule's document": ("q := 1\nr := q + 1\np := [a, r] if a := r with data.a.q as 10", [11, 2]),
    "input within input": ("q := input.v\np := [a, q] if a := q with input.v as 6", [6, 5]),
    "not sees what with gives": ("q if input.v == 6\np if {\n\tnot q\n\tq with input.v as 6\n}", True),
    "rules and data make one document": ("p := data.a.given", 1),
    "a variable over rules and data": (
        "p := [k, v] if {\n\tsome k, v in data.users\n\tv.level == data.levels[k]\n}",
        "undefined",
    ),
    "a variable over data": ("p := [k | some k; data.users[k].level > 1]", ["bob"]),
    "a known variable over data": ("p := data.users[input.user].level", 2),
    "partial objects join": ('q.a := 1\nq[k] := 2 if some k in {"b", "c"}\np := q', {"a": 1, "b": 2, "c": 2}),
    "deep names join": ('q.a.b := 1\nq.a[k] := 2 if k := "c"\nq[k].d := 3 if k := "e"\np := q.e', {"d": 3}),
    "sets within objects": ('q[k] contains v if {\n\tsome k in ["a", "b"]\n\tsome v in [1, 2]\n}\np := q.a', [1, 2]),
    "else in order": ("q := 1 if input.x\nelse := 2 if input.v == 5\nelse := 3\np := q", 2),
    "default": ("default q := 4\nq := 1 if input.x\np := q", 4),
    "default function": ("default f(_) := 0\nf(x) := 1 if x > 1\np := [f(1), f(2)]", [0, 1]),
    "arguments are patterns": ('f([x, "b"]) := x\nf({"k": x}) := x\np := [f([1, "b"]), f({"k": 2})]', [1, 2]),
    "undefined hoisted out of not": ('p if not startswith(input.none, "a")\nelse := 3', 3),
    "every": (
        "p if {\n\tevery x in [1, 2] { x > 0 }\n\tevery k, v in {1: 2} { k < v }\n\tevery x in [] { x == 1 }\n}",
        True,
    ),
    "every over no collection": ("p if { every x in 1 { x } }\nelse := 2", 2),
    "in": (
        'p := [1 in [1], 0, 1 in [1], "k" in {"k"}] if {\n\t"x" in data.list\n\t0, "x" in data.list\n}',
        [True, 0, True, True],
    ),
    "unification both ways": ("p := [x, y] if [x, 2] = [1, y]", [1, 2]),
    "unification of objects": ('p := [x, y] if {"a": x, "b": 2} = {"a": 1, "b": y}', [1, 2]),
    "the same variable twice": ("p := x if [x, x] = [[1, 1], [1, 2]][_]", 1),
    "order does not matter": ("p := y if {\n\ty = x + 1\n\tx = input.v\n}", 6),
    "templates": ('p := $"v is {input.v}, {input.none}, {[1]}"', "v is 5, <undefined>, [1]"),
    "raw strings and escapes": ('p := concat("", [`\\n`, "\\n", "\\u00e9"])', "\\n\né"),
    "negative numbers": ("p := [-input.v, 1 - 2, 1 -2, -1]", [-5, -1, -1, -1]),
    "a truth is no string": ('f(x) := x > 9\np := [f(1) == "a", startswith("a", "b") == "a", f(1) == 0]', [False] * 3),
    "a truth of two constants": ('f(_) := true\np := [f(1) == "a", f(1) == true]', [False, True]),
    "a default of a key that is no name": ("default q[true] := 1\nq.a := 2\np := q[true]", 1),
    "a default that is not taken": (
        "default q[1] := 1\nq[1] := 2 if input.v\nq[k] := 3 if k := 4\np := q[1] + q[4]",
        5,
    ),
    "precedence": ("p := [1 + 2 * 3, (1 + 2) * 3, 7 - 2 - 1, {1} | {2} & {2}]", [7, 9, 4, [1, 2]]),
    "comprehension or union": ("x := {1}\np := [{x | x}, {y | y := 1}]", [[[1]], [1]]),
    "a long chain of rules": (
        "p := r0\n" + "\n".join(f"r{n} := r{n + 1}" for n in range(300)) + "\nr300 := 1",
        1,
    ),
}


@pytest.mark.parametrize(("text", "wanted"), PLANS.values(), ids=PLANS)
def test_results(text, wanted):
    assert result(text, {"v": 5, "user": "bob"}) == wanted


def test_version_0():
    text = "q[x] { x := input.xs[_] } { x := 9 }\nf(x) = y { y := x + 1 }\np = [q, f(1)] { true }\n"
    assert result(text, {"xs": [1]}, version=0) == [[1, 9], 2]


def test_endless_replacing_is_refused():
    text = (
        "b := 1\nc := 1\n"
        + "\n".join(f"r{n} := [x | x := r{n + 1} with data.a.{'bc'[n % 2]} as 1]" for n in range(40))
        + "\nr40 := [b, c]\np := r0"
    )
    assert result(text) != "undefined"


TOKENS = st.sampled_from(
    [
        "package",
        "import",
        "default",
        "p",
        "q",
        "x",
        "input",
        "data",
        ".",
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        ",",
        ";",
        ":",
        ":=",
        "=",
        "==",
        "|",
        "&",
        "+",
        "-",
        "*",
        "/",
        "%",
        "<",
        ">",
        "!",
        '"a"',
        "1",
        "1.5",
        "`r`",
        '$"{x}"',
        "not",
        "some",
        "every",
        "in",
        "if",
        "else",
        "with",
        "as",
        "contains",
        "true",
        "null",
        "_",
        "count",
        "#",
        "\n",
    ]
)


def outcome(text):
    """Return what a text ends in: a plan that can be read, one beyond its limits, or problems that have places."""
    try:
        read(compile_modules([parse(text, "a.rego")], entrypoints=["a/p"]))
    except RegoError as error:
        return {one.place.file for one in error.problems}
    except AuthorizerError as error:
        return error.code
    return "plan"


@settings(max_examples=300)
@given(st.lists(TOKENS, max_size=40))
def test_any_tokens_give_a_plan_or_problems(tokens):
    assert outcome("package a\np := 1\n" + " ".join(tokens)) in ("plan", "AZ351", {"a.rego"})


@settings(max_examples=200)
@given(st.text(max_size=60))
def test_any_text_gives_a_plan_or_problems(text):
    for prefix in ("", "package a\n", 'package a\np := "'):
        assert outcome(prefix + text) in ("plan", "AZ351", {"a.rego"})
