"""CheckRequest bytes in, Request out: every foreign type ends here.

Source: envoy/service/auth/v3/attribute_context.proto. What is missing stays empty and is refused by the decision; what
is unknown is skipped. Filter metadata is not read: other filters may have made it from what the client sent.
"""

from collections.abc import Iterable, Iterator, Mapping

from authorizer.doors.wire.ext_authz_pb2 import AttributeContext, CheckRequest, HeaderMap
from authorizer.model import BodyState, Headers, Request

# Added by Envoy wherever it buffers a body; it never tells the client's own copy.
_PARTIAL_BODY = "x-envoy-auth-partial-body"

VOUCHED = ("body", "buffered")
"""The context extension by which a gateway says that each body of a route is sent along."""


def decode(message: bytes) -> Request:
    """Read one CheckRequest.

    Raises google.protobuf.message.DecodeError for bytes that are not one, text outside of UTF-8 included.
    """
    attributes = CheckRequest.FromString(message).attributes
    http = attributes.request.http
    source = attributes.source
    # A gateway fills one of the two forms; the raw one keeps repeated lines apart and bytes untouched.
    raw = http.header_map.headers
    headers = _headers(_raw_lines(http.header_map) if raw else http.headers.items())
    body = http.raw_body or http.body.encode()
    context = dict(attributes.context_extensions)
    return Request(
        method=http.method,
        target=http.path,
        host=http.host,
        scheme=http.scheme,
        headers=headers,
        body=body,
        body_state=_body_state(http, headers, len(body), context),
        peer=source.address.socket_address.address,
        principal=source.principal,
        context=context,
        transport="grpc",
    )


def _raw_lines(header_map: HeaderMap) -> Iterator[tuple[str, str]]:
    for line in header_map.headers:
        raw = line.raw_value
        yield line.key, raw.decode("utf-8", "surrogateescape") if raw else line.value


def _headers(lines: Iterable[tuple[str, str]]) -> Headers:
    """Collect header lines by name, without pseudo-headers: method, target, host and scheme have their own fields."""
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


def _body_state(
    http: AttributeContext.HttpRequest, headers: Headers, length: int, context: Mapping[str, str]
) -> BodyState:
    """Tell how much of the body was sent; anything but a plain "it is whole" counts as a part.

    That no body came proves nothing: where Envoy does not buffer, a body without content-length leaves no trace in the
    check, since Envoy takes transfer-encoding away and HTTP/2 has none.
    """
    partial = headers.get(_PARTIAL_BODY)
    if partial not in {None, ("false",)} or http.size > length:
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
