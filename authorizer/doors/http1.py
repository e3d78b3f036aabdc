"""HTTP/1.1 underneath the forward-auth and admin doors: aiohttp's parser, and answers of which every byte is ours.

The parser's own error pages would quote the request and name the server, and its log would quote credentials; both are
replaced. Answers carry no header that was not asked for: some gateways copy all of them to the API.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy

from authorizer.doors import faults, listen
from authorizer.errors import ListenError

MAX_LINE = 131_072
"""Longest request line and longest header line, in bytes: more than gateways let pass (60 KiB), so that what is too
large is denied with its own reason instead of the parser's."""

MAX_HEADERS = 256
MAX_CONNECTIONS = 1024
"""Open at a time. A gateway has a few; more are closed at once."""

HEADER_SECONDS = 10.0
"""How long the head of a request may take to come, the first from the start of its connection."""

_LINGER_SECONDS = 2.0
_PHRASES = {status.value: status.phrase for status in HTTPStatus}

# What aiohttp logs quotes the request. Faults are reported by ``faults`` instead.
_silent = logging.getLogger("authorizer.doors.http1")
_silent.disabled = True


class Answer(web.StreamResponse):
    """A whole response: exactly these headers, ``content-length``, and ``connection`` where the protocol needs it.

    Names and values must be sendable already. ``close`` ends the connection after the answer.
    """

    def __init__(
        self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"", *, close: bool = False
    ) -> None:
        super().__init__(status=status)
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self._content = body
        self._keep = not close

    @property
    def keep_alive(self) -> bool:
        """Tell whether the connection stays open after this answer."""
        return self._keep

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write the whole answer at once."""
        # INVARIANT: a body in chunks may have trailers, and aiohttp's parser hands the last of them to the next request
        # on the connection: nobody may give somebody else a header, so there is no next request.
        self._keep = self._keep and request.keep_alive and hdrs.TRANSFER_ENCODING not in request.headers
        transport = request.transport
        if transport is None:
            return None
        connection = "" if self._keep else "connection: close\r\n"
        if self._keep and request.version < (1, 1):
            connection = "connection: keep-alive\r\n"
        head = (
            f"HTTP/1.1 {self.status} {_PHRASES.get(self.status, '')}\r\n"
            f"content-length: {len(self._content)}\r\n{connection}{self._lines}\r\n"
        )
        transport.write(head.encode() + (b"" if request.method == "HEAD" else self._content))
        await request.writer.drain()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: ``prepare`` wrote everything."""


Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _Connection(web.RequestHandler):
    """aiohttp's connection, with our answer to what it cannot parse or what goes wrong."""

    __slots__ = ("_late", "_malformed")

    def __init__(self, server: web.Server, malformed: Callable[[int], Answer]) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            logger=_silent,
            access_log=_silent,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=MAX_HEADERS,
            lingering_time=_LINGER_SECONDS,
            auto_decompress=False,
        )
        self._malformed = malformed
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request, or close when there are too many connections."""
        super().connection_made(transport)
        if self._manager is not None and len(self._manager.connections) > MAX_CONNECTIONS:
            self.force_close()
        else:
            self._late = self._loop.call_later(HEADER_SECONDS, self._expire)

    def data_received(self, data: bytes) -> None:
        """Read on. A part of a head sets the time for its end; between requests there is no hurry."""
        super().data_received(data)
        if not self._waits():
            self._forget()
        elif self._late is None:
            self._late = self._loop.call_later(HEADER_SECONDS, self._expire)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let go of everything."""
        self._forget()
        super().connection_lost(exc)

    def _waits(self) -> bool:
        """Tell whether no request is whole yet, and none is being answered."""
        return self._waiter is not None and not self._waiter.done()

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _expire(self) -> None:
        self._late = None
        if self._waits():
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - the signature is aiohttp's
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the request
    ) -> web.StreamResponse:
        """Answer what could not be parsed, or a handler that raised."""
        if status >= 500 and isinstance(exc, Exception):
            faults.report(exc)
        return self._malformed(status)


class HttpDoor:
    """An open door. ``address`` is where it listens."""

    def __init__(self, server: asyncio.Server, connections: web.Server, bound: socket.socket) -> None:
        self._server = server
        self._connections = connections
        self._file = listen.socket_file(bound)
        self.address = listen.name(bound)

    async def close(self, grace: float) -> None:
        """Stop listening, let running requests end for at most ``grace`` seconds, and close every connection."""
        self._server.close()
        await self._connections.shutdown(max(grace, 0.05))  # to aiohttp, no time at all means no limit
        if self._file is not None:
            self._file.remove()


async def open_http(
    address: str, handler: Handler, malformed: Callable[[int], Answer], *, shared: bool = False
) -> HttpDoor:
    """Serve ``handler`` on ``address``. ``malformed`` answers what is not HTTP, given the status that fits.

    ``shared``: other processes serve the same port.

    Raises ListenError: AZ701 to AZ703 for the address, AZ706 without aiohttp's compiled parser. The one in Python reads
    ``get`` as ``GET`` and lets bytes outside of ASCII into a target: what it repairs, the API behind would not.
    """
    if not _compiled():
        raise ListenError("AZ706", "aiohttp runs without its compiled HTTP parser", hint="unset AIOHTTP_NO_EXTENSIONS")
    bound = listen.bind(address, shared=shared)
    connections = web.Server(handler)
    loop = asyncio.get_running_loop()

    def connect() -> asyncio.Protocol:
        return _Connection(connections, malformed)

    options: dict[str, Any] = {"sock": bound}
    if bound.family == socket.AF_UNIX:
        server = await loop.create_unix_server(connect, **options)
    else:
        server = await loop.create_server(connect, **options)
    return HttpDoor(server, connections, bound)


def _compiled() -> bool:
    return HttpRequestParser is not HttpRequestParserPy
