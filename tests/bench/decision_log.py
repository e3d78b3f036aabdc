"""What a server of the decision log that is away costs decisions, under a thousand checks a second.

In each round the server is there first and then away; what is compared are neighbours in time. The checks come over ten
connections, one each millisecond: in bursts, most of the time would be their waiting for one another. The 99th
percentile is the machine's as much as ours where others work on it too; the processor time a check is ours alone.
After each round every decision has to be told of, as written or as dropped.
"""

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from tests.bench import load
from tests.bench import world as estate
from tests.bench.report import Row, lower_is_better

RATE = 1000
CONNECTIONS = 10
ROUNDS = 5
SECONDS = 12
"""Of each half of a round. Away for so long, the buffer of 10,000 events is full in the end."""

SOCKET = "check.sock"
_START_SECONDS = 30
_SETTLED_SECONDS = 60
"""Longer than the longest pause between two tries."""


class Serving(Struct, frozen=True):
    """Ours under load: its process, and the port of its metrics."""

    server: load.Server
    admin: int

    def sums(self) -> dict[str, float]:
        """Return each number of the metrics, summed over its labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found: dict[str, float] = {}
        for name, value in re.findall(r"^(\w+)(?:\{.*\})? (\S+)$", text, re.MULTILINE):
            found[name] = found.get(name, 0.0) + float(value)
        return found


def run() -> dict[str, Row]:
    """Measure in interleaved rounds; medians."""
    load.need("h2load", "nginx")
    world = estate.make()
    there, away = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "policies").mkdir()
        for file, content in world.files.items():
            (folder / "policies" / file).write_bytes(content)
        body = folder / "check.bin"
        body.write_bytes(load.framed_check(world.token(now=int(time.time()))))
        port = load.free_port()
        with _serving(folder, port) as serving:
            for _ in range(ROUNDS):
                with _log_server(folder, port):
                    _ask(folder, serving.server, body, 1)
                    _settle(serving)
                    there.append(_ask(folder, serving.server, body, SECONDS))
                away.append(_ask(folder, serving.server, body, SECONDS))
            with _log_server(folder, port):
                _settle(serving)
            dropped = serving.sums()["authorizer_decision_log_dropped_total"]
    found = {}
    for column, (name, unit) in enumerate((("p99", "ms"), ("cpu", "us"))):
        with_server, without = (statistics.median(each[column] for each in rounds) for rounds in (there, away))
        found[f"decision_log.{name}"] = Row(
            value=round(without, 3),
            unit=unit,
            baseline=f"server there: {with_server:,.3f} {unit}",
            ratio=lower_is_better(without, with_server),
            note=f"server away, {RATE:,} checks a second; {dropped:,.0f} dropped, all told",
        )
    return found


def _settle(serving: Serving) -> None:
    """Wait until nothing waits for the server any more; end if an event is not told of then."""
    for _ in range(_SETTLED_SECONDS * 5):
        sums = serving.sums()
        told = sums["authorizer_decision_log_written_total"] + sums["authorizer_decision_log_dropped_total"]
        if not sums["authorizer_decision_log_waiting"] and told == sums["authorizer_decisions_total"]:
            return
        time.sleep(0.2)
    sys.exit(f"of {sums['authorizer_decisions_total']:,.0f} decisions, {told:,.0f} are told of")


@contextmanager
def _log_server(folder: Path, port: int) -> Iterator[None]:
    """Run a server that takes whatever comes, on the core of the load; no connection outlives it."""
    file = folder / "nginx.conf"
    server = f"server {{ listen 127.0.0.1:{port}; client_max_body_size 0; location / {{ return 200; }} }}"
    file.write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr crit; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; {server} }}\n"
    )
    process = subprocess.Popen([*load.pinned(1), "nginx", "-p", str(folder), "-e", "stderr", "-c", str(file)])
    try:
        load.wait_for(port, process)
        yield
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def _serving(folder: Path, port: int) -> Iterator[Serving]:
    socket, admin = folder / SOCKET, load.free_port()
    settings = {
        "policies": str(folder / "policies"),
        "drain_seconds": 0,
        "ext_authz": {"listen": f"unix:{socket}"},
        "forward_auth": {"listen": ""},
        "admin": {"listen": f"127.0.0.1:{admin}"},
        "log": {"decisions": "", "level": "error", "upload": {"url": f"http://127.0.0.1:{port}"}},
    }
    file = folder / "authorizer.yaml"
    file.write_text(json.dumps(settings))
    process = subprocess.Popen([*load.pinned(0), sys.executable, "-m", "authorizer", "serve", "--config", str(file)])
    try:
        end = time.monotonic() + _START_SECONDS
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > end:
                sys.exit("authorizer serve does not listen")
            time.sleep(0.05)
        yield Serving(load.Server(0, process.pid), admin)
    finally:
        process.terminate()
        process.wait(20)


def _ask(folder: Path, server: load.Server, body: Path, seconds: int) -> tuple[float, float]:
    """Return the 99th percentile of the time to an answer (ms) and the processor time of a check (us)."""
    count, log = RATE * seconds, folder / "answers.tsv"
    log.unlink(missing_ok=True)
    command = [*load.pinned(1), "h2load", "-n", str(count), "-c", str(CONNECTIONS), "-m", "16", "-d", str(body)]
    # Each connection sends one check every 10 ms, the shortest step of its clock, and begins 1 ms after the one before.
    command += [f"--rps={RATE // CONNECTIONS}", "-r", "1", "--rate-period=11ms"]
    command += ["-B", f"unix:{folder / SOCKET}", f"--log-file={log}", "-H", "content-type: application/grpc"]
    command += ["-H", "te: trailers", f"http://localhost{load.METHOD}"]
    before = server.cpu()
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    load.answered(text, count)
    took = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
    return took[len(took) * 99 // 100] / 1000, (server.cpu() - before) / count
