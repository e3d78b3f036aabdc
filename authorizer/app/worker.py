"""A worker: answers gateways with what its supervisor tells it, and ends with it."""

import asyncio
import logging
import os
import select
import socket
import sys
import threading
import time
from functools import partial
from pathlib import Path

from authorizer import __version__
from authorizer.app import feeds
from authorizer.app.answering import GRACE_SECONDS, Answering
from authorizer.app.channel import Ask, Channel, ChannelError, FromWorker, News, Opened, Report, Start, Stop, ToWorker
from authorizer.app.channel import of_worker as channel_of
from authorizer.app.kept import KeptBundles
from authorizer.app.stopping import Stopping
from authorizer.directory import Watch
from authorizer.errors import ListenError
from authorizer.settings import Settings
from authorizer.telemetry import logs
from authorizer.telemetry.numbers import numbers
from authorizer.telemetry.shared_output import to_shared_stdout

log = logging.getLogger("authorizer.app")

START_SECONDS = 10.0
LAST_SECONDS = GRACE_SECONDS + 3.0
"""After the supervisor has died, a worker that has not ended by then is ended by force."""


async def work(descriptor: int, *, tracebacks: bool = False) -> int:
    """Be the worker at the other end of ``descriptor``, until told to end or until there is nobody there any more.

    SIGTERM drains, SIGINT does not. Returns the exit status; raises AuthorizerError when it cannot start.
    """
    end = socket.socket(fileno=descriptor)
    _never_outlive(end)
    channel = await channel_of(end)
    try:
        start = await _started(channel)
        return 0 if start is None else await _work(start, channel, tracebacks=tracebacks)
    finally:
        channel.close()
        await channel.closed()


async def _started(channel: Channel[ToWorker, FromWorker]) -> Start | None:
    """Return what the supervisor says first, None when it has gone. Raises ListenError AZ709."""
    try:
        async with asyncio.timeout(START_SECONDS):
            start = await channel.receive()
    except (TimeoutError, ChannelError) as error:
        raise _refusal(f"the supervisor said nothing that this program understands: {error}") from None
    if start is not None and (not isinstance(start, Start) or start.version != __version__):
        raise _refusal(f"the supervisor is of another version than {__version__}")
    return start


async def _work(start: Start, channel: Channel[ToWorker, FromWorker], *, tracebacks: bool) -> int:
    logs.configure(
        start.settings.log.format, start.settings.log.level, sys.stderr, tracebacks=tracebacks, worker=start.worker
    )
    stopping = Stopping()
    stopping.on_signals(start.settings.drain_seconds)
    worker = _Worker(start, channel, stopping)
    hearing = asyncio.create_task(worker.hear(), name="supervisor")
    try:
        if await stopping.unless_asked(worker.start()):
            await stopping.asked.wait()
    finally:
        await worker.answering.close(stopping)
        worker.report()  # the last counts, so that none is lost
        await channel.flush(GRACE_SECONDS)
        hearing.cancel()
    return stopping.status


class _Worker:
    def __init__(self, start: Start, channel: Channel[ToWorker, FromWorker], stopping: Stopping) -> None:
        self.settings: Settings = start.settings
        self.answering = Answering(start.settings, stdout=to_shared_stdout(start.lock), worker=start.worker)
        self._channel = channel
        self._stopping = stopping
        self._kept: KeptBundles | None = None

    async def start(self) -> None:
        """Load what there is to decide by, and open the doors. Raises AuthorizerError."""
        answering = self.answering
        answering.note()
        if self.settings.policies:
            # The supervisor reads the directory too and tells what is wrong with it: once is enough.
            watch, into = Watch(Path(self.settings.policies)), (answering.activation, answering.metrics)
            await feeds.attempt(await feeds.first_reading(watch), *into, quiet=True)
            answering.tasks.spawn("policies", partial(feeds.follow_directory, watch, *into, quiet=True))
        else:
            feed = await feeds.resume(self.settings, answering.activation, answering.metrics)
            max_age = self.settings.control_plane.max_age_seconds
            self._kept = KeptBundles(feed, max_age, answering.activation, answering.authorizer, answering.metrics)
            answering.tasks.spawn("kept bundles", self._kept.run)
        answering.tasks.spawn("ready", self._tell_when_ready_changes)
        self._channel.send(Opened(await answering.open(shared=True)))

    async def hear(self) -> None:
        """Do what the supervisor says. When it has died or speaks no sense, end."""
        try:
            while (message := await self._channel.receive()) is not None:
                match message:
                    case Ask():
                        self.report()
                    case News() if self._kept is not None:
                        self._kept.hear(message)
                    case Stop(drain):
                        self._stopping.ask(drain)
                    case _:
                        pass
            log.warning("the supervisor has gone: this worker ends")
        except ChannelError as error:
            log.error("the supervisor is not understood, this worker ends: %s", error)
        self._stopping.ask(0.0)

    def report(self) -> None:
        """Send what was counted, and whether this worker can decide."""
        ready = self.answering.authorizer.ready
        self._channel.send(Report(ready=ready, numbers=numbers(self.answering.metrics)))

    async def _tell_when_ready_changes(self) -> None:
        told = None
        while True:
            if told != (told := self.answering.authorizer.ready):
                self.report()
            await asyncio.sleep(0.05)


def _refusal(message: str) -> ListenError:
    return ListenError("AZ709", message, hint="a worker is started by a supervisor of the same version only")


def _never_outlive(end: socket.socket) -> None:
    """End this process some seconds after the other end has died, even if the event loop hangs: a thread sees to it."""

    def watch(descriptor: int) -> None:
        poll = select.poll()
        poll.register(descriptor, 0)  # no event is asked for: what is left is the hang-up
        poll.poll()
        time.sleep(LAST_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, args=(os.dup(end.fileno()),), name="supervisor's end", daemon=True).start()
