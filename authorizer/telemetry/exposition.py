"""Metrics as Prometheus text. Rendering takes milliseconds: it belongs in a thread, never on the event loop."""

import platform
from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from authorizer.telemetry.masking import masked
from authorizer.telemetry.metrics import BUCKETS, Metrics


class MetricsCollector(Collector):
    """Yields every family of ``metrics``. ``clock`` gives POSIX seconds, for ages."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Return the families as they are now."""
        yield from _traffic(self._metrics)
        yield from _bundles(self._metrics)
        yield from _catalogue(self._metrics)
        yield from _process(self._metrics, self._clock())


def renderer(metrics: Metrics, clock: Callable[[], float]) -> Callable[[str], tuple[bytes, str]]:
    """Return a function from an Accept header to (body, content type), Prometheus text or OpenMetrics.

    The registry is its own: nothing that another library registers globally can clash with it.
    """
    registry = CollectorRegistry()
    registry.register(MetricsCollector(metrics, clock))
    ProcessCollector(registry=registry)

    def render(accept: str) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type

    return render


def _traffic(metrics: Metrics) -> Iterator[Metric]:
    decisions = CounterMetricFamily(
        "authorizer_decisions",
        "Decisions by API, answer, family of the reason and transport.",
        labels=("api", "decision", "reason_class", "transport"),
    )
    for key, count in metrics.decisions.copy().items():
        answer = "allow" if key.allowed else "deny"
        decisions.add_metric((key.api, answer, key.category, key.transport), count)
    yield decisions
    durations = HistogramMetricFamily(
        "authorizer_decision_duration_seconds", "Time to decide, without the transport.", labels=("transport",)
    )
    for transport, held in metrics.durations.items():
        sums = list(accumulate(held.counts.copy()))
        bounds = (*map(floatToGoString, BUCKETS), "+Inf")
        durations.add_metric((transport,), list(zip(bounds, sums, strict=True)), held.total)
    yield durations
    yield _gauge("authorizer_requests_in_flight", "Requests inside a door.", metrics.in_flight)
    dropped = CounterMetricFamily(
        "authorizer_decision_log_dropped", "Decision events that were not written.", labels=("reason",)
    )
    for why, count in metrics.log_dropped.copy().items():
        dropped.add_metric((why,), count)
    yield dropped
    if metrics.memo:
        use = metrics.memo()
        yield _gauge("authorizer_token_memo_entries", "Verified tokens that are remembered.", use.entries)
        yield CounterMetricFamily("authorizer_token_memo_hits", "Tokens found in the memo.", use.hits)
        yield CounterMetricFamily("authorizer_token_memo_misses", "Tokens not found in the memo.", use.misses)


def _bundles(metrics: Metrics) -> Iterator[Metric]:
    last = GaugeMetricFamily(
        "authorizer_bundle_last_activation_timestamp_seconds", "When the bundle took effect.", labels=("bundle",)
    )
    info = GaugeMetricFamily("authorizer_bundle_info", "The revision in force.", labels=("bundle", "revision"))
    for bundle, activation in metrics.activations.copy().items():
        last.add_metric((bundle,), activation.at)
        info.add_metric((bundle, activation.revision), 1)
    yield last
    yield info
    failures = CounterMetricFamily(
        "authorizer_bundle_activation_failures", "Bundles refused, by error code.", labels=("bundle", "code")
    )
    for (bundle, code), count in metrics.activation_failures.copy().items():
        failures.add_metric((bundle, code), count)
    yield failures


def _catalogue(metrics: Metrics) -> Iterator[Metric]:
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


def _process(metrics: Metrics, now: float) -> Iterator[Metric]:
    ages = GaugeMetricFamily("authorizer_jwks_age_seconds", "Age of the issuer's keys.", labels=("issuer",))
    for issuer, since in metrics.keys_since.items():
        ages.add_metric((masked(issuer, 200),), max(0.0, now - since))
    yield ages
    worst = max(metrics.loop_lags.copy(), default=0.0)
    yield _gauge("authorizer_event_loop_lag_seconds", "Worst delay of a timer in the last 15 seconds.", worst)
    build = GaugeMetricFamily("authorizer_build_info", "The build.", labels=("version", "python"))
    build.add_metric((metrics.version, platform.python_version()), 1)
    yield build


def _gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, value)
