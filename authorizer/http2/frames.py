"""Frames as bytes: their types, flags and error codes, and the few that a server of gRPC writes.

Source: RFC 9113 sections 4, 6 and 7.
"""

from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITIZED: Final = 0x20

NO_ERROR: Final = 0x0
PROTOCOL_ERROR: Final = 0x1
INTERNAL_ERROR: Final = 0x2
FLOW_CONTROL_ERROR: Final = 0x3
SETTINGS_TIMEOUT: Final = 0x4
STREAM_CLOSED: Final = 0x5
FRAME_SIZE_ERROR: Final = 0x6
REFUSED_STREAM: Final = 0x7
CANCEL: Final = 0x8
COMPRESSION_ERROR: Final = 0x9
ENHANCE_YOUR_CALM: Final = 0xB

MAX_STREAM_ID: Final = (1 << 31) - 1
MAX_WINDOW: Final = (1 << 31) - 1

HEAD_BYTES: Final = 9
_HEAD = Struct(">HBBBI")
_UINT = Struct(">I")
_SETTING = Struct(">HI")


class ConnectionFault(Exception):  # noqa: N818 - RFC 9113 calls it a connection error; it is no error of ours
    """The connection cannot go on; ``code`` goes into GOAWAY.

    ``breach`` names the limit that was broken, ``protocol`` where something was sent that is no HTTP/2.
    """

    def __init__(self, code: int, text: str, *, breach: str = "protocol") -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.breach = breach


class StreamFault(Exception):  # noqa: N818 - as above
    """One stream cannot go on; ``code`` goes into RST_STREAM."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one frame."""
    length = len(payload)
    return _HEAD.pack(length >> 8, length & 0xFF, kind, flags, stream) + payload


def head(length: int, kind: int, flags: int, stream: int) -> bytes:
    """Return the nine bytes that stand before a payload of ``length`` bytes."""
    return _HEAD.pack(length >> 8, length & 0xFF, kind, flags, stream)


def settings(values: dict[int, int]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in values.items()))


def window_update(stream: int, increment: int) -> bytes:
    """Return a WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream, _UINT.pack(increment))


def rst_stream(stream: int, code: int) -> bytes:
    """Return a RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, _UINT.pack(code))


def goaway(last_stream: int, code: int, text: str = "") -> bytes:
    """Return a GOAWAY frame; ``text`` is for whoever reads the peer's log."""
    return frame(GOAWAY, 0, 0, _UINT.pack(last_stream) + _UINT.pack(code) + text.encode("ascii", "replace"))


def uint(payload: bytes) -> int:
    """Read 32 bits."""
    number: int = _UINT.unpack(payload)[0]
    return number


def content(payload: bytes, flags: int) -> bytes:
    """Return the payload of DATA or HEADERS without padding and without the priority fields.

    Raises ConnectionFault: PROTOCOL_ERROR for padding that is longer than what is there (RFC 9113 section 6.1),
    FRAME_SIZE_ERROR for a frame too short for its own fields (section 4.2).
    """
    start, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise ConnectionFault(FRAME_SIZE_ERROR, "a padded frame without its length of padding")
        start = 1
        end -= payload[0]
    if flags & PRIORITIZED:
        start += 5
        if start > len(payload):
            raise ConnectionFault(FRAME_SIZE_ERROR, "a frame without its priority fields")
    if end < start:
        raise ConnectionFault(PROTOCOL_ERROR, "more padding than payload")
    return payload[start:end]
