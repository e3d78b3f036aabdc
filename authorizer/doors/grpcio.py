"""The gRPC door on ``grpc.aio``: ext_authz checks and health, by generic handlers from bytes to bytes."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Final, cast

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from authorizer.doors import ext_authz, health, listen
from authorizer.errors import ListenError
from authorizer.http2.grpc import margin
from authorizer.service import Authorizer

WATCH_SECONDS: Final = 0.2
"""How often a health watch looks whether the answer has changed."""

MAX_WATCHES: Final = 64
MAX_MESSAGE_BYTES: Final = 4 << 20

# A message over the receive limit ends in a gRPC error, which a gateway that fails open takes for a pass. So the server
# takes this much more than the limit of a check, and what is between the two is denied by an answer.
_HEADROOM_BYTES = 64 << 20

# The same for call metadata: a gateway that traces copies the client's `tracestate` into it, and may let a client send
# 60 KiB of headers or more, while gRPC fails calls above 8 KiB.
_METADATA_BYTES = 1 << 20

_Call = aio.ServicerContext[Any, Any]


class GrpcDoor:
    """A gRPC server in front of ``check`` (CheckRequest bytes to CheckResponse bytes).

    ``refuse`` makes the CheckResponse of a reason code; ``ready`` tells whether checks can be decided;
    ``max_message_bytes`` is the largest check that is decided, a larger one is denied.
    """

    def __init__(
        self,
        check: ext_authz.Handler,
        refuse: Callable[[str], bytes],
        ready: Callable[[], bool],
        *,
        max_message_bytes: int,
    ) -> None:
        self._check = check
        self._refuse = refuse
        self._ready = ready
        self._limit = max_message_bytes
        self._draining = False
        self._stopping = asyncio.Event()
        self._watches = 0
        self._server: aio.Server | None = None
        self.address = ""

    async def open(self, address: str) -> None:
        """Listen on ``HOST:PORT`` or ``unix:/PATH``; ``address`` then tells where, with the port that the system chose.

        Raises ListenError: AZ701 for what is no address, AZ702 when it cannot be bound, AZ703 when the path is taken.
        """
        parsed = listen.parse(address)
        server = aio.server(
            options=(
                # Two processes on one port would share its connections unevenly and unnoticed.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", self._limit + _HEADROOM_BYTES),
                ("grpc.max_metadata_size", _METADATA_BYTES),
                ("grpc.absolute_max_metadata_size", _METADATA_BYTES),
            )
        )
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    ext_authz.SERVICE, {ext_authz.METHOD: grpc.unary_unary_rpc_method_handler(self._on_check)}
                ),
                grpc.method_handlers_generic_handler(
                    health.SERVICE,
                    {
                        "Check": grpc.unary_unary_rpc_method_handler(self._on_health_check),
                        "Watch": grpc.unary_stream_rpc_method_handler(self._on_health_watch),
                    },
                ),
            )
        )
        self.address = _bind(server, parsed)
        await server.start()
        self._server = server

    def drain(self) -> None:
        """Report NOT_SERVING from now on and keep answering, so that gateways go elsewhere before ``close``."""
        self._draining = True

    async def close(self, grace: float) -> None:
        """Take no new calls, let those under way end for up to ``grace`` seconds, and free the address."""
        self.drain()
        self._stopping.set()
        if self._server is not None:
            await self._server.stop(grace)
            self._server = None

    async def _on_check(self, message: bytes, call: _Call) -> bytes:
        if call.time_remaining() == 0:  # never below; None without a deadline
            return self._refuse("deadline")
        if len(message) > self._limit:
            return self._refuse("body_limit")
        answer = self._check(message, _trace(call))
        return answer if isinstance(answer, bytes) else await self._in_time(answer, call)

    async def _in_time(self, answer: Awaitable[bytes], call: _Call) -> bytes:
        """Wait for an answer until shortly before the caller's deadline."""
        remaining = cast("float | None", call.time_remaining())
        try:
            async with asyncio.timeout(None if remaining is None else remaining - margin(remaining)):
                return await answer
        except TimeoutError:
            return self._refuse("deadline")

    async def _on_health_check(self, message: bytes, call: _Call) -> bytes:
        status = health.status(await _asked(message, call), ready=self._serving())
        if status == health.UNKNOWN:
            await call.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return status

    async def _on_health_watch(self, message: bytes, call: _Call) -> AsyncIterator[bytes]:
        name = await _asked(message, call)
        if self._watches >= MAX_WATCHES:
            await call.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watches")
        self._watches += 1
        try:
            last = b""
            while True:
                stopping = self._stopping.is_set()
                status = health.status(name, ready=self._serving())
                if status != last:
                    yield status
                    last = status
                if stopping:
                    return
                await self._pause()
        finally:
            self._watches -= 1

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(WATCH_SECONDS):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _serving(self) -> bool:
        return not self._draining and self._ready()


async def start(authorizer: Authorizer, address: str, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> GrpcDoor:
    """Open the door in front of ``authorizer``. Raises ListenError as ``GrpcDoor.open`` does."""
    door = GrpcDoor(
        ext_authz.handler(authorizer),
        partial(ext_authz.refusal, authorizer),
        lambda: authorizer.ready,
        max_message_bytes=max_message_bytes,
    )
    await door.open(address)
    return door


def _trace(call: _Call) -> str:
    """Return the ``traceparent`` of a call, "" for none or several."""
    found = [value for name, value in call.invocation_metadata() or () if name == "traceparent"]
    return found[0] if len(found) == 1 and isinstance(found[0], str) else ""


async def _asked(message: bytes, call: _Call) -> str:
    try:
        return health.service(message)
    except DecodeError:
        await call.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a HealthCheckRequest")


def _bind(server: aio.Server, address: listen.TcpAddress | listen.UnixAddress | listen.AbstractAddress) -> str:
    try:
        if isinstance(address, listen.TcpAddress):
            host = f"[{address.host}]" if ":" in address.host else address.host
            return f"{host}:{server.add_insecure_port(f'{host}:{address.port}')}"
        if isinstance(address, listen.AbstractAddress):
            server.add_insecure_port(f"unix-abstract:{address.name}")
            return f"unix:@{address.name}"
        name = f"unix:{address.path}"
        listen.vacate(address.path)
        # The mask, not a later chmod: there is no moment at which others could connect.
        mask = os.umask(0o777 & ~listen.SOCKET_MODE)
        try:
            server.add_insecure_port(name)
        finally:
            os.umask(mask)
    except RuntimeError as error:
        raise ListenError("AZ702", f"cannot listen on {address}", hint="see the line of gRPC above") from error
    return name
