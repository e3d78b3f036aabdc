"""A decision core, doors in front of it, and clients for the tests of the gRPC door, native unless another engine is named."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator

import hpack
from grpc import aio

from authorizer.doors import native
from authorizer.doors.native import NativeDoor
from authorizer.doors.wire.ext_authz_pb2 import CheckRequest, CheckResponse
from authorizer.http2.frames import PREFACE
from authorizer.model import Decision
from authorizer.reasons import ALLOWED, REASONS

CHECK = "/envoy.service.auth.v3.Authorization/Check"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"


class Core:
    """Allows ``/open``, raises for ``/raise``, gives ``/long`` a denial of 3 MB, and denies the rest."""

    def __init__(self, *, ready: bool = True) -> None:
        self.ready = ready
        self.seen = 0

    def refuse(self, code, request):
        return Decision(reason=REASONS[code], id="d-3")

    def check(self, request):
        self.seen += 1
        if request.target == "/raise":
            raise RuntimeError
        if request.target == "/open":
            return Decision(reason=ALLOWED, allowed=True, id="d-1")
        if request.target == "/long":
            return Decision(reason=REASONS["no_route"], id="d-4", detail="x" * 10, challenge="y" * 3_000_000)
        return Decision(reason=REASONS["no_route"], id="d-2")


def question(path: str, body: bytes = b"") -> bytes:
    message = CheckRequest()
    message.attributes.request.http.path = path
    message.attributes.request.http.raw_body = body
    return message.SerializeToString()


@contextlib.asynccontextmanager
async def serving(core: Core, address: str = "127.0.0.1:0", *, engine=native, **options) -> AsyncIterator[NativeDoor]:
    door = await engine.start(core, address, **options)
    try:
        yield door
    finally:
        await door.close(0)


@contextlib.asynccontextmanager
async def calling(core: Core, address: str = "127.0.0.1:0", **options) -> AsyncIterator[tuple[NativeDoor, aio.Channel]]:
    async with (
        serving(core, address, **options) as door,
        aio.insecure_channel(target(door.address), options=UNLIMITED) as channel,
    ):
        yield door, channel


UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def target(address: str) -> str:
    return f"unix-abstract:{address[6:]}" if address.startswith("unix:@") else address


async def ask(channel: aio.Channel, message: bytes) -> CheckResponse:
    return CheckResponse.FromString(await channel.unary_unary(CHECK)(message, timeout=10))


def reason(answer: CheckResponse) -> str:
    return answer.dynamic_metadata["reason"]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


class Raw:
    """A client that sends the frames it is told to and reads frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.encoder = hpack.Encoder()

    def call(self, stream: int, message: bytes, extra: dict[str, str] | None = None, path: str = CHECK) -> bytes:
        return self.headers(stream, extra, path) + self.data(stream, message)

    def headers(self, stream: int, extra: dict[str, str] | None = None, path: str = CHECK) -> bytes:
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            "te": "trailers",
            "content-type": "application/grpc",
        }
        return frame(1, 4, stream, self.encoder.encode(list((fields | (extra or {})).items())))

    def data(self, stream: int, message: bytes) -> bytes:
        return frame(0, 1, stream, b"\0" + struct.pack(">I", len(message)) + message)

    async def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))
        await self.writer.drain()

    async def frame(self) -> tuple[int, int, int, bytes]:
        head = await self.reader.readexactly(9)
        return (
            head[3],
            head[4],
            int.from_bytes(head[5:], "big"),
            await self.reader.readexactly(int.from_bytes(head[:3], "big")),
        )

    async def until(self, kind: int, stream: int | None = None) -> bytes:
        """Read on to the next frame of a kind; return its payload."""
        async with asyncio.timeout(30):
            while True:
                found, _, number, payload = await self.frame()
                if found == kind and stream in {None, number}:
                    return payload

    async def answer(self, stream: int) -> bytes:
        """Read the message that comes on a stream."""
        content = b""
        while len(content) < 5 or len(content) < 5 + int.from_bytes(content[1:5], "big"):
            content += await self.until(0, stream)
        return content[5:]

    async def ended(self) -> bool:
        """Tell whether the connection is closed, after whatever still comes."""
        try:
            async with asyncio.timeout(30):
                while await self.reader.read(65_536):
                    pass
        except ConnectionError:
            pass
        return True


@contextlib.asynccontextmanager
async def raw(address: str, settings: bytes = b"", **options) -> AsyncIterator[Raw]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), **options)
    client = Raw(reader, writer)
    try:
        await client.send(PREFACE, frame(4, 0, 0, settings), frame(4, 1, 0))
        yield client
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
