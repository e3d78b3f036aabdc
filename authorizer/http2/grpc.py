"""What gRPC puts on top of HTTP/2: methods, messages with their prefix, deadlines, statuses.

Source: the gRPC over HTTP/2 protocol (PROTOCOL-HTTP2) and its compression and status code documents.
"""

import zlib
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from authorizer.http2.streams import Watch

INVALID_ARGUMENT: Final = 3
DEADLINE_EXCEEDED: Final = 4
NOT_FOUND: Final = 5
RESOURCE_EXHAUSTED: Final = 8
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13
UNAVAILABLE: Final = 14

PREFIX_BYTES: Final = 5
_MAX_TEXT = 100
_UNIT_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


class Status(Struct, frozen=True):
    """How a call ended, when not with a message: ``code`` as in gRPC, ``text`` for the caller's log."""

    code: int
    text: str = ""


Answer = bytes | Status


class Later(Struct, frozen=True):
    """An answer that is not there yet. ``start`` is given the function to hand it over with, once.

    By then the stream may be gone, or may have been answered for its deadline: the answer is let go.
    """

    start: "Callable[[Callable[[Answer], None]], None]"


class Method(Struct, frozen=True):
    """One method of the service.

    ``call`` answers a unary call, at once or later; it gets the message, the time by which the caller wants the answer
    (on the clock of the connection; infinite without deadline) and the call's ``traceparent``, "" for none or several.
    ``refuse`` answers for it when it cannot be asked: ``body_limit``, ``deadline``, ``header_limit`` or ``overload``.
    ``watch``, if given, is asked instead of ``call``: it may keep the stream and send messages on it until it closes,
    or end it at once with a status. None of them may raise.
    """

    call: Callable[[bytes, float, str], Answer | Later]
    refuse: Callable[[str], Answer]
    watch: "Callable[[bytes, Watch], Status | None] | None" = None


def seconds(value: bytes) -> float | None:
    """Read a grpc-timeout: up to eight digits and a unit. None when it is not one."""
    digits, unit = value[:-1], _UNIT_SECONDS.get(value[-1:])
    if unit is None or not digits.isdigit() or len(digits) > 8:
        return None
    return int(digits) * unit


def margin(timeout: float) -> float:
    """Return how long before its end a deadline is given up, so that the denial still arrives in time; in seconds."""
    return 0.0 if timeout == inf else min(timeout / 10, 0.02)


def inflate(packed: bytes, limit: int) -> bytes | None:
    """Unpack one gzip member of at most ``limit`` bytes; None when there are more.

    Raises zlib.error for anything that is not exactly one member.
    """
    unpacker = zlib.decompressobj(wbits=31)
    message = unpacker.decompress(packed, limit + 1)
    if len(message) > limit:
        return None
    if not unpacker.eof or unpacker.unused_data:
        raise zlib.error("not one whole gzip member")
    return message


def _literal(name: bytes, value: bytes) -> bytes:
    """Return a field that no table keeps (RFC 7541 section 6.2.2); both parts are shorter than 127 bytes."""
    return bytes((0, len(name))) + name + bytes((len(value),)) + value


_STATUS_200 = b"\x88"
_CONTENT_TYPE = b"\x0f\x10"  # name 31 of the static table

HEADERS: Final = _STATUS_200 + _CONTENT_TYPE + b"\x10application/grpc"
"""The header block of an answer with messages."""


def trailers(status: Status) -> bytes:
    """Return the header block that ends an answer with messages."""
    block = _literal(b"grpc-status", str(status.code).encode())
    if status.text:
        # Percent-encoding (PROTOCOL-HTTP2): our texts are printable ASCII, which leaves the sign itself.
        text = status.text.encode("ascii", "replace").replace(b"%", b"%25")
        block += _literal(b"grpc-message", text[:_MAX_TEXT])
    return block


TRAILERS_OK: Final = trailers(Status(0))


def trailers_only(status: Status) -> bytes:
    """Return the header block of an answer without messages."""
    accepted = _literal(b"grpc-accept-encoding", b"identity,gzip") if status.code == UNIMPLEMENTED else b""
    return HEADERS + accepted + trailers(status)


def plain(http_status: int, length: int) -> bytes:
    """Return the header block of an answer to what is not gRPC, with ``length`` bytes of text."""
    digits = str(length).encode()
    return (
        b"\x08\x03" + str(http_status).encode() + _CONTENT_TYPE + b"\x0atext/plain" + b"\x0f\x0d"
        + bytes((len(digits),)) + digits
    )  # fmt: skip
