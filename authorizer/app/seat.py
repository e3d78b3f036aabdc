"""One worker's place under a supervisor: its process of the moment, the talk with it, and how it does."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from authorizer import __version__
from authorizer.app.channel import Ask, Channel, ChannelError, FromWorker, News, Opened, Report, Start, Stop, ToWorker
from authorizer.app.channel import of_supervisor as channel_of
from authorizer.errors import ListenError
from authorizer.settings import Settings
from authorizer.telemetry.numbers import Ledger

log = logging.getLogger("authorizer.app")

SILENT_SECONDS = 30.0
"""A worker that has not answered for so long hangs, and is killed."""

HANG_UP_SECONDS = 3.0
"""After it has hung up, a worker that has not ended by then is killed."""


class Seat:
    """``first`` is done when the first process has opened its doors, or failed to. ``restarts`` counts later ones."""

    def __init__(self, number: int, settings: Settings, command: Sequence[str], lock: int) -> None:
        self.number = number
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.addresses: dict[str, str] = {}
        self.restarts = 0
        self.is_open = False
        self._ready = False
        self._settings = settings
        self._command = command
        self._lock = lock
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel[FromWorker, ToWorker] | None = None
        self._answer: asyncio.Future[None] | None = None
        self._heard = 0.0
        self._stop: Stop | None = None

    async def live(self, greet: Callable[["Seat"], None], ledger: Ledger) -> int:
        """Run one process from its start to its end; return its exit status, below 0 for a signal.

        ``greet`` is called when its doors are open; what it counts goes to ``ledger``.
        """
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            # A session of its own: signals of the terminal reach the supervisor alone, which passes on what fits.
            self._process = process = await asyncio.create_subprocess_exec(
                *self._command,
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), self._lock),
                start_new_session=True,
            )
            undo.pop_all()
        self._channel = channel = await channel_of(ours)
        self._heard = asyncio.get_running_loop().time()
        channel.send(Start(worker=self.number, version=__version__, settings=self._settings, lock=self._lock))
        if self._stop is not None:  # said while the process was on its way
            self.send(self._stop)
        try:
            await self._hear(channel, greet, ledger)
        except ChannelError as error:
            log.error("worker %d is not understood and killed: %s", self.number, error)
            self.kill()
        finally:
            self.is_open = self._ready = False
            self._channel = None
            self._answered()
            channel.close()
            await channel.closed()
            try:
                async with asyncio.timeout(HANG_UP_SECONDS):
                    await process.wait()
            except (TimeoutError, asyncio.CancelledError):
                self.kill()
                await process.wait()
            self._process = None
            ledger.ended(self.number)
        return process.returncode or 0

    async def _hear(
        self, channel: Channel[FromWorker, ToWorker], greet: Callable[["Seat"], None], ledger: Ledger
    ) -> None:
        while (message := await channel.receive()) is not None:
            self._heard = asyncio.get_running_loop().time()
            match message:
                case Opened(addresses):
                    self._opened(addresses)
                    greet(self)
                case Report():
                    self._ready = message.ready
                    ledger.heard(self.number, message.numbers)
                    self._answered()

    def _opened(self, addresses: dict[str, str]) -> None:
        self.is_open = True
        self.addresses = addresses
        # A port that the system chose is kept: gateways know it by now.
        self._settings = replace(
            self._settings,
            ext_authz=replace(self._settings.ext_authz, listen=addresses.get("ext_authz", "")),
            forward_auth=replace(self._settings.forward_auth, listen=addresses.get("forward_auth", "")),
        )
        if not self.first.done():
            self.first.set_result(None)

    def failed(self, status: int) -> None:
        """Note that the first process ended before its doors were open."""
        why = f"worker {self.number} did not start: it ended with status {status}"
        error = ListenError("AZ708", why, hint="what it says of it stands above")
        error.exit_status = status if status > 0 else error.exit_status
        self.first.set_exception(error)

    def lacking(self) -> str:
        """Return what keeps this worker from deciding, or nothing."""
        if not self.is_open:
            return "its doors are not open"
        return "" if self._ready else "no policy is in force"

    def ask(self) -> asyncio.Future[None] | None:
        """Ask for a Report; return what is done when it has come. None when there is nobody to ask. Kills who hangs."""
        if self._channel is None:
            return None
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
            self.send(Ask())
        elif asyncio.get_running_loop().time() - self._heard > SILENT_SECONDS:
            log.error("worker %d has not answered for %.0f s and is killed", self.number, SILENT_SECONDS)
            self.kill()
        return self._answer

    def _answered(self) -> None:
        if self._answer is not None:
            self._answer.set_result(None)
            self._answer = None

    def send(self, message: News | Ask | Stop) -> None:
        """Tell the process of the moment, if there is one."""
        if self._channel is not None:
            try:
                self._channel.send(message)
            except ChannelError as error:
                log.error("worker %d is killed: %s", self.number, error)
                self.kill()

    def stop(self, drain: float) -> None:
        """Ask the process to drain for that many seconds and to end, also if it has only just been started."""
        self._stop = Stop(drain)
        self.send(self._stop)

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
