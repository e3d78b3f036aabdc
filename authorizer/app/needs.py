"""Answers what decisions have to ask of the world."""

from collections.abc import Callable

from authorizer.app.replays import Replays
from authorizer.pdp.needs import Need


class Needs:
    """Meets needs. Without ``replays`` it cannot tell of any proof that it is fresh."""

    def __init__(self, replays: Replays | None, clock: Callable[[], float]) -> None:
        self._replays = replays
        self._clock = clock

    async def meet(self, need: Need) -> object:
        """Answer a need as ``pdp.needs`` says."""
        return None if self._replays is None else self._replays.spend(need.digest, need.until, self._clock())

    def close(self) -> None:
        """Let go of the store."""
        if self._replays is not None:
            self._replays.close()
