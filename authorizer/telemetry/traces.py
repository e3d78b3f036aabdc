"""Spans of decisions, in the trace of the request that was decided about.

Only of requests whose ``traceparent`` says that they are recorded; of all others nothing is kept, and the cost is to
look that header up. A span is made in the thread that sends it.
"""

from collections.abc import Callable

import orjson

from authorizer.model import Decision, Request
from authorizer.telemetry.buffer import Buffer
from authorizer.telemetry.courier import Courier, Sink, Tally
from authorizer.telemetry.masking import masked
from authorizer.telemetry.otlp import attributes
from authorizer.telemetry.trace_context import carried, is_recorded, parent, span_of

CAPACITY = 10_000
_SERVER = 2

Note = tuple[float, float, str, str, str, Decision]
"""When it ended (POSIX seconds), how long it took, ``traceparent``, method, transport, the decision."""


class Spans:
    """Spans on their way to ``sink``; ``tally`` is told what becomes of them."""

    def __init__(self, sink: Sink, clock: Callable[[], float], tally: Tally) -> None:
        self._clock = clock
        self._buffer: Buffer[Note] = Buffer(span, CAPACITY, "malformed")
        self._courier = Courier("traces", self._buffer, sink, tally)
        self.run = self._courier.run
        self.turn = self._courier.turn
        self.drain = self._courier.drain

    def observe(self, request: Request, decision: Decision, seconds: float) -> None:
        """Note a decision whose trace is recorded. The hot path."""
        text = carried(request)
        if not is_recorded(text):
            return
        if len(self._buffer.notes) >= self._buffer.capacity:
            self._buffer.overflow += 1
            return
        self._buffer.notes.append((self._clock(), seconds, text, request.method[:33], request.transport, decision))


def span(note: Note) -> bytes | None:
    """Return a span as a line of OTLP's JSON; None for what is no ``traceparent`` after all."""
    ended, seconds, text, method, transport, decision = note
    found = parent(text)
    if found is None or not found.sampled:
        return None
    end = round(ended * 1e6) * 1000
    reason = decision.reason
    return orjson.dumps(
        {
            "traceId": found.trace,
            "spanId": span_of(decision.id),
            "parentSpanId": found.span,
            "flags": 1,
            "name": "authorizer.check",
            "kind": _SERVER,
            "startTimeUnixNano": str(end - round(seconds * 1e9)),
            "endTimeUnixNano": str(end),
            "attributes": attributes(
                {
                    "authorizer.decision_id": decision.id,
                    "authorizer.allowed": decision.allowed,
                    "authorizer.reason": masked(reason.code, 128),
                    "authorizer.application": masked(decision.application, 255) or None,
                    "authorizer.operation": masked(decision.operation, 512) or None,
                    "authorizer.transport": transport,
                    "http.request.method": masked(method, 32),
                }
            ),
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
