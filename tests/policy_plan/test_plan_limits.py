"""An evaluation that would hold the process is cut off: loops, calls, and builtins that read or make much."""

import pytest

from authorizer.policy.plan import BudgetError
from tests.policy_plan.planning import Strings, ask, block, document, function, local, stmt

LARGE = {"items": list(range(2_000))}


def loops(depth, inner=()):
    body = block(*inner)
    for level in range(depth):
        body = block(stmt("Scan", source=3, key=10 + 2 * level, value=11 + 2 * level, block=body))
    return body["stmts"]


def items(strings, *rest):
    return document([block(stmt("Dot", source=local(1), key=strings("items"), target=3), *rest)], strings)


def test_nested_loops_over_large_data():
    strings = Strings()
    with pytest.raises(BudgetError):
        ask(items(strings, *loops(3)), data=LARGE)
    assert ask(items(strings, *loops(1, [stmt("ResultSetAdd", value=11)])), data=LARGE) == LARGE["items"]


def test_loops_over_the_input_cost_the_same():
    plan = document([block(stmt("AssignVar", source=local(0), target=3), *loops(4))])
    with pytest.raises(BudgetError):
        ask(plan, list(range(100)))


def test_functions_that_call_each_other_twice():
    rules = [
        function(f"f{n}", [block(*[stmt("Call", func=f"f{n + 1}", args=[local(0), local(1), local(3)], result=4)] * 2,
                                 stmt("ReturnLocal", source=4))], parameters=(0, 1, 3), result=4)
        for n in range(60)
    ]  # fmt: skip
    rules.append(
        function(
            "f60",
            [block(stmt("Len", source=local(3), target=4), stmt("ReturnLocal", source=4))],
            parameters=(0, 1, 3),
            result=4,
        )
    )
    call = block(stmt("Call", func="f0", args=[local(0), local(1), local(0)], result=2), stmt("ResultSetAdd", value=2))
    with pytest.raises(BudgetError):
        ask(document([call], functions=rules), [1])


def test_a_string_that_doubles():
    strings = Strings()
    doubling = [stmt("MakeArray", capacity=2, target=5), *[stmt("ArrayAppend", array=5, value=local(4))] * 8,
                stmt("Call", func="concat", args=[strings(""), local(5)], result=4)]  # fmt: skip
    plan = document([block(stmt("AssignVar", source=local(0), target=4), *doubling * 12)], strings, builtins=["concat"])
    with pytest.raises(BudgetError):
        ask(plan, "x" * 100)


def test_a_range_of_numbers():
    numbers = [stmt("MakeNumberInt", value=1, target=3), stmt("MakeNumberInt", value=10**12, target=4)]
    call = stmt("Call", func="numbers.range", args=[local(3), local(4)], result=5)
    with pytest.raises(BudgetError):
        ask(document([block(*numbers, call)], builtins=["numbers.range"]))


def test_a_regular_expression_that_backtracks_elsewhere():
    strings = Strings()
    call = stmt("Call", func="regex.match", args=[strings("^(a+)+$"), local(0)], result=3)
    plan = document([block(call, stmt("ResultSetAdd", value=3))], strings, builtins=["regex.match"])
    assert ask(plan, "a" * 50_000 + "b") == [False]


def test_values_nested_too_deeply():
    deep, again = [], []
    for _ in range(100_000):
        deep, again = [deep], [again]
    plan = document([block(stmt("Equal", a=local(0), b=local(1)))])
    with pytest.raises(BudgetError):
        ask(plan, deep, data=again)


def test_replacing_a_part_of_large_data_is_charged():
    strings = Strings()
    inside = block(stmt("With", local=1, path=[strings.index("x")], value=local(11), block=block()))
    plan = document(
        [block(stmt("AssignVar", source=local(0), target=3), stmt("Scan", source=3, key=10, value=11, block=inside))],
        strings,
    )
    with pytest.raises(BudgetError):
        ask(plan, list(range(5_000)), data={str(n): n for n in range(5_000)})


def test_an_array_that_grows_while_it_is_gone_through():
    grow = block(stmt("ArrayAppend", array=3, value=local(11)))
    start = [stmt("MakeArray", capacity=1, target=3), stmt("ArrayAppend", array=3, value=local(0))]
    plan = document(
        [block(*start, stmt("Scan", source=3, key=10, value=11, block=grow), stmt("ResultSetAdd", value=3))]
    )
    assert ask(plan, 1) == [[1, 1]]
