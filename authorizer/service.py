"""The Authorizer: holds the one Snapshot and answers checks. This is the hot path, on one screen."""

import itertools
import secrets
import time
from collections.abc import Callable

from msgspec.structs import replace

from authorizer.model import Decision, Request
from authorizer.pdp.decide import decide, deny
from authorizer.pdp.proofs import Spend
from authorizer.pdp.snapshot import EMPTY, Snapshot
from authorizer.reasons import reason

Observer = Callable[[Request, Decision, float], None]
"""Told of every decision: the request, the answer, and the seconds it took."""


def _nobody(_request: Request, _decision: Decision, _seconds: float) -> None:
    """Observe nothing."""


def _quiet(_error: Exception) -> None:
    """Report nothing."""


Spender = Callable[[bytes, float, float], bool | None]
"""Asked whether a proof's digest is fresh: (digest, until, now) -> True, False for a replay, None if it cannot tell."""


def no_store(_digest: bytes, _until: float, _now: float) -> None:
    """Tell of no proof that it is fresh."""


class Authorizer:
    """Decides requests against the current snapshot.

    ``snapshot`` is replaced by one assignment; ``stale_after`` (POSIX seconds) is the time from which the last known
    good is too old to decide by. Both may be set from the event loop while checks run. ``report`` is told of faults,
    ``spend`` whether a DPoP proof was shown before; without it no proof is accepted.
    """

    def __init__(
        self,
        snapshot: Snapshot = EMPTY,
        *,
        clock: Callable[[], float] = time.time,
        observe: Observer = _nobody,
        report: Callable[[Exception], None] = _quiet,
        spend: Spender = no_store,
    ) -> None:
        self.snapshot = snapshot
        self.stale_after = float("inf")
        self._clock = clock
        self._observe = observe
        self._report = report
        self._spend = spend
        # Unique among processes by the random part, among decisions by the counter: no random call on each check.
        self._boot = secrets.token_hex(6)
        self._count = itertools.count(1)

    @property
    def ready(self) -> bool:
        """Whether a policy is loaded, so that a decision can be more than "not ready"."""
        return self.snapshot.ready and self._clock() < self.stale_after

    def check(self, request: Request) -> Decision:
        """Decide ``request``. Synchronous; never raises: what cannot be decided is denied."""
        started = time.perf_counter()
        decision_id = f"{self._boot}-{next(self._count):x}"
        try:
            now = self._clock()
            fresh = now < self.stale_after
            decision = self._decide(request, now, decision_id) if fresh else deny("stale", decision_id)
        except Exception as error:  # noqa: BLE001 - INVARIANT: a fault of ours leaves as a denial, whatever it was
            decision = deny("internal_error", decision_id)
            self._report(error)
        return self._observed(request, decision, started)

    def _decide(self, request: Request, now: float, decision_id: str) -> Decision:
        snapshot = self.snapshot  # both rounds are about one
        decision = decide(snapshot, request, now, decision_id)
        if type(decision) is Decision:
            return decision
        assert isinstance(decision, Spend)
        learnt = {decision: self._spend(decision.digest, decision.until, now)}
        again = decide(snapshot, request, now, decision_id, learnt)
        return again if isinstance(again, Decision) else deny("internal_error", decision_id)

    def refuse(self, code: str, request: Request, detail: str = "") -> Decision:
        """Deny what a door could not make a question of, so that it is counted and logged like any other denial.

        ``detail`` is for the log.
        """
        why = replace(reason(code), detail=detail)
        return self._observed(request, deny(why, f"{self._boot}-{next(self._count):x}"), time.perf_counter())

    def _observed(self, request: Request, decision: Decision, started: float) -> Decision:
        try:
            self._observe(request, decision, time.perf_counter() - started)
        except Exception as error:  # noqa: BLE001 - an observer that fails must not change or lose the answer
            self._report(error)
        return decision
