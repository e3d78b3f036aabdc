"""A supervisor: starts workers that answer, talks to the control plane for them, and shows the operator one process."""

import asyncio
import logging
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing
from functools import partial
from typing import IO

from msgspec.structs import replace

from authorizer import __version__
from authorizer.app import endpoints, restarts, sources
from authorizer.app.activation import Activation
from authorizer.app.answering import GRACE_SECONDS
from authorizer.app.channel import News
from authorizer.app.credentials import options, published
from authorizer.app.seat import Seat
from authorizer.app.stopping import Stopping
from authorizer.app.tasks import Tasks
from authorizer.control_plane.client import Progress
from authorizer.doors import admin
from authorizer.doors.http1 import open_http
from authorizer.doors.listen import TcpAddress, parse, reserve
from authorizer.model import Kind
from authorizer.service import Authorizer
from authorizer.settings import Admin, Discovery, Settings
from authorizer.telemetry.exposition import renderer
from authorizer.telemetry.metrics import Metrics
from authorizer.telemetry.numbers import FleetNumbers, Ledger, WorkerState, numbers

log = logging.getLogger("authorizer.app")

ASK_SECONDS = 1.0
"""Between two questions to a worker: what it has counted since the last answer is lost when it is killed."""

SCRAPE_SECONDS = 0.5
"""How long a scrape waits for the answers of workers; of one that is late it shows what it said last."""

END_SECONDS = GRACE_SECONDS + 5.0
"""After the time to drain, a worker that has not ended by then is killed."""


async def supervise(
    settings: Settings, announce: Callable[[dict[str, list[str]]], None], command: Sequence[str], stopping: Stopping
) -> None:
    """Keep ``settings.workers`` workers running until asked to stop, then drain them all at once.

    ``command`` starts a worker when a file descriptor is added to it. Raises AuthorizerError when one does not start.
    """
    async with AsyncExitStack() as stack:
        lock = stack.enter_context(_lock())
        shares = enumerate(_shares(settings, stack))
        fleet = _Fleet(settings, [Seat(number, share, command, lock.fileno()) for number, share in shares], stopping)
        try:
            if await stopping.unless_asked(fleet.start(stack, announce)):
                await stopping.asked.wait()
        finally:
            await fleet.close()


def _lock() -> IO[bytes]:
    """Return a file without a name: in memory where the system can, for a read-only root may have no place for it."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("authorizer-lock"), "r+b")
    return tempfile.TemporaryFile()


def _shares(settings: Settings, stack: AsyncExitStack) -> list[Settings]:
    """Return the settings of each worker; the port that all share for HTTP is held as long as ``stack`` is open."""
    grpc = endpoints.of_ext_authz(settings) or [""] * settings.workers
    http = [settings.forward_auth.listen] * settings.workers
    if settings.forward_auth.listen:
        if not isinstance(parse(settings.forward_auth.listen), TcpAddress):
            http = endpoints.each(settings.forward_auth.listen, settings.workers)
        else:
            held = stack.enter_context(closing(reserve(settings.forward_auth.listen)))
            host = settings.forward_auth.listen.rpartition(":")[0]
            http = [f"{host}:{held.getsockname()[1]}"] * settings.workers
    return [
        replace(
            settings,
            ext_authz=replace(settings.ext_authz, listen=grpc[number]),
            forward_auth=replace(settings.forward_auth, listen=http[number]),
            admin=Admin(listen=""),
            discovery=Discovery(),
        )
        for number in range(settings.workers)
    ]


class _Fleet:
    def __init__(self, settings: Settings, seats: list[Seat], stopping: Stopping) -> None:
        self._settings = settings
        self._seats = seats
        self._stopping = stopping
        self._metrics = Metrics(__version__)
        self._ledger = Ledger()
        self._news: dict[Kind, News] = {}
        self._tasks = Tasks()
        self._keepers: list[asyncio.Task[None]] = []
        self._closing = asyncio.Event()

    async def start(self, stack: AsyncExitStack, announce: Callable[[dict[str, list[str]]], None]) -> None:
        """Start everything. Raises AuthorizerError when there is nothing sound to decide by, or a worker fails."""
        # This Authorizer answers nobody: it is where a bundle has to prove itself before the workers see it.
        authorizer = Authorizer()
        activation = Activation(authorizer, options(self._settings), lambda _kind, _revision: None)
        hearer = sources.Hearer(self._settings, activation, authorizer, self._metrics, self._tasks)
        await sources.listen(hearer, stack, self._tell)
        addresses: dict[str, list[str]] = {}
        if self._settings.admin.listen:
            loop = asyncio.get_running_loop()
            render = renderer(self._metrics, time.time, partial(self._numbers, loop))
            handle = admin.handler(self._lacking, render, published(self._settings.assertion))
            door = await open_http(self._settings.admin.listen, handle, admin.malformed)
            stack.push_async_callback(door.close, GRACE_SECONDS)
            addresses["admin"] = [door.address]
        self._keepers = [asyncio.create_task(self._keep(seat), name=f"worker {seat.number}") for seat in self._seats]
        self._tasks.spawn("asking", self._ask_forever)
        await asyncio.gather(*(seat.first for seat in self._seats))
        for seat in self._seats:
            for name, address in seat.addresses.items():
                addresses.setdefault(name, []).append(address)
        # One that all share is named once.
        announce({name: list(dict.fromkeys(each)) for name, each in addresses.items()})

    async def close(self) -> None:
        """Let all workers drain at once and end; who does not, or when there is haste, is killed."""
        self._closing.set()
        for seat in self._seats:
            seat.first.cancel()
            seat.stop(self._stopping.drain)
        if self._keepers:
            hurry = asyncio.create_task(self._kill_in_haste())
            try:
                async with asyncio.timeout(self._stopping.drain + END_SECONDS):
                    await asyncio.gather(*(asyncio.shield(keeper) for keeper in self._keepers))
            except TimeoutError:
                log.warning("workers do not end: they are killed")
                self._kill()
                await asyncio.gather(*self._keepers)
            finally:
                hurry.cancel()
        await self._tasks.cancel()

    async def _kill_in_haste(self) -> None:
        await self._stopping.hurried.wait()
        self._kill()

    def _kill(self) -> None:
        for seat in self._seats:
            seat.kill()

    async def _keep(self, seat: Seat) -> None:
        """Run one worker after the other on a seat, until asked to stop."""
        failed = 0
        loop = asyncio.get_running_loop()
        while not self._closing.is_set():
            began = loop.time()
            try:
                status = await seat.live(self._greet, self._ledger)
            except OSError as error:
                log.error("worker %d cannot be started: %s", seat.number, error)
                status = 1
            if self._closing.is_set():
                return
            if not seat.first.done():
                seat.failed(status)
                return
            failed = restarts.failures(failed, loop.time() - began)
            wait = restarts.delay(failed, random.random())  # noqa: S311 - chance, not a secret
            log.error("worker %d ended with status %d and is started again in %.1f s", seat.number, status, wait)
            seat.restarts += 1
            await self._pause(wait)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return

    def _greet(self, seat: Seat) -> None:
        """Tell a worker whose doors have opened what was said before: it may have read the kept bundles just before."""
        for news in self._news.values():
            seat.send(news)

    def _tell(self, progress: Progress) -> None:
        """Pass on what is kept, and that it was confirmed."""
        if progress.serial:
            news = self._news[progress.kind] = News(progress.kind, progress.serial, progress.confirmed)
            for seat in self._seats:
                seat.send(news)

    async def _ask_forever(self) -> None:
        while True:
            for seat in self._seats:
                seat.ask()
            await asyncio.sleep(ASK_SECONDS)

    def _lacking(self) -> str:
        if self._stopping.asked.is_set():
            return "draining"
        return "; ".join(f"worker {seat.number}: {why}" for seat in self._seats if (why := seat.lacking()))

    def _numbers(self, loop: asyncio.AbstractEventLoop) -> FleetNumbers:
        """Ask all workers and add up. For the thread of a scrape: it may wait."""
        asyncio.run_coroutine_threadsafe(self._ask_all(), loop).result()
        states = {
            seat.number: WorkerState(seat.is_open, seat.restarts, self._ledger.present(seat.number))
            for seat in self._seats
        }
        return FleetNumbers(self._ledger.total(numbers(self._metrics)), states)

    async def _ask_all(self) -> None:
        answers = [seat.ask() for seat in self._seats]
        waiting = [answer for answer in answers if answer is not None]
        if waiting:
            await asyncio.wait(waiting, timeout=SCRAPE_SECONDS)
