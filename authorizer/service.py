"""The Authorizer: holds the one Snapshot and answers checks. This is the hot path, on one screen."""

import secrets
import time
from collections.abc import Awaitable, Callable
from itertools import chain, count

from msgspec.structs import replace

from authorizer.model import Decision, Request
from authorizer.pdp.decide import decide
from authorizer.pdp.denials import deny
from authorizer.pdp.needs import Introspect, Need
from authorizer.pdp.snapshot import EMPTY, Snapshot
from authorizer.reasons import reason

Observer = Callable[[Request, Decision, float], None]
"""Told of every decision: the request, the answer, and the seconds it took."""


def _nobody(_request: Request, _decision: Decision, _seconds: float) -> None:
    """Observe nothing."""


def _quiet(_error: Exception) -> None:
    """Report nothing."""


Meet = Callable[[Need], Awaitable[object]]
"""Answers a need as ``pdp.needs`` says, within a deadline of its own; None where it cannot be told."""

MOST_NEEDS = 4
MOST_WAITING = 64 * 1024 * 1024
"""Bytes of all requests whose decisions wait for the world. Whoever has no credential but a strange token makes them
wait, and with bodies at that: beyond it they are denied (``overload``), while others are decided as ever.

INVARIANT: strangers, whose tokens were not good lately, fill half of it at most: they may wait as long as a provider
is slow, and whoever has a proof to be looked up waits beside them.
"""
_WAITS = 4096  # bytes of what waits for an answer, besides what the request holds
_TEXT = 64  # bytes of a text, besides its characters, and of its place


def _held(request: Request) -> int:
    """Return about how many bytes are held while a decision waits. Names of headers may be as long as their values."""
    texts = (request.target, *request.headers, *chain.from_iterable(request.headers.values()))
    return _WAITS + len(request.body) + sum(map(len, texts)) + _TEXT * len(texts)


async def unanswered(_need: Need) -> None:
    """Tell nothing."""


class Authorizer:
    """Decides requests against the current snapshot.

    ``snapshot`` is replaced by one assignment; ``stale_after`` (POSIX seconds) is the time from which the last known
    good is too old to decide by. Both may be set from the event loop while checks run. ``report`` is told of faults,
    ``meet`` is asked what a decision needs; without it no proof counts as fresh.
    """

    def __init__(
        self,
        snapshot: Snapshot = EMPTY,
        *,
        clock: Callable[[], float] = time.time,
        observe: Observer = _nobody,
        report: Callable[[Exception], None] = _quiet,
        meet: Meet = unanswered,
    ) -> None:
        self.snapshot = snapshot
        self.stale_after = float("inf")
        self._clock = clock
        self._observe = observe
        self._report = report
        self._meet = meet
        # Unique among processes by the random part, among decisions by the counter: no random call on each check.
        self._boot = secrets.token_hex(6)
        self._count = count(1)
        self._waiting = 0

    @property
    def ready(self) -> bool:
        """Whether a policy is loaded, so that a decision can be more than "not ready"."""
        return self.snapshot.ready and self._clock() < self.stale_after

    def check(self, request: Request) -> Decision | Awaitable[Decision]:
        """Decide ``request``: at once, unless something has to be asked of the world first.

        Neither this nor what it returns ever raises: what cannot be decided is denied.
        """
        started = time.perf_counter()
        decision_id = f"{self._boot}-{next(self._count):x}"
        snapshot = self.snapshot  # all rounds of a decision are about one
        try:
            now = self._clock()
            fresh = now < self.stale_after
            decision = (
                decide(snapshot, request, now, decision_id)
                if fresh
                else deny("stale", decision_id, revision=snapshot.revision)
            )
        except Exception as error:  # noqa: BLE001 - INVARIANT: a fault of ours leaves as a denial, whatever it was
            decision = deny("internal_error", decision_id)
            self._report(error)
        if type(decision) is Decision:
            return self._observed(request, decision, started)
        assert not isinstance(decision, Decision)
        size = _held(request)
        strange = type(decision) is Introspect and not snapshot.memo.holds(decision.token)
        if self._waiting + size > (MOST_WAITING // 2 if strange else MOST_WAITING):
            overload = deny("overload", decision_id, revision=snapshot.revision)
            return self._observed(request, overload, started)
        self._waiting += size
        return self._later(snapshot, request, decision, started, decision_id, size)

    async def _later(
        self, snapshot: Snapshot, request: Request, need: Need, started: float, decision_id: str, size: int
    ) -> Decision:
        """Decide when what is needed is learnt: each need is asked for once, and there are few."""
        learnt: dict[Need, object] = {}
        decision: Decision | Need = need
        try:
            while not isinstance(decision, Decision) and len(learnt) < MOST_NEEDS and decision not in learnt:
                learnt[decision] = await self._meet(decision)
                decision = decide(snapshot, request, self._clock(), decision_id, learnt)
        except Exception as error:  # noqa: BLE001 - INVARIANT: a fault of ours leaves as a denial, whatever it was
            self._report(error)
        finally:
            self._waiting -= size
        if not isinstance(decision, Decision):
            decision = deny("internal_error", decision_id)
        return self._observed(request, decision, started)

    def refuse(self, code: str, request: Request, detail: str = "") -> Decision:
        """Deny what a door could not make a question of, so that it is counted and logged like any other denial.

        ``detail`` is for the log.
        """
        why = replace(reason(code), detail=detail)
        decision = deny(why, f"{self._boot}-{next(self._count):x}", revision=self.snapshot.revision)
        return self._observed(request, decision, time.perf_counter())

    def _observed(self, request: Request, decision: Decision, started: float) -> Decision:
        try:
            self._observe(request, decision, time.perf_counter() - started)
        except Exception as error:  # noqa: BLE001 - an observer that fails must not change or lose the answer
            self._report(error)
        return decision
