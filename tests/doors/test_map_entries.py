"""Entries of a map are read as protobuf reads them, whatever was seen before, and no secret stays in memory."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from authorizer.doors import map_entries
from authorizer.doors.ext_authz_request import decode
from authorizer.doors.wire.ext_authz_pb2 import CheckRequest, MapEntry

NAMES = st.sampled_from(
    ["accept", "Accept", ":path", ":method", "authorization", "x-a", "\u212a", "n" * 127, "n" * 128]
)
VALUES = st.text(max_size=6) | st.integers(120, 140).map("v".__mul__) | st.integers(16380, 16390).map("v".__mul__)


def read(entry: bytes):
    try:
        return map_entries.header(entry)
    except (DecodeError, UnicodeDecodeError):
        return None


def by_protobuf(entry: bytes):
    try:
        found = MapEntry.FromString(entry)
    except DecodeError:
        return None
    return (found.key.lower() if found.key.isascii() else found.key), (found.value,)


def bent(entry: bytes, at: int, byte: int) -> bytes:
    at %= len(entry)
    return entry[:at] + bytes([byte]) + entry[at + 1 :]


@given(NAMES, VALUES, st.integers(0, 400), st.integers(0, 255))
def test_an_entry_is_read_as_protobuf_reads_it(name, value, at, byte):
    entry = MapEntry(key=name, value=value).SerializeToString()
    damaged = bent(entry, at, byte) if entry else b"\x0a"
    for form in (entry, entry, damaged, damaged, entry[: at % (len(entry) + 1)], entry + b"\x12\x01z"):
        assert read(form) == by_protobuf(form)


@given(st.binary(max_size=12))
def test_any_bytes_are_read_as_protobuf_reads_them(entry):
    assert read(entry) == by_protobuf(entry)


@pytest.mark.parametrize(
    "length",
    [b"\x80\x80\x01", b"\x81\x81\x00", b"\x85\x00", b"\xff\xff\xff\xff\x0f", b"\x80"],
)
@pytest.mark.parametrize("size", [0, 5, 129, 133, 16384, 16512])
def test_a_length_in_any_form_is_read_as_protobuf_reads_it(length, size):
    read(MapEntry(key="x-a", value="v").SerializeToString())  # now the name is remembered
    entry = b"\x0a\x03x-a\x12" + length + b"v" * size
    assert read(entry) == by_protobuf(entry)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_a_map_of_headers_is_read_as_one_of_protobuf(headers):
    message = CheckRequest()
    message.attributes.request.http.headers.update(headers)
    expected: dict[str, list[str]] = {}
    for name, value in headers.items():
        if not name.startswith(":"):
            expected.setdefault(name.lower() if name.isascii() else name, []).append(value)
    found = decode(message.SerializeToString()).headers
    assert {name: sorted(values) for name, values in found.items()} == {n: sorted(v) for n, v in expected.items()}


def test_of_equal_keys_the_last_counts():
    entries = [MapEntry(key="a", value=value).SerializeToString() for value in ("1", "2")]
    message = _check(entries)
    assert decode(message).headers == {"a": ("2",)}
    assert {**CheckRequest.FromString(message).attributes.request.http.headers} == {"a": "2"}


@pytest.mark.parametrize("name", [b"accept", b":path", b"authorization", b"\xff"])
def test_what_is_not_text_is_refused(name):
    for value in (b"\xff", b"\xed\xa0\x80", b"\xc0\x80"):
        entry = b"\x0a" + bytes([len(name)]) + name + b"\x12" + bytes([len(value)]) + value
        for form in (_check([entry]), _check([entry], field=10, within=(1,))):
            with pytest.raises(DecodeError):
                decode(form)


@pytest.mark.parametrize("name", ["authorization", "cookie", "x-api-key", "x-anything", ":path", "proxy-authorization"])
def test_no_value_that_could_be_a_secret_is_remembered(name):
    entry = MapEntry(key=name, value="s3cret").SerializeToString()
    assert read(entry) == read(entry)
    assert entry not in map_entries._entries
    assert not any(b"s3cret" in kept for kept in map_entries._names)


def test_what_is_remembered_is_bounded():
    for number in range(3 * map_entries.MOST):
        read(MapEntry(key="user-agent", value=f"{number}").SerializeToString())
        read(MapEntry(key=f"x-{number}", value="v").SerializeToString())
    assert len(map_entries._entries) <= map_entries.MOST
    assert len(map_entries._names) <= map_entries.MOST
    long = MapEntry(key="accept", value="a" * 300).SerializeToString()
    assert read(long) == ("accept", ("a" * 300,))
    assert long not in map_entries._entries


def _check(entries, field=3, within=(2, 4, 1)):
    message = b"".join(bytes([field << 3 | 2, len(entry)]) + entry for entry in entries)
    for number in within:
        message = bytes([number << 3 | 2, len(message)]) + message
    return message
