"""What a supervisor and its workers say to each other: MessagePack over a socket pair, each message with its length.

Both ends run the same program for the same user, yet each message is bounded and its form checked: a worker that went
wrong may end, but must not take the supervisor along.
"""

import asyncio
import contextlib
import socket
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from authorizer.model import Kind
from authorizer.settings import Settings
from authorizer.telemetry.numbers import Numbers

MAX_MESSAGE = 8 << 20
"""Bytes of one message: the numbers of 200 APIs with every reason take less than one MiB."""

MAX_UNSENT = 2 * MAX_MESSAGE
"""Bytes that wait for a peer that does not read; beyond them it counts as gone."""

_HEAD = 4


class Start(Struct, frozen=True, kw_only=True, tag="start"):
    """To a worker, first: who it is, and the settings of the supervisor, with the addresses that are its own.

    ``version`` is the supervisor's; ``lock`` is the file descriptor whose lock orders writers of standard output.
    """

    worker: int
    version: str
    settings: Settings
    lock: int


class News(Struct, frozen=True, tag="news"):
    """To a worker: the bundle of ``serial`` is kept, and was confirmed to be current at that time (POSIX seconds)."""

    kind: Kind
    serial: int
    confirmed: float


class Ask(Struct, frozen=True, tag="ask"):
    """To a worker: send a Report."""


class Stop(Struct, frozen=True, tag="stop"):
    """To a worker: turn gateways away for ``drain`` seconds, then end. A second one ends it at once."""

    drain: float


class Opened(Struct, frozen=True, tag="opened"):
    """From a worker, once: its doors are open; door -> address."""

    addresses: dict[str, str]


class Report(Struct, frozen=True, kw_only=True, tag="report"):
    """From a worker: whether it can decide, and what it has counted since it began."""

    ready: bool
    numbers: Numbers


ToWorker = Start | News | Ask | Stop
FromWorker = Opened | Report

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class ChannelError(Exception):
    """The peer sent what is no message, or does not read: there is no talking with it any more."""


class Channel(Generic[_In, _Out]):
    """One end. ``receive`` is for one task; ``send`` never waits."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, decoder: "msgspec.msgpack.Decoder[_In]"
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = decoder
        self._encoder = msgspec.msgpack.Encoder()

    async def receive(self) -> _In | None:
        """Return the next message, or None when the peer has closed or died. Raises ChannelError."""
        try:
            size = int.from_bytes(await self._reader.readexactly(_HEAD), "big")
            if size > MAX_MESSAGE:
                raise ChannelError(f"a message of {size} bytes is announced")
            return self._decoder.decode(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ChannelError(f"a message cannot be read: {type(error).__name__}") from None

    def send(self, message: _Out) -> None:
        """Queue a message; to a peer that has gone it is lost. Raises ChannelError when the peer does not read."""
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT:
            raise ChannelError("the peer does not read")
        data = self._encoder.encode(message)
        if len(data) > MAX_MESSAGE:
            raise ChannelError(f"a message of {len(data)} bytes is too large")
        if not self._writer.is_closing():
            self._writer.write(len(data).to_bytes(_HEAD, "big") + data)

    async def flush(self, seconds: float) -> None:
        """Wait until what was sent has left, for at most that long."""
        try:
            async with asyncio.timeout(seconds):
                await self._writer.drain()
        except (TimeoutError, ConnectionError):
            return

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    async def closed(self) -> None:
        """Wait until nothing is left of the connection."""
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


async def of_supervisor(end: socket.socket) -> Channel[FromWorker, ToWorker]:
    """Return the supervisor's end."""
    return Channel(*await asyncio.open_unix_connection(sock=end), msgspec.msgpack.Decoder(FromWorker))


async def of_worker(end: socket.socket) -> Channel[ToWorker, FromWorker]:
    """Return the worker's end."""
    return Channel(*await asyncio.open_unix_connection(sock=end), msgspec.msgpack.Decoder(ToWorker))
