"""The gRPC door directly and behind a real Envoy, native against grpc.aio and, where it is there, against the floor.

Direct: h2load, one connection of 1 and of 16 streams, with the server's CPU time a check. Behind Envoy (one worker):
wrk with 1 and with 16 clients; what the check adds is the difference to a listener that does not ask. The server has
a core to itself, Envoy and the load share the other. The floor is the experiment of ../shared/bench: an asyncio HTTP/2
echo without limits and without a decision. Where ``opa-envoy`` is on the path, OPA-Envoy is measured beside them.

Ours runs twice: with ``busy_poll_microseconds`` as docs/sizing.md has it for least latency, and with the defaults, by
which it sleeps between checks (rows ending in ``_sleeping``).
"""

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from authorizer.demo.gateway import find_envoy
from tests.bench import load, opa
from tests.bench import world as estate
from tests.bench.report import Row, higher_is_better, lower_is_better
from tests.bench.servers import FLOOR

ROUNDS = 5
_TYPE = "type.googleapis.com/envoy."
_PROTOCOLS = "extensions.upstreams.http.v3.HttpProtocolOptions"
Figures = dict[str, float]


def run() -> dict[str, Row]:
    """Measure in interleaved rounds; medians."""
    load.need("h2load", "wrk")
    kinds = ["native_busy", "native_grpc", "grpcio_grpc", "echo_grpc", *(["floor"] if FLOOR.exists() else [])]
    world = estate.make()
    token = world.token()
    found: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        documents, body = Path(folder, "documents.json"), Path(folder, "check.bin")
        documents.write_text(json.dumps(world.documents))
        body.write_bytes(load.framed_check(token))
        servers = {kind: stack.enter_context(load.server(kind, documents)) for kind in kinds}
        if opa.present():
            servers["opa"] = stack.enter_context(opa.server(Path(folder), world))
        for _ in range(ROUNDS):
            for kind, server in servers.items():
                found.setdefault(kind, []).append(_direct(server, body))
        listeners = stack.enter_context(envoy({kind: server.port for kind, server in servers.items()}, Path(folder)))
        for _ in range(ROUNDS):
            for kind, port in listeners.items():
                found.setdefault(kind, []).append(_behind_envoy(port, token))
    medians = {kind: _medians(rounds) for kind, rounds in found.items()}
    rows = {}
    for ours, mode in (("native_busy", ""), ("native_grpc", "_sleeping")):
        rows |= _rows(medians, ours, "echo_grpc", "bare grpc.aio echo", mode)
        if "floor" in medians:
            rows |= _rows(medians, ours, "floor", "floor's echo", f"{mode}_floor")
        if "opa" in medians:
            rows |= _rows(medians, ours, "opa", "OPA-Envoy, the same policy", f"{mode}_opa")
    return rows | _grpcio(medians)


def _direct(server: load.Server, body: Path) -> Figures:
    one, cpu_one = load.h2load(server, body, 1, 4_000)
    sixteen, cpu = load.h2load(server, body, 16, 15_000)
    return {"direct1": one, "cpu1": cpu_one, "direct16": sixteen, "cpu16": cpu}


def _behind_envoy(port: int, token: str) -> Figures:
    _, median, _ = load.wrk(port, token, 1, f"{estate.PATH}?expand=lines")
    rate, _, slowest = load.wrk(port, token, 16, f"{estate.PATH}?expand=lines")
    return {"envoy1": median, "envoy16": rate, "envoy16_p99": slowest}


def _medians(rounds: list[Figures]) -> Figures:
    names = {name for figures in rounds for name in figures}
    return {name: statistics.median(figures[name] for figures in rounds if name in figures) for name in names}


def _rows(medians: Mapping[str, Figures], kind: str, against: str, title: str, suffix: str) -> dict[str, Row]:
    ours, base, bare = medians[kind], medians[against], medians["no_check"]["envoy1"]
    rows = {}
    for name, unit in (
        ("direct1", "1/s"),
        ("direct16", "1/s"),
        ("envoy16", "1/s"),
        ("cpu16", "us"),
        ("envoy16_p99", "ms"),
    ):
        compare = higher_is_better if unit == "1/s" else lower_is_better
        rows[f"transport.{name}{suffix}"] = Row(
            value=round(ours[name], 2),
            unit=unit,
            baseline=f"{title}: {base[name]:,.2f} {unit}",
            ratio=compare(ours[name], base[name]),
        )
    added, base_added = (max(figures["envoy1"] - bare, 0.001) for figures in (ours, base))
    rows[f"transport.envoy1_added{suffix}"] = Row(
        value=round(added, 3),
        unit="ms",
        baseline=f"{title}: {base_added:.3f} ms",
        ratio=lower_is_better(added, base_added),
        note="median latency that the check adds, 1 client",
    )
    return rows


def _grpcio(medians: Mapping[str, Figures]) -> dict[str, Row]:
    ours, base = medians["native_grpc"], medians["grpcio_grpc"]
    return {
        "transport.engines16": Row(
            value=round(ours["direct16"], 1),
            unit="1/s",
            baseline=f"the same handler on grpc.aio: {base['direct16']:,.0f} 1/s",
            ratio=higher_is_better(ours["direct16"], base["direct16"]),
        )
    }


@contextmanager
def envoy(backends: Mapping[str, int], folder: Path) -> Iterator[dict[str, int]]:
    """Run an Envoy with one listener for each backend, and one that does not ask; yield the ports."""
    ports = {name: load.free_port() for name in ("no_check", *backends)}
    config = {
        "static_resources": {
            "listeners": [_listener(name, port, asks=name in backends) for name, port in ports.items()],
            "clusters": [_cluster(name, port) for name, port in backends.items()],
        }
    }
    file = folder / "envoy.json"
    file.write_text(json.dumps(config))
    command = [
        *load.pinned(1),
        str(find_envoy()),
        "-c",
        str(file),
        "--concurrency",
        "1",
        "-l",
        "error",
        "--use-dynamic-base-id",
    ]
    process = subprocess.Popen(command)
    try:
        for port in ports.values():
            load.wait_for(port, process)
        time.sleep(1)
        yield ports
    finally:
        process.terminate()
        process.wait(10)


def _listener(name: str, port: int, *, asks: bool) -> dict[str, object]:
    check = {
        "transport_api_version": "V3",
        "grpc_service": {"envoy_grpc": {"cluster_name": name}, "timeout": "2s"},
    }
    filters = [{"name": "check", "typed_config": _any("extensions.filters.http.ext_authz.v3.ExtAuthz", check)}]
    router = {"name": "router", "typed_config": _any("extensions.filters.http.router.v3.Router", {})}
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}}
    manager = {
        "stat_prefix": name,
        "http_filters": [*(filters if asks else []), router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    }
    kind = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    return {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": _any(kind, manager)}]}],
    }


def _cluster(name: str, port: int) -> dict[str, object]:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
    http2 = _any(_PROTOCOLS, {"explicit_http_config": {"http2_protocol_options": {}}})
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {f"envoy.{_PROTOCOLS}": http2},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _any(kind: str, config: Mapping[str, object]) -> dict[str, object]:
    return {"@type": _TYPE + kind, **config}
