"""Requests per second of both doors with a whole decision, against frameworks that decide nothing."""

import json
import statistics
import tempfile
from pathlib import Path

from tests.bench import load
from tests.bench import world as estate
from tests.bench.report import Row, higher_is_better

ROUNDS = 3
CHECKS = 8_000


def run() -> dict[str, Row]:
    """Measure in interleaved rounds; medians."""
    load.need("h2load", "wrk")
    world = estate.make()
    token = world.token()
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        documents, body = Path(folder, "documents.json"), Path(folder, "check.bin")
        documents.write_text(json.dumps(world.documents))
        body.write_bytes(load.framed_check(token))
        for _ in range(ROUNDS):
            for kind in ("native_grpc", "echo_grpc"):
                with load.server(kind, documents) as server:
                    rates.setdefault(kind, []).append(load.h2load(server, body, 16, CHECKS)[0])
            for kind in ("ours_http", "echo_http"):
                with load.server(kind, documents) as server:
                    path = f"/authz/envoy{estate.PATH}?expand=lines"
                    rates.setdefault(kind, []).append(load.wrk(server.port, token, 16, path)[0])
    median = {kind: statistics.median(found) for kind, found in rates.items()}
    return {
        "door.grpc": Row(
            value=round(median["native_grpc"], 1),
            unit="1/s",
            baseline=f"grpc.aio echo, no decision: {median['echo_grpc']:,.0f} 1/s",
            ratio=higher_is_better(median["native_grpc"], median["echo_grpc"]),
        ),
        "door.http": Row(
            value=round(median["ours_http"], 1),
            unit="1/s",
            baseline=f"aiohttp application echo, no decision: {median['echo_http']:,.0f} 1/s",
            ratio=higher_is_better(median["ours_http"], median["echo_http"]),
        ),
    }
