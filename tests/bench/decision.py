"""The cost of one decision without the socket: token remembered (hit) and seen for the first time (miss).

Baseline of both: what a careful hand-written service does with PyJWT on each request, the same 100 roles in a dict.
"""

import gc
import statistics
from collections.abc import Callable, Sequence
from time import perf_counter_ns

import jwt

from authorizer.model import Request
from authorizer.service import Authorizer
from tests.bench import world as estate
from tests.bench.report import Row, lower_is_better

BASELINE = "PyJWT decode on each request + roles in a dict, hand-written"
ROUNDS = 5


def run() -> dict[str, Row]:
    """Measure in interleaved rounds; medians of rounds."""
    world = estate.make()
    hit = estate.request(world.token())
    misses = [estate.request(world.token(number)) for number in range(1, 2001)]
    by_hand = _by_hand(world)
    results: dict[str, list[tuple[float, float]]] = {"hit": [], "miss": [], "hand": []}
    for _ in range(ROUNDS):
        authorizer = Authorizer(world.snapshot(), clock=lambda: float(estate.NOW))
        assert authorizer.check(hit).allowed
        results["hit"].append(_measure(authorizer.check, [hit] * 20_000))
        results["miss"].append(_measure(authorizer.check, misses))
        results["hand"].append(_measure(by_hand, [hit] * 2_000))
    median = {
        name: [statistics.median(column) for column in zip(*rounds, strict=True)] for name, rounds in results.items()
    }
    base = median["hand"][0]
    return {
        f"decision.{name}": Row(
            value=round(median[name][0], 2),
            unit="us",
            baseline=f"{BASELINE}: {base:.1f} us",
            ratio=lower_is_better(median[name][0], base),
            note=f"p99 {median[name][1]:.1f} us",
        )
        for name in ("hit", "miss")
    }


def _measure(call: Callable[[Request], object], requests: Sequence[Request]) -> tuple[float, float]:
    """Return median and 99th percentile of one call in microseconds."""
    times = []
    gc.collect()
    for request in requests:
        started = perf_counter_ns()
        call(request)
        times.append(perf_counter_ns() - started)
    times.sort()
    return times[len(times) // 2] / 1000, times[len(times) * 99 // 100] / 1000


def _by_hand(world: estate.World) -> Callable[[Request], bool]:
    key = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).prepare_key(estate.public_pem(world))
    options = {"verify_exp": False, "verify_iat": False}
    roles = {
        f"role-{n}": {
            (method, "orders" if n == 42 else f"res{n}") for method in (("GET", "POST") if n % 2 == 0 else ("GET",))
        }
        for n in range(100)
    }

    def check(request: Request) -> bool:
        token = request.headers["authorization"][0].removeprefix("Bearer ")
        claims = jwt.decode(token, key, ["RS256"], audience="orders", issuer=estate.ISSUER, options=options)
        _, _, tenant, resource, _ = request.target.partition("?")[0].split("/")
        return claims["tenant"] == tenant and any(
            (request.method, resource) in roles[group] for group in claims["groups"]
        )

    return check
