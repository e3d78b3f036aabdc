"""What is counted. The hot path adds to plain dicts; ``exposition`` turns them into Prometheus families when asked.

INVARIANT: one thread (the event loop's) writes. A scrape runs in another and reads only whole values: copies of dicts,
and attributes that are replaced by one assignment.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from math import inf
from typing import NamedTuple

from msgspec import Struct

from authorizer.errors import Problem
from authorizer.model import Decision, Request
from authorizer.telemetry.trace_context import carried, is_recorded

BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Upper bounds of the duration histogram, in seconds."""

API_LIMIT = 200
OTHER_API = "other"
NO_API = "none"
PROBLEM_LIMIT = 100
LAG_SAMPLES = 60
DROPS = (
    "rule",
    "buffer_full",
    "disk_buffer_full",
    "disk_buffer_damaged",
    "refused",
    "too_large",
    "not_rendered",
    "shutdown",
)
"""Why a decision event does not reach a sink."""


class DecisionKey(NamedTuple):
    """One series of ``authorizer_decisions_total``."""

    api: str
    allowed: bool
    category: str
    transport: str


class Durations:
    """A histogram of one transport: ``counts`` has one cell a bucket and one above the last; ``total`` is seconds.

    ``recorded`` has for each cell the last request whose trace is recorded: its ``traceparent``, and seconds.
    """

    __slots__ = ("counts", "recorded", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.recorded: list[tuple[str, float] | None] = [None] * (len(BUCKETS) + 1)
        self.total = 0.0


class Activation(Struct, frozen=True):
    """The bundle in force: its revision and when (POSIX seconds) it became so."""

    revision: str
    at: float


class MemoUse(NamedTuple):
    """How the memo of verified tokens does. Hits and misses count from the start of the process."""

    entries: int
    hits: int
    misses: int


class Feeds(NamedTuple):
    """How discovery does: (source, state) -> feeds that are in it, and source -> how often one of its feeds failed."""

    states: Mapping[tuple[str, str], int]
    failures: Mapping[str, int]


class Metrics:
    """The numbers of one process."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.decisions: dict[DecisionKey, int] = {}
        self.durations: dict[str, Durations] = {"grpc": Durations(), "http": Durations()}
        self.in_flight = 0
        self.activations: dict[str, Activation] = {}
        self.activation_failures: dict[tuple[str, str], int] = {}
        self.log_written: dict[str, int] = {}
        self.log_dropped: dict[tuple[str, str], int] = {}
        self.log_failures: dict[str, int] = {}
        self.log_waiting: Callable[[], int] = lambda: 0
        self.spans: dict[str, int] = {}
        self.breaches: dict[str, int] = {}
        self.keys_since: Mapping[str, float] = {}
        self.keys_fetched: Mapping[str, float] = {}
        self.clients_missing: int | None = None
        self.certificates: Mapping[str, float] = {}
        self.provider_calls: dict[tuple[str, str], int] = {}
        self.plane_calls: dict[tuple[str, str], int] = {}
        self.gateway: Feeds | None = None
        self.cluster: Callable[[], Feeds] | None = None
        self.discovery_notes: int | None = None
        self.apis: tuple[int, int | None] | None = None
        self.problems: tuple[Problem, ...] = ()
        self.loop_lags: deque[float] = deque(maxlen=LAG_SAMPLES)
        self.memo: Callable[[], MemoUse] | None = None
        self._apis: dict[str, str] = {"": NO_API}

    def observe(self, request: Request, decision: Decision, seconds: float) -> None:
        """Count one decision that took ``seconds``. The hot path: no formatting, no locks."""
        api = self._apis.get(decision.application) or self._admit(decision.application)
        key = DecisionKey(api, decision.allowed, decision.reason.category, request.transport)
        self.decisions[key] = self.decisions.get(key, 0) + 1
        durations = self.durations[request.transport]
        cell = bisect_left(BUCKETS, seconds)
        durations.counts[cell] += 1
        if (request.trace or "traceparent" in request.headers) and is_recorded(trace := carried(request)):
            durations.recorded[cell] = trace, seconds
        durations.total += seconds

    def _admit(self, application: str) -> str:
        """Give an application its own label while there is room. Beyond it all share one, and none is remembered."""
        if len(self._apis) > API_LIMIT:
            return OTHER_API
        self._apis[application] = application
        return application

    def track(self, change: int) -> None:
        """Count a request that entered (+1) or left (-1) a door."""
        self.in_flight += change

    def bundle_activated(self, bundle: str, revision: str, at: float) -> None:
        """Note that a bundle took effect at ``at`` (POSIX seconds)."""
        self.activations[bundle] = Activation(revision, at)

    def bundle_refused(self, bundle: str, code: str) -> None:
        """Count a bundle that was not activated, by the code of its error."""
        self.activation_failures[bundle, code] = self.activation_failures.get((bundle, code), 0) + 1

    def decisions_written(self, sink: str, count: int) -> None:
        """Count decision events that a sink has taken."""
        self.log_written[sink] = self.log_written.get(sink, 0) + count

    def decisions_dropped(self, sink: str, reason: str, count: int) -> None:
        """Count decision events that a sink will never get."""
        self.log_dropped[sink, reason] = self.log_dropped.get((sink, reason), 0) + count

    def log_failed(self, sink: str) -> None:
        """Count a try to write that failed."""
        self.log_failures[sink] = self.log_failures.get(sink, 0) + 1

    def spans_ended(self, outcome: str, count: int) -> None:
        """Count spans: ``exported``, or why they were dropped."""
        self.spans[outcome] = self.spans.get(outcome, 0) + count

    def breached(self, limit: str) -> None:
        """Count a connection that was ended, or not let in, by the name of the limit that it broke."""
        self.breaches[limit] = self.breaches.get(limit, 0) + 1

    def trusted_keys(self, since: Mapping[str, float]) -> None:
        """Replace what is known of keys in the documents: issuer -> POSIX seconds when they were last confirmed."""
        self.keys_since = dict(since)

    def asked_provider(self, call: str, outcome: str) -> None:
        """Count a call to an identity provider: ``keys``, ``introspection`` or ``exchange``, and how it went."""
        self.provider_calls[call, outcome] = self.provider_calls.get((call, outcome), 0) + 1

    def lacks_clients(self, count: int) -> None:
        """Note how many issuers in force would be asked as a client that the settings lack."""
        self.clients_missing = count

    def fetched_keys(self, at: Mapping[str, float]) -> None:
        """Replace what is known of fetched keys in force: issuer -> POSIX seconds."""
        self.keys_fetched = dict(at)

    def asked_control_plane(self, call: str, *, answered: bool) -> None:
        """Count a call to the control plane: the kind of bundle, ``status`` or ``apis``."""
        key = call, "answered" if answered else "failed"
        self.plane_calls[key] = self.plane_calls.get(key, 0) + 1

    def read_gateway(self, source: str, *, failed: bool) -> None:
        """Note whether a gateway could be asked for its APIs, or an API for its operations."""
        known = self.gateway or Feeds({}, {})
        states = {key: count for key, count in known.states.items() if key[0] != source}
        states[source, "failing" if failed else "current"] = 1
        self.gateway = Feeds(states, {**known.failures, source: known.failures.get(source, 0) + failed})

    def certified(self, door: str, until: float) -> None:
        """Note when (POSIX seconds) the certificate of a door expires, infinity for "not known"."""
        others = {name: at for name, at in self.certificates.items() if name != door}
        self.certificates = others | ({door: until} if until < inf else {})

    def discovered(self, apis: int, without_policy: int | None) -> None:
        """Note how many APIs the gateways serve and how many of them no policy guards, if that is known."""
        self.apis = (apis, without_policy)

    def reported(self, problems: Iterable[Problem]) -> None:
        """Replace the problems that the control plane finds in the policies it holds; the first 100 are shown."""
        self.problems = tuple(islice(problems, PROBLEM_LIMIT))

    def loop_lagged(self, seconds: float) -> None:
        """Note how late the event loop ran a timer."""
        self.loop_lags.append(seconds)
