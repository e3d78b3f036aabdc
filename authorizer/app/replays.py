"""Which proofs were shown before, shared by all workers of a machine: one file of fixed size.

A proof's digest has its place in one bucket of 64. A bucket is read and written under its own byte-range lock, so that
of two workers that are shown the same proof at once, one is told that it is new. A restart forgets nothing.

Digests are spread evenly, so whoever holds much of the set holds much of each bucket: shares are kept there, without
a count of anybody's proofs.

INVARIANT: the file is not mapped into memory: when it is cut short or the disk is full, that would end the process by a
signal, where a read or a write has an answer.
"""

import fcntl
import os
import struct
from pathlib import Path

from authorizer.pdp.proofs import Spend

BUCKET = 64
_SHARE = 3
_SLOT = struct.Struct("<16s8sd")
_BYTES = BUCKET * _SLOT.size
_HEAD = struct.Struct("<8sQ")
_MAGIC = b"AZproof2"
# Another process holds a bucket for microseconds. One that was stopped in them may not stop the others.
_TRIES = 1000


class Replays:
    """A bounded set of digests that are forgotten when their time is over.

    ``entries`` is how many it holds, a multiple of 64 (32 bytes each). A set found in the file is kept, unless it was
    made for another number of entries. Raises OSError when the file cannot be made.
    """

    def __init__(self, path: Path, entries: int) -> None:
        self._buckets = max(entries // BUCKET, 1)
        size = _HEAD.size + self._buckets * _BYTES
        head = _HEAD.pack(_MAGIC, self._buckets)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX, _HEAD.size)
            if os.fstat(self._file).st_size != size or os.pread(self._file, _HEAD.size, 0) != head:
                os.ftruncate(self._file, 0)
                os.ftruncate(self._file, size)
                os.pwrite(self._file, head, 0)
            fcntl.lockf(self._file, fcntl.LOCK_UN, _HEAD.size)
        except OSError:
            os.close(self._file)
            raise

    def spend(self, proof: Spend, now: float) -> bool | None:
        """Note a proof as shown; its ``digest`` has 16 bytes.

        True if it was not there yet, False if it was, None when it cannot be told: there is no room for it among what
        must not be forgotten yet, or its bucket is held by another process, or cannot be read or written.
        """
        start = _HEAD.size + int.from_bytes(proof.digest[:8], "little") % self._buckets * _BYTES
        if not self._lock(start):
            return None
        try:
            return self._note(start, proof, now)
        except OSError:
            return None
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, _BYTES, start)

    def _note(self, start: int, proof: Spend, now: float) -> bool | None:
        bucket = os.pread(self._file, _BYTES, start)
        if len(bucket) != _BYTES:
            return None
        held = 0
        free = []
        for index, (known, holder, end) in enumerate(_SLOT.iter_unpack(bucket)):
            if end < now:
                free.append(index)
            elif known == proof.digest:
                return False
            elif holder == proof.holder:
                held += 1
        # One holder fills three quarters of a bucket, and the less the more others need: nobody fills it for all. What
        # is refused here was not noted and did not count; what was noted is never given up for another.
        if held >= _SHARE * len(free):
            return None
        slot = _SLOT.pack(proof.digest, proof.holder, proof.until)
        return True if os.pwrite(self._file, slot, start + free[0] * _SLOT.size) == len(slot) else None

    def _lock(self, start: int) -> bool:
        for _ in range(_TRIES):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, _BYTES, start)
            except (BlockingIOError, PermissionError):
                os.sched_yield()
                continue
            return True
        return False

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
