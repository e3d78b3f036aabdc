"""The headers of a request: well-formed or not, and which call they ask for.

Sources: RFC 9113 sections 8.1 to 8.3; the gRPC over HTTP/2 protocol. What is malformed resets its stream; what is no
call of ours is answered with an HTTP or a gRPC status.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import inf

from msgspec import Struct

from authorizer.http2.frames import PROTOCOL_ERROR, StreamFault
from authorizer.http2.grpc import INTERNAL, RESOURCE_EXHAUSTED, UNIMPLEMENTED, Answer, Later, Method, Status, seconds
from authorizer.http2.headers import Field

Methods = Mapping[bytes, Method]
"""Path of a gRPC method -> how it is answered."""


class Head(Struct, frozen=True):
    """What the headers of a request come to. It says nothing about a stream, so that equal headers can share it.

    ``method`` is what is called; without one, ``http_status`` or ``status`` is the answer. ``call`` is set where a
    whole plain message can be handed over at once, ``refusal`` where the method is not asked. ``timeout`` is in
    seconds; ``length`` is the content-length or -1; ``trace`` is the one ``traceparent``, cut to its length.
    """

    method: Method | None = None
    call: Callable[[bytes, float, str], Answer | Later] | None = None
    timeout: float = inf
    length: int = -1
    gzip: bool = False
    refusal: str = ""
    status: Status = Status(UNIMPLEMENTED, "unknown method")
    http_status: int = 0
    trace: str = ""


# RFC 9113 section 8.2.1; the tokens of RFC 9110 without capitals.
_NAME = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"(?:[^\0\r\n\t ](?:[^\0\r\n]*[^\0\r\n\t ])?)?")
_LONG = 256
_CONNECTION_SPECIFIC = frozenset({b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"})
_PSEUDO = frozenset({b":method", b":scheme", b":path", b":authority"})
_SINGLE = frozenset({*_PSEUDO, b"content-length", b"grpc-timeout", b"grpc-encoding", b"content-type"})
_TRACE = b"traceparent"
_TRACE_BYTES = 56
"""One more than W3C Trace Context gives it, so that a longer one can be told."""

_CONTENT_TYPES = frozenset({b"application/grpc", b"application/grpc+proto"})


def _well_formed(field: Field) -> bool:
    """Tell whether a field may stand in a message."""
    name, value = field
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        return False
    return name not in _CONNECTION_SPECIFIC and (name != b"te" or value == b"trailers")


# A peer's fields hardly change: 0.1 us for 0.8. Long ones are left out, so that what is remembered is bounded.
_remembered = lru_cache(maxsize=2048)(_well_formed)


def read(fields: list[Field], methods: Methods) -> Head:
    """Return what a request's headers come to. Raises StreamFault PROTOCOL_ERROR for malformed ones."""
    found: dict[bytes, bytes] = {}
    pseudo = True
    for field in fields:
        name, value = field
        if not (_remembered if len(name) + len(value) < _LONG else _well_formed)(field):
            raise StreamFault(PROTOCOL_ERROR, "a malformed header field")
        if name[0] == 0x3A:
            if not pseudo or name not in _PSEUDO:
                raise StreamFault(PROTOCOL_ERROR, "a pseudo-header that is unknown or out of place")
        else:
            pseudo = False
        if name in _SINGLE:
            if name in found:
                raise StreamFault(PROTOCOL_ERROR, "a header field that may stand once stands twice")
            found[name] = value
        elif name == _TRACE:
            found[name] = b"" if name in found else value[:_TRACE_BYTES]
    method, path = found.get(b":method"), found.get(b":path")
    if not method or not path or not found.get(b":scheme"):
        raise StreamFault(PROTOCOL_ERROR, "a required pseudo-header is missing or empty")
    digits = found.get(b"content-length")
    if digits is not None and (not digits.isdigit() or len(digits) > 18):
        raise StreamFault(PROTOCOL_ERROR, "a content-length that is no number")
    return _call(found, method, path, -1 if digits is None else int(digits), methods)


def _call(found: dict[bytes, bytes], http_method: bytes, path: bytes, length: int, methods: Methods) -> Head:
    if found.get(b"content-type", b"").partition(b";")[0].rstrip() not in _CONTENT_TYPES:
        return Head(length=length, http_status=415)
    if http_method != b"POST":
        return Head(length=length, http_status=405)
    method = methods.get(path)
    if method is None:
        return Head(length=length)
    text = found.get(b"grpc-timeout")
    timeout = inf if text is None else seconds(text)
    if timeout is None:
        return Head(length=length, status=Status(INTERNAL, "malformed grpc-timeout"))
    encoding = found.get(b"grpc-encoding", b"identity")
    if encoding not in {b"identity", b"gzip"}:
        return Head(length=length, status=Status(UNIMPLEMENTED, "unknown grpc-encoding"))
    call = None if method.watch else method.call
    trace = found.get(_TRACE, b"").decode("latin-1")
    return Head(method=method, call=call, timeout=timeout, length=length, gzip=encoding == b"gzip", trace=trace)


def too_large(fields: list[Field], methods: Methods) -> Head:
    """Return what headers above the limit come to; ``fields`` are those below it, the path among them as a rule."""
    method = methods.get(dict(fields).get(b":path", b""))
    return Head(method=method, refusal="header_limit", status=Status(RESOURCE_EXHAUSTED, "the headers are too large"))


def check_trailers(fields: list[Field], *, whole: bool) -> StreamFault | None:
    """Return what is wrong with the trailers of a request."""
    if not whole or not all(map(_well_formed, fields)) or any(name[0] == 0x3A for name, _ in fields):
        return StreamFault(PROTOCOL_ERROR, "malformed trailers")
    return None
