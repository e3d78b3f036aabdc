"""Lines that wait on disk for a sink that is away: whole batches in files of their own, the oldest first, with a bound.

They outlive the process: what was not brought when it ended is brought by the next one.
"""

import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from authorizer.telemetry.courier import Batch, Dropped, Outcome

SUFFIX = ".jsonl"
MOST_FILES = 20_000


class _Segment(Struct, frozen=True):
    path: Path
    size: int
    count: int


class Spool:
    """A sink for one courier and the source of another. Each worker has its own files in the one directory.

    ``most_bytes`` bounds what waits. Worker 0 takes over what workers that are no more have left.
    """

    def __init__(self, directory: Path, most_bytes: int, worker: int = 0, workers: int = 1) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._most_bytes = most_bytes
        self._worker = worker
        # Only one thread adds at the right and only one takes off at the left; the sizes are read by both.
        self._segments = deque(_left(directory, worker, workers))
        self._added = sum(segment.size for segment in self._segments)
        self._removed = 0
        self._serial = max((_serial(segment.path) for segment in self._segments), default=0)

    @property
    def waiting(self) -> int:
        """How many lines wait."""
        return sum(segment.count for segment in self._segments.copy())

    def put(self, lines: Sequence[bytes]) -> Outcome:
        """Keep lines; those for which there is no room are dropped. Raises OSError when the disk takes none."""
        data = b"".join(lines)
        if self._added - self._removed + len(data) > self._most_bytes or len(self._segments) >= MOST_FILES:
            return Outcome(dropped={"disk_buffer_full": len(lines)})
        self._serial += 1
        path = self._directory / f"{self._worker}-{self._serial:016d}-{len(lines)}{SUFFIX}"
        unready = path.with_suffix(".part")
        try:
            with os.fdopen(os.open(unready, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(data)
            unready.rename(path)
        except OSError:
            with suppress(OSError):
                unready.unlink()
            raise
        self._segments.append(_Segment(path, len(data), len(lines)))
        self._added += len(data)
        return Outcome(written=len(lines))

    def take(self) -> Batch:
        """Return the lines of the oldest file; a file that is no longer what was written is given up."""
        if not self._segments:
            return Batch()
        segment = self._segments[0]
        try:
            lines = tuple(segment.path.read_bytes().splitlines(keepends=True))
        except OSError:
            lines = ()
        if len(lines) == segment.count and sum(map(len, lines)) == segment.size:
            return Batch(lines)
        return Batch(dropped={"disk_buffer_damaged": segment.count})

    def settle(self) -> None:
        """Remove the oldest file."""
        if self._segments:
            segment = self._segments.popleft()
            self._removed += segment.size
            with suppress(OSError):
                segment.path.unlink()

    def lost(self) -> Dropped:
        """Return nothing: what had no room was told when it came."""
        return {}

    def abandon(self, _taken: int) -> int:
        """Leave all where it is, for the next process."""
        return 0


def _left(directory: Path, worker: int, workers: int) -> list[_Segment]:
    """Return what former processes of this worker have left, and for worker 0 what is nobody's any more."""
    found = []
    for path in directory.glob(f"*-*-*{SUFFIX}"):
        owner, serial, count = path.stem.split("-", 2)
        if not (owner.isdecimal() and serial.isdecimal() and count.isdecimal()):
            continue
        if int(owner) == worker or (worker == 0 and int(owner) >= workers):
            found.append(_Segment(path, path.stat().st_size, int(count)))
    return sorted(found, key=lambda segment: _serial(segment.path))


def _serial(path: Path) -> int:
    return int(path.stem.split("-")[1])
