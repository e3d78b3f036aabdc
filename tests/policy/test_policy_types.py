"""Raw values become typed ones, exactly or not at all."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.policy.pbac.types import ALL_OPERATORS, BASES, FieldType, comparable, converter, show

SIZE = FieldType("enum", values=("s", "m", "l"), ordered=True)


@pytest.mark.parametrize(
    ("base", "raw", "typed"),
    [
        ("string", "NO", "NO"),
        ("string", "", ""),
        ("string", "x" * 8193, None),
        ("string", 7, None),
        ("string", None, None),
        ("string", ["x"], None),
        ("int", "-12", -12),
        ("int", "007", 7),
        ("int", 12, 12),
        ("int", True, None),
        ("int", "1e3", None),
        ("int", "1.0", None),
        ("int", 1.0, None),
        ("int", "", None),
        ("int", " 1", None),
        ("int", "\u0661", None),
        ("int", "9" * 39, None),
        ("int", 10**38, None),
        ("decimal", "250000.01", Decimal("250000.01")),
        ("decimal", 250000, Decimal(250000)),
        ("decimal", 250000.01, Decimal("250000.01")),
        ("decimal", Decimal("1.10"), Decimal("1.1")),
        ("decimal", "1.", None),
        ("decimal", ".5", None),
        ("decimal", "+1", None),
        ("decimal", "1e3", None),
        ("decimal", "NaN", None),
        ("decimal", math.inf, None),
        ("decimal", Decimal("NaN"), None),
        ("decimal", Decimal("sNaN"), None),
        ("decimal", Decimal("1e38"), None),
        ("decimal", Decimal("1e-39"), None),
        ("decimal", False, None),
        ("bool", "true", True),
        ("bool", False, False),
        ("bool", "yes", None),
        ("bool", 1, None),
        ("timestamp", "1970-01-01T00:00:01Z", 1.0),
        ("timestamp", "1970-01-01t01:00:00.5+01:00", 0.5),
        ("timestamp", 1767225600, 1767225600.0),
        ("timestamp", "1970-01-01T00:00:00", None),
        ("timestamp", "1970-01-01", None),
        ("timestamp", "1970-02-30T00:00:00Z", None),
        ("timestamp", "1970-01-01T24:00:00Z", None),
        ("timestamp", "1970-01-01T23:59:60Z", None),
        ("timestamp", "0001-01-01T00:00:00+23:59", None),
        ("timestamp", "1767225600", None),
        ("timestamp", -1, None),
        ("timestamp", math.nan, None),
        ("timestamp", True, None),
        ("timeofday", "21:00", 75600),
        ("timeofday", "00:00:59", 59),
        ("timeofday", "24:00", None),
        ("timeofday", "9:00", None),
        ("timeofday", 1260, None),
        ("duration", "5m", 300.0),
        ("duration", "90", 90.0),
        ("duration", "30d", 2592000.0),
        ("duration", 1.5, 1.5),
        ("duration", "-5m", None),
        ("duration", "5 m", None),
        ("duration", -0.5, None),
        ("duration", math.inf, None),
        ("duration", Decimal("NaN"), None),
        ("duration", Decimal("sNaN"), None),
        ("ip", "10.0.0.1", (4, 167772161)),
        ("ip", "::1", (6, 1)),
        ("ip", "::ffff:10.0.0.1", (4, 167772161)),
        ("ip", "10.0.0.01", None),
        ("ip", "10.0.0.1/32", None),
        ("ip", "fe80::1%eth0", None),
        ("ip", 167772161, None),
        ("cidr", "10.0.0.0/8", (4, 167772160, 184549375)),
        ("cidr", "10.0.0.1", (4, 167772161, 167772161)),
        ("cidr", "10.0.0.1/8", None),
        ("cidr", "::ffff:10.0.0.0/104", (4, 167772160, 184549375)),
        ("cidr", "::ffff:0:0/96", (4, 0, 2**32 - 1)),
        ("cidr", "::ffff:0:0/95", None),
        ("cidr", "::/0", (6, 0, 2**128 - 1)),
        ("cidr", "fe80::%1/64", None),
    ],
)
def test_conversions(base, raw, typed):
    found = converter(FieldType(base))(raw)
    assert found == typed
    assert type(found) is type(typed)


def test_enums_and_sets():
    assert converter(SIZE)("m") == "m"
    assert converter(SIZE)("M") is None
    assert converter(SIZE)(["m"]) is None
    many = converter(FieldType("enum", many=True, values=("s", "m")))
    assert many(["s", "m", "s"]) == frozenset({"s", "m"})
    assert many([]) == frozenset()
    assert many("s") is None
    assert many(["s", "x"]) is None
    assert many(["s"] * 10_001) is None


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.decimals(), st.text(), st.binary(), st.lists(st.text()),
    st.sets(st.integers()), st.dictionaries(st.text(), st.text()),
)  # fmt: skip


@given(st.sampled_from(BASES), st.booleans(), JUNK)
def test_conversion_never_raises_and_what_it_makes_can_be_compared(base, many, raw):
    values = ("a", "b") if base == "enum" else ()
    kind = FieldType(base, many, values)
    typed = converter(kind)(raw)
    if typed is not None:
        assert typed == typed  # noqa: PLR0124 - not NaN
        hash(typed)
        assert isinstance(show(kind, typed), str)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12))
def test_decimals_are_exact(number):
    assert converter(FieldType("decimal"))(f"{number:f}") == number


@given(st.datetimes(timezones=st.timezones()))
def test_timestamps_mean_the_moment(moment):
    text = moment.isoformat(timespec="microseconds")
    found = converter(FieldType("timestamp"))(text)
    # Old zones have offsets with seconds, which RFC 3339 cannot write.
    assert found is None or found == moment.timestamp()


@pytest.mark.parametrize("base", BASES)
def test_operators_are_known(base):
    values = ("a",) if base == "enum" else ()
    for kind in (FieldType(base, values=values), FieldType(base, many=True, values=values)):
        assert set(kind.operators) <= ALL_OPERATORS
        assert list(kind.operators) == sorted(kind.operators)


def test_comparable():
    assert comparable(SIZE, FieldType("enum", values=("l", "m", "s"), ordered=True)) is False
    assert comparable(FieldType("enum", values=("a", "b")), FieldType("enum", values=("b", "a"))) is True
    assert comparable(FieldType("string"), FieldType("enum", values=("a",))) is False
    assert comparable(FieldType("int"), FieldType("decimal")) is False


@pytest.mark.parametrize(
    ("base", "raw", "text"),
    [
        ("timestamp", "2026-12-31T23:59:59+01:00", "2026-12-31T22:59:59Z"),
        ("timeofday", "21:00", "21:00"),
        ("timeofday", "21:00:05", "21:00:05"),
        ("decimal", "1.50", "1.50"),
        ("bool", "true", "true"),
        ("ip", "10.0.0.1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0/8"),
        ("duration", "5m", "300s"),
    ],
)
def test_show(base, raw, text):
    kind = FieldType(base)
    assert show(kind, converter(kind)(raw)) == text
