"""Brings lines from where they wait to where they go, and says of every one what became of it.

INVARIANT: a line that was taken is told once, as written or as dropped, whatever the sink does and however it ends.
Only what a writer never hears about (a server that took a batch and whose answer was lost) may be written twice.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from msgspec import Struct

from authorizer.telemetry.hand import Hand

log = logging.getLogger("authorizer.telemetry")

BATCH = 500
STEP = 10
"""So many lines are made until decisions are let go on: about 0.1 ms."""

INTERVAL = 0.2
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 30.0

Dropped = Mapping[str, int]
"""Why -> how many."""


class Batch(Struct, frozen=True):
    """Lines to bring, each with its line break, and how many were dropped on the way to them."""

    lines: tuple[bytes, ...] = ()
    dropped: Dropped = {}


class Outcome(Struct, frozen=True):
    """What a sink did with the first lines that it was given.

    The first ``written`` plus the sum of ``dropped`` are done with; the others have to be brought again, not before
    ``wait`` seconds. ``failure`` says why, without anything secret.
    """

    written: int = 0
    dropped: Dropped = {}
    failure: str = ""
    wait: float = 0.0


Sink = Callable[[Sequence[bytes]], Outcome]
"""Takes whole lines. Called in a thread; may block. An OSError means that it has taken none."""


class Source(Protocol):
    """Where lines wait. ``take`` and ``settle`` are called in a thread, in turns."""

    def take(self) -> Batch:
        """Return the next lines; no more than BATCH of them, and none when nothing waits."""

    def settle(self) -> None:
        """Hear that what was taken last is done with."""

    def lost(self) -> Dropped:
        """Return what was dropped since the last time because there was no room. Called on the event loop."""

    def abandon(self, taken: int) -> int:
        """Give up all that waits, and the ``taken`` lines that were not brought, as the process ends.

        Return how many are lost by that. Called on the event loop.
        """


class Tally(Struct, frozen=True):
    """Who is told, on the event loop: how many lines were written or dropped, and each try that failed."""

    written: Callable[[int], None]
    dropped: Callable[[str, int], None]
    failed: Callable[[], None]


class Courier:
    """Brings batches one after the other, waiting longer and longer for a sink that fails.

    A batch of fewer than ``full`` lines was all there was, and the next is let grow for a while.
    """

    def __init__(self, name: str, source: Source, sink: Sink, tally: Tally, full: int = BATCH) -> None:
        self._name = name
        self._source = source
        self._sink = sink
        self._tally = tally
        self._full = full
        self._hand = Hand(name)
        self._lines: tuple[bytes, ...] = ()
        self._turn: asyncio.Task[int] | None = None
        self._pause = 0.0
        self._failing = False

    async def turn(self) -> int:
        """Take a batch, or what is left of the last one, to the sink; return how many lines it was.

        Who stops waiting for it leaves it under way, and the next call waits for the same turn.
        """
        if self._turn is None or self._turn.done():
            self._turn = asyncio.create_task(self._take_turn())
        return await asyncio.shield(self._turn)

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            count = await self.turn()
            if self._pause:
                # Chance, so that the processes of a fleet do not all come back at once.
                await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311
            elif count < self._full:
                await asyncio.sleep(INTERVAL)

    async def drain(self, seconds: float) -> None:
        """Bring what is left, for at most ``seconds``; what is lost then is told. Call it after ``run`` has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while await self.turn():
                    if self._pause:
                        await asyncio.sleep(min(FIRST_PAUSE, seconds / 4))
        if self._turn is not None:
            self._turn.cancel()
            await asyncio.gather(self._turn, return_exceptions=True)
        self._tell(self._source.lost())
        self._tell({"shutdown": self._source.abandon(len(self._lines))})

    async def _take_turn(self) -> int:
        self._tell(self._source.lost())
        if not self._lines:
            dropped = await self._fetch()
            if not self._lines:
                if dropped:
                    await self._hand.do(self._source.settle)
                return dropped
        count = len(self._lines)
        try:
            outcome = await self._hand.do(partial(self._sink, self._lines))
        except Exception as error:  # noqa: BLE001 - whatever a sink does, its lines are brought again or told as dropped
            outcome = Outcome(failure=f"{type(error).__name__}: {getattr(error, 'strerror', None) or ''}")
        if outcome.written:
            self._tally.written(outcome.written)
        self._tell(outcome.dropped)
        self._lines = self._lines[outcome.written + sum(outcome.dropped.values()) :]
        self._note(outcome)
        if not self._lines:
            await self._hand.do(self._source.settle)
        return count

    def _note(self, outcome: Outcome) -> None:
        """Count and tell a failure, and be patient if there is something to bring again."""
        if outcome.failure:
            self._tally.failed()
            if not self._failing:
                log.warning("%s: the sink fails: %s", self._name, outcome.failure)
        elif self._failing:
            log.info("%s: the sink takes what it is given again", self._name)
        self._failing = bool(outcome.failure)
        patient = self._failing and self._lines
        self._pause = max(outcome.wait, min(LONGEST_PAUSE, max(self._pause * 2, FIRST_PAUSE))) if patient else 0.0

    async def _fetch(self) -> int:
        """Take a batch; return how many were dropped on the way. What was taken is kept even if this is cancelled."""
        taking = asyncio.ensure_future(self._hand.do(self._source.take))
        try:
            await asyncio.shield(taking)
        finally:
            batch = await taking
            self._tell(batch.dropped)
            self._lines = batch.lines
        return sum(batch.dropped.values())

    def _tell(self, dropped: Dropped) -> None:
        for why, count in dropped.items():
            if count:
                self._tally.dropped(why, count)
