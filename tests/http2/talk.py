"""A peer for tests: it says frames to a connection and reads back what the connection says."""

import struct
from collections.abc import Iterable

import hpack
from msgspec import Struct

from authorizer.http2 import frames
from authorizer.http2.connection import Connection
from authorizer.http2.grpc import Method, Status
from authorizer.http2.limits import DEFAULTS, Limits, Pool

PATH = b"/test.Echo/Say"
REQUEST = (
    (":method", "POST"), (":scheme", "http"), (":path", PATH.decode()), (":authority", "test"),
    ("te", "trailers"), ("content-type", "application/grpc"),
)  # fmt: skip
KINDS = [
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
]


class Frame(Struct, frozen=True):
    kind: str
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        return struct.unpack(">I", self.payload[4:8] if self.kind == "GOAWAY" else self.payload[:4])[0]


def parse(data: bytes) -> list[Frame]:
    found = []
    while data:
        length = int.from_bytes(data[:3], "big")
        payload = data[9 : 9 + length]
        assert len(payload) == length
        found.append(Frame(KINDS[data[3]], data[4], int.from_bytes(data[5:9], "big"), payload))
        data = data[9 + length :]
    return found


def message(content: bytes, packed: int = 0) -> bytes:
    return bytes((packed,)) + struct.pack(">I", len(content)) + content


def raw(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def uint(number: int) -> bytes:
    return struct.pack(">I", number)


class Service:
    """Says back what it hears; ``refused`` are the reasons for which it was not asked."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, float]] = []
        self.traces: list[str] = []
        self.refused: list[str] = []
        self.watches = []
        self.answer = lambda content: content

    def call(self, content: bytes, expires: float, trace: str):
        self.heard.append((content, expires))
        self.traces.append(trace)
        return self.answer(content)

    def refuse(self, code: str) -> bytes:
        self.refused.append(code)
        return b"refused: " + code.encode()

    def watch(self, content: bytes, watch) -> Status | None:
        self.watches.append(watch)
        return Status(3, "not that") if content == b"bad" else None

    def methods(self):
        return {PATH: Method(self.call, self.refuse), b"/test.Echo/Watch": Method(self.call, self.refuse, self.watch)}


class Reply(Struct):
    headers: dict[str, str]
    trailers: dict[str, str]
    messages: list[bytes]
    ended: bool
    reset: int | None = None


class Peer:
    def __init__(self, limits: Limits = DEFAULTS, *, settings: bytes = b"", greet: bool = True) -> None:
        self.service = Service()
        self.pool = Pool()
        self.breaches: list[str] = []
        self.now = 100.0
        self.connection = Connection(self.service.methods(), limits, self.pool, self.now, self.breaches.append)
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        self.said: list[Frame] = []
        if greet:
            self.say(frames.PREFACE + raw(4, 0, 0, settings) + raw(4, 1, 0))

    def say(self, *parts: bytes) -> list[Frame]:
        """Send bytes; return the frames that came back."""
        self.connection.receive(b"".join(parts), self.now)
        came = self.hear()
        while self.connection.blocked:
            self.connection.receive(b"", self.now)
            came += self.hear()
        return came

    def wait(self, seconds: float) -> list[Frame]:
        """Let time pass, as a door would: a tick at each alarm."""
        until = self.now + seconds
        for _ in range(100):
            if self.connection.alarm > until:
                break
            self.now = max(self.now, self.connection.alarm)
            self.connection.tick(self.now)
        else:
            raise AssertionError("alarms without end")
        self.now = until
        return self.hear()

    def hear(self) -> list[Frame]:
        came = parse(self.connection.take())
        self.said += came
        return came

    def headers(self, stream: int, extra: Iterable[tuple[str, str]] = (), flags: int = 4, *, base=REQUEST) -> bytes:
        fields = dict(base)
        fields.update(extra)
        return raw(1, flags, stream, self.encoder.encode(list(fields.items())))

    def call(self, stream: int, content: bytes = b"hello", extra: Iterable[tuple[str, str]] = ()) -> bytes:
        """Return the frames of a usual call."""
        return self.headers(stream, extra) + raw(0, 1, stream, message(content))

    def replies(self, came: Iterable[Frame]) -> dict[int, Reply]:
        """Put the answers together, by stream."""
        found: dict[int, Reply] = {}
        data: dict[int, bytes] = {}
        for frame in came:
            if frame.stream == 0:
                continue
            reply = found.setdefault(frame.stream, Reply({}, {}, [], ended=False))
            if frame.kind == "RST_STREAM":
                reply.reset = frame.code
            if frame.kind == "HEADERS":
                fields = dict(self.decoder.decode(frame.payload))
                (reply.trailers if reply.headers else reply.headers).update(fields)
            if frame.kind == "DATA":
                data[frame.stream] = data.get(frame.stream, b"") + frame.payload
            reply.ended |= frame.kind in {"HEADERS", "DATA"} and bool(frame.flags & 1)
        for stream, content in data.items():
            at = 0
            while len(content) >= at + 5 and content[at] == 0:
                length = int.from_bytes(content[at + 1 : at + 5], "big")
                found[stream].messages.append(content[at + 5 : at + 5 + length])
                at += 5 + length
        return found

    def goaway(self) -> tuple[int, int] | None:
        """Return last stream and code of the last GOAWAY."""
        last = [frame for frame in self.said if frame.kind == "GOAWAY"]
        return (int.from_bytes(last[-1].payload[:4], "big"), last[-1].code) if last else None
