"""CheckRequest bytes in, Request out: every foreign type ends here.

Source: envoy/service/auth/v3/attribute_context.proto. What is missing stays empty and is refused by the decision; what
is unknown is skipped. Filter metadata is not read: other filters may have made it from what the client sent.
"""

from collections.abc import Iterable, Iterator

from authorizer.doors.wire.ext_authz_pb2 import AttributeContext, CheckRequest, HeaderMap
from authorizer.model import BodyState, Headers, Request

# Added by Envoy wherever it buffers a body; the client's own copy does not reach the check then.
_PARTIAL_BODY = "x-envoy-auth-partial-body"


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
    return Request(
        method=http.method,
        target=http.path,
        host=http.host,
        scheme=http.scheme,
        headers=headers,
        body=body,
        body_state=_body_state(http, headers, len(body)),
        peer=source.address.socket_address.address,
        principal=source.principal,
        context=dict(attributes.context_extensions),
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


def _body_state(http: AttributeContext.HttpRequest, headers: Headers, length: int) -> BodyState:
    """Tell how much of the body was sent; anything but a plain "it is whole" counts as a part."""
    partial = headers.get(_PARTIAL_BODY)
    if partial is not None and partial != ("false",):
        return "partial"
    if not length:
        return "absent"
    return "partial" if http.size > length else "complete"
