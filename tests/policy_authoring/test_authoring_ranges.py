"""Sets of values and regions of requests: they reckon as sets do, and agree with conditions evaluated plainly."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.errors import Place
from authorizer.policy.authoring import ranges
from authorizer.policy.authoring.ranges import (
    ABSENT,
    EVERYTHING,
    PRESENT,
    Values,
    above,
    among,
    below,
    between,
    described,
)
from authorizer.policy.authoring.regions import Axis, false_region, meet, minus, product, sure, text, true_region
from authorizer.policy.pbac.declared import AllOf, AnyOf, Leaf, Negation
from authorizer.policy.pbac.types import FieldType

POINTS = [None, *range(-1, 8)]
bound = st.none() | st.integers(0, 6)
SETS = st.recursive(
    st.one_of(
        st.builds(among, st.lists(st.integers(0, 6), max_size=3)),
        st.builds(between, bound, bound),
        st.builds(below, bound),
        st.builds(above, st.integers(0, 6)),
        st.sampled_from([PRESENT, ABSENT, EVERYTHING]),
    ),
    lambda inner: st.builds(lambda a, b: a | b, inner, inner) | st.builds(lambda a, b: a - b, inner, inner),
    max_leaves=4,
)


def holds(values: Values, point: int | None) -> bool:
    if point is None:
        return values.missing
    return any(low <= (1, point, 0) and (1, point, 1) <= high for low, high in values.intervals)


@given(SETS, SETS)
def test_sets_reckon_as_sets(one, other):
    for point in POINTS:
        assert holds(one & other, point) == (holds(one, point) and holds(other, point))
        assert holds(one | other, point) == (holds(one, point) or holds(other, point))
        assert holds(one - other, point) == (holds(one, point) and not holds(other, point))
    for result in (one & other, one | other, one - other):
        flat = [cut for interval in result.intervals for cut in interval]
        assert flat == sorted(flat)
        assert bool(result) == (result != Values(()))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (PRESENT, "f exists"),
        (ABSENT, "f does not exist"),
        (among([3]), "f = 3"),
        (among([3, 4]), "f in [3, 4]"),
        (between(1, 2) | ABSENT, "f >= 1 and f <= 2 or f does not exist"),
        (above(5) | below(2), "f < 2 or f > 5"),
        (PRESENT - among([3]), "f < 3 or f > 3"),
    ],
)
def test_sets_are_written(values, words):
    assert described(values, "f", str) == words


KIND = FieldType("int")
SIZE = FieldType("enum", values=("s", "m", "l"), ordered=True)
number = st.integers(0, 6).map(str)
LEAVES = st.one_of(
    st.builds(
        lambda op, value: Leaf("resource", "n", KIND, op, (value,), None, Place("")),
        st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]),
        number,
    ),
    st.builds(
        lambda op, value: Leaf("resource", "s", SIZE, op, (value,), None, Place("")),
        st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte", "in", "not_in"]),
        st.sampled_from(SIZE.values),
    ),
    st.builds(
        lambda there: Leaf("resource", "n", KIND, "exists", (there,), None, Place("")),
        st.sampled_from(["true", "false"]),
    ),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda parts: AllOf(tuple(parts)), st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: AnyOf(tuple(parts)), st.lists(inner, min_size=1, max_size=3)),
        st.builds(Negation, inner),
    ),
    max_leaves=6,
)


def truth(condition, n, s):
    """Evaluate in Kleene's logic."""
    match condition:
        case Leaf(operator="exists", texts=(there,)):
            return (n is not None) == (there == "true")
        case Leaf():
            value = n if condition.field == "n" else s
            if value is None:
                return None
            right = condition.texts[0]
            left, right = (value, int(right)) if condition.field == "n" else map(SIZE.values.index, (value, right))
            return {
                "eq": left == right, "in": left == right, "ne": left != right, "not_in": left != right,
                "gt": left > right, "gte": left >= right, "lt": left < right, "lte": left <= right,
            }[condition.operator]  # fmt: skip
        case Negation():
            part = truth(condition.part, n, s)
            return None if part is None else not part
        case AllOf() | AnyOf():
            parts = [truth(part, n, s) for part in condition.parts]
            stop = isinstance(condition, AnyOf)
            return stop if stop in parts else None if None in parts else not stop


def inside(region, n, s) -> bool:
    found = {Axis("resource.n", "int"): n, Axis("resource.s", "enum"): s}
    return any(all(holds(values, found[axis]) for axis, values in box.items()) for box in region)


@given(CONDITIONS, CONDITIONS)
def test_regions_agree_with_conditions(one, other):
    regions = true_region(one), false_region(one), true_region(other)
    both, less = product(regions[0], regions[2]), minus(regions[0], regions[2])
    for n in (None, 0, 3, 6):
        for s in (None, *SIZE.values):
            first, second = truth(one, n, s), truth(other, n, s)
            assert inside(regions[0], n, s) == (first is True)
            assert inside(regions[1], n, s) == (first is False)
            assert inside(both, n, s) == (first is True and second is True)
            assert inside(less, n, s) == (first is True and second is not True)


def test_opinions_are_not_sure_together():
    own = Leaf("resource", "n", KIND, "lte", (), ("assignee", "most"), Place(""))
    (alone,) = true_region(own)
    (with_other,) = true_region(AllOf((own, Leaf("resource", "s", SIZE, "eq", ("s",), None, Place("")))))
    (with_same,) = true_region(AllOf((own, Leaf("resource", "n", KIND, "gt", ("3",), None, Place("")))))
    assert (sure(alone), sure(with_other), sure(with_same)) == (True, True, False)
    assert text(with_same) == "resource.n > 3 and (resource.n lte $assignee.most) is true"
    assert meet(alone, false_region(own)[0]) is None


def test_addresses_and_hours():
    inside_net = Leaf("env", "ip", FieldType("ip"), "in", ("10.0.0.0/8",), None, Place(""))
    (net,), (others,) = true_region(inside_net), false_region(inside_net)
    assert meet(net, others) is None
    assert text(net) == "env.ip >= 10.0.0.0 and env.ip <= 10.255.255.255"
    night = Leaf("env", "time", FieldType("timeofday"), "between", ("21:00", "06:00"), None, Place(""))
    assert text(true_region(night)[0]) == "env.time < 06:00 or env.time >= 21:00"
    assert ranges.among([Decimal(1)]) & ranges.between(1, 1) == ranges.among([1])
