"""``python -m tests.bench.policy_probe BUNDLE PUBLIC_KEY SHAPE COUNT``: loads a bundle and decides, in a process of its own.

Prints one JSON object: seconds to load, megabytes that the process grew by and at most grew by, and microseconds of a
decision.
"""

import gc
import json
import resource
import sys
from pathlib import Path
from time import perf_counter, perf_counter_ns

from authorizer import bundle
from authorizer.jose import jwk
from authorizer.policy import pbac
from tests.bench import policy_world as world

QUESTIONS = 4000
ROUNDS = 5


def main(path: str, key: str, shape: str, count: int) -> None:
    """Measure and print."""
    public = Path(key).read_bytes()
    gc.collect()
    before = _resident()
    started = perf_counter()
    program = _load(Path(path), public)
    seconds = perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    gc.collect()
    grown = _resident() - before
    gc.freeze()
    asked = world.questions(shape, count, program, QUESTIONS)
    allowed = sum(program.decide(question).allow for question in asked[:1000])
    rounds = []
    for _ in range(ROUNDS):
        times = []
        for question in asked:
            begun = perf_counter_ns()
            program.decide(question)
            times.append((perf_counter_ns() - begun) / 1000)
        times.sort()
        rounds.append((times[len(times) // 2], times[len(times) * 99 // 100]))
    rounds.sort()
    p50, p99 = rounds[ROUNDS // 2]
    print(
        json.dumps({"load": seconds, "memory": grown, "peak": peak, "p50": p50, "p99": p99, "allowed": allowed / 1000})
    )


def _load(path: Path, public: bytes) -> pbac.Program:
    verifier = bundle.Verifier(keys={"k1": jwk.read_pem(public, "ES256", "k1")})
    return pbac.load(bundle.read(path.read_bytes(), kind="policy", verifier=verifier).document)


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024**2


main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
