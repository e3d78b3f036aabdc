"""The counts of one process as a value: what a scrape shows, and what a worker tells its supervisor."""

from collections.abc import Iterable, Mapping
from functools import reduce
from itertools import zip_longest
from math import inf
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from authorizer.telemetry.metrics import API_LIMIT, OTHER_API, DecisionKey, MemoUse, Metrics

_Key = TypeVar("_Key")


class Histogram(Struct, frozen=True):
    """``counts`` has one cell a bucket and one above the last; ``total`` is seconds.

    ``recorded`` is as in ``Durations``.
    """

    counts: tuple[int, ...]
    total: float
    recorded: tuple[tuple[str, float] | None, ...] = ()


class Numbers(Struct, frozen=True, kw_only=True):
    """Counts since the process began, and what is so just now: ``in_flight``, ``loop_lag`` (seconds), memo entries.

    ``activations`` says when (POSIX seconds) each (bundle, revision) in force became so, ``keys_fetched`` when the keys
    of an issuer came from it, ``certificates`` when that of a door expires.
    """

    decisions: dict[DecisionKey, int] = {}
    durations: dict[str, Histogram] = {}
    log_written: dict[str, int] = {}
    log_dropped: dict[tuple[str, str], int] = {}
    log_failures: dict[str, int] = {}
    log_waiting: int = 0
    spans: dict[str, int] = {}
    breaches: dict[str, int] = {}
    provider_calls: dict[tuple[str, str], int] = {}
    keys_fetched: dict[str, float] = {}
    certificates: dict[str, float] = {}
    activations: dict[tuple[str, str], float] = {}
    activation_failures: dict[tuple[str, str], int] = {}
    memo: MemoUse | None = None
    in_flight: int = 0
    loop_lag: float = 0.0


NOTHING = Numbers()


def numbers(metrics: Metrics) -> Numbers:
    """Copy what ``metrics`` holds now. Cheap, and safe from another thread: copies of dicts, nothing rendered."""
    return Numbers(
        decisions=metrics.decisions.copy(),
        durations={
            transport: Histogram(tuple(held.counts.copy()), held.total, tuple(held.recorded))
            for transport, held in metrics.durations.items()
        },
        log_written=metrics.log_written.copy(),
        log_dropped=metrics.log_dropped.copy(),
        log_failures=metrics.log_failures.copy(),
        log_waiting=metrics.log_waiting(),
        spans=metrics.spans.copy(),
        breaches=metrics.breaches.copy(),
        provider_calls=metrics.provider_calls.copy(),
        keys_fetched=dict(metrics.keys_fetched),
        certificates=dict(metrics.certificates),
        activations={(bundle, found.revision): found.at for bundle, found in metrics.activations.copy().items()},
        activation_failures=metrics.activation_failures.copy(),
        memo=metrics.memo() if metrics.memo else None,
        in_flight=metrics.in_flight,
        loop_lag=max(metrics.loop_lags.copy(), default=0.0),
    )


def added(left: Numbers, right: Numbers) -> Numbers:
    """Return the numbers of two processes as those of one; of one revision's activations the latest counts."""
    durations = left.durations | {
        transport: _both(left.durations[transport], held) if transport in left.durations else held
        for transport, held in right.durations.items()
    }
    memos = [memo for memo in (left.memo, right.memo) if memo is not None]
    return Numbers(
        decisions=_sums(left.decisions, right.decisions),
        durations=durations,
        log_written=_sums(left.log_written, right.log_written),
        log_dropped=_sums(left.log_dropped, right.log_dropped),
        log_failures=_sums(left.log_failures, right.log_failures),
        log_waiting=left.log_waiting + right.log_waiting,
        spans=_sums(left.spans, right.spans),
        breaches=_sums(left.breaches, right.breaches),
        provider_calls=_sums(left.provider_calls, right.provider_calls),
        keys_fetched=_earliest(left.keys_fetched, right.keys_fetched),
        certificates=_earliest(left.certificates, right.certificates),
        activations={
            key: max(left.activations.get(key, 0.0), right.activations.get(key, 0.0))
            for key in left.activations | right.activations
        },
        activation_failures=_sums(left.activation_failures, right.activation_failures),
        memo=MemoUse(*map(sum, zip(*memos, strict=True))) if memos else None,
        in_flight=left.in_flight + right.in_flight,
        loop_lag=max(left.loop_lag, right.loop_lag),
    )


def over(found: Numbers) -> Numbers:
    """Return what stays of a process that has ended: its counts."""
    memo = None if found.memo is None else found.memo._replace(entries=0)
    return replace(
        found, activations={}, keys_fetched={}, certificates={}, memo=memo, log_waiting=0, in_flight=0, loop_lag=0.0
    )


class _Account(Struct, frozen=True):
    """One worker: what its former processes counted together, and what the present one has said last."""

    former: Numbers = NOTHING
    present: Numbers = NOTHING


class Ledger:
    """The numbers of all workers. Totals never go backwards when a worker dies: what it said last stays in them.

    INVARIANT: an account is replaced by one assignment, for the thread of a scrape reads while the loop writes.
    """

    def __init__(self) -> None:
        self._accounts: dict[int, _Account] = {}
        self._apis: set[str] = set()

    def heard(self, worker: int, found: Numbers) -> None:
        """Replace what a worker's present process has counted."""
        self._accounts[worker] = replace(self._accounts.get(worker, _Account()), present=found)

    def ended(self, worker: int) -> None:
        """Close the account of a worker's present process."""
        account = self._accounts.get(worker, _Account())
        self._accounts[worker] = _Account(added(account.former, over(account.present)))

    def present(self, worker: int) -> Numbers:
        """Return what a worker's present process said last."""
        return self._accounts.get(worker, _Account()).present

    def total(self, own: Numbers = NOTHING) -> Numbers:
        """Return the sums over all workers, dead or alive, and the supervisor's ``own``. Not for two threads at once.

        Each worker admits API_LIMIT names of APIs, and they need not be the same ones: here no more are let through.
        """
        accounts = list(self._accounts.values())
        parts = [own, *(part for account in accounts for part in (account.former, account.present))]
        found = reduce(added, parts)
        decisions: dict[DecisionKey, int] = {}
        for key, count in found.decisions.items():
            admitted = key._replace(api=self._admit(key.api))
            decisions[admitted] = decisions.get(admitted, 0) + count
        return replace(found, decisions=decisions)

    def _admit(self, api: str) -> str:
        if api in self._apis:
            return api
        if len(self._apis) > API_LIMIT:
            return OTHER_API
        self._apis.add(api)
        return api


class WorkerState(Struct, frozen=True):
    """One worker as the supervisor sees it."""

    up: bool
    restarts: int
    present: Numbers


class FleetNumbers(Struct, frozen=True):
    """What a supervisor shows: the sums, and each worker."""

    total: Numbers
    workers: Mapping[int, WorkerState]


def _sums(left: Mapping[_Key, int], right: Mapping[_Key, int]) -> dict[_Key, int]:
    sums = dict(left)
    for key, count in right.items():
        sums[key] = sums.get(key, 0) + count
    return sums


def _earliest(left: Mapping[str, float], right: Mapping[str, float]) -> dict[str, float]:
    return {key: min(left.get(key, inf), right.get(key, inf)) for key in {**left, **right}}


def _both(left: Histogram, right: Histogram) -> Histogram:
    recorded = tuple(a or b for a, b in zip_longest(left.recorded, right.recorded))
    return Histogram(_cells(left.counts, right.counts), left.total + right.total, recorded)


def _cells(left: Iterable[int], right: Iterable[int]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(left, right, strict=True))
