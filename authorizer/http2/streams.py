"""The open streams of a connection: requests that arrive in pieces, answers that wait for the peer's windows."""

import zlib
from collections.abc import Callable, Iterable
from functools import partial
from math import inf

from authorizer.http2 import flow, frames, grpc
from authorizer.http2.frames import StreamFault
from authorizer.http2.grpc import Answer, Later, Status
from authorizer.http2.limits import Conduct, Limits, Pool
from authorizer.http2.requests import Head
from authorizer.http2.stream import Stream

_MAX_ABANDONED = 1024


class Streams:
    """``open`` streams by number. ``now`` is the connection's clock, set by it; ``alarm`` is when ``tick`` is due."""

    def __init__(
        self, out: flow.Outbound, limits: Limits, pool: Pool, conduct: Conduct, breach: Callable[[str], None]
    ) -> None:
        self._out = out
        self._limits = limits
        self._pool = pool
        self._conduct = conduct
        self._breach = breach
        self._held = 0
        self._newest = 0
        self._abandoned: dict[int, None] = {}
        self.open: dict[int, Stream] = {}
        self.now = 0.0
        self.alarm = inf

    def begin(self, number: int, head: Head) -> Stream:
        """Open a stream. Raises StreamFault REFUSED_STREAM when there are too many."""
        if len(self.open) >= self._limits.concurrent_streams:
            self._breach("streams")
            raise StreamFault(frames.REFUSED_STREAM, "too many streams")
        stream = self.open[number] = Stream(number, head, self.now + head.timeout)
        return stream

    def watch_over(self) -> None:
        """Set the deadlines of requests that were begun since the last time and have not ended."""
        newest = self._newest
        for number in reversed(self.open):
            if number <= self._newest:
                break
            newest = max(newest, number)
            stream = self.open[number]
            if not stream.ended:
                margin = grpc.margin(stream.head.timeout)
                self._wake(stream, min(stream.expires - margin, self.now + self._limits.request_seconds))
        self._newest = newest

    def take_in(self, stream: Stream, data: bytes) -> None:
        """Take the next bytes of a request; answer it when it has ended or cannot be taken.

        Raises StreamFault when it is not as long as its content-length says.
        """
        head, limits = stream.head, self._limits
        stream.received += len(data)
        if head.refusal and head.method is not None:
            self.reply(stream, head.method.refuse(head.refusal))
            return
        if head.length >= 0 and (stream.received > head.length or (stream.ended and stream.received < head.length)):
            raise StreamFault(frames.PROTOCOL_ERROR, "content-length is wrong")
        if head.method is None:
            # Read to its end, because many a client looks for an answer only then.
            if stream.ended or stream.received > limits.message_bytes:
                self._answer(stream)
                return
        else:
            if stream.body:
                stream.body += data
            else:
                stream.body = bytearray(data)
            body = stream.body
            length = grpc.PREFIX_BYTES + (int.from_bytes(body[1:5], "big") if len(body) >= grpc.PREFIX_BYTES else 0)
            if length - grpc.PREFIX_BYTES > limits.message_bytes:
                self._refuse(stream, "message", "body_limit")
                return
            if len(body) > length:
                self.reply(stream, Status(grpc.INTERNAL, "more than one message"))
                return
            if stream.ended:
                self._answer(stream)
                return
            if not self._hold(stream, len(body)):
                self._refuse(stream, "buffered", "overload")
                return
        # INVARIANT: a window is given back before half of it is used, and a frame is less than half: none is overrun.
        if stream.debt > limits.stream_window >> 1:
            self._out.write(frames.window_update(stream.id, stream.debt))
            stream.debt = 0

    def reply(self, stream: Stream, answer: Answer | Later) -> None:
        """Answer a call, or wait for its answer until shortly before its deadline."""
        stream.body = b""
        if isinstance(answer, Later):
            self._hold(stream, 0)
            self._wake(stream, stream.expires - grpc.margin(stream.head.timeout))
            answer.start(partial(self._give, stream))
            return
        self._advance(stream, ended=self._out.answer(stream, answer))

    def _give(self, stream: Stream, answer: Answer) -> None:
        if not stream.closed and not stream.replied:
            stream.deadline = inf
            self.reply(stream, answer)

    def send(self, stream: Stream, message: bytes) -> bool:
        """Send a message of a watch; False when the stream is closed or the one before still waits."""
        if stream.closed or stream.waiting:
            return False
        self._advance(stream, ended=self._out.message(stream, message))
        return True

    def finish(self, stream: Stream, status: Status) -> None:
        """End a watch."""
        if not stream.closed and stream.last is None:
            self._advance(stream, ended=self._out.answer(stream, status))

    def finish_watches(self, status: Status) -> None:
        """End every watch."""
        for stream in list(self.open.values()):
            if stream.replied:
                self.finish(stream, status)

    def reset(self, number: int, fault: StreamFault) -> None:
        """Reset a stream for the peer's fault. Raises ConnectionFault when that happens too often."""
        stream = self.open.get(number)
        if stream is not None:
            self.close(stream)
        self._abandon(number, fault.code)
        self._conduct.error(self.now)

    def close(self, stream: Stream) -> None:
        """Let go of a stream."""
        del self.open[stream.id]
        stream.closed = True
        self._out.forget(stream)
        self._hold(stream, 0)

    def close_all(self) -> None:
        """Let go of every stream."""
        for stream in list(self.open.values()):
            self.close(stream)

    def abandoned(self, number: int) -> bool:
        """Tell whether we ended a stream before the peer did, so that more of it may still come."""
        return number in self._abandoned

    def feed(self) -> None:
        """Send what waits for the connection's window, as long as there is some, in turns."""
        while (stream := self._out.starved()) is not None:
            self._advance(stream, ended=self._out.pump(stream))

    def pump(self, streams: Iterable[Stream]) -> None:
        """Send what waits on streams whose windows were widened."""
        for stream in list(streams):
            if stream.waiting:
                self._advance(stream, ended=self._out.pump(stream))

    def tick(self) -> None:
        """Deny what is out of time, reset what the peer does not take; set the next ``alarm``."""
        self.alarm = inf
        for stream in list(self.open.values()):
            if self.now >= stream.stalled:
                self._breach("stalled")
                self.close(stream)
                self._abandon(stream.id, frames.CANCEL)
            elif self.now < stream.deadline:
                self.alarm = min(self.alarm, stream.deadline, stream.stalled)
            elif stream.replied:  # a watch
                stream.deadline = inf
                self.finish(stream, Status(grpc.DEADLINE_EXCEEDED, "the deadline has passed"))
            else:
                self._late(stream)

    def _late(self, stream: Stream) -> None:
        if self.now < stream.expires - grpc.margin(stream.head.timeout):
            self._breach("slow_request")
        method = stream.head.method
        self.reply(stream, stream.head.status if method is None else method.refuse("deadline"))

    def _answer(self, stream: Stream) -> None:
        """Answer a request of which all that counts is there."""
        head, body = stream.head, stream.body
        method = head.method
        if method is None:
            if head.http_status:
                self._advance(stream, ended=self._out.plain(stream, head.http_status))
            else:
                self.reply(stream, head.status)
            return
        if len(body) < grpc.PREFIX_BYTES or len(body) - grpc.PREFIX_BYTES != int.from_bytes(body[1:5], "big"):
            self.reply(stream, Status(grpc.INTERNAL, "not one whole message"))
            return
        try:
            message = self._unpacked(head, body)
        except zlib.error:
            self.reply(stream, Status(grpc.INTERNAL, "a message that cannot be unpacked"))
            return
        if message is None:
            self._refuse(stream, "message", "body_limit")
            return
        if method.watch is None:
            self.reply(stream, method.call(message, stream.expires, stream.head.trace))
            return
        stream.body = b""
        self._wake(stream, stream.expires)
        status = method.watch(message, Watch(self, stream))
        if status is not None:
            self.reply(stream, status)

    def _unpacked(self, head: Head, body: bytes | bytearray) -> bytes | None:
        """Return a message without its packing, None when it is too large. Raises zlib.error."""
        packed = bytes(body[grpc.PREFIX_BYTES :])
        if not body[0]:
            return packed
        if body[0] != 1 or not head.gzip:
            raise zlib.error("packed in no way that was told")
        return grpc.inflate(packed, self._limits.message_bytes)

    def _refuse(self, stream: Stream, breach: str, code: str) -> None:
        self._breach(breach)
        assert stream.head.method is not None
        self.reply(stream, stream.head.method.refuse(code))

    def _advance(self, stream: Stream, *, ended: bool) -> None:
        """Note that something was sent: the whole answer, or what the windows let pass."""
        if ended:
            self._conduct.answered(1)
            self.close(stream)
            if not stream.ended:
                # The answer is complete, the request is not and no longer matters (RFC 9113 section 8.1).
                self._abandon(stream.id, frames.NO_ERROR)
            return
        stream.stalled = self.now + self._limits.stalled_seconds if stream.waiting else inf
        if stream.last is not None:
            stream.deadline = inf
        self.alarm = min(self.alarm, stream.stalled)
        if not self._hold(stream, stream.waiting):
            self._breach("buffered")
            self.close(stream)
            self._abandon(stream.id, frames.CANCEL)

    def _wake(self, stream: Stream, deadline: float) -> None:
        stream.deadline = deadline
        self.alarm = min(self.alarm, deadline)

    def _abandon(self, number: int, code: int) -> None:
        self._out.write(frames.rst_stream(number, code))
        self._abandoned[number] = None
        if len(self._abandoned) > _MAX_ABANDONED:
            del self._abandoned[next(iter(self._abandoned))]

    def _hold(self, stream: Stream, amount: int) -> bool:
        """Count what a stream keeps; False when it is more than we bear. One alone is always borne."""
        more = amount - stream.held
        stream.held = amount
        self._held += more
        self._pool.buffered += more
        limits = self._limits
        return (
            more <= 0
            or self._pool.buffered == amount
            or (self._held <= limits.buffered_bytes and self._pool.buffered <= limits.process_buffered_bytes)
        )


class Watch:
    """A stream of messages to the peer, in the hands of the method that was asked for it."""

    def __init__(self, streams: Streams, stream: Stream) -> None:
        self._streams = streams
        self._stream = stream

    @property
    def closed(self) -> bool:
        """Whether it has ended, by us or by the peer."""
        return self._stream.closed

    def send(self, message: bytes) -> bool:
        """Send a message; False when the stream is closed or the one before still waits for the peer."""
        return self._streams.send(self._stream, message)

    def finish(self, status: Status) -> None:
        """End the stream."""
        self._streams.finish(self._stream, status)
