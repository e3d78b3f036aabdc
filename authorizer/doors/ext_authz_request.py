"""CheckRequest bytes in, Request out: every foreign type ends here.

Source: envoy/service/auth/v3/attribute_context.proto. What is missing stays empty and is refused by the decision; what
is unknown is skipped. Filter metadata is not read: other filters may have made it from what the client sent.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from google.protobuf.message import DecodeError

from authorizer.doors.map_entries import header, pairs
from authorizer.doors.wire.ext_authz_pb2 import AttributeContext, HeaderMap, Question
from authorizer.model import BodyState, Headers, Request

# Added by Envoy wherever it buffers a body; it never tells the client's own copy.
_PARTIAL_BODY = "x-envoy-auth-partial-body"

VOUCHED = ("body", "buffered")
"""The context extension by which a gateway says that each body of a route is sent along."""

_PSEUDO = (":authority", ":method", ":path", ":scheme", ":protocol")
_NO_CONTEXT: Mapping[str, str] = {}


def decode(message: bytes, trace: str = "") -> Request:
    """Read one CheckRequest; ``trace`` is the ``traceparent`` of the call that brought it, "" for none.

    Raises google.protobuf.message.DecodeError for bytes that are not one, text outside of UTF-8 included.
    """
    attributes = Question.FromString(message).attributes
    http = attributes.request.http
    address, principal, certificate = _peer(attributes.source)
    body = http.raw_body or http.body.encode()
    try:
        # A gateway fills one of the two forms; the raw one keeps repeated lines apart and bytes untouched.
        if http.HasField("header_map") and http.header_map.headers:
            pairs(http.headers)  # for what is not text in it
            headers = _collected(_raw_lines(http.header_map))
        else:
            headers = _headers(http.headers[:])
        extensions = attributes.context_extensions
        context = pairs(extensions) if extensions else _NO_CONTEXT
    except UnicodeDecodeError:
        raise DecodeError("text that is not UTF-8") from None
    return Request(
        method=http.method,
        target=http.path,
        host=http.host,
        scheme=http.scheme,
        headers=headers,
        body=body,
        body_state=_body_state(headers, len(body), http.size, context),
        peer=address,
        principal=principal,
        certificate=certificate,
        context=context,
        transport="grpc",
        trace=trace,
    )


def _peer(source: bytes) -> tuple[str, str, str]:
    """Return address, principal and certificate of whoever connected to the gateway; one connection, many requests."""
    return _remembered(source) if len(source) <= _LONG_PEER else _read_peer(source)


def _read_peer(source: bytes) -> tuple[str, str, str]:
    peer = AttributeContext.Peer.FromString(source)
    return peer.address.socket_address.address, peer.principal, peer.certificate


_LONG_PEER = 256
_remembered = lru_cache(maxsize=1024)(_read_peer)  # 0.1 us for 1.2


def _headers(entries: Sequence[bytes]) -> Headers:
    """Collect the entries of a map of headers by name, without pseudo-headers: those have fields of their own."""
    headers = dict(map(header, entries))
    if len(headers) != len(entries):
        return _collected(pairs(entries).items())
    for name in _PSEUDO:
        headers.pop(name, None)
    return headers


def _raw_lines(header_map: HeaderMap) -> Iterator[tuple[str, str]]:
    for line in header_map.headers:
        raw = line.raw_value
        yield line.key, raw.decode("utf-8", "surrogateescape") if raw else line.value


def _collected(lines: Iterable[tuple[str, str]]) -> Headers:
    """Collect header lines by name, repeats kept apart, without pseudo-headers."""
    headers: dict[str, tuple[str, ...]] = {}
    repeated: dict[str, list[str]] = {}
    for name, value in lines:
        if name.startswith(":"):
            continue
        # Only ASCII has case in a name: other letters must not fold into the name of a header that is read.
        key = name.lower() if name.isascii() else name
        if key not in headers:
            headers[key] = (value,)
        elif key in repeated:
            repeated[key].append(value)
        else:
            repeated[key] = [headers[key][0], value]
    for key, values in repeated.items():
        headers[key] = tuple(values)
    return headers


def _body_state(headers: Headers, length: int, size: int, context: Mapping[str, str]) -> BodyState:
    """Tell how much of the body was sent; anything but a plain "it is whole" counts as a part.

    That no body came proves nothing: where Envoy does not buffer, a body without content-length leaves no trace in the
    check, since Envoy takes transfer-encoding away and HTTP/2 has none.
    """
    partial = headers.get(_PARTIAL_BODY)
    if partial not in {None, ("false",)} or size > length:
        return "partial"
    if length:
        return "complete"
    return "absent" if partial or _none(headers, context) else "unknown"


def _none(headers: Headers, context: Mapping[str, str]) -> bool:
    """Tell whether a check without a body is about a request without one: it says so, or the gateway would have it."""
    length = headers.get("content-length")
    if length is not None or "transfer-encoding" in headers:
        return length == ("0",) and "transfer-encoding" not in headers
    # Envoy buffers nothing of what may become another protocol.
    return VOUCHED in context.items() and "upgrade" not in headers
