"""Letting go of documents and snapshots that were in force, or were to be, beside the decisions."""

import asyncio
from typing import Final

from authorizer.memory import take_apart, unused

LOOK_SECONDS: Final = 1.0


class LettingGo:
    """Holds what may be large until nobody else does: the last reference is always the one in here."""

    def __init__(self) -> None:
        self._held: list[object] = []

    def keep(self, thing: object) -> None:
        """Hold ``thing``; it may be given more than once."""
        if not any(each is thing for each in self._held):
            self._held.append(thing)

    async def run(self) -> None:
        """Look until cancelled for what nobody uses any more."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if gone := unused(self._held):
                await asyncio.to_thread(take_apart, gone)
