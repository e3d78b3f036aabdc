"""Any operands: an answer, or one of the two errors; no builtin changes what it was given."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authorizer.policy.plan.builtins import BUILTINS
from authorizer.policy.plan.builtins.signatures import SIGNATURES
from authorizer.policy.plan.context import Budget, BudgetError, Context
from authorizer.policy.plan.values import UNDEFINED, BuiltinError, equal, object_of, set_of, type_name

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            "%d",
            "%[2]*.[1]*f|%v",
            "a/b",
            "10.0.0.0/8",
            "::1",
            "[a-z]*",
            "{a,b*}",
            "^(a|b)+$",
            "2006-01-02",
            "1.2.3",
            "e30.e30.e30",
            "eyJhbGciOiJIUzI1NiJ9.e30.YQ",
            "{a{b(x:1)}}",
            "type A{x:Int}",
            "a: [1, {b: 2}]",
            "http://u@h:1/p?q#f",
            "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n",
            '{"type":"object"}',
            "1e5Ki",
            "\udc80",
            "5d3h",
            "$1",
        ]
    ),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-3, 40),
    TEXTS,
    st.floats(allow_nan=False, allow_infinity=False),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(set_of),
        st.lists(st.tuples(inner, inner), max_size=4).map(object_of),
        st.dictionaries(
            st.sampled_from(["op", "path", "value", "type", "Name", "Definitions", "kty", "alg", "a"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)
BY_TYPE = {
    "string": TEXTS,
    "number": st.one_of(st.integers(-3, 40), st.floats(-1e6, 1e6), st.integers()),
    "boolean": st.booleans(),
    "null": st.none(),
    "array": st.lists(VALUES, max_size=4),
    "set": st.lists(VALUES, max_size=4).map(set_of),
    "object": st.dictionaries(TEXTS, VALUES, max_size=4),
    "any": VALUES,
}


@pytest.mark.parametrize("name", BUILTINS)
@settings(max_examples=6)
@given(data=st.data())
def test_any_operand_gets_an_answer_or_a_known_error(name, data):
    kinds = SIGNATURES[name].arguments
    operands = [data.draw(st.one_of(BY_TYPE[kind["type"]], VALUES)) for kind in kinds]
    before = copy.deepcopy(operands)
    builtin = BUILTINS[name]
    context = [Context(10**18, lambda size: bytes(range(size)), Budget(50_000))] if builtin.context else []
    try:
        result = builtin.function(*context, *operands)
    except (BuiltinError, BudgetError):
        result = UNDEFINED
    assert result is UNDEFINED or type_name(result)
    assert all(map(equal, operands, before))
