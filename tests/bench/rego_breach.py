"""What other requests notice of Rego rules that cost too much: the whole program behind a real Envoy, 16 clients.

One request in 200 meets a rule that nests loops, meets a regular expression that bombs, or builds a long text; each is cut
off and denied. Baseline: the same clients without them, in rounds by turns. The 99th percentile is of all requests, those
in 200 among them.
"""

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import load
from tests.bench import world as estate
from tests.bench.report import Row, lower_is_better
from tests.bench.transport import envoy

ROUNDS = 5
HOST = "costly.example"
EVERY = 200
COSTLY = ("/loop", "/regex", "/build")
_START_SECONDS = 30
FILES = {
    "costly.yaml": f"kind: Application\nid: costly\nrego: {{entrypoint: costly/allow, input: cloudentity}}\nhttp: {{hosts: [{HOST}]}}\n",
    "costly.rego": """package costly
default allow := false
allow if { input.request.path == "/loop"; some i in data.n; some j in data.n; i * j == -1 }
allow if { input.request.path == "/regex"; regex.match("(a|a?)+(a*)*b$", data.s) }
allow if {
    input.request.path == "/build"
    text := concat("", [x | some i in numbers.range(1, 1000000); x := sprintf("%d", [i])])
    count(text) > 10000000
}
""",
    "data.json": json.dumps({"n": list(range(1000)), "s": "a" * 1_000_000}),
}
_MIX = """
local seen = 0
local costly = {%s}
function request()
  seen = seen + 1
  if seen %% %d ~= 0 then return wrk.format("GET", "%s", %s) end
  return wrk.format("GET", costly[math.floor(seen / %d) %% #costly + 1], {Host = "%s"})
end
"""


def run() -> dict[str, Row]:
    """Measure in rounds by turns; medians."""
    load.need("wrk")
    world = estate.make()
    found: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "policies").mkdir()
        for file, content in (world.files | {name: text.encode() for name, text in FILES.items()}).items():
            (folder / "policies" / file).write_bytes(content)
        token = world.token(now=int(time.time()))
        with _serving(folder) as port, envoy({"ours": port}, folder) as listeners:
            for _ in range(ROUNDS):
                for costly in (False, True):
                    found[costly].append(_p99(listeners["ours"], token, folder, costly=costly))
    beside, alone = statistics.median(found[True]), statistics.median(found[False])
    return {
        "rego.breach_p99": Row(
            value=round(beside, 2),
            unit="ms",
            baseline=f"twice what it is without: {alone:.2f} ms",
            ratio=lower_is_better(beside, 2 * alone),
            note=f"1 request in {EVERY} is cut off",
        )
    }


@contextmanager
def _serving(folder: Path) -> Iterator[int]:
    port = load.free_port()
    settings = {
        "policies": str(folder / "policies"),
        "drain_seconds": 0,
        "ext_authz": {"listen": f"127.0.0.1:{port}"},
        "forward_auth": {"listen": ""},
        "admin": {"listen": ""},
        "log": {"decisions": str(folder / "decisions.log"), "level": "error"},
    }
    file = folder / "authorizer.yaml"
    file.write_text(json.dumps(settings))
    process = subprocess.Popen(
        [*load.pinned(0), sys.executable, "-m", "authorizer", "serve", "--config", str(file)],
        stdout=subprocess.DEVNULL,
    )
    try:
        load.wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _p99(port: int, token: str, folder: Path, *, costly: bool) -> float:
    """Return the 99th percentile of the latency in milliseconds."""
    headers = estate.headers(token) | {"Host": estate.HOST}
    table = "{" + ", ".join(f'["{name}"] = "{value}"' for name, value in headers.items()) + "}"
    every = EVERY if costly else 1 << 40
    script = folder / "mix.lua"
    paths = ", ".join(f'"{path}"' for path in COSTLY)
    script.write_text(_MIX % (paths, every, f"{estate.PATH}?expand=lines", table, every, HOST))
    command = [*load.pinned(1), "wrk", "-t1", "-c16", f"-d{load.SECONDS}s", "--latency", "-s", str(script)]
    text = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    done, denied = int(re.search(r"(\d+) requests in", text)[1]), re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    if (int(denied[1]) if denied else 0) not in range(done // every - 20, done // every + 21):
        sys.exit(f"wrk: what costs too much must be denied, and nothing else\n{text}")
    return load.milliseconds(re.search(r"\s99%\s+(\S+)", text)[1])
