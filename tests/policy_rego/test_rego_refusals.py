"""What is refused, by which code and where; and that one run tells all that is wrong."""

import pytest

from authorizer.policy.rego import RegoError, compile_modules, parse

V1 = "package a\n"


def problems(*texts, version=1, entrypoints=("a",)):
    try:
        modules = [parse(text, f"{number}.rego", version) for number, text in enumerate(texts)]
        compile_modules(modules, entrypoints=entrypoints)
    except RegoError as error:
        return [(one.code, one.place.line, one.place.column) for one in error.problems]
    return []


REFUSED = {
    "no package": ("p := 1", ("G102", 1, 1)),
    "nothing": ("", ("G102", 1, 1)),
    "open string": (V1 + 'p := "x\n', ("G101", 2, 6)),
    "open raw string": (V1 + "p := `x\n", ("G101", 2, 6)),
    "escape": (V1 + 'p := "\\x"', ("G101", 2, 6)),
    "character": (V1 + "p := 1 § 2", ("G101", 2, 8)),
    "leading zero": (V1 + "p := 01", ("G101", 2, 6)),
    "number and letters": (V1 + "p := 1a", ("G101", 2, 6)),
    "huge exponent": (V1 + "p := 1e99999", ("G101", 2, 6)),
    "template": (V1 + 'p := $"{1}', ("G101", 2, 11)),
    "brace": (V1 + "p if { x := 1", ("G102", 2, 14)),
    "empty body": (V1 + "p if every x in [1] {}", ("G102", 2, 22)),
    "no if": (V1 + "p { true }", ("G104", 2, 1)),
    "no contains": (V1 + "p[x] { x := 1 }", ("G104", 2, 1)),
    "no value": (V1 + "p", ("G104", 2, 1)),
    "keyword": (V1 + "if := 1", ("G104", 2, 1)),
    "import": (V1 + "import foo.bar\np := 1", ("G105", 2, 1)),
    "import of a keyword": (V1 + "import data.if\np := 1", ("G105", 2, 1)),
    "unknown feature": (V1 + "import future.keywords.maybe\np := 1", ("G105", 2, 1)),
    "default": (V1 + "default p := input.x", ("G106", 2, 1)),
    "default argument": (V1 + "default f(1) := 2", ("G106", 2, 1)),
    "metadata": ("# METADATA\n# [\npackage a\np := 1", ("G107", 1, 1)),
    "declared twice": (V1 + "p if {\n\tx := 1\n\tx := 2\n}", ("G201", 4, 2)),
    "declared late": (V1 + "p if {\n\tx == 1\n\tx := 2\n}", ("G201", 4, 2)),
    "declared in not": (V1 + "p if { not x := 1 }", ("G201", 2, 8)),
    "argument declared": (V1 + "f(x) := y if {\n\tx := 1\n\ty := x\n}", ("G201", 3, 2)),
    "assigned to a call": (V1 + "p if f(1) := 2", ("G201", 2, 6)),
    "with": (V1 + "p if q with x as 1\nq := 1", ("G202", 2, 13)),
    "with inside of a rule": (V1 + "p if q with data.a.q.r as 1\nq := {}", ("G202", 2, 8)),
    "shadowed import": (V1 + "import data.x\nimport data.y.x\np := x", ("G203", 3, 1)),
    "rule called input": (V1 + "input := 1", ("G203", 2, 1)),
    "unused": (V1 + "p if { some x; true }", ("G204", 2, 13)),
    "unsafe": (V1 + "p if { x > 1 }", ("G301", 2, 8)),
    "unsafe head": (V1 + "p contains x if true", ("G301", 2, 12)),
    "unsafe in not": (V1 + "p if { not input.x[y] == y }", ("G301", 2, 8)),
    "unsafe in comprehension": (V1 + "p := [x | y := 1; y == 1]", ("G301", 2, 6)),
    "unsafe wildcard": (V1 + "p if { not input.x[_] }", ("G302", 2, 8)),
    "kinds": (V1 + "p := 1\np contains 2", ("G401", 2, 1)),
    "arities": (V1 + "f(1) := 1\nf(1, 2) := 1", ("G401", 2, 1)),
    "inside": (V1 + "p.q := 1\np.q.r := 2", ("G401", 2, 1)),
    "defaults": (V1 + "default p := 1\ndefault p := 2", ("G402", 3, 1)),
    "no function": (V1 + "p := foo(1)", ("G403", 2, 6)),
    "function is no value": (V1 + "f(x) := x\np := [f]", ("G404", 3, 7)),
    "function without arguments": (V1 + "f() := 1\np := x if x := f()", ("G403", 3, 16)),
    "call as a rule": (V1 + "count(x)", ("G104", 2, 1)),
    "blank before arguments": (V1 + "f (x) := 1", ("G104", 2, 1)),
    "input as an argument": (V1 + "f(input.x) := 1", ("G301", 2, 3)),
    "replaced by another number of arguments": (
        V1 + "f(x) := x\ng(x, y) := 1\np if f(1) with f as g",
        ("G404", 4, 11),
    ),
    "builtin replaced by another number": (V1 + "p if count([]) with count as concat", ("G404", 2, 16)),
    "relation replaced": (V1 + "p if true with walk as 1", ("G202", 2, 16)),
    "internal function replaced": (V1 + "p if true with internal.member_2 as 1", ("G202", 2, 16)),
    "feature twice": (V1 + "import rego.v1\nimport rego.v1", ("G203", 3, 1)),
    "template of what is not declared": (V1 + 'p := $"{input[x]}"', ("G201", 2, 9)),
    "template of a wildcard": (V1 + 'p := $"{input[_]}"', ("G201", 2, 9)),
    "metadata twice": (V1 + "# METADATA\n# scope: document\np := 1 if true\n" * 2, ("G401", 5, 1)),
    "metadata on an import": (V1 + "# METADATA\n# title: x\nimport data.x", ("G107", 2, 1)),
    "entrypoint of a wrong scope": (V1 + "# METADATA\n# entrypoint: true\n# scope: rule\np := 1", ("G107", 2, 1)),
    "argument of a function by its body": (V1 + 'f(x) := y if y := x + 1\np := f("a")', ("G405", 3, 8)),
    "argument of a function by its head": (V1 + "f([x, y]) := x\np := f([1])", ("G405", 3, 8)),
    "argument of no clause": (V1 + 'f(1) := 1\nf("a") := 2\np := f([])', ("G405", 4, 8)),
    "rule is no function": (V1 + "p := q(1)\nq := 1", ("G403", 2, 6)),
    "arguments": (V1 + "p := count(1, 2, 3)", ("G404", 2, 6)),
    "argument type": (V1 + "p := count(1)", ("G405", 2, 12)),
    "argument type by name": (V1 + 'p if { x := 1; startswith(x, "a") }', ("G405", 2, 27)),
    "argument type of a rule": (V1 + 'q := 1\np := concat("", q)', ("G405", 3, 17)),
    "elements": (V1 + 'p := sum(["a"])', ("G405", 2, 10)),
    "never equal": (V1 + 'p if 1 == "a"', ("G405", 2, 6)),
    "never equal arrays": (V1 + "p if { [1, input] = [1] }", ("G405", 2, 8)),
    "no such member": (V1 + 'q := {"a": 1}\np := q.b', ("G405", 3, 6)),
    "member of a number": (V1 + "p if { x := 1; x.y }", ("G405", 2, 16)),
    "deprecated": (V1 + 'p := re_match("a", "b")', ("G406", 2, 6)),
    "recursion": (V1 + "p if q\nq if p", ("G501", 2, 1)),
    "recursion over a variable": (V1 + "p contains x if some x in data[y]\ny := 1\nq := p", ("G501", 2, 1)),
    "recursion over the package": (V1 + "p := data.a", ("G501", 2, 1)),
}


@pytest.mark.parametrize(("text", "first"), REFUSED.values(), ids=REFUSED)
def test_the_first_problem(text, first):
    found = problems(text)
    assert found[:1] == [first] or first in found


def test_all_statements_that_are_wrong_are_told_at_once():
    text = V1 + "p := ]\nq := 1\nr if { x := }\ns := 2\nt := [1 2]\n"
    assert [(code, line) for code, line, _ in problems(text)] == [("G102", 2), ("G102", 4), ("G102", 6)]


def test_all_names_that_are_wrong_are_told_at_once():
    text = V1 + "p if { x > 1 }\nq if { y > 1; z > 1 }\n"
    assert problems(text) == [("G301", 2, 8), ("G301", 3, 8), ("G301", 3, 15)]


def test_packages_and_rules_conflict_across_files():
    assert problems("package a\nb := 1", "package a.b\np := 1") == [("G401", 2, 1)]


def test_given_data_and_rules_conflict():
    with pytest.raises(RegoError) as caught:
        compile_modules([parse("package a\nb := 1", "x.rego")], data={"a": {"b": {"c": 1}}})
    assert [one.code for one in caught.value.problems] == ["G205"]


def test_the_caret_stands_under_the_place():
    with pytest.raises(RegoError) as caught:
        compile_modules([parse("package a\np if {\n\tx > 1\n}", "x.rego")])
    assert caught.value.problems[0].render().splitlines()[1:] == ["     x > 1", "     ^"]


def test_version_0_reads_the_old_forms():
    text = "package a\np[x] { x := 1 }\nq = 2 { input.x }\nr { 1 > 2 } { 2 > 1 }\ns { true } else = 3 { true }\nt[1]\n"
    assert problems(text, version=0) == []
    assert {code for code, _, _ in problems(text)} == {"G104"}
    assert {code for code, _, _ in problems("package a\nimport rego.v1\n" + text[10:], version=0)} == {"G104"}


def test_depth_and_size_are_bounded():
    for text in ("[" * 5000, "p" + " + p" * 5000, "input" + "[input" * 5000, "{x | x := " * 5000, '$"{' * 5000):
        assert {code for code, _, _ in problems(V1 + "p := " + text)} <= {"G103", "G102", "G101"}
    assert problems(V1 + "p := 1\n" * 700_000)[0][0] == "G103"


@pytest.mark.parametrize(
    "text",
    [
        'p if input.x == "a"',
        'p := concat("", input.x)',
        "q := {k: 1 | some k in input.x}\np := q.b",
        "p[x] := 1 if some x in input.x\nq := p.b",
        'f(x) := x\np := concat("", f(["a"]))',
        'q := 1 if input.x\nelse := "a"\np if startswith(q, "a")',
        "p if count(set()) == 0",
        'q := {"a": 1}\np if q.b == 1 with data.a.q as {"b": 1}',
        "p contains x if some x in []",
        "p if {\n\tx := {}\n\tx[input.k] == 1\n}",
        "p if { every x in [1] { x == true } }",
        'f(x) := 1 if x == 1\nf(x) := 2 if x == "a"\np := [f(1), f("a")]',
        'f(x) := 1 if x == 1\nelse := 2\np := f("a")',
        'default f(_) := 3\nf(x) := 1 if x == 1\np := f("a")',
        'p if {\n\ty := $"{x}"\n\tx = 1\n}',
        'p if {\n\tsome k, v in {"a": 1}\n\tcontains(k, "a")\n\tv > 0\n}',
    ],
)
def test_what_may_have_a_value_is_not_refused(text):
    assert problems(V1 + text) == []


def test_version_0_has_no_template_strings_and_no_bare_names():
    assert problems('package a\np = $"{1}"', version=0) == [("G102", 2, 5)]
    assert problems("package a\np", version=0) == [("G104", 2, 1)]
    assert problems('package a\nimport rego.v1\np := $"{1}"', version=0) == []
