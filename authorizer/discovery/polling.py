"""One thing that is asked again and again: what it said last stays until it says something else."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from authorizer.errors import DiscoveryError

log = logging.getLogger("authorizer.discovery")

_SPREAD = 0.1

T = TypeVar("T")


class Polled(Generic[T]):
    """``ask`` gets what was known, and returns the same object where nothing is new; it raises DiscoveryError.

    ``told`` hears of each answer whether it was one. ``pause`` says how many seconds to wait before the next question.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[T | None], Awaitable[T]],
        pause: Callable[[T | None], float],
        told: Callable[[bool], None],
    ) -> None:
        self.name = name
        self.value: T | None = None
        self.asked = False
        self.failing = ""
        self._ask = ask
        self._pause = pause
        self._told = told

    async def look_once(self) -> bool:
        """Ask, and return whether there is news. Never raises but on cancellation: a failure keeps what was known."""
        first = not self.asked
        try:
            value = await self._ask(self.value)
        except DiscoveryError as error:
            if self.failing != error.code:
                log.warning("discovery: %s: %s", self.name, error)
            self.failing = error.code
            self._told(False)
            return first
        else:
            if self.failing:
                log.info("discovery: %s answers again", self.name)
            self.failing = ""
            changed, self.value = value is not self.value, value
            self._told(True)
            return first or changed
        finally:
            self.asked = True

    async def forever(self, news: asyncio.Event) -> None:
        """Ask until cancelled; set ``news`` when there is some."""
        while True:
            if await self.look_once():
                news.set()
            spread = random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - no secret: it keeps many from asking at once
            await asyncio.sleep(self._pause(self.value) * spread)
