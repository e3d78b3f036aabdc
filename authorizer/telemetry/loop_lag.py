"""How late the event loop is: the earliest sign of a process that is overloaded or blocked."""

import asyncio
from collections.abc import Callable

INTERVAL = 0.25
"""Seconds between samples; 60 of them (15 seconds, one usual scrape) are remembered."""


async def measure_once(interval: float = INTERVAL) -> float:
    """Sleep ``interval`` seconds and return how many seconds late the loop woke up."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    await asyncio.sleep(interval)
    return max(0.0, loop.time() - start - interval)


async def watch_loop_lag(note: Callable[[float], None]) -> None:
    """Measure until cancelled."""
    while True:
        note(await measure_once())
