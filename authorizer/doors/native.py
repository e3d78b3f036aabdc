"""The gRPC door on our own HTTP/2 engine: ext_authz checks and health, without a task or a queue between.

Same shape and same answers as ``grpcio``, which stays as the reference and the fallback.
"""

import asyncio
import contextlib
import errno
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from time import monotonic
from typing import Final

from google.protobuf.message import DecodeError
from msgspec import structs

from authorizer.doors import ext_authz, faults, health, listen, native_tls
from authorizer.doors.native_peer import Common, Peer
from authorizer.doors.native_tls import Tls
from authorizer.errors import ListenError
from authorizer.http2 import grpc
from authorizer.http2.grpc import Answer, Later, Method, Status
from authorizer.http2.limits import DEFAULTS, Limits, Pool
from authorizer.http2.streams import Watch
from authorizer.service import Authorizer

WATCH_SECONDS: Final = 0.2
"""How often health watches are told what has changed."""

MAX_WATCHES: Final = 64
TLS_SECONDS: Final = 5.0
"""How often the files of TLS are looked at."""

HANDSHAKE_SECONDS: Final = 10.0
_ACCEPT_PAUSE = 0.1
_ACCEPT_MOST = 100
_CONNECT_SECONDS = 0.5
# accept(2): the connection was gone before we took it.
_GONE = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EINTR, errno.EPERM, errno.ENETDOWN, errno.EHOSTUNREACH})


class NativeDoor:
    """An HTTP/2 server in front of ``check`` (CheckRequest bytes to CheckResponse bytes).

    ``refuse`` makes the CheckResponse of a reason code; ``ready`` tells whether checks can be decided; ``breach`` is
    told the name of each limit that a peer breaks. A connection older than ``max_connection_age`` seconds (0: any age),
    give or take a tenth, is asked to go, so that gateways spread anew over the authorizers there are. ``certified`` is
    told when (POSIX seconds) our certificate expires, each time that it is read.
    """

    def __init__(
        self,
        check: ext_authz.Handler,
        refuse: Callable[[str], bytes],
        ready: Callable[[], bool],
        *,
        limits: Limits,
        tls: Tls | None = None,
        max_connection_age: float = 0.0,
        breach: Callable[[str], None],
        certified: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._ready = ready
        self._tls = tls
        self._max_age = max_connection_age
        self._certified = certified
        self._draining = False
        self._watches: list[tuple[Watch, str, bytes]] = []
        self._loops: set[asyncio.Task[None]] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._awaited: set[asyncio.Task[None]] = set()
        self._arriving: set[Peer] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._listener: socket.socket | None = None
        self._file: listen.SocketFile | None = None
        self._context: ssl.SSLContext | None = None
        self._stamp: native_tls.Stamp = ()
        self._common = Common(_methods(self, check, refuse), limits, Pool(), breach)
        self.address = ""

    async def open(self, address: str) -> None:
        """Listen on an address of ``listen``; ``address`` then tells where, with the port that the system chose.

        Raises ListenError: AZ701 to AZ703 for the address, AZ707 for the files of TLS.
        """
        if self._tls is not None:
            self._read_tls(self._tls)
        self._listener = listen.bind(address)
        self._file = listen.socket_file(self._listener)
        self.address = listen.name(self._listener)
        self._listen(self._listener)
        self._start(self._tell_forever(), self._loops)
        if self._tls is not None:
            self._start(self._reload_forever(self._tls), self._loops)

    def drain(self) -> None:
        """Report NOT_SERVING from now on and keep answering, so that gateways go elsewhere before ``close``."""
        self._draining = True

    async def close(self, grace: float) -> None:
        """Take no new connections, let calls under way end for up to ``grace`` seconds, and free the address."""
        self.drain()
        listener, self._listener = self._listener, None
        if listener is None:
            return
        await _end(self._loops)
        self._accept(listener)  # whoever the system has already let in gets an answer too
        if self._pause is not None:
            self._pause.cancel()
        asyncio.get_running_loop().remove_reader(listener)
        listener.close()
        self._common.closing = True
        if self._file is not None:
            self._file.remove()
        self.tell()
        for watch, _, _ in self._watches:
            watch.finish(Status(0))
        for peer in list(self._common.peers):
            peer.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                if self._connecting:
                    await asyncio.wait(self._connecting, timeout=_CONNECT_SECONDS)
                await self._common.empty.wait()
        await _end(self._connecting)
        await _end(self._awaited)
        for peer in list(self._common.peers):
            peer.abort()
        await self._common.empty.wait()

    def tell(self) -> None:
        """Tell health watches what has changed."""
        self._watches = [(w, name, self._told(w, name, last)) for w, name, last in self._watches if not w.closed]
        for peer in list(self._common.peers):
            peer.flush()

    def reload(self, tls: Tls) -> None:
        """Read the files of TLS again if they have changed. Files that cannot be used change nothing."""
        try:
            if native_tls.stamp(tls) != self._stamp:
                self._read_tls(tls)
        except ListenError as error:
            faults.report(error)

    def serving(self) -> bool:
        """Tell whether checks can be decided here and will be for a while."""
        return not self._draining and self._ready()

    def watch(self, message: bytes, watch: Watch) -> Status | None:
        """Answer Health/Watch: what is, and from then on what has changed."""
        try:
            name = health.service(message)
        except DecodeError:
            return Status(grpc.INVALID_ARGUMENT, "not a HealthCheckRequest")
        self._watches = [entry for entry in self._watches if not entry[0].closed]
        if len(self._watches) >= MAX_WATCHES:
            return Status(grpc.RESOURCE_EXHAUSTED, "too many watches")
        self._watches.append((watch, name, self._told(watch, name, b"")))
        return None

    def follow(self, answer: Awaitable[bytes], give: Callable[[bytes], None]) -> None:
        """Wait for an answer and hand it over."""
        self._start(self._hand_over(answer, give), self._awaited)

    async def _hand_over(self, answer: Awaitable[bytes], give: Callable[[bytes], None]) -> None:
        give(await answer)
        for peer in list(self._common.peers):
            peer.flush()

    def _told(self, watch: Watch, name: str, last: bytes) -> bytes:
        status = health.status(name, ready=self.serving())
        # While the last message still waits, the next one is put off: a watcher that does not read costs one message.
        return status if status != last and watch.send(status) else last

    def _read_tls(self, tls: Tls) -> None:
        stamp = native_tls.stamp(tls)
        self._context, self._stamp = native_tls.context(tls), stamp
        self._certified(native_tls.expires(tls))

    def _start(self, work: Coroutine[None, None, None], tasks: set[asyncio.Task[None]]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _tell_forever(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self._watches:
                self.tell()

    async def _reload_forever(self, tls: Tls) -> None:
        while True:
            await asyncio.sleep(TLS_SECONDS)
            self.reload(tls)

    def _listen(self, listener: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        """Take the connections that wait. A callback, since a task that is cancelled would lose one it has accepted."""
        try:
            for _ in range(_ACCEPT_MOST):
                self._admit(listener.accept()[0])
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in _GONE:  # out of file descriptors or memory
                self._common.breach("accept")
                loop = asyncio.get_running_loop()
                loop.remove_reader(listener)
                self._pause = loop.call_later(_ACCEPT_PAUSE, self._listen, listener)

    def _admit(self, client: socket.socket) -> None:
        if len(self._common.peers | self._arriving) >= self._common.limits.connections:
            self._common.breach("connections")
            client.close()
            return
        # Jitter that keeps gateways from coming back all at once; nothing depends on its being hard to guess.
        age = self._max_age * random.uniform(0.9, 1.1)  # noqa: S311
        peer = Peer(self._common, age, self._greet)
        self._arriving.add(peer)
        self._start(self._connect(client, peer), self._connecting)

    async def _connect(self, client: socket.socket, peer: Peer) -> None:
        """Make a connection of a socket, with its TLS handshake if there is one."""
        handshake = None if self._context is None else HANDSHAKE_SECONDS
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: peer,
                client,
                ssl=self._context,
                ssl_handshake_timeout=handshake,
            )
        except OSError:  # the client gave up, or its handshake failed: ssl.SSLError and TimeoutError are of this kind
            self._common.breach("tls_handshake")
            client.close()
        finally:
            self._arriving.discard(peer)

    def _greet(self, transport: asyncio.Transport) -> str:
        session = transport.get_extra_info("ssl_object")
        return "" if self._tls is None else native_tls.refused(self._tls, session)


async def start(
    authorizer: Authorizer,
    address: str,
    *,
    max_message_bytes: int = DEFAULTS.message_bytes,
    tls: Tls | None = None,
    limits: Limits = DEFAULTS,
    max_connection_age: float = 0.0,
    breach: Callable[[str], None] = lambda _: None,
    certified: Callable[[float], None] = lambda _: None,
) -> NativeDoor:
    """Open the door in front of ``authorizer``. Raises ListenError as ``NativeDoor.open`` does."""
    door = NativeDoor(
        ext_authz.handler(authorizer),
        partial(ext_authz.refusal, authorizer),
        lambda: authorizer.ready,
        limits=structs.replace(limits, message_bytes=max_message_bytes),
        tls=tls,
        max_connection_age=max_connection_age,
        breach=breach,
        certified=certified,
    )
    await door.open(address)
    return door


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _methods(door: NativeDoor, check: ext_authz.Handler, refuse: Callable[[str], bytes]) -> Mapping[bytes, Method]:
    def on_check(message: bytes, expires: float, trace: str) -> Answer | Later:
        if monotonic() >= expires:
            return refuse("deadline")
        answer = check(message, trace)
        return answer if isinstance(answer, bytes) else Later(partial(door.follow, answer))

    def on_health_check(message: bytes, expires: float, _trace: str) -> Answer:
        try:
            status = health.status(health.service(message), ready=door.serving())
        except DecodeError:
            return Status(grpc.INVALID_ARGUMENT, "not a HealthCheckRequest")
        if monotonic() >= expires:
            return _REFUSED["deadline"]
        return Status(grpc.NOT_FOUND, "unknown service") if status == health.UNKNOWN else status

    return {
        f"/{ext_authz.SERVICE}/{ext_authz.METHOD}".encode(): Method(on_check, refuse),
        f"/{health.SERVICE}/Check".encode(): Method(on_health_check, _REFUSED.__getitem__),
        f"/{health.SERVICE}/Watch".encode(): Method(on_health_check, _REFUSED.__getitem__, door.watch),
    }


_REFUSED = {
    "body_limit": Status(grpc.RESOURCE_EXHAUSTED, "the message is too large"),
    "deadline": Status(grpc.DEADLINE_EXCEEDED, "the deadline has passed"),
    "header_limit": Status(grpc.RESOURCE_EXHAUSTED, "the headers are too large"),
    "overload": Status(grpc.RESOURCE_EXHAUSTED, "too much is under way"),
}
