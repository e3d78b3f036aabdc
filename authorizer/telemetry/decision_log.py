"""Who was let through, who was not, and why: one JSON line a decision.

The hot path appends a tuple to a bounded buffer. A task takes batches out and writes them from a thread, so a slow
disk or reader costs events (counted), never decisions. No header, body or token ever enters the buffer.
"""

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path

import orjson
from msgspec import to_builtins

from authorizer.model import Decision, Request
from authorizer.telemetry.masking import masked
from authorizer.timestamps import rfc3339

CAPACITY = 10_000
BATCH = 500
INTERVAL = 0.2
METHOD, HOST, TARGET, PEER = 32, 255, 2048, 64
"""Characters that are shown of what a client wrote."""

Event = tuple[float, str, str, str, str, str, Decision, float]
"""When (POSIX seconds), method, host, target, peer, transport, the decision, how long (seconds)."""


# Almost all of a line was said before: 6 us a line instead of 11. A path is not remembered, it is another each time.
_shown = lru_cache(maxsize=4096)(masked)


def render(event: Event) -> bytes:
    """Return one event as a JSON line. The query is left out: it is where tokens and personal data hide."""
    at, method, host, target, peer, transport, decision, seconds = event
    reason = decision.reason
    line = {
        "timestamp": rfc3339(at, "microseconds"),
        "decision_id": decision.id,
        "method": _shown(method, METHOD),
        "host": _shown(host, HOST),
        "path": masked(target.partition("?")[0], TARGET),
        "decision": "allow" if decision.allowed else "deny",
        "status": 200 if decision.allowed else reason.status,
        "reason": _shown(reason.code, 128),
        "detail": _shown(decision.detail, 512),
        "application": _shown(decision.application, 255),
        "operation": _shown(decision.operation, 512),
        "right": _shown(decision.right, 255),
        "policies": [_shown(name, 255) for name in decision.policies],
        "sources": [_shown(place, 512) for place in decision.sources],
        "obligations": [to_builtins(duty) for duty in decision.obligations],
        "advice": [to_builtins(duty) for duty in decision.advice],
        "subject": _shown(decision.subject, 255),
        "peer": _shown(peer, PEER),
        "transport": transport,
        "duration_us": round(seconds * 1e6, 1),
        "revision": decision.revision,
    }
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


class DecisionLog:
    """A bounded buffer of decisions and the way out of it.

    ``write`` gets whole lines, is called from a thread, and may block or raise OSError. ``dropped`` is told, on the
    event loop, why (``buffer_full``, ``write_failed``) and how many events were lost.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        clock: Callable[[], float],
        dropped: Callable[[str, int], None],
        capacity: int = CAPACITY,
    ) -> None:
        self._write = write
        self._clock = clock
        self._dropped = dropped
        self._capacity = capacity
        self._events: deque[Event] = deque()
        self._overflow = 0

    def observe(self, request: Request, decision: Decision, seconds: float) -> None:
        """Queue one decision, or count it as lost when the buffer is full. The hot path.

        A decision with obligations has as much room again for itself: a flood of denials must not keep somebody from
        learning of a break-glass.
        """
        if len(self._events) >= (2 * self._capacity if decision.obligations else self._capacity):
            self._overflow += 1
            return
        # Cut to one character more than is shown, which tells that there was more: what waits is bounded in bytes too.
        self._events.append(
            (
                self._clock(), request.method[: METHOD + 1], request.host[: HOST + 1], request.target[: TARGET + 1],
                request.peer[: PEER + 1], request.transport, decision, seconds,
            )
        )  # fmt: skip

    async def flush_once(self) -> int:
        """Write one batch of at most 500 events, and return how many were taken out of the buffer."""
        if self._overflow:
            lost, self._overflow = self._overflow, 0
            self._dropped("buffer_full", lost)
        count = min(BATCH, len(self._events))
        if count:
            # The events stay in the buffer until they are written, so that they count against its capacity.
            batch = list(islice(self._events, count))
            try:
                await asyncio.to_thread(self._write_batch, batch)
            except (OSError, TypeError, ValueError):  # an event that cannot be rendered must not end the log
                self._dropped("write_failed", count)
            finally:
                for _ in range(count):
                    self._events.popleft()
        return count

    def _write_batch(self, batch: list[Event]) -> None:
        self._write(b"".join(map(render, batch)))

    async def run(self) -> None:
        """Flush until cancelled."""
        while True:
            if await self.flush_once() < BATCH:
                await asyncio.sleep(INTERVAL)

    async def drain(self, seconds: float) -> None:
        """Write what is left, for at most ``seconds``. Call it after ``run`` was cancelled."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while await self.flush_once():
                    pass


def to_stdout(lines: bytes) -> None:
    """Write lines to standard output."""
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()


def to_file(path: Path) -> Callable[[bytes], None]:
    """Return a writer that appends to ``path`` (mode 0640) and follows a rotation of the file.

    The file is opened once here, so that a path which cannot be written is an OSError at the start, not later.
    """

    def opened() -> int:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    descriptor = opened()

    def write(lines: bytes) -> None:
        nonlocal descriptor
        if _moved(path, descriptor):
            old, descriptor = descriptor, opened()
            os.close(old)
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    return write


def _moved(path: Path, descriptor: int) -> bool:
    """Tell whether ``path`` is no longer the file that is open."""
    try:
        now, then = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return True
    return (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino)
