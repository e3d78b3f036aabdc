"""Who was let through, who was not, and why: one event a decision, on its way to a sink.

The hot path appends a tuple to a bounded buffer. Threads take batches out and write them, so a sink that is slow or
away costs events (counted), never decisions. No header, body or token ever enters the buffer.
"""

import asyncio
from collections.abc import Callable

from authorizer.model import Decision, Request
from authorizer.telemetry.buffer import Buffer
from authorizer.telemetry.courier import Courier, Sink, Tally
from authorizer.telemetry.decision_event import HOST, METHOD, PEER, TARGET, Event
from authorizer.telemetry.spool import Spool
from authorizer.telemetry.trace_context import carried

CAPACITY = 10_000


class DecisionLog:
    """A bounded buffer of decisions and the way out of it: to ``sink``, and with a ``spool`` through files on disk.

    ``line`` makes the line of an event, or None where it is not to be logged. ``tally`` is told what becomes of each.
    """

    def __init__(
        self,
        line: Callable[[Event], bytes | None],
        sink: Sink,
        clock: Callable[[], float],
        tally: Tally,
        *,
        capacity: int = CAPACITY,
        spool: Spool | None = None,
    ) -> None:
        self._clock = clock
        self._buffer = Buffer(line, capacity, "rule")
        self._spool = spool
        if spool is None:
            self._couriers = [Courier("decision log", self._buffer, sink, tally)]
        else:
            kept = Tally(_nothing, tally.dropped, tally.failed)
            self._couriers = [
                Courier("decision log to disk", self._buffer, spool.put, kept),
                Courier("decision log from disk", spool, sink, tally, full=1),
            ]

    @property
    def waiting(self) -> int:
        """How many events wait, in memory and on disk."""
        return len(self._buffer.notes) + (self._spool.waiting if self._spool else 0)

    def observe(self, request: Request, decision: Decision, seconds: float) -> None:
        """Queue one decision, or count it as lost when the buffer is full. The hot path.

        A decision with obligations has as much room again for itself: a flood of denials must not keep somebody from
        learning of a break-glass.
        """
        buffer = self._buffer
        if len(buffer.notes) >= (2 * buffer.capacity if decision.obligations else buffer.capacity):
            buffer.overflow += 1
            return
        # Cut to one character more than is shown, which tells that there was more: what waits is bounded in bytes too.
        buffer.notes.append(
            (
                self._clock(), request.method[: METHOD + 1], request.host[: HOST + 1], request.target[: TARGET + 1],
                request.peer[: PEER + 1], request.transport, decision, seconds, carried(request),
            )
        )  # fmt: skip

    async def turn(self) -> int:
        """Bring one batch each part of the way; return how many events it was."""
        return sum([await courier.turn() for courier in self._couriers])

    async def run(self) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as group:
            for courier in self._couriers:
                group.create_task(courier.run())

    async def drain(self, seconds: float) -> None:
        """Write what is left, for at most ``seconds`` each part of the way. Call it after ``run`` was cancelled."""
        for courier in self._couriers:
            await courier.drain(seconds)


def _nothing(_count: int) -> None:
    """Tell nobody: what is on disk has not arrived yet."""
