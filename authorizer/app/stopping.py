"""How a process is told to end: first with patience, then without."""

import asyncio
import logging
import signal
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger("authorizer.app")


class Stopping:
    """The wish to end. ``drain`` is for how many seconds to turn gateways away first.

    A second wish is for haste: there is no more waiting.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()
        self.drain = 0.0

    @property
    def status(self) -> int:
        """The exit status that says how it ended: 0, or 130 for interrupted."""
        return 130 if self.hurried.is_set() else 0

    def on_signals(self, drain: float) -> None:
        """Take SIGTERM as the wish to drain for that long, and SIGINT as the wish to end without."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.ask, drain)
        loop.add_signal_handler(signal.SIGINT, self.ask, 0.0)

    def ask(self, drain: float) -> None:
        """Ask to end."""
        if self.asked.is_set():
            self.hurried.set()
            return
        self.drain = drain
        if drain:
            log.info("draining for %g s", drain)
        self.asked.set()

    async def unless_asked(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do the work, or give it up when asked to end; tell whether it was done."""
        doing = asyncio.ensure_future(work)
        waiting = asyncio.ensure_future(self.asked.wait())
        try:
            await asyncio.wait((doing, waiting), return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                doing.result()
                return True
            return False
        finally:
            for task in (doing, waiting):
                task.cancel()
            await asyncio.gather(doing, waiting, return_exceptions=True)

    async def patience(self, seconds: float) -> None:
        """Wait that long, or until there is haste."""
        try:
            async with asyncio.timeout(seconds):
                await self.hurried.wait()
        except TimeoutError:
            return
