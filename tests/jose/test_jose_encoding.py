"""One spelling for one meaning: base64url and JSON."""

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer import strict_json
from authorizer.jose import encoding
from authorizer.jose.encoding import decode_base64url, encode_base64url, encode_json, read_object

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.binary())
def test_bytes_survive(data: bytes) -> None:
    assert decode_base64url(encode_base64url(data)) == data


@given(st.text())
def test_any_text_that_decodes_is_the_encoding(text: str) -> None:
    data = decode_base64url(text)
    assert data is None or encode_base64url(data) == text


@pytest.mark.parametrize(
    "text", ["A", "AB", "AAB", "AA==", "AA=", "A+A", "A/A", "A A", "A\nA", "AAAA=", "ÄÖÜß", "\ud800"]
)
def test_other_spellings_are_refused(text: str) -> None:
    assert decode_base64url(text) is None


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), JSON, max_size=5))
def test_objects_survive(value: dict[str, object]) -> None:
    assert read_object(encode_json(value)) == value
    assert read_object(json.dumps(value).encode()) == value


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_reading_never_raises(data: bytes) -> None:
    found = read_object(data)
    assert found is None or isinstance(found, dict)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b' {"a" : 1.50 }\n', {"a": Decimal("1.50")}),
        (b'{"a":1e2}', {"a": Decimal("1e2")}),
        (b'{"a":"[[[[[[[[[[[[[[[[[[[[\\"[[["}', {"a": '[[[[[[[[[[[[[[[[[[[["[[['}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"a":' + b"[" * 15 + b"]" * 15 + b"}", None),
    ],
)
def test_what_is_read(text: bytes, value: object) -> None:
    found = read_object(text)
    assert found is not None
    assert value is None or found == value


@pytest.mark.parametrize("end", [b"", b"\\", b'"', b"]"])
@pytest.mark.parametrize("start", [b"", b'"', b"\\"])
@pytest.mark.parametrize("unit", [b'"\\', b'\\"', b'"', b'""', b"[", b'["', b'"[', b'\\\\"', b"{", b"]"])
def test_work_grows_with_the_length_only(unit: bytes, start: bytes, end: bytes) -> None:
    def cost(length: int) -> float:
        text = b"[" * 17 + start + unit * (length // len(unit)) + end
        times = []
        for _ in range(5):
            before = time.thread_time()
            assert read_object(text) is None
            times.append(time.thread_time() - before)
        return min(times)

    # Quadratic work would be 256 times as much, of linear work it is 16 times; clocks and the fixed part are 0.1 ms.
    assert cost(12_000) < 100 * (cost(750) + 1e-4)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"1",
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e309}',
        b'{"a":1e-309}',
        b'{"a":1e-99999999}',
        b'{"a":1e-99999999999999999999}',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b"{} {}",
        b"{'a':1}",
        b'{"a":01}',
        b'{"a":' + b"9" * 33 + b"}",
        b'{"a":' + b"[" * 16 + b"]" * 16 + b"}",
        b'{"a":' + b"[" * 1_000_000,
        b'{"a":"' + b"\x01" + b'"}',
    ],
)
def test_what_is_refused(text: bytes) -> None:
    assert read_object(text) is None


def by_the_book(text: str) -> bytes | None:
    """Decode and encode again, as RFC 7515 section 2 has it."""
    try:
        raw = text.encode("ascii")
        data = urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    except ValueError:
        return None
    return data if urlsafe_b64encode(data).rstrip(b"=") == raw else None


@given(st.text("ABCDghxyz0189-_+/= \n\0é", max_size=12) | st.binary(max_size=40).map(encode_base64url))
def test_one_spelling_is_decoded_and_no_other(text: str) -> None:
    assert decode_base64url(text) == by_the_book(text)


MEMBERS = st.text(max_size=5) | st.sampled_from(["a", "exp", "\\u0061", "\ud800"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(MEMBERS, VALUES), max_size=4), st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_what_is_read_fast_is_what_is_read_strictly(pairs, escaped: bool, separators) -> None:
    comma, colon = separators
    text = comma.join(
        f"{json.dumps(name)}{colon}{json.dumps(value, ensure_ascii=escaped, separators=separators)}"
        for name, value in pairs
    )
    data = f"{{{text}}}".encode("utf-8", "surrogatepass")
    try:
        strictly = strict_json.reader(depth=encoding.MAX_DEPTH, digits=encoding.MAX_NUMBER_DIGITS)(data)
    except strict_json.Refused:
        strictly = None
    found = encoding.read_object(data)
    assert found == strictly
    assert repr(found) == repr(strictly)
