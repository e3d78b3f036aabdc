"""Decisions at 100 to a million policies: time, memory, and how long a bundle takes to load; a linear scan beside.

Each size and shape is loaded and asked in a process of its own (``policy_probe``). A row's value is the worse of the two
shapes.
"""

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from statistics import median
from time import perf_counter_ns

from authorizer.jose import sign
from tests.bench import policy_world as world
from tests.bench.report import Row, lower_is_better

SIZES = (100, 10_000, 100_000, 1_000_000)
MOST_MEGABYTES = 400
MOST_SECONDS = 10
_SCANS = 2_000_000
"""About how many policies the scans look at in all, at each size."""


def run() -> dict[str, Row]:
    """Measure all sizes in both shapes."""
    rows: dict[str, Row] = {}
    for count in SIZES:
        found = {shape: _probe(shape, count) for shape in world.SHAPES}
        scan = _scan(count)
        by_scan = f"linear scan, match only: {scan:.0f} us"
        room = f"the most allowed: {MOST_MEGABYTES} MB"
        rows |= {
            f"policy.p50.{count}": _row(found, "p50", "us", by_scan, scan),
            f"policy.p99.{count}": _row(found, "p99", "us", by_scan, scan),
            f"policy.memory.{count}": _row(found, "memory", "MB", room, MOST_MEGABYTES),
            f"policy.peak.{count}": _row(found, "peak", "MB", room, MOST_MEGABYTES),
            f"policy.load.{count}": _row(found, "load", "s", f"the most allowed: {MOST_SECONDS} s", MOST_SECONDS),
        }
    return rows


def _row(found: Mapping[str, Mapping[str, float]], name: str, unit: str, baseline: str, other: float) -> Row:
    value = max(one[name] for one in found.values())
    note = ", ".join(f"{shape} {one[name]:.1f}" for shape, one in found.items())
    return Row(value=round(value, 2), unit=unit, baseline=baseline, ratio=lower_is_better(value, other), note=note)


def _probe(shape: str, count: int) -> Mapping[str, float]:
    pem = sign.generate("ES256")
    with tempfile.TemporaryDirectory() as directory:
        packed, key = Path(directory, "bundle.tar.gz"), Path(directory, "key.pem")
        key.write_bytes(sign.public_pem(pem))
        making = [sys.executable, "-m", "tests.bench.policy_world", str(packed), shape, str(count)]
        subprocess.run(making, check=True, input=pem)
        probing = [sys.executable, "-m", "tests.bench.policy_probe", str(packed), str(key), shape, str(count)]
        printed = subprocess.run(probing, check=True, capture_output=True).stdout
    found: Mapping[str, float] = json.loads(printed)
    return found


def _scan(count: int) -> float:
    """Return the median microseconds of looking at all policies in turn: assignee, right and condition."""
    chance = random.Random(1)
    policies = [
        (
            f"group-{number // world.RIGHTS:06}",
            f"r{number % world.RIGHTS}",
            {chance.choice(world.COUNTRIES)},
            Decimal(1000),
        )
        for number in range(count)
    ]
    times = []
    for _ in range(max(5, min(1000, _SCANS // count))):
        groups = {f"group-{chance.randrange(world.groups_of(count)):06}" for _ in range(world.MEMBER_OF)}
        started = perf_counter_ns()
        matching = [
            policy
            for policy in policies
            if policy[0] in groups and policy[1] == "r1" and "PL" in policy[2] and Decimal(10) <= policy[3]
        ]
        times.append((perf_counter_ns() - started) / 1000)
        del matching
    return median(times)
