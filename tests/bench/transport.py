"""Requests per second of the doors, over loopback, one connection of 16 streams (gRPC) or 16 connections (HTTP).

Server on one core, load on another where there are two. Needs h2load (Debian: nghttp2-client) and wrk. Every run is
bounded: a number of requests, or seconds.
"""

import json
import os
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from authorizer.doors.wire import ext_authz_pb2
from tests.bench import world as estate
from tests.bench.report import Row, higher_is_better

ROUNDS = 3
CHECKS = 8_000
SECONDS = 3


def run() -> dict[str, Row]:
    """Measure both doors and their baselines in interleaved rounds; medians."""
    missing = [tool for tool in ("h2load", "wrk") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"not found: {', '.join(missing)}; on Debian: apt-get install nghttp2-client wrk")
    world = estate.make()
    token = world.token()
    with tempfile.TemporaryDirectory() as folder:
        documents = Path(folder, "documents.json")
        documents.write_text(json.dumps(world.documents))
        body = Path(folder, "check.bin")
        body.write_bytes(_framed_check(token))
        rates: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for kind in ("ours_grpc", "echo_grpc", "ours_http", "echo_http"):
                with _server(kind, documents) as port:
                    rate = _h2load(port, body) if kind.endswith("grpc") else _wrk(port, token)
                rates.setdefault(kind, []).append(rate)
    median = {kind: statistics.median(found) for kind, found in rates.items()}
    return {
        "door.grpc": Row(
            value=round(median["ours_grpc"], 1),
            unit="1/s",
            baseline=f"grpc.aio echo, no decision: {median['echo_grpc']:,.0f} 1/s",
            ratio=higher_is_better(median["ours_grpc"], median["echo_grpc"]),
        ),
        "door.http": Row(
            value=round(median["ours_http"], 1),
            unit="1/s",
            baseline=f"aiohttp application echo, no decision: {median['echo_http']:,.0f} 1/s",
            ratio=higher_is_better(median["ours_http"], median["echo_http"]),
        ),
    }


def _pinned(core: int) -> list[str]:
    return ["taskset", "-c", str(core)] if shutil.which("taskset") and (os.cpu_count() or 1) > core else []


@contextmanager
def _server(kind: str, documents: Path) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*_pinned(0), sys.executable, "-m", "tests.bench.servers", kind, str(port), str(documents)]
    )
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None:
                sys.exit(f"the server {kind} ended at once")
            time.sleep(0.05)
        else:
            sys.exit(f"the server {kind} does not listen")
        yield port
    finally:
        process.kill()
        process.wait(10)


def _h2load(port: int, body: Path) -> float:
    url = f"http://127.0.0.1:{port}/envoy.service.auth.v3.Authorization/Check"
    command = [*_pinned(1), "h2load", "-n", str(CHECKS), "-c", "1", "-m", "16", "-d", str(body)]
    fields = ["-H", "content-type: application/grpc", "-H", "te: trailers", url]
    text = subprocess.run([*command, *fields], capture_output=True, text=True, check=True, timeout=120).stdout
    answered = re.search(r"(\d+) 2xx", text)
    if answered is None or int(answered[1]) != CHECKS:
        sys.exit(f"h2load: not every check was answered\n{text}")
    return float(re.search(r"([\d.]+) req/s", text)[1])


def _wrk(port: int, token: str) -> float:
    url = f"http://127.0.0.1:{port}/authz/envoy{estate.PATH}?expand=lines"
    fields = {**estate.headers(token), "Host": estate.HOST}  # wrk adds its own next to any other spelling
    flags = [item for name, value in fields.items() for item in ("-H", f"{name}: {value}")]
    command = [*_pinned(1), "wrk", "-t1", "-c16", f"-d{SECONDS}s", *flags, url]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    if "Non-2xx" in text:
        sys.exit(f"wrk: not every request was allowed\n{text}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])


def _framed_check(token: str) -> bytes:
    check = ext_authz_pb2.CheckRequest()
    attributes = check.attributes
    attributes.source.address.socket_address.address = "10.1.2.3"
    attributes.destination.address.socket_address.address = "10.9.9.9"
    http = attributes.request.http
    http.id, http.method, http.path, http.host = "1234567890123", "GET", f"{estate.PATH}?expand=lines", estate.HOST
    http.scheme, http.protocol = "https", "HTTP/1.1"
    pseudo = {":authority": estate.HOST, ":method": "GET", ":path": http.path, ":scheme": "https"}
    for name, value in {**pseudo, **estate.headers(token)}.items():
        http.headers[name] = value
    message = check.SerializeToString()
    return b"\0" + struct.pack(">I", len(message)) + message
