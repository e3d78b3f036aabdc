"""The JSON that is hashed by meaning: strict reading, and the text that OPA hashes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.bundle.structured import canonical, is_structured, parse

CANONICAL = [
    (b' {"b" : 1.0, "a":[ true,false , null ] } ', b'{"a":[true,false,null],"b":1.0}'),
    (b"1e5", b"1e5"),
    (b"-0", b"-0"),
    (b"123456789012345678901234567890", b"123456789012345678901234567890"),
    (b'"<>&"', b'"<>&"'),
    (b'"\\u003c\\/"', b'"</"'),
    (b'"\\u0001\\n\\r\\t\\u007f"', b'"\\u0001\\n\\r\\t\x7f"'),
    ('"ü\u2028\u2029"'.encode(), '"ü\\u2028\\u2029"'.encode()),
    (b'"\\ud83d\\ude00"', '"\U0001f600"'.encode()),
    ('{"\uffff":1,"\U00010000":2}'.encode(), '{"\uffff":1,"\U00010000":2}'.encode()),
    (b"[]", b"[]"),
    (b"{}", b"{}"),
]

REFUSED = [
    b"",
    b"{",
    b"1 2",
    b"\xff",
    b"\xef\xbb\xbf{}",
    b'{"a":1,"a":2}',
    b'{"a":1,"\\u0061":2}',
    b"NaN",
    b"[-Infinity]",
    b'"\\ud800"',
    b"1e-400",
    b"1" * 129,
    b'"\\b"',
    b'{"\\f":1}',
    b"01",
    b"'a'",
    b"[" * 65 + b"]" * 65,
    b"[" * 100_000,
    b'{"a":' * 100_000,
]


@pytest.mark.parametrize(("text", "expected"), CANONICAL)
def test_canonical(text: bytes, expected: bytes) -> None:
    assert canonical(parse(text)) == expected


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text[:20]))
def test_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("data.json", True),
        ("a/data.json", True),
        (".manifest", True),
        ("authorizer/policy.json", False),
        ("mydata.json", False),
    ],
)
def test_structured_names(name: str, expected: bool) -> None:
    assert is_structured(name) is expected


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\b\f"), max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.sampled_from([None, 1, 3]), st.booleans())
def test_canonical_form_does_not_depend_on_the_writing(value: object, indent: int | None, ascii_only: bool) -> None:
    text = canonical(parse(json.dumps(value).encode()))
    assert canonical(parse(json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode())) == text
    assert canonical(parse(text)) == text
    assert json.loads(text) == value


@given(st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_parse_or_are_refused(text: bytes) -> None:
    try:
        value = parse(text)
    except ValueError:
        return
    assert canonical(parse(canonical(value))) == canonical(value)
