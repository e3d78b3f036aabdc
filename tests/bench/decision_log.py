"""What a server of the decision log that is away costs decisions, under a thousand checks a second.

In each round the server is there first and then away; what is compared are neighbours in time. The 99th percentile is
the machine's as much as ours where others work on it too; the processor time a check is ours alone.
"""

import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.bench import load
from tests.bench import world as estate
from tests.bench.report import Row, lower_is_better

RATE = 1000
ROUNDS = 5
SECONDS = 10
"""Of each half of a round. Away for so long, the buffer of 10,000 events is full at the end."""

SOCKET = "check.sock"
_START_SECONDS = 30


def run() -> dict[str, Row]:
    """Measure in interleaved rounds; medians."""
    load.need("h2load")
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
                with _log_server(port):
                    _ask(folder, serving, body, 2)
                    there.append(_ask(folder, serving, body, SECONDS))
                away.append(_ask(folder, serving, body, SECONDS))
    found = {}
    for column, (name, unit) in enumerate((("p99", "ms"), ("cpu", "us"))):
        with_server, without = (statistics.median(each[column] for each in rounds) for rounds in (there, away))
        found[f"decision_log.{name}"] = Row(
            value=round(without, 3),
            unit=unit,
            baseline=f"server there: {with_server:,.3f} {unit}",
            ratio=lower_is_better(without, with_server),
            note=f"server away, {RATE:,} checks a second",
        )
    return found


class _Taking(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        json.loads(gzip.decompress(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _log_server(port: int) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", port), _Taking) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def _serving(folder: Path, port: int) -> Iterator[load.Server]:
    socket = folder / SOCKET
    settings = {
        "policies": str(folder / "policies"),
        "drain_seconds": 0,
        "ext_authz": {"listen": f"unix:{socket}"},
        "forward_auth": {"listen": ""},
        "admin": {"listen": ""},
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
        yield load.Server(0, process.pid)
    finally:
        process.terminate()
        process.wait(20)


def _ask(folder: Path, serving: load.Server, body: Path, seconds: int) -> tuple[float, float]:
    """Return the 99th percentile of the time to an answer (ms) and the processor time of a check (us)."""
    count, log = RATE * seconds, folder / "answers.tsv"
    log.unlink(missing_ok=True)
    command = [*load.pinned(1), "h2load", "-n", str(count), "-c", "1", "-m", "16", f"--rps={RATE}", "-d", str(body)]
    command += ["-B", f"unix:{folder / SOCKET}", f"--log-file={log}", "-H", "content-type: application/grpc"]
    command += ["-H", "te: trailers", f"http://localhost{load.METHOD}"]
    before = serving.cpu()
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    load.answered(text, count)
    took = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
    return took[len(took) * 99 // 100] / 1000, (serving.cpu() - before) / count
