"""Servers under load over loopback: the server on one core, the load on another where there are two.

Needs h2load (Debian: nghttp2-client) and wrk. Every run is bounded: a number of requests, or seconds.
"""

import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from authorizer.doors.wire import ext_authz_pb2
from tests.bench import world as estate

SECONDS = 3
METHOD = "/envoy.service.auth.v3.Authorization/Check"
_TICK = 1e6 / os.sysconf("SC_CLK_TCK")


class Server(Struct, frozen=True):
    """A running server: where it listens on loopback, and its process."""

    port: int
    pid: int

    def cpu(self) -> float:
        """Return the processor time that it has used so far, in microseconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * _TICK


def need(*tools: str) -> None:
    """End with a hint when a tool is missing."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        sys.exit(f"not found: {', '.join(missing)}; on Debian: apt-get install nghttp2-client nginx wrk")


def pinned(core: int) -> list[str]:
    """Return the prefix of a command that holds it on one core."""
    return ["taskset", "-c", str(core)] if shutil.which("taskset") and (os.cpu_count() or 1) > core else []


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def server(kind: str, documents: Path) -> Iterator[Server]:
    """Run one of ``servers`` until the block ends."""
    port = free_port()
    process = subprocess.Popen(
        [*pinned(0), sys.executable, "-m", "tests.bench.servers", kind, str(port), str(documents)]
    )
    try:
        wait_for(port, process)
        yield Server(port, process.pid)
    finally:
        process.kill()
        process.wait(10)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until somebody listens on a port, 10 seconds at most."""
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            sys.exit(f"{process.args} ended at once")
        time.sleep(0.05)
    sys.exit(f"{process.args} does not listen")


def h2load(target: Server, body: Path, streams: int, checks: int) -> tuple[float, float]:
    """Return checks a second and the server's CPU time a check (us) over one connection of ``streams``."""
    url = f"http://127.0.0.1:{target.port}{METHOD}"
    command = [*pinned(1), "h2load", "-n", str(checks), "-c", "1", "-m", str(streams), "-d", str(body)]
    before = target.cpu()
    fields = ["-H", "content-type: application/grpc", "-H", "te: trailers", url]
    text = subprocess.run([*command, *fields], capture_output=True, text=True, check=True, timeout=120).stdout
    answered(text, checks)
    return float(re.search(r"([\d.]+) req/s", text)[1]), (target.cpu() - before) / checks


def answered(text: str, checks: int) -> None:
    """End if h2load's report does not say that every check was answered."""
    found = re.search(r"(\d+) 2xx", text)
    if found is None or int(found[1]) != checks:
        sys.exit(f"h2load: not every check was answered\n{text}")


def wrk(port: int, token: str, clients: int, path: str) -> tuple[float, float, float]:
    """Return requests a second, median and 99th percentile of the latency (ms) of ``clients`` connections."""
    fields = {**estate.headers(token), "Host": estate.HOST}  # wrk adds its own next to any other spelling
    flags = [item for name, value in fields.items() for item in ("-H", f"{name}: {value}")]
    command = [*pinned(1), "wrk", "-t1", f"-c{clients}", f"-d{SECONDS}s", "--latency", *flags]
    url = f"http://127.0.0.1:{port}{path}"
    text = subprocess.run([*command, url], capture_output=True, text=True, check=True, timeout=60).stdout
    if "Non-2xx" in text:
        sys.exit(f"wrk: not every request was allowed\n{text}")
    latency = [milliseconds(re.search(rf"\s{share}%\s+(\S+)", text)[1]) for share in (50, 99)]
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), *latency


def framed_check(token: str) -> bytes:
    """Return the gRPC message of a usual check."""
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


def milliseconds(text: str) -> float:
    value, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
    return float(value) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]
