"""The descriptions that annotations name: as many tasks as there are places, begun and ended with them."""

import asyncio
from collections.abc import Callable, Sequence

from authorizer.discovery import describing
from authorizer.discovery.polling import Polled

MAX_AT_ONCE = 8


class Annotated:
    """``places`` are those that are read now. ``told`` hears whether none of them fails."""

    def __init__(self, news: asyncio.Event, every: float, told: Callable[[bool], None]) -> None:
        self.places: dict[describing.Place, Polled[describing.Seen]] = {}
        self._tasks: dict[describing.Place, asyncio.Task[None]] = {}
        self._news = news
        self._every = every
        self._told = told
        self._gate = asyncio.Semaphore(MAX_AT_ONCE)

    def point(self, group: asyncio.TaskGroup, places: Sequence[describing.Place]) -> None:
        """Read these places from now on, and no others; those that stay keep what they said."""
        for gone in self.places.keys() - set(places):
            self._tasks.pop(gone).cancel()
            del self.places[gone]
        for place in places:
            if place not in self.places:
                self.places[place] = polled = self._polled(place)
                self._tasks[place] = group.create_task(polled.forever(self._news))

    def _polled(self, place: describing.Place) -> Polled[describing.Seen]:
        async def ask(last: describing.Seen | None) -> describing.Seen:
            async with self._gate:
                return await describing.look(place, last)

        def heard(answered: bool) -> None:
            self._told(answered and not any(each.failing for each in self.places.values()))

        return Polled(f"{place.kind} {place.name}", ask, lambda _: self._every, heard)
