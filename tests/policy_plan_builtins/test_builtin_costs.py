"""No call of a builtin costs more than its budget: what would is cut off before it happens."""

import pytest

from authorizer.policy.plan.builtins import BUILTINS
from authorizer.policy.plan.context import Budget, BudgetError, Context
from authorizer.policy.plan.values import BuiltinError

MEGABYTE = "a" * 1_000_000
LONG = list(range(600_000))
NESTED = "[" * 100_000 + "]" * 100_000
LETTERS = "a" * 200_000
DOUBLING: list[object] = []
for _ in range(60):
    DOUBLING = [DOUBLING, DOUBLING]
GRAPH = {str(node): [str(other) for other in range(12)] for node in range(12)}
BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def call(name, *operands, units=500_000):
    builtin = BUILTINS[name]
    context = [Context(0, bytes, Budget(units))] if builtin.context else []
    return builtin.function(*context, *operands)


@pytest.mark.parametrize(
    ("name", "operands"),
    [
        ("numbers.range", (0, 10**12)),
        ("numbers.range_step", (0, 10**12, 2)),
        ("bits.lsh", (1, 10**9)),
        ("mul", (10**4200, 10**4200)),
        ("units.parse_bytes", ("1e999999",)),
        ("replace", (MEGABYTE, "a", "bbbbbbbbbb")),
        ("replace", (MEGABYTE, "", "bbbbbbbbbb")),
        ("strings.replace_n", ({"a": "b" * 1000, "": "c" * 1000}, MEGABYTE)),
        ("concat", (",", [MEGABYTE] * 12)),
        ("sprintf", ("%0999999d" * 50, [1] * 50)),
        ("sprintf", ("%99999999d", [1])),
        ("split", (MEGABYTE, "")),
        ("regex.split", ("", MEGABYTE)),
        ("regex.replace", (MEGABYTE, "a", "$0$0$0$0$0$0$0$0$0$0")),
        ("regex.find_n", ("a", MEGABYTE, -1)),
        ("array.concat", (LONG, LONG)),
        ("object.union_n", ([{str(key): key for key in range(1000)}] * 300,)),
        ("walk", ([LONG],)),
        ("graph.reachable_paths", (GRAPH, ["0"])),
        ("net.cidr_expand", ("10.0.0.0/8",)),
        ("net.cidr_expand", ("::/0",)),
        ("net.cidr_contains_matches", (["10.0.0.0/8"] * 200, ["10.0.0.1"] * 200)),
        ("json.unmarshal", (NESTED,)),
        ("json.unmarshal", ("9" * 5000,)),
        ("json.unmarshal", ("1e20000",)),
        ("yaml.unmarshal", (NESTED,)),
        ("yaml.unmarshal", (BOMB,)),
        ("graphql.parse_query", ("{a" * 5000,)),
        ("graphql.parse_query", ("{a(x:" + "[" * 5000 + "])}",)),
        ("json.match_schema", ({}, {"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/a"}}})),
        ("json.verify_schema", ({"items": {"items": {"$ref": "#"}}, "allOf": [{}] * 60_000},)),
        ("glob.match", ("{" * 500 + "a", [], "a")),
        ("indexof_n", (LETTERS, LETTERS[:100_000])),
        ("trim", (LETTERS, "".join(map(chr, range(0x4E00, 0x9FFF))) + "a")),
        ("strings.replace_n", ({"a" * size + "b": "" for size in range(60)}, LETTERS)),
        ("regex.replace", (LETTERS, "a+", "$0" * 50_000)),
        ("regex.replace", (LETTERS, "a.*b|a", "x")),
        ("regex.match", ("(?:a?){900}(?:a?){900}b", LETTERS)),
        ("regex.globs_match", ("[ab]*a*" * 60 + "c", "[ab]*a*" * 60)),
        ("regex.globs_match", (".+[ab]+" * 300, "a+b+" * 300)),
        ("json.marshal_with_options", ([1] * 5000, {"indent": "x" * 100_000})),
        ("sprintf", ("", [LETTERS] * 400)),
        ("sprintf", ("%d" * 2000, [10**4000] * 2000)),
        ("sprintf", ("%[1]q" * 2000, ["\u0301" * 1000])),
        ("sort", ([LONG, LONG],)),
        ("max", ([LONG, LONG],)),
        ("lt", (LONG, [*LONG])),
        ("neq", (LONG, [*LONG])),
        ("internal.member_2", ([1] * 1000, [[1] * 1000] * 1000)),
        ("internal.member_3", (LONG, 1, {})),
        ("object.get", ({}, [LONG], 1)),
        ("object.remove", ({}, [LONG])),
        ("object.subset", ([LONG], [[*LONG]])),
        ("json.remove", ({}, [[LONG]])),
        ("json.patch", ({}, [{"op": "test", "path": [LONG], "value": 1}])),
        ("graph.reachable", ({}, [LONG])),
        ("graph.reachable_paths", ({}, [LONG])),
        ("internal.member_3", (DOUBLING, 1, {})),
    ],
)
def test_what_costs_too_much_is_cut_off(name, operands):
    with pytest.raises(BudgetError):
        call(name, *operands)


@pytest.mark.parametrize(
    ("name", "operands", "result"),
    [
        ("regex.match", ("(a+)+$", "a" * 60 + "!"), False),
        ("regex.match", ("(a|aa)*b", "a" * 10_000), False),
        ("glob.match", ("*a" * 30 + "b", [], "a" * 300), False),
        ("glob.match", ("{*a,*b,*c}" * 9, None, "abc" * 90), True),
        ("regex.globs_match", ("a*" * 40 + "b", "a*" * 40 + "c"), False),
        ("indexof", ("a" * 5000 + "b", "a" * 2500 + "c"), -1),
    ],
)
def test_patterns_that_explode_elsewhere_are_answered(name, operands, result):
    assert call(name, *operands) is result or call(name, *operands) == result


def test_compiling_is_charged_once_while_the_expression_is_remembered():
    budget = Budget(10_000)
    context = Context(0, bytes, budget)
    for _ in range(100):
        assert BUILTINS["regex.match"].function(context, "^only here [0-9]+$", "only here 5")
    assert 10_000 - budget.left < 2 * (500 + 8 * 24) + 100 * 41


def test_a_pattern_that_needs_too_much_memory_is_an_error():
    with pytest.raises(BuiltinError):
        call("regex.match", "((a{100}){100}){100}", "a")


def test_what_is_charged_has_not_happened_yet():
    budget = Budget(10)
    with pytest.raises(BudgetError):
        BUILTINS["json.marshal"].function(Context(0, bytes, budget), LONG)
    assert budget.left < 0
