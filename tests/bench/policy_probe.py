"""``python -m tests.bench.policy_probe BUNDLE PUBLIC_KEY SHAPE COUNT``: loads a bundle and decides, in a process of its own.

Prints one JSON object: seconds to load, megabytes that the process grew by and at most grew by, and microseconds of a
decision (of processor time: what other processes take of a busy machine is not its).
"""

import gc
import json
import sys
from pathlib import Path
from time import perf_counter, thread_time_ns

from authorizer import bundle
from authorizer.jose import jwk
from authorizer.policy import pbac
from tests.bench import policy_world as world

QUESTIONS = 4000
ROUNDS = 9


def main(path: str, key: str, shape: str, count: int) -> None:
    """Measure and print."""
    public = Path(key).read_bytes()
    gc.collect()
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    started = perf_counter()
    program = _load(Path(path), public)
    seconds = perf_counter() - started
    peak = _status("VmHWM") - before
    gc.collect()
    grown = _status("VmRSS") - before
    gc.freeze()
    asked = world.questions(shape, count, program, QUESTIONS)
    allowed = sum(program.decide(question).allow for question in asked[:1000])
    rounds = []
    for _ in range(ROUNDS):
        times = []
        for question in asked:
            begun = thread_time_ns()
            program.decide(question)
            times.append((thread_time_ns() - begun) / 1000)
        times.sort()
        rounds.append((times[len(times) // 2], times[len(times) * 99 // 100]))
    p50, p99 = min(rounds)  # of the round that others disturbed least
    print(
        json.dumps({"load": seconds, "memory": grown, "peak": peak, "p50": p50, "p99": p99, "allowed": allowed / 1000})
    )


def _load(path: Path, public: bytes) -> pbac.Program:
    verifier = bundle.Verifier(keys={"k1": jwk.read_pem(public, "ES256", "k1")})
    return pbac.load(bundle.read(path.read_bytes(), kind="policy", verifier=verifier).document)


def _status(name: str) -> float:
    """Return a size of this process in megabytes (proc_pid_status(5))."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
