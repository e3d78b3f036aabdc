"""CheckRequest bytes in, Request out; the bytes are made by an encoder that is not ours."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from authorizer.doors.ext_authz_request import decode
from authorizer.doors.wire.ext_authz_pb2 import CheckRequest
from authorizer.model import Request

auth = pytest.importorskip("envoy_data_plane.envoy.service.auth.v3")
core = pytest.importorskip("envoy_data_plane.envoy.config.core.v3")
protobuf = pytest.importorskip("envoy_data_plane.google.protobuf")


def check(http=None, **attributes) -> bytes:
    request = auth.AttributeContextRequest(
        time=datetime(2026, 1, 1, tzinfo=UTC), http=auth.AttributeContextHttpRequest(**(http or {}))
    )
    return bytes(auth.CheckRequest(attributes=auth.AttributeContext(request=request, **attributes)))


def header_map(*lines: tuple[str, bytes]):
    return core.HeaderMap(headers=[core.HeaderValue(key=key, raw_value=value) for key, value in lines])


def struct(**members):
    return protobuf.Struct.from_dict(members)


def peer(address: str, **fields):
    socket_address = core.SocketAddress(address=address, port_value=4711)
    return auth.AttributeContextPeer(address=core.Address(socket_address=socket_address), **fields)


@pytest.mark.parametrize(
    ("message", "field", "expected"),
    [
        (check({"method": "get"}), "method", "get"),
        (check({"path": "/a%2Fb/../c?x=1&x=2#f"}), "target", "/a%2Fb/../c?x=1&x=2#f"),
        (check({"host": "Gw.EXAMPLE.:80,b"}), "host", "Gw.EXAMPLE.:80,b"),
        (check({"scheme": "ftp"}), "scheme", "ftp"),
        (check({"id": "1", "query": "q", "fragment": "f"}), "target", ""),
        (check({"body": "né"}), "body", "né".encode()),
        (check({"raw_body": b"\xff\x00"}), "body", b"\xff\x00"),
        (check(source=peer("192.0.2.7")), "peer", "192.0.2.7"),
        (check(source=auth.AttributeContextPeer(address=core.Address(pipe=core.Pipe(path="/s")))), "peer", ""),
        (check(source=peer("::1", principal="spiffe://td/ns/a/sa/b")), "principal", "spiffe://td/ns/a/sa/b"),
        (check(source=peer("::1", service="claimed")), "principal", ""),
        (check(destination=peer("::2", principal="gateway", labels={"a": "b"})), "principal", ""),
        (check(context_extensions={"application": "shop"}), "context", {"application": "shop"}),
        (check(), "transport", "grpc"),
    ],
)
def test_each_field_arrives_as_sent(message, field, expected):
    assert getattr(decode(message), field) == expected


@pytest.mark.parametrize("message", [b"", check(), bytes(auth.CheckRequest(attributes=auth.AttributeContext()))])
def test_what_is_missing_stays_empty(message):
    assert decode(message) == Request(body_state="unknown")


@pytest.mark.parametrize(
    ("http", "expected"),
    [
        ({"headers": {"authorization": "Bearer A,Bearer B"}}, {"authorization": ("Bearer A,Bearer B",)}),
        ({"headers": {":path": "/", ":method": "GET", ":authority": "a", ":scheme": "http", "a": "b"}}, {"a": ("b",)}),
        ({"headers": {"X-A": "1", "x-a": "2"}}, {"x-a": ("1", "2")}),
        ({"headers": {"x-\u212aey": "1"}}, {"x-\u212aey": ("1",)}),
        ({"headers": {"x_user": "1", "x-user": "2"}}, {"x_user": ("1",), "x-user": ("2",)}),
        ({"header_map": header_map(("a", b"1"), ("b", b"2"), ("A", b"3"))}, {"a": ("1", "3"), "b": ("2",)}),
        ({"header_map": header_map(("a", b"\xff!")), "headers": {"a": "!!"}}, {"a": ("\udcff!",)}),
        ({"header_map": header_map((":path", b"/"), ("a", b""))}, {"a": ("",)}),
        ({"header_map": core.HeaderMap(headers=[core.HeaderValue(key="a", value="text")])}, {"a": ("text",)}),
        ({"header_map": header_map(), "headers": {"a": "b"}}, {"a": ("b",)}),
    ],
)  # fmt: skip
def test_headers_of_both_forms(http, expected):
    received = decode(check(http)).headers
    assert received.keys() == expected.keys()
    assert {name: sorted(values) for name, values in received.items()} == {
        name: sorted(values) for name, values in expected.items()
    }


def test_raw_header_lines_keep_their_order():
    lines = [("cookie", f"c={i}".encode()) for i in range(5)]
    assert decode(check({"header_map": header_map(*lines)})).headers["cookie"] == ("c=0", "c=1", "c=2", "c=3", "c=4")


def test_many_repeats_of_one_header_take_linear_time():
    line = bytes(core.HeaderValue(key="a"))
    message = _nested((b"\x0a" + bytes([len(line)]) + line) * 200_000)
    assert len(decode(message).headers["a"]) == 200_000


def _nested(header_map_bytes: bytes) -> bytes:
    """Wrap a HeaderMap in HttpRequest (13), Request (2), AttributeContext (4) and CheckRequest (1) by hand."""
    message = header_map_bytes
    for field in (13, 2, 4, 1):
        message = bytes([field << 3 | 2]) + _varint(len(message)) + message
    return message


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


@pytest.mark.parametrize(
    ("body", "size", "partial", "expected"),
    [
        (b"", 0, None, "unknown"),
        (b"", -1, None, "unknown"),
        (b"", 0, "false", "absent"),
        (b"", 5, None, "partial"),
        (b"", 5, "false", "partial"),
        (b"", 20, "true", "partial"),
        (b"{}", 2, None, "complete"),
        (b"{}", 2, "false", "complete"),
        (b"{}", -1, "false", "complete"),
        (b"{}", 0, "false", "complete"),
        (b"{}", 3, "false", "partial"),
        (b"{}", 2, "true", "partial"),
        (b"{}", 2, "False", "partial"),
        (b"{}", 2, "false,true", "partial"),
        (b"{}", 2, "", "partial"),
    ],
)
@pytest.mark.parametrize("form", ["body", "raw_body"])
def test_body_state(form, body, size, partial, expected):
    headers = {} if partial is None else {"x-envoy-auth-partial-body": partial}
    content = body.decode() if form == "body" else body
    assert decode(check({form: content, "size": size, "headers": headers})).body_state == expected


LENGTH_0 = {"content-length": "0"}
VOUCHED = {"body": "buffered"}


@pytest.mark.parametrize(
    ("headers", "context", "expected"),
    [
        (LENGTH_0, {}, "absent"),
        ({"content-length": "00"}, {}, "unknown"),
        ({"content-length": "7"}, {}, "unknown"),
        ({"content-length": "7"}, VOUCHED, "unknown"),
        ({"content-length": ""}, VOUCHED, "unknown"),
        (LENGTH_0 | {"transfer-encoding": "chunked"}, VOUCHED, "unknown"),
        ({"transfer-encoding": "chunked"}, VOUCHED, "unknown"),
        ({}, VOUCHED, "absent"),
        ({"upgrade": "websocket"}, VOUCHED, "unknown"),
        (LENGTH_0 | {"upgrade": "websocket"}, {}, "absent"),
        ({}, {"body": "no"}, "unknown"),
        ({"body": "buffered"}, {}, "unknown"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_body_is_absent_only_where_that_is_proven(method, headers, context, expected):
    message = check({"method": method, "headers": headers}, context_extensions=context)
    assert decode(message).body_state == expected


def test_what_other_filters_say_changes_nothing():
    claims = core.Metadata(
        filter_metadata={"envoy.filters.http.jwt_authn": struct(payload={"sub": "admin"})},
        typed_filter_metadata={"t": protobuf.Any(type_url="type.example/unknown", value=b"\xff")},
    )
    plain = check({"path": "/x"})
    assert decode(check({"path": "/x"}, metadata_context=claims, route_metadata_context=claims)) == decode(plain)


def test_unknown_fields_are_skipped():
    unknown = bytes([15 << 3 | 2, 3]) + b"abc"
    assert decode(check({"method": "GET"}) + unknown).method == "GET"


@pytest.mark.parametrize(
    "message",
    [
        b"\xff",
        b"\x0a\xff",
        check({"path": "/x"})[:-1],
        check({"path": "/\x7f"}).replace(b"\x7f", b"\xff"),
        _nested(b"\x0a\x03\x0a\x01\xff"),
    ],
    ids=["bad-tag", "bad-length", "truncated", "path-not-utf8", "name-not-utf8"],
)
def test_what_is_no_check_request_is_refused(message):
    with pytest.raises(DecodeError):
        decode(message)


def test_deep_metadata_is_refused_by_the_parser():
    value = b"\x1a\x01x"  # Value.string_value
    for _ in range(200):
        # Value{list_value(6): ListValue{values(1): value}}
        inner = b"\x0a" + _varint(len(value)) + value
        value = b"\x32" + _varint(len(inner)) + inner
    entry = b"\x0a\x01k\x12" + _varint(len(value)) + value
    fields = b"\x0a" + _varint(len(entry)) + entry
    namespace = b"\x0a\x01n\x12" + _varint(len(fields)) + fields
    metadata = b"\x0a" + _varint(len(namespace)) + namespace
    attributes = b"\x5a" + _varint(len(metadata)) + metadata
    with pytest.raises(DecodeError):
        decode(b"\x0a" + _varint(len(attributes)) + attributes)


OUTSIDE = Path(__file__).parents[3] / "shared" / "checks" / "ext-authz" / "opa-envoy-checks.json"


@pytest.mark.skipif(not OUTSIDE.exists(), reason="the outside CheckRequests are not on this machine")
def test_outside_check_requests_arrive_whole():
    requests = json.loads(OUTSIDE.read_text("utf-8"))["requests"]
    assert requests
    for name, message in requests.items():
        http = message["attributes"]["request"]["http"]
        request = decode(json_format.ParseDict(message, CheckRequest()).SerializeToString())
        sent = {key: (value,) for key, value in http.get("headers", {}).items() if not key.startswith(":")}
        assert (name, request.target, request.method) == (name, http.get("path", ""), http.get("method", ""))
        assert request.headers == sent
        raw = base64.b64decode(http["rawBody"]) if "rawBody" in http else http.get("body", "").encode()
        assert request.body == raw
