"""Metrics as Prometheus text. Rendering takes milliseconds: it belongs in a thread, never on the event loop."""

import platform
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate, zip_longest

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from authorizer.telemetry.masking import masked
from authorizer.telemetry.metrics import BUCKETS, DROPS, Metrics
from authorizer.telemetry.numbers import FleetNumbers, Numbers, WorkerState, numbers
from authorizer.telemetry.trace_context import parent


class MetricsCollector(Collector):
    """Yields every family of ``metrics``. ``clock`` gives POSIX seconds, for ages.

    With a ``fleet`` the numbers of traffic are those of its workers: sums, and series by worker where a sum would say
    nothing.
    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float], fleet: Callable[[], FleetNumbers] | None) -> None:
        self._metrics = metrics
        self._clock = clock
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        """Return the families as they are now."""
        if self._fleet is None:
            found = numbers(self._metrics)
            yield from _traffic(found)
            yield from _moment({(): found})
        else:
            fleet = self._fleet()
            found = fleet.total
            yield from _traffic(found)
            yield from _moment({(str(worker),): state.present for worker, state in fleet.workers.items()})
            yield from _workers(fleet.workers)
        yield from _noted(found)
        yield from _bundles(found)
        yield from _plane(self._metrics)
        yield from _catalogue(self._metrics)
        yield from _process(self._metrics, found, self._clock())


def renderer(
    metrics: Metrics, clock: Callable[[], float], fleet: Callable[[], FleetNumbers] | None = None
) -> Callable[[str], tuple[bytes, str]]:
    """Return a function from an Accept header to (body, content type), Prometheus text or OpenMetrics.

    The registry is its own: nothing that another library registers globally can clash with it.
    """
    registry = CollectorRegistry()
    registry.register(MetricsCollector(metrics, clock, fleet))
    ProcessCollector(registry=registry)

    def render(accept: str) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type

    return render


def _traffic(found: Numbers) -> Iterator[Metric]:
    decisions = CounterMetricFamily(
        "authorizer_decisions",
        "Decisions by API, answer, family of the reason and transport.",
        labels=("api", "decision", "reason_class", "transport"),
    )
    for key, count in found.decisions.items():
        answer = "allow" if key.allowed else "deny"
        decisions.add_metric((key.api, answer, key.category, key.transport), count)
    yield decisions
    durations = HistogramMetricFamily(
        "authorizer_decision_duration_seconds", "Time to decide, without the transport.", labels=("transport",)
    )
    for transport, held in found.durations.items():
        bounds = (*map(floatToGoString, BUCKETS), "+Inf")
        counted = zip(bounds, accumulate(held.counts), strict=True)
        cells: list[tuple[str, float] | tuple[str, float, Exemplar]] = [
            (*cell, exemplar) if (exemplar := _exemplar(recorded)) else cell
            for cell, recorded in zip_longest(counted, held.recorded)
        ]
        durations.add_metric((transport,), cells, held.total)
    yield durations
    breaches = CounterMetricFamily(
        "authorizer_connection_breaches", "Connections that were ended or not let in.", labels=("limit",)
    )
    for limit, count in found.breaches.items():
        breaches.add_metric((limit,), count)
    yield breaches
    calls = CounterMetricFamily(
        "authorizer_identity_provider_calls", "Calls to identity providers.", labels=("call", "outcome")
    )
    for (call, outcome), count in found.provider_calls.items():
        calls.add_metric((call, outcome), count)
    yield calls
    if found.memo:
        yield CounterMetricFamily("authorizer_token_memo_hits", "Tokens found in the memo.", found.memo.hits)
        yield CounterMetricFamily("authorizer_token_memo_misses", "Tokens not found in the memo.", found.memo.misses)


def _exemplar(recorded: tuple[str, float] | None) -> Exemplar | None:
    """Return what leads from a bucket to a trace (OpenMetrics 1.0, Exemplars)."""
    found = parent(recorded[0]) if recorded else None
    return Exemplar({"trace_id": found.trace}, recorded[1]) if recorded and found else None


def _noted(found: Numbers) -> Iterator[Metric]:
    """Yield what became of decision events and spans."""
    written = CounterMetricFamily(
        "authorizer_decision_log_written", "Decision events that a sink has taken.", labels=("sink",)
    )
    dropped = CounterMetricFamily(
        "authorizer_decision_log_dropped", "Decision events that were not written.", labels=("sink", "reason")
    )
    failures = CounterMetricFamily(
        "authorizer_decision_log_failures", "Tries to write that failed, and are made again.", labels=("sink",)
    )
    spans = CounterMetricFamily("authorizer_spans", "Spans of decisions whose trace is recorded.", labels=("outcome",))
    for sink, count in found.log_written.items():
        written.add_metric((sink,), count)
    # From the start, at 0: Prometheus sees no increase in a series that begins with what was lost.
    none = {(sink, why): 0 for sink in found.log_written for why in DROPS}
    for (sink, why), count in {**none, **found.log_dropped}.items():
        dropped.add_metric((sink, why), count)
    for sink, count in found.log_failures.items():
        failures.add_metric((sink,), count)
    for outcome, count in found.spans.items():
        spans.add_metric((outcome,), count)
    yield from (written, dropped, failures, spans)
    yield _gauge("authorizer_decision_log_waiting", "Decision events that wait, in memory and on disk.",
                 found.log_waiting)  # fmt: skip


def _moment(processes: Mapping[tuple[str, ...], Numbers]) -> Iterator[Metric]:
    """Yield what is so just now: by worker, or without a label where there are none."""
    labels = ("worker",) if () not in processes else ()
    in_flight = GaugeMetricFamily("authorizer_requests_in_flight", "Requests inside a door.", labels=labels)
    entries = GaugeMetricFamily("authorizer_token_memo_entries", "Verified tokens that are remembered.", labels=labels)
    lag = GaugeMetricFamily(
        "authorizer_event_loop_lag_seconds", "Worst delay of a timer in the last 15 seconds.", labels=labels
    )
    for worker, found in processes.items():
        in_flight.add_metric(worker, found.in_flight)
        lag.add_metric(worker, found.loop_lag)
        if found.memo:
            entries.add_metric(worker, found.memo.entries)
    yield in_flight
    yield lag
    yield entries


def _workers(workers: Mapping[int, WorkerState]) -> Iterator[Metric]:
    up = GaugeMetricFamily("authorizer_worker_up", "1 while the worker's doors are open.", labels=("worker",))
    restarts = CounterMetricFamily(
        "authorizer_worker_restarts", "How often the worker ended and was started again.", labels=("worker",)
    )
    for worker, state in workers.items():
        up.add_metric((str(worker),), float(state.up))
        restarts.add_metric((str(worker),), state.restarts)
    yield up
    yield restarts


def _bundles(found: Numbers) -> Iterator[Metric]:
    last = GaugeMetricFamily(
        "authorizer_bundle_last_activation_timestamp_seconds", "When the bundle took effect.", labels=("bundle",)
    )
    info = GaugeMetricFamily("authorizer_bundle_info", "The revision in force.", labels=("bundle", "revision"))
    latest: dict[str, float] = {}
    for (bundle, revision), at in found.activations.items():
        latest[bundle] = max(at, latest.get(bundle, 0.0))
        info.add_metric((bundle, revision), 1)
    for bundle, at in latest.items():
        last.add_metric((bundle,), at)
    yield last
    yield info
    failures = CounterMetricFamily(
        "authorizer_bundle_activation_failures", "Bundles refused, by error code.", labels=("bundle", "code")
    )
    for (bundle, code), count in found.activation_failures.items():
        failures.add_metric((bundle, code), count)
    yield failures


def _plane(metrics: Metrics) -> Iterator[Metric]:
    calls = CounterMetricFamily(
        "authorizer_control_plane_calls", "Calls to the control plane.", labels=("call", "outcome")
    )
    for (call, outcome), count in metrics.plane_calls.copy().items():
        calls.add_metric((call, outcome), count)
    yield calls


def _catalogue(metrics: Metrics) -> Iterator[Metric]:
    feeds = GaugeMetricFamily(
        "authorizer_discovery_feeds", "Feeds of discovery by their state.", labels=("source", "state")
    )
    failures = CounterMetricFamily(
        "authorizer_discovery_failures", "How often a feed of discovery failed.", labels=("source",)
    )
    for found in (metrics.gateway, metrics.cluster() if metrics.cluster else None):
        if found is not None:
            for (source, state), count in found.states.items():
                feeds.add_metric((source, state), count)
            for source, count in found.failures.items():
                failures.add_metric((source,), count)
    yield feeds
    yield failures
    if metrics.discovery_notes is not None:
        meaning = "What could not be read, or not be told as an API or an operation."
        yield _gauge("authorizer_discovery_notes", meaning, metrics.discovery_notes)
    if metrics.apis:
        discovered, without_policy = metrics.apis
        yield _gauge("authorizer_apis_discovered", "APIs that the gateways serve.", discovered)
        if without_policy is not None:
            yield _gauge("authorizer_apis_without_policy", "Discovered APIs that no policy guards.", without_policy)
    problems = GaugeMetricFamily(
        "authorizer_control_plane_problem",
        "Problems in the policies that the control plane holds; the last good ones stay in force.",
        labels=("code", "file", "line", "column"),
    )
    # Two problems of one code may stand at one place; a series may be exposed once only.
    places = dict.fromkeys((p.code, p.place.file, p.place.line, p.place.column) for p in metrics.problems)
    for code, file, line, column in places:
        problems.add_metric((code, masked(file, 200), str(line), str(column)), 1)
    yield problems


def _process(metrics: Metrics, found: Numbers, now: float) -> Iterator[Metric]:
    ages = GaugeMetricFamily("authorizer_jwks_age_seconds", "Age of the issuer's keys.", labels=("issuer",))
    for issuer, since in {**metrics.keys_since, **found.keys_fetched}.items():
        ages.add_metric((masked(issuer, 200),), max(0.0, now - since))
    yield ages
    if metrics.clients_missing is not None:
        what = "Issuers in force with a client that the settings lack."
        yield _gauge("authorizer_identity_provider_clients_missing", what, metrics.clients_missing)
    ends = GaugeMetricFamily(
        "authorizer_certificate_expiry_timestamp_seconds", "When the door's certificate expires.", labels=("door",)
    )
    for door, until in found.certificates.items():
        ends.add_metric((door,), until)
    yield ends
    build = GaugeMetricFamily("authorizer_build_info", "The build.", labels=("version", "python"))
    build.add_metric((metrics.version, platform.python_version()), 1)
    yield build


def _gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, value)
