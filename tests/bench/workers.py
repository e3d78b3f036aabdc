"""Checks a second by the number of workers: the whole program, with metrics and a decision log, over Unix sockets.

One h2load a worker, all at once, since gateways keep a connection to each. Beside the load on the same machine, so the
cores there are bound what can be gained.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from authorizer.app.endpoints import each
from tests.bench import load
from tests.bench import world as estate
from tests.bench.report import Row, higher_is_better

WORKERS = (1, 2, 4)
ROUNDS = 3
CHECKS = 16_000
_START_SECONDS = 30


def run() -> dict[str, Row]:
    """Measure in interleaved rounds; medians."""
    load.need("h2load")
    world = estate.make()
    rates: dict[int, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in world.files.items():
            (folder / "policies").mkdir(exist_ok=True)
            (folder / "policies" / file).write_bytes(content)
        body = folder / "check.bin"
        body.write_bytes(load.framed_check(world.token(now=int(time.time()))))
        for _ in range(ROUNDS):
            for workers in WORKERS:
                with _serving(folder, workers) as sockets:
                    _load(sockets, body, CHECKS // 8)
                    rates.setdefault(workers, []).append(_load(sockets, body, CHECKS))
    medians = {workers: statistics.median(found) for workers, found in rates.items()}
    return {
        f"transport.workers{workers}": Row(
            value=round(rate, 1),
            unit="1/s",
            baseline=f"1 worker: {medians[1]:,.0f} 1/s",
            ratio=higher_is_better(rate, medians[1]),
            note=f"{os.cpu_count()} cores, the load on them too",
        )
        for workers, rate in medians.items()
    }


@contextmanager
def _serving(folder: Path, workers: int) -> Iterator[list[Path]]:
    address = f"unix:{folder}/check.sock"
    settings = {
        "policies": str(folder / "policies"),
        "workers": workers,
        "drain_seconds": 0,
        "ext_authz": {"listen": address},
        "forward_auth": {"listen": ""},
        "admin": {"listen": ""},
        "log": {"decisions": str(folder / "decisions.log"), "level": "error"},
    }
    file = folder / "authorizer.yaml"
    file.write_text(json.dumps(settings))
    addresses = each(address, workers) if workers > 1 else [address]
    sockets = [Path(found.removeprefix("unix:")) for found in addresses]
    process = subprocess.Popen(
        [sys.executable, "-m", "authorizer", "serve", "--config", str(file)], stdout=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + _START_SECONDS
        while not all(path.exists() for path in sockets):
            if process.poll() is not None or time.monotonic() > end:
                sys.exit("authorizer serve does not listen")
            time.sleep(0.05)
        yield sockets
    finally:
        process.terminate()
        process.wait(20)


def _load(sockets: list[Path], body: Path, checks: int) -> float:
    """Return the checks a second of all workers together."""
    command = ["h2load", "-n", str(checks // len(sockets)), "-c", "1", "-m", "16", "-d", str(body)]
    fields = ["-H", "content-type: application/grpc", "-H", "te: trailers", f"http://localhost{load.METHOD}"]
    began = time.monotonic()
    runs = [
        subprocess.Popen([*command, "-B", f"unix:{path}", *fields], stdout=subprocess.PIPE, text=True)
        for path in sockets
    ]
    for one in runs:
        text, _ = one.communicate(timeout=120)
        load.answered(text, checks // len(sockets))
    return checks / (time.monotonic() - began)
