"""Staying awake for the next check: where checks come quickly one after another, waiting costs more than deciding.

A process that sleeps gives up its core, and finds its caches cold when it is woken: behind a gateway with one client,
the same check then takes about twice as long. So after a decision the event loop goes round without sleeping for a
moment, as HAProxy's ``busy-polling`` does, but only while the moment before was no longer: a quiet process sleeps.
"""

import asyncio
import os
from time import monotonic


class BusyPoll:
    """Keeps the running event loop awake for ``seconds`` after each decision that came as soon after the one before."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = self._until = float("-inf")
        self._awake = False

    def decided(self) -> None:
        """Note a decision. Called from the event loop."""
        now = monotonic()
        if now - self._last < self._seconds:
            self._until = now + self._seconds
            if not self._awake:
                self._awake = True
                asyncio.get_running_loop().call_soon(self._stay)
        self._last = now

    def _stay(self) -> None:
        if monotonic() >= self._until:
            self._awake = False
            return
        os.sched_yield()  # whoever else has work for this core goes first
        asyncio.get_running_loop().call_soon(self._stay)
