"""CheckRequest bytes in, Request out: every foreign type ends here.

Source: envoy/service/auth/v3/attribute_context.proto. What is missing stays empty and is refused by the decision; what
is unknown (fields, typed metadata) is skipped.
"""

from collections.abc import Iterable, Iterator

from google.protobuf.struct_pb2 import Struct, Value

from authorizer.doors.wire.ext_authz_pb2 import AttributeContext, CheckRequest, HeaderMap, Metadata
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
        protocol=http.protocol,
        headers=headers,
        body=body,
        body_state=_body_state(http, headers, len(body)),
        peer=source.address.socket_address.address,
        principal=source.principal,
        certificate=source.certificate,
        server_name=attributes.tls_session.sni,
        context=dict(attributes.context_extensions),
        metadata=_metadata(attributes.metadata_context) if attributes.HasField("metadata_context") else {},
        route_metadata=(
            _metadata(attributes.route_metadata_context) if attributes.HasField("route_metadata_context") else {}
        ),
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


def _metadata(metadata: Metadata) -> dict[str, object]:
    return {namespace: _members(struct) for namespace, struct in metadata.filter_metadata.items()}


def _members(struct: Struct) -> dict[str, object]:
    return {name: _plain(value) for name, value in struct.fields.items()}


def _plain(value: Value) -> object:
    """Return JSON-like data. Numbers are floats, as sent; the parser's limit of 100 levels bounds the recursion."""
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            return value.number_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return _members(value.struct_value)
        case "list_value":
            return [_plain(item) for item in value.list_value.values]
        case _:
            return None
