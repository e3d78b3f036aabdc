import contextlib
import tarfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.control_plane.server.strict_json import MAX_DEPTH, NotStrictJsonError, parse, parse_as

SUITE = Path(__file__).parents[3] / "shared/checks/json-parsing/jsontestsuite.tar.gz"

# Accepted by RFC 8259, but with two readings.
STRICTER = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"a": 1, "a": 1}', "twice"),
        (b'[{"a": 1, "\\u0061": 2}]', "twice"),
        (b"NaN", "NaN"),
        (b"[-Infinity]", "NaN"),
        (b"1e400", "too large"),
        (b"1" * 101, "too long"),
        (b"0." + b"1" * 100, "too long"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "deeper"),
        (b'{"a":' * 5000, "deeper"),
        (b"[" * 1_000_000, "deeper"),
        (b'"\\ud800"', "surrogate"),
        (b'["x", ["\\udc00"]]', "surrogate"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        (b"\xef\xbb\xbf1", "not JSON"),
        (b"\xff\xfe1\x00", "UTF-8"),
        (b"", "not JSON"),
        (b"1 2", "not JSON"),
        (b"'a'", "not JSON"),
        (b'"\\"' * 200_000, "not JSON"),
    ],
)
def test_what_has_no_one_meaning_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(NotStrictJsonError, match=why):
        parse(text)


def test_brackets_in_strings_are_no_nesting() -> None:
    assert parse(b'["' + b"[" * 1000 + b'\\"{{"]') == ["[" * 1000 + '"{{']
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert parse(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"


@given(VALUES)
def test_json_of_others_is_read_as_they_meant_it(value: object) -> None:
    assert parse(msgspec.json.encode(value)) == value


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:0123456789.eE-\\u tfn', max_size=60).map(str.encode))
def test_nothing_but_refusals(data: bytes) -> None:
    with contextlib.suppress(NotStrictJsonError):
        parse(data)


def test_a_shape_that_does_not_fit_is_named() -> None:
    with pytest.raises(NotStrictJsonError, match=r"\$\[0\]"):
        parse_as(b'["x"]', list[int])


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
            except NotStrictJsonError:
                accepted = False
            seen.add(name[0])
            if name[0] in "yn":
                assert accepted == (name[0] == "y" and name not in STRICTER), name
    assert seen >= {"y", "n"}
