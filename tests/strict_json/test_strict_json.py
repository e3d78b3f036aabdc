"""One meaning or none: what every room takes for JSON, and what all of them refuse."""

import contextlib
import json
import tarfile
import time
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.strict_json import Refused, reader

SUITE = Path(__file__).parents[3] / "shared/checks/json-parsing/jsontestsuite.tar.gz"

# Accepted by RFC 8259, but with two readings.
STRICTER = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}

DEPTH = 32
parse = reader(depth=DEPTH, digits=100, real=float)
exact = reader(depth=DEPTH, digits=100)
literal = reader(depth=DEPTH, digits=100, integer=str, real=str)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b'{"a": 1, "a": 1}', "duplicate"),
        (b'[{"a": 1, "\\u0061": 2}]', "duplicate"),
        (b"NaN", "malformed"),
        (b"[-Infinity]", "malformed"),
        (b"9e308", "limit"),
        (b"1e400", "limit"),
        (b"1e-309", "limit"),
        (b"1e-400", "limit"),
        (b"0.0001e-305", "limit"),
        (b"1e-99999999", "limit"),
        (b"-1e-99999999999999999999", "limit"),
        (b"1e99999999999999999999", "limit"),
        (b"0e99999999999999999999", "limit"),
        (b"1" * 101, "limit"),
        (b"0." + b"1" * 100, "limit"),
        (b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1), "limit"),
        (b'{"a":' * 5000, "limit"),
        (b"[" * 1_000_000, "limit"),
        (b'"\\ud800"', "surrogate"),
        (b'["x", ["\\udc00"]]', "surrogate"),
        (b'{"\\udfff": 1.5}', "surrogate"),
        (b'"\\ude00\\ud83d"', "surrogate"),
        (b'"\xed\xa0\x80"', "encoding"),
        (b"\xff\xfe1\x00", "encoding"),
        (b"\xef\xbb\xbf1", "malformed"),
        (b"", "malformed"),
        (b"1 2", "malformed"),
        (b"01", "malformed"),
        (b"'a'", "malformed"),
        (b'"\x01"', "malformed"),
        (b'"\\"' * 200_000, "malformed"),
    ],
    ids=lambda value: ascii(value[:24]) if isinstance(value, bytes) else value,
)
@pytest.mark.parametrize("read", [parse, exact, literal], ids=["float", "exact", "literal"])
def test_what_has_no_one_meaning_is_refused(read, text: bytes, kind: str) -> None:
    with pytest.raises(Refused) as refused:
        read(text)
    assert refused.value.kind == kind


def test_brackets_in_strings_are_no_nesting() -> None:
    assert parse(b'["' + b"[" * 1000 + b'\\"{{"]') == ["[" * 1000 + '"{{']
    assert parse(b"[" * DEPTH + b"]" * DEPTH)
    assert parse(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"
    assert parse(b'"\\\\ud800"') == "\\ud800"


def test_lone_surrogates_can_be_left_to_the_caller() -> None:
    assert reader(depth=1, digits=1, lone_surrogates=True)(b'"\\ud800"') == "\ud800"


def test_numbers_become_what_the_reader_wants() -> None:
    text = b"[1, -0, 1.50, 1e2, 1e-308]"
    assert exact(text) == [1, 0, Decimal("1.50"), Decimal("1e2"), Decimal("1e-308")]
    assert parse(text) == [1, 0, 1.5, 100.0, 1e-308]
    assert literal(text) == ["1", "-0", "1.50", "1e2", "1e-308"]


@given(VALUES)
def test_json_of_others_is_read_as_they_meant_it(value: object) -> None:
    assert parse(json.dumps(value).encode()) == value
    assert parse(json.dumps(value, ensure_ascii=False, indent=1).encode()) == value


@given(
    st.binary(max_size=200)
    | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.text(alphabet='{}[]",:0123456789.eE-\\u tfnd8', max_size=60).map(str.encode)
)
def test_nothing_but_refusals(data: bytes) -> None:
    for read in (parse, exact, literal):
        with contextlib.suppress(Refused):
            read(data)


@pytest.mark.parametrize("end", [b"", b"\\", b'"', b"]"])
@pytest.mark.parametrize("start", [b"", b'"', b"\\"])
@pytest.mark.parametrize("unit", [b'"\\', b'\\"', b'"', b'""', b"[]", b'["', b'"[', b'\\\\"', b"{", b"]"])
def test_work_grows_with_the_length_only(unit: bytes, start: bytes, end: bytes) -> None:
    text = b"[" + b"[]" * (DEPTH + 1) + start + unit * (100_000 // len(unit)) + end
    before = time.process_time()
    with pytest.raises(Refused):
        parse(text)
    # Quadratic work would take minutes; linear work takes about ten milliseconds.
    assert time.process_time() - before < 2


@pytest.mark.skipif(not SUITE.exists(), reason="the JSON parsing suite is not on this machine")
def test_the_parsing_suite() -> None:
    seen = set()
    with tarfile.open(SUITE) as suite:
        for member in suite:
            name = Path(member.name).name
            content = suite.extractfile(member)
            if content is None or "test_parsing" not in member.name or not name.endswith(".json"):
                continue
            try:
                parse(content.read())
                accepted = True
            except Refused:
                accepted = False
            seen.add(name[0])
            if name[0] in "yn":
                assert accepted == (name[0] == "y" and name not in STRICTER), name
    assert seen >= {"y", "n"}
