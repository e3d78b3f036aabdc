"""The reader: what is no plan is refused with a code, whatever it is."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authorizer.errors import PlanError
from authorizer.policy.plan import BudgetError, EvaluationError, compile_plan, read
from authorizer.policy.plan.reading import MAX_DEPTH, number
from tests.policy_plan.planning import Strings, block, context, document, function, local, stmt, truth


def sample():
    strings = Strings()
    body = block(
        stmt("ResetLocal", target=3),
        stmt("Dot", source=local(0), key=strings("user"), target=4),
        stmt("Scan", source=4, key=5, value=6, block=block(
            stmt("MakeNumberRef", index=strings.index("1.5"), target=7),
            stmt("NotEqual", a=local(6), b=local(7)),
            stmt("With", local=0, path=[strings.index("user")], value=local(6), block=block(
                stmt("Not", block=block(stmt("IsSet", source=local(0)))),
                stmt("AssignVarOnce", source=truth(value=True), target=3),
            )),
        )),
    )  # fmt: skip
    rest = [
        block(stmt("IsDefined", source=3), stmt("AssignVarOnce", source=local(3), target=2)),
        block(stmt("ReturnLocal", source=2)),
    ]
    rule = function("g0.data.test.p", [body, *rest], path=("g0", "test", "p"))
    call = block(
        stmt("Call", func="g0.data.test.p", args=[local(0), local(1)], result=2), stmt("ResultSetAdd", value=2)
    )
    return document([call], strings, [rule], builtins=["plus"])


def test_a_plan_is_read():
    plan = read(sample())
    assert compile_plan(plan, data={}).evaluate("test", {"user": ["x"]}, context()) == [True]
    assert plan.files == ("test.rego",)


def nested(depth):
    inner = block()
    for _ in range(depth):
        inner = block(stmt("Block", blocks=[inner]))
    return document([inner])


@pytest.mark.parametrize(
    ("plan", "code"),
    [
        ([], "AZ350"),
        ({"static": 1}, "AZ350"),
        ({"plans": {"plans": [{"blocks": []}]}}, "AZ350"),
        (document([block({"type": "OtherStmt", "stmt": {}})]), "AZ350"),
        (document([block(stmt("Dot", source=local(-1), key=local(1), target=2))]), "AZ350"),
        (document([block(stmt("Dot", source=local(0), key={"type": "string_index", "value": 0}, target=2))]), "AZ350"),
        (document([block(stmt("AssignVar", source=local(0), target=1))]), "AZ350"),
        (document([block(stmt("AssignVar", source=local(True), target=2))]), "AZ350"),
        (document([block(stmt("Break", index=1))]), "AZ350"),
        (document([block(stmt("Call", func="no", args=[], result=2))]), "AZ350"),
        (document([block(stmt("With", local=2, path=[], value=local(0), block=block()))]), "AZ350"),
        (document([], functions=[function("f", [], parameters=(1, 0))]), "AZ350"),
        (document([], functions=[function("f", []), function("f", [])]), "AZ350"),
        (document([block(stmt("ReturnLocal", source=0))]), "AZ350"),
        (document([], functions=[function("f", [block(stmt("ResultSetAdd", value=0))])]), "AZ350"),
        (document([block(stmt("AssignVar", source=local(0), target=2), stmt("ArrayAppend", array=2, value=local(2)))]), "AZ350"),
        (document([block(stmt("Call", func="plus", args=[local(0)], result=2))], builtins=["plus"]), "AZ350"),
        (document([block(stmt("Call", func="abs", args=[local(0)] * 2, result=2))], builtins=["abs"]), "AZ350"),
        ({"static": {"files": [{"value": "a\0b.rego"}]}}, "AZ350"),
        ({"static": {"files": [{"value": "a\nb.rego"}]}}, "AZ350"),
        (nested(MAX_DEPTH + 1), "AZ351"),
        (document([block(stmt("Call", func="http.send", args=[local(0)], result=2))], builtins=["http.send"]), "AZ352"),
        (document([block(stmt("Call", func="new", args=[local(0)], result=2))], builtins=["new"]), "AZ352"),
        (document([block(stmt("Call", func="f", args=[local(0), local(1)], result=2))], functions=[
            function("f", [block(stmt("Call", func="f", args=[local(0), local(1)], result=2))])]), "AZ353"),
    ],
)  # fmt: skip
def test_what_is_refused(plan, code):
    with pytest.raises(PlanError) as refused:
        compile_plan(read(plan), data={})
    assert refused.value.code == code


def test_the_deepest_nesting_compiles():
    assert compile_plan(read(nested(MAX_DEPTH - 1)), data={}).evaluate("test", {}, context()) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("-3.5", -3.5), ("1e3", 1000), ("1.0", 1.0), ("1" * 40, int("1" * 40)), ("1e400", 10**400)],
)
def test_numbers(text, value):
    assert number(text) == value


@pytest.mark.parametrize("text", ["", "x", "1" * 1001, "1e1001", "NaN", "Infinity", "1_0"])
def test_what_is_no_number(text):
    with pytest.raises(ValueError, match=r"number|large"):
        number(text)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 9), st.text(max_size=3), st.sampled_from(["local", "bool"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
)


def places(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


PLACES = [path for path in places(sample()) if path]


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(PLACES), JSON | st.just(...)), min_size=1, max_size=3))
def test_a_damaged_plan_is_refused_or_evaluated(changes):
    plan = copy.deepcopy(sample())
    for path, value in changes:
        inner = plan
        for step in path[:-1]:
            try:
                inner = inner[step]
            except (KeyError, IndexError, TypeError):
                break
        else:
            if isinstance(inner, dict) and value is ...:
                inner.pop(path[-1], None)
            elif value is not ... and isinstance(inner, dict | list):
                try:
                    inner[path[-1]] = value
                except (IndexError, TypeError):
                    continue
    json.dumps(plan)
    try:
        compiled = compile_plan(read(plan), data={"user": 1})
        for name in compiled.entrypoints:
            compiled.evaluate(name, {"user": [1, {"a": 2}]}, context())
    except (PlanError, BudgetError, EvaluationError):
        pass
