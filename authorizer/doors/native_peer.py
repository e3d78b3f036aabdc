"""One connection of the native gRPC door: the engine's bytes to and from a transport of asyncio."""

import asyncio
from collections.abc import Callable, Mapping
from math import inf
from time import monotonic
from typing import cast

from authorizer.http2.connection import Connection
from authorizer.http2.grpc import Method
from authorizer.http2.limits import Limits, Pool

LINGER_SECONDS = 1.0
"""How long a connection that has ended is still read, so that what was sent last is not lost to a TCP reset."""

_SHORTEST_ALARM = 0.001
_WRITE_BUFFER = 256 << 10


class Common:
    """What the connections of a door share.

    ``peers`` are open, ``empty`` is set while there are none; ``closing``: whoever comes now is asked to go.
    """

    def __init__(
        self, methods: Mapping[bytes, Method], limits: Limits, pool: Pool, breach: Callable[[str], None]
    ) -> None:
        self.methods = methods
        self.limits = limits
        self.pool = pool
        self.breach = breach
        self.peers: set[Peer] = set()
        self.empty = asyncio.Event()
        self.empty.set()
        self.closing = False


class Peer(asyncio.Protocol):
    """A gateway's connection. All of a read is answered before the next read, a few calls with each write."""

    def __init__(self, common: Common, max_age: float, greet: Callable[[asyncio.Transport], str]) -> None:
        self._common = common
        self._loop = asyncio.get_running_loop()
        self._max_age = max_age
        self._greet = greet
        self._full = False
        self._ended = False
        self._timers: list[asyncio.TimerHandle] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = inf
        self._stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: our SETTINGS go first."""
        self._transport = cast("asyncio.Transport", transport)
        common = self._common
        self._engine = Connection(common.methods, common.limits, common.pool, monotonic(), common.breach)
        refusal = self._greet(self._transport)
        if refusal:
            common.breach(refusal)
            self._engine.lose()
            self._transport.abort()
            return
        common.peers.add(self)
        common.empty.clear()
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        if self._max_age:
            self._timers.append(self._loop.call_later(self._max_age, self.shutdown))
        if common.closing:
            self.shutdown()
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Answer what can be answered."""
        self._engine.receive(data, monotonic())
        self.flush()

    def flush(self) -> None:
        """Send what the engine has to send; read on what it had to put off."""
        engine, transport = self._engine, self._transport
        out = engine.take()
        if out:
            transport.write(out)
        while engine.blocked and not self._full:
            engine.receive(b"", monotonic())
            transport.write(engine.take())
        if engine.finished:
            self._end()
        elif engine.alarm < self._alarm_at:
            self._arm()

    def shutdown(self) -> None:
        """Ask the peer to go elsewhere, and close when its calls are answered."""
        self._engine.shutdown(monotonic())
        self.flush()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def pause_writing(self) -> None:
        """Read nothing while the peer does not: its answers would pile up here."""
        self._full = True
        self._transport.pause_reading()
        self._stuck = self._loop.call_later(self._common.limits.stalled_seconds, self._cut)

    def resume_writing(self) -> None:
        """Go on with what was put off."""
        self._full = False
        if self._stuck is not None:
            self._stuck.cancel()
        self.flush()
        if not self._full:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature is asyncio's
        """Let go of everything."""
        self._common.peers.discard(self)
        if not self._common.peers:
            self._common.empty.set()
        self._engine.lose()
        for timer in (self._alarm, self._stuck, *self._timers):
            if timer is not None:
                timer.cancel()

    def _arm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = self._engine.alarm
        self._alarm = self._loop.call_later(max(self._alarm_at - monotonic(), _SHORTEST_ALARM), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._alarm_at = inf
        self._engine.tick(monotonic())
        self.flush()

    def _end(self) -> None:
        """Close once the last bytes are sent and, if it does so in time, the peer has closed its side."""
        if self._ended:
            return
        self._ended = True
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        self._timers.append(self._loop.call_later(LINGER_SECONDS, self._transport.close))
        self._timers.append(self._loop.call_later(self._common.limits.stalled_seconds, self._transport.abort))

    def _cut(self) -> None:
        self._common.breach("stalled")
        self._transport.abort()
