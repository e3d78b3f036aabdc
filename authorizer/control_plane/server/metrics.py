"""What the control plane counts, as Prometheus text."""

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from authorizer.control_plane.server.publisher import Publisher
from authorizer.errors import ControlPlaneError

Requests = Counter[tuple[str, str, int]]
"""(method, address as it stands in the table of routes, status) -> how often."""

PREFIX = "authorizer_control_plane"
MAX_PROBLEMS = 1_000


class _Collector(Collector):
    def __init__(self, publisher: Publisher, requests: Requests, authorizers: Callable[[], int]) -> None:
        self._publisher = publisher
        self._requests = requests
        self._authorizers = authorizers

    def _heard(self) -> tuple[int, bool]:
        try:
            return self._authorizers(), True
        except ControlPlaneError:
            return 0, False

    def collect(self) -> Iterator[Metric]:
        publisher = self._publisher
        problems = GaugeMetricFamily(
            f"{PREFIX}_problem",
            "Problems of the documents; with an error among them the last good ones stay in force.",
            labels=("code", "file", "line", "column"),
        )
        # Two problems of one code may stand at one place, but a series may be shown once only.
        places = dict.fromkeys((p.code, p.place.file, p.place.line, p.place.column) for p in publisher.problems)
        for code, file, line, column in list(places)[:MAX_PROBLEMS]:
            problems.add_metric((code, file, str(line), str(column)), 1)
        yield problems
        bundles = GaugeMetricFamily(f"{PREFIX}_bundle_info", "The bundles in force.", labels=("bundle", "revision"))
        since = GaugeMetricFamily(
            f"{PREFIX}_bundle_published_timestamp_seconds", "When the bundle was published.", labels=("bundle",)
        )
        for kind, bundle in sorted(publisher.bundles.items()):
            bundles.add_metric((kind, bundle.revision), 1)
            since.add_metric((kind,), bundle.published)
        yield bundles
        yield since
        yield CounterMetricFamily(f"{PREFIX}_publications", "Changes that were published.", publisher.publications)
        yield CounterMetricFamily(f"{PREFIX}_refusals", "Changes that were refused.", publisher.refusals)
        heard, answers = self._heard()
        yield GaugeMetricFamily(f"{PREFIX}_database_up", "Whether the database answers.", answers)
        if answers:
            yield GaugeMetricFamily(f"{PREFIX}_authorizers", "Authorizers heard in the last day.", heard)
        answered = CounterMetricFamily(
            f"{PREFIX}_requests", "Requests answered.", labels=("method", "address", "status")
        )
        for (method, address, status), count in self._requests.copy().items():
            answered.add_metric((method, address, str(status)), count)
        yield answered


def renderer(
    publisher: Publisher, requests: Requests, authorizers: Callable[[], int]
) -> Callable[[], tuple[bytes, str]]:
    """Return a function that gives (body, content type); it blocks, for it may read the database."""
    registry = CollectorRegistry()
    registry.register(_Collector(publisher, requests, authorizers))
    return lambda: (generate_latest(registry), CONTENT_TYPE_LATEST)
