"""Every limit of a connection: its default, and what it keeps away.

Two kinds. What only a peer of bad intent or with a fault does ends its connection. What a user behind a gateway can
bring about (many requests, large bodies, slow bodies) must not: a gateway has one connection for all of its users, and
one that fails open lets everything pass that was under way on it. That is answered stream by stream, with a denial.
"""

from typing import Final

from msgspec import Struct

from authorizer.http2.frames import ENHANCE_YOUR_CALM, ConnectionFault


class Limits(Struct, frozen=True, kw_only=True):
    """Bytes, counts and seconds. The names of breaches are those that ``breach`` is told."""

    concurrent_streams: int = 1024
    """Announced. Envoy queues above it or opens another connection; who ignores it is refused (``streams``)."""
    header_list_bytes: int = 16 << 10
    """Announced. Headers of a check take some 500. A larger list is denied (``header_list``): tracing may copy headers
    of a user's request into them."""
    header_list_most: int = 256 << 10
    """Four times what gateways let a user send. Above it a block is made to be large when decoded (``header_bomb``)."""
    header_block_bytes: int = 128 << 10
    """The same as sent, over all its frames: CVE-2024-27316 and its kin (``header_block``)."""
    continuations: int = 8
    """A block of the largest size needs seven; more are a flood of small or empty ones (``continuations``)."""
    frame_bytes: int = 16 << 10
    """Announced. The least that RFC 9113 allows: an unfinished frame is kept until its end has come."""
    stream_window: int = 1 << 20
    """Announced. What a peer may send of one message before we have read any of it."""
    connection_window: int = 16 << 20
    """The same for all streams together. It bounds what is on its way, not what is kept: see ``buffered_bytes``."""
    message_bytes: int = 4 << 20
    """Largest message, compressed or not. A larger one is denied as soon as it says its size (``message``)."""
    buffered_bytes: int = 64 << 20
    """Parts of messages and answers that wait, on one connection. A message above it is denied (``buffered``)."""
    process_buffered_bytes: int = 256 << 20
    """The same over all connections (``buffered``)."""
    connections: int = 1024
    """Open at a time in one process. A gateway opens one for each of its worker threads (``connections``)."""
    output_bytes: int = 1 << 20
    """Answers written and not yet taken by the network; while there are more, nothing is read."""
    calls_per_turn: int = 6
    """Calls answered before their answers are sent: a gateway goes on with those while the next are made, instead of
    after all of them. Behind an Envoy with 16 clients: 30 % more checks a second than with all in one turn."""
    patience: int = 2000
    """Frames that do no work (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, small DATA, unknown ones) in one go. Calls earn
    more: see ``Conduct`` (``flood_TYPE``: CVE-2019-9511 to 9518)."""
    patience_per_second: int = 50
    """How fast patience comes back without calls."""
    resets: int = 2000
    """Streams taken back within ``reset_seconds`` before we ask whether they are half as many as the calls answered: a
    gateway's users hang up too, but not most of them (``rapid_reset``: CVE-2023-44487)."""
    reset_seconds: float = 10.0
    """The interval in which resets and stream errors are counted."""
    stream_errors: int = 100
    """Streams that we had to reset because of what the peer sent, in that interval (``stream_errors``:
    CVE-2025-8671)."""
    preface_seconds: float = 10.0
    """From the connection's start to the peer's first SETTINGS (``preface``)."""
    settings_seconds: float = 10.0
    """From our SETTINGS to their acknowledgement (``settings_timeout``)."""
    idle_seconds: float = 3600.0
    """Without any call; Envoy gives up its own side after as long. Ends by GOAWAY without an error (``idle``)."""
    request_seconds: float = 30.0
    """From the headers of a call to the end of its message, when the caller sets no deadline; then it is denied as out
    of time (``slow_request``)."""
    stalled_seconds: float = 30.0
    """For a peer that takes nothing of an answer; the stream is reset, or the connection cut (``stalled``)."""
    goaway_seconds: float = 1.0
    """From the first GOAWAY to the second when the PING between them stays unanswered."""


DEFAULTS: Final = Limits()


class Pool(Struct):
    """What all connections of a process keep together, in bytes."""

    buffered: int = 0


EARNED_BY_CALL: Final = 8
"""Frames of no work that a call pays for. A client of gRPC sends one or two WINDOW_UPDATE and PING to a call."""

COST: Final = {
    "settings": 20, "goaway": 20, "headers": 10, "ping": 2, "priority": 1, "window_update": 1, "data": 1, "unknown": 1,
    "rst_stream": 1,
}  # fmt: skip
"""What a frame costs: SETTINGS goes over all streams, HEADERS of no open stream are decoded, PING is answered."""


class Conduct:
    """How a peer behaves: frames that do no work, streams taken back, streams that we had to reset.

    Frames are paid for from a store that time and answered calls fill again; streams are counted within an interval.
    """

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._patience = float(limits.patience)
        self._filled = self._since = now
        self._answered = self._resets = self._errors = 0

    def answered(self, calls: int) -> None:
        """Count calls that were answered."""
        self._answered += calls
        self._patience = min(float(self._limits.patience), self._patience + calls * EARNED_BY_CALL)

    def spend(self, kind: str, now: float) -> None:
        """Pay for a frame that does no work. Raises ConnectionFault ENHANCE_YOUR_CALM when there is nothing left."""
        self._patience -= COST[kind]
        if self._patience >= 0:
            return
        earned = (now - self._filled) * self._limits.patience_per_second
        self._patience = min(float(self._limits.patience), self._patience + earned)
        self._filled = now
        if self._patience < 0:
            raise ConnectionFault(ENHANCE_YOUR_CALM, f"too many frames of type {kind}", breach=f"flood_{kind}")

    def reset(self, now: float) -> None:
        """Count a stream that the peer took back. Raises ConnectionFault ENHANCE_YOUR_CALM."""
        self._renew(now)
        self._resets += 1
        if self._resets > self._limits.resets and 2 * self._resets > self._answered:
            raise ConnectionFault(ENHANCE_YOUR_CALM, "too many streams taken back", breach="rapid_reset")

    def error(self, now: float) -> None:
        """Count a stream that we had to reset for the peer's fault. Raises ConnectionFault ENHANCE_YOUR_CALM."""
        self._renew(now)
        self._errors += 1
        if self._errors > self._limits.stream_errors:
            raise ConnectionFault(ENHANCE_YOUR_CALM, "too many faulty streams", breach="stream_errors")

    def _renew(self, now: float) -> None:
        if now - self._since >= self._limits.reset_seconds:
            self._since = now
            self._answered = self._resets = self._errors = 0
