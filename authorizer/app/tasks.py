"""Loops that run as long as the process does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger("authorizer.app")


class Tasks:
    """Loops by name. One that fails is started again: decisions never depend on it."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def spawn(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Run a loop as a task of that name."""
        self._tasks.append(asyncio.create_task(_keep(name, loop), name=name))

    async def cancel(self) -> None:
        """End all loops."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _keep(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await loop()
        except Exception:
            log.exception("the task %r failed and is started again", name)
        await asyncio.sleep(1)
