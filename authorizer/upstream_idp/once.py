"""One call for all who ask the same at once, and its answer for those who ask soon after. In memory alone, bounded."""

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Generic, TypeVar

from msgspec import Struct

Found = TypeVar("Found")

MAX_PENDING = 1024
MAX_KEPT = 16_384
MAX_CHARACTERS = 16 * 1024 * 1024


class Answer(Struct, Generic[Found], frozen=True):
    """What was found out, until when (POSIX seconds) it counts, and how many characters remembering it takes."""

    found: Found
    until: float
    size: int = 0


def digest(*parts: str) -> bytes:
    """Return the key of a question; no token is a key itself."""
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Once(Generic[Found]):
    """Remembers answers up to their ``until``; the oldest go when there are too many or too large ones."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pending: dict[bytes, asyncio.Task[Found]] = {}
        self._kept: dict[bytes, Answer[Found]] = {}
        self._characters = 0

    def __len__(self) -> int:
        return len(self._kept)

    async def ask(
        self,
        key: bytes,
        call: Callable[[], Awaitable[Answer[Found]]],
        busy: Callable[[], Found],
        *,
        known: bool = False,
    ) -> Found:
        """Return what is remembered under ``key``, or what ``call`` finds out; ``busy`` where too much is asked.

        What is asked of something ``known`` is never too much. Raises what ``call`` raises.
        """
        kept = self._kept.get(key)
        if kept is not None:
            if self._clock() < kept.until:
                return kept.found
            self._forget(key)
        task = self._pending.get(key)
        if task is None:
            if not known and len(self._pending) >= MAX_PENDING:
                return busy()
            task = self._pending[key] = asyncio.create_task(self._ask(key, call))
            task.add_done_callback(lambda _: self._pending.pop(key, None))
        # Shielded: one caller that gives up must not take the answer from the others.
        return await asyncio.shield(task)

    async def _ask(self, key: bytes, call: Callable[[], Awaitable[Answer[Found]]]) -> Found:
        answer = await call()
        if self._clock() < answer.until:
            self._kept[key] = answer
            self._characters += answer.size
            while len(self._kept) > MAX_KEPT or self._characters > MAX_CHARACTERS:
                self._forget(next(iter(self._kept)))
        return answer.found

    def _forget(self, key: bytes) -> None:
        self._characters -= self._kept.pop(key).size
