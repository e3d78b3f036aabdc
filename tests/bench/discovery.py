"""What it costs to turn the objects of a large cluster into a catalogue, and the memory that they take."""

import tracemalloc
from statistics import median
from time import perf_counter
from typing import Any

from authorizer.discovery.catalogue import catalogue
from authorizer.discovery.joining import join
from authorizer.discovery.kubernetes import objects, reading
from authorizer.discovery.kubernetes.kinds import ENDPOINT_SLICE, GATEWAY, HTTP_ROUTE, SERVICE, Kind, kept
from tests.bench.report import Row, lower_is_better

ROUTES = 10_000
OBJECTS = 50_000
MOST_MILLISECONDS = 2_000
MOST_BYTES = 4_096
"""An object of a cluster, with who changed it when, is often larger than this as text alone."""


def run() -> dict[str, Row]:
    """Measure the whole way from objects to the digest, and the objects."""
    found = objects.by_kind(_routes())
    times = []
    for _ in range(5):
        started = perf_counter()
        told = catalogue(join(reading.read(found, ["authorizer"], whole=True).apis, ()))
        times.append((perf_counter() - started) * 1e3)
    assert sum(len(api.routes) for api in told.apis) == ROUTES
    cost = median(times)
    return {
        "discovery.routes10k": Row(
            value=round(cost, 1), unit="ms", baseline=f"the most allowed: {MOST_MILLISECONDS} ms",
            ratio=lower_is_better(cost, MOST_MILLISECONDS), note=f"{ROUTES:,} routes of {len(told.apis):,} APIs",
        ),
        "discovery.object": _memory(),
    }  # fmt: skip


def _memory() -> Row:
    tracemalloc.start()
    held = [kept(ENDPOINT_SLICE, _slice(number)) for number in range(OBJECTS)]
    size = tracemalloc.get_traced_memory()[0] / len(held)
    tracemalloc.stop()
    return Row(
        value=round(size), unit="B", baseline=f"the most allowed: {MOST_BYTES} B",
        ratio=lower_is_better(size, MOST_BYTES), note=f"{OBJECTS:,} EndpointSlices of 10 pods",
    )  # fmt: skip


def _routes() -> list[tuple[Kind, dict[str, Any]]]:
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "hostname": "*.example.com"}
    found: list[tuple[Kind, dict[str, Any]]] = [
        (GATEWAY, {"metadata": {"name": "gateway", "namespace": "n"}, "spec": {"listeners": [listener]}})
    ]
    for number in range(ROUTES // 10):
        at = {"name": f"r{number}", "namespace": "n"}
        rule = {
            "matches": [{"path": {"type": "PathPrefix", "value": f"/v{each}"}} for each in range(10)],
            "backendRefs": [{"name": at["name"], "port": 80}],
        }
        hosts = [f"h{number}.example.com"]
        spec = {"parentRefs": [{"name": "gateway"}], "hostnames": hosts, "rules": [rule]}
        found += [(HTTP_ROUTE, {"metadata": at, "spec": spec}), (SERVICE, {"metadata": at, "spec": {}})]
    return found


def _slice(number: int) -> dict[str, Any]:
    pod = {"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "targetRef": {"kind": "Pod", "name": "p" * 30}}
    return {
        "metadata": {
            "name": f"s{number}",
            "namespace": "n",
            "labels": {"kubernetes.io/service-name": f"r{number}"},
            "managedFields": [{"manager": "m" * 20, "fieldsV1": {f"f:{each}": {} for each in range(30)}}],
        },
        "endpoints": [dict(pod) for _ in range(10)],
    }
