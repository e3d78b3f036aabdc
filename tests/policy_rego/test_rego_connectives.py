"""``and``, ``or`` and the ``not`` of ``rego.v2``: what they mean and what is no operand. Each answer was OPA 1.22's too."""

import pytest

from authorizer.policy.plan import Context, compile_plan, read
from authorizer.policy.plan.values import to_json
from authorizer.policy.rego import RegoError, compile_modules, layout, parse

ALL, NOT, OR = "rego.v2", "future.keywords.not", "future.keywords.or"


def answer(imported, body, version=1):
    """Return what ``p if { body }`` is for an input without members: true, undefined, or the code of the problem."""
    return value(f"package a\nimport {imported}\np if {{\n\t{body}\n}}", version)


def value(text, version=1):
    try:
        plan = compile_modules([parse(text, "a.rego", version)], entrypoints=["a/p"])
    except RegoError as error:
        return error.problems[0].code
    results = compile_plan(read(plan), data={}).evaluate("a/p", {}, Context(1, lambda size: b"1" * size))
    return to_json(results[0]["result"]) if results else "undefined"


ANSWERS = {
    "either": (ALL, "false or true", True),
    "neither": (ALL, "false or input.x", "undefined"),
    "both": (ALL, "true and 1 == 1", True),
    "and before or": (ALL, "true or true and false", True),
    "a group": (ALL, "(true or true) and false", "undefined"),
    "groups in groups": (ALL, "((((false or true)))) and ((1 + 1) == 2)", True),
    "not before or": (ALL, "not true or true", True),
    "not of a group": (ALL, "not (false or input.x)", True),
    "not of a part without a value": (NOT, "not count(input.x) > 0", True),
    "the old not": ("rego.v1", "not count(input.x) > 0", "undefined"),
    "the old not as an operand": (OR, "not count(input.x) > 0 or false", "undefined"),
    "not of a body": (NOT, "not { x := 1; x > 1 }", True),
    "not of a body that holds once": (NOT, "not { some x in [1, 2]; x > 1 }", "undefined"),
    "not of a body that never holds": (NOT, "not { some x in [1, 2]; x > 2 }", True),
    "a body that never holds": (ALL, "{ some x in [1, 2]; x > 2 } or false", "undefined"),
    "a body's variables are its own": (NOT, "x := 2; not { x := 1; x > 1 }; x == 2", True),
    "a body compares what is known outside": (NOT, "not { x = 1 }; x = 2", True),
    "bodies": (ALL, "{ x := 1; x > 1 } or { x := 2; x > 1 }", True),
    "one result": (ALL, "count([1 | { some x in [1, 2]; x > 0 } or true]) == 1", True),
    "variables from outside": (ALL, "some x in [1, 2]; x > 1 or x == 7", True),
    "with on the whole": (ALL, "input.x == 1 and input.y == 2 with input as {'x': 1, 'y': 2}".replace("'", '"'), True),
    "with on an operand": (ALL, "(input.x == 1 with input.x as 1) and not input.x", True),
    "within every": (ALL, "every x in [1, 2] { x == 1 or x == 2 }", True),
    "lines": (ALL, "false or\n\t\ttrue\n\t\tand true", True),
    "a set that is none": (ALL, "{1} == {1}", True),
    "names": (OR, 'x := {"or": 1}; x.or == 1', True),
    "a variable of its own": (ALL, "x := 1 or true", "G201"),
    "a variable under not": (NOT, "not x := 1", "G201"),
    "an unknown variable": (ALL, "x == 1 or true", "G301"),
    "a wildcard under not": (NOT, "not input.x[_]", "G302"),
    "with between": (ALL, "true with input as 1 or true", "G102"),
    "some": (ALL, "some x in [1] or true", "G102"),
    "every as an operand": (ALL, "true or every x in [1] { x }", "G102"),
    "twice not": (ALL, "not not true", "G102"),
    "a set as an operand": (ALL, "{1, 2} == {1, 2} or true", "G102"),
    "a comprehension or a union": (ALL, "{1 | true} or true", "G102"),
    "an empty body": (ALL, "{} or true", "G102"),
    "no value": (ALL, "x := (true or false)", "G102"),
    "in a template": (ALL, '$"{true or false}" == "true"', "G102"),
    "not imported": ("rego.v1", "true or true", "G102"),
    "not a body": ("rego.v1", "not { x := 1; x > 1 }", "G102"),
    "a name that is a word": (OR, "or := 1", "G102"),
}


@pytest.mark.parametrize(("imported", "body", "wanted"), ANSWERS.values(), ids=ANSWERS)
def test_what_they_mean(imported, body, wanted):
    assert answer(imported, body) == wanted


def test_all_of_them_come_with_the_wildcard_and_with_version_2():
    assert answer("future.keywords", "not count(input.x) > 0 and true") is True
    assert answer("rego.v2", "not { false } and 1 in [1]", version=0) is True
    assert value("package a\np if not { false } and true", version=2) is True


def test_heads_take_them():
    assert value("package a\nimport rego.v2\np := 1 if false or false\nelse := 2 if true and { true }") == 2
    assert value("package a\nimport rego.v2\np := [x | some x in [1, 2, 3]; x < 2 or x > 2]") == [1, 3]


def test_the_layout_keeps_them():
    text = "package a\n\nimport rego.v2\n\np if {\n\tnot (input.a or input.b) and input.c\n}\n"
    assert layout.layout(text, "a.rego") == text
