"""A real Envoy that traces: each decision is part of its trace, below the span by which Envoy asked."""

import contextlib
import copy
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from authorizer import settings
from authorizer.demo.processes import Children
from authorizer.doors import grpcio, native
from authorizer.gateways.envoy import Check
from authorizer.model import Decision, Request
from authorizer.service import Authorizer
from authorizer.telemetry import outlets
from authorizer.telemetry.exposition import renderer
from authorizer.telemetry.metrics import Metrics
from tests.e2e.fleet import until
from tests.e2e.shop import shop
from tests.e2e.world import Api, connection_manager, envoy, send

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED, LEFT_OUT = (("traceparent", f"00-{TRACE}-b7ad6b7169203331-{flags}") for flags in ("01", "00"))


class Collector:
    """Takes spans of Envoy (protobuf) and ours (JSON)."""

    def __init__(self) -> None:
        self.envoys = b""
        self.ours: list[dict[str, Any]] = []

    async def has_both(self) -> bool:
        """Tell whether Envoy sent the parents of all of our spans."""
        return all(bytes.fromhex(span["parentSpanId"]) in self.envoys for span in self.ours)

    async def take(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        if request.headers["content-type"] != "application/json":
            self.envoys += body
        else:
            (resource,) = json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)["resourceSpans"]
            self.ours += resource["scopeSpans"][0]["spans"]
        return web.Response()


@contextlib.asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, int]]:
    collector = Collector()
    runner = web.ServerRunner(web.Server(collector.take))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield collector, runner.addresses[0][1]
    finally:
        await runner.cleanup()


def traced(config: dict[str, Any], port: int) -> None:
    """Let Envoy trace every request, and send its spans to ``port``."""
    kind = "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig"
    uri = {"uri": "http://collector/v1/traces", "cluster": "collector", "timeout": "1s"}
    told = {"@type": kind, "service_name": "gateway", "http_service": {"http_uri": uri}}
    connection_manager(config)["tracing"] = {"provider": {"name": "envoy.tracers.opentelemetry", "typed_config": told}}
    clusters = config["static_resources"]["clusters"]
    collector = copy.deepcopy(clusters[1])
    collector["name"] = collector["load_assignment"]["cluster_name"] = "collector"
    endpoint = collector["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    endpoint["address"]["socket_address"]["port_value"] = port
    clusters.append(collector)


@pytest.mark.parametrize("engine", [native, grpcio])
async def test_a_decision_is_below_the_span_by_which_envoy_asked(
    engine: Any, children: Children, api: Api, tmp_path: Path
) -> None:
    authorizer, tokens = shop(tmp_path)
    metrics = Metrics("1")
    bearer = ("authorization", f"Bearer {tokens['alice']}")
    async with collecting() as (collector, port):
        chosen = settings.load(flags=["policies=p", f"traces.url=http://127.0.0.1:{port}"])
        spans = outlets.traces(chosen, metrics, authorizer._clock)
        assert spans is not None
        observe(authorizer, metrics.observe, spans.observe)
        door = await engine.start(authorizer, "127.0.0.1:0")
        gateway = await envoy(
            children, tmp_path, Check(address=door.address), api.address, lambda config: traced(config, port)
        )
        for more in ((), (SAMPLED,), (LEFT_OUT,)):
            assert (await send(gateway.url, "GET", "/orders/17", [bearer, *more], host="localhost")).status == 200
        await spans.drain(10)
        await until(collector.has_both, 20)
        await door.close(0)
    begun, joined = collector.ours  # and none of the one whose sender leaves it out
    assert begun["traceId"] != TRACE
    assert joined["traceId"] == TRACE
    assert joined["parentSpanId"] != SAMPLED[1].split("-")[2]
    page = renderer(metrics, lambda: 0.0)("application/openmetrics-text; version=1.0.0")[0].decode()
    assert f'# {{trace_id="{TRACE}"}}' in page or f'# {{trace_id="{begun["traceId"]}"}}' in page


def observe(authorizer: Authorizer, *observers: Any) -> None:
    def tell(request: Request, decision: Decision, seconds: float) -> None:
        for each in observers:
            each(request, decision, seconds)

    authorizer._observe = tell
