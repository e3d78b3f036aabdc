"""Composition root of ``authorizer serve``: one process that does all, or a supervisor with workers."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from authorizer.app import sources, supervisor
from authorizer.app.answering import GRACE_SECONDS, Answering
from authorizer.app.credentials import published
from authorizer.app.stopping import Stopping
from authorizer.app.worker import work
from authorizer.doors import admin
from authorizer.doors.http1 import HttpDoor, open_http
from authorizer.settings import Settings
from authorizer.telemetry.exposition import renderer

__all__ = ["Announce", "serve", "work"]

log = logging.getLogger("authorizer.app")

Announce = Callable[[dict[str, list[str]]], None]
"""Told once which doors are open: name -> addresses, one a worker."""


async def serve(settings: Settings, announce: Announce, worker: Sequence[str]) -> int:
    """Run until SIGTERM, which drains first, or SIGINT, which does not; return the exit status.

    ``worker`` is the command that starts a worker, to which a file descriptor is added. Raises AuthorizerError when it
    cannot start.
    """
    stopping = Stopping()
    stopping.on_signals(settings.drain_seconds)
    if settings.workers > 1:
        await supervisor.supervise(settings, announce, worker, stopping)
    else:
        await _alone(settings, announce, stopping)
    log.info("stopped")
    return stopping.status


async def _alone(settings: Settings, announce: Announce, stopping: Stopping) -> None:
    answering = Answering(settings)
    doors: list[HttpDoor] = []

    def lacking() -> str:
        if stopping.asked.is_set():
            return "draining"
        return "" if answering.authorizer.ready else "no policy is in force"

    async def start(stack: AsyncExitStack) -> None:
        answering.note()
        hearer = sources.Hearer(
            settings, answering.activation, answering.authorizer, answering.metrics, answering.tasks
        )
        await sources.listen(hearer, stack)
        addresses = {door: [address] for door, address in (await answering.open()).items()}
        if settings.admin.listen:
            handle = admin.handler(lacking, renderer(answering.metrics, time.time), published(settings.assertion))
            doors.append(await open_http(settings.admin.listen, handle, admin.malformed))
            addresses["admin"] = [doors[0].address]
        announce(addresses)

    async with AsyncExitStack() as stack:
        try:
            if await stopping.unless_asked(start(stack)):
                await stopping.asked.wait()
        finally:
            await answering.close(stopping)
            for door in doors:
                await door.close(GRACE_SECONDS)
