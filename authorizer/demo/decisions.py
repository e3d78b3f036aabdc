"""The decisions as the authorizer logs them: JSON lines on its standard output."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

import orjson

Event = Mapping[str, Any]

PATIENCE = 3.0


class Decisions:
    """Reads the decision log. One reader at a time."""

    def __init__(self, output: asyncio.StreamReader) -> None:
        self._output = output
        self._passed: deque[Event] = deque(maxlen=1000)

    async def find(self, decision_id: str) -> Event | None:
        """Return the event of a decision, waiting up to ``PATIENCE`` seconds; other events are kept for ``next``."""
        for known in self._passed:
            if known["decision_id"] == decision_id:
                self._passed.remove(known)
                return known
        try:
            async with asyncio.timeout(PATIENCE if decision_id else 0):
                while (event := await self._read()) is not None:
                    if event["decision_id"] == decision_id:
                        return event
                    self._passed.append(event)
        except TimeoutError:
            pass
        return None

    async def next(self) -> Event | None:
        """Return the oldest event that nobody asked for yet, or None when the log has ended."""
        return self._passed.popleft() if self._passed else await self._read()

    async def _read(self) -> Event | None:
        while line := await self._output.readline():
            try:
                event = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue  # half a line of a process that was killed
            if isinstance(event, dict) and "decision_id" in event:
                return _flat(event)
        return None


def _flat(event: Event) -> Event:
    """Return an event of the decision log without its levels: what was asked, and what came of it."""
    result = event["result"]
    told = {"status": result["http_status"], "decision": "allow" if result["allowed"] else "deny"}
    return {**event["input"]["attributes"]["request"]["http"], **result, **told, "decision_id": event["decision_id"]}
