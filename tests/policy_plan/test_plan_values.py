"""Rego's equality, order and JSON, on random values against a plain model of them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.policy.plan.values import (
    UNDEFINED,
    Set,
    compare,
    equal,
    json_text,
    key,
    object_of,
    set_of,
    sorted_items,
    sorted_values,
    to_json,
    type_name,
    unkey,
)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.sampled_from([0.0, 1.0, -1.5, 2.5]),
    st.text(max_size=3),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(set_of),
        st.lists(st.tuples(inner, inner), max_size=3).map(object_of),
    ),
    max_leaves=8,
)
ASCENDING = [
    None, False, True, -1, 0, 0.5, 1, 10**30, "", "a", "b", "\uffff", "\U00010000",
    [], [1], [1, 2], [2], {}, {"a": 1}, {"a": 1, "b": 0}, {"a": 2}, Set(), set_of([1]), set_of([1, 2]), set_of([2]),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), list(itertools.product(enumerate(ASCENDING), repeat=2)))
def test_the_order_is_total(a, b):
    assert compare(a[1], b[1]) == (a[0] > b[0]) - (a[0] < b[0])
    assert equal(a[1], b[1]) == (a[0] == b[0])


def test_ones():
    assert equal(1, 1.0)
    assert equal([{"a": 1}], [{"a": 1.0}])
    assert not equal(1, True)
    assert not equal([0], [False])
    assert len(set_of([1, 1.0, True, "1", [1], [True]])) == 5
    assert True not in set_of([1])
    assert not equal({"a": 1}, {"b": 1})
    assert not equal(UNDEFINED, None)


@given(VALUES, VALUES)
def test_equality_order_and_keys_agree(a, b):
    same = equal(a, b)
    assert same == equal(b, a) == (compare(a, b) == 0) == (key(a) == key(b))
    assert compare(a, b) == -compare(b, a)
    assert not same or hash(key(a)) == hash(key(b))


@given(VALUES)
def test_a_value_equals_itself_and_its_key(value):
    assert equal(value, unkey(key(value)))
    assert type_name(value) in {"null", "boolean", "number", "string", "array", "object", "set"}


@given(st.lists(VALUES))
def test_sorting(values):
    ordered = sorted_values(values)
    assert all(compare(a, b) <= 0 for a, b in itertools.pairwise(ordered))


@given(st.lists(st.tuples(VALUES, VALUES)).map(object_of))
def test_the_items_of_an_object_are_sorted(value):
    items = sorted_items(value)
    assert all(compare(a[0], b[0]) < 0 for a, b in itertools.pairwise(items))
    assert equal(object_of(items), value)


def test_json():
    value = object_of([("s", set_of([2, 1])), (1, None), ([1, set_of(["x"])], True), (False, "ü")])
    assert to_json(value) == {"s": [1, 2], "1": None, '[1,["x"]]': True, "false": "ü"}
    assert json_text(value) == '{"1":null,"[1,[\\"x\\"]]":true,"false":"ü","s":[1,2]}'
