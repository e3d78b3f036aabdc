"""What decisions notice of a bundle that is put in force beside them: 50 MB of data and 1,000 rules.

Baseline of the lateness: the same decisions beside another process that is as busy, since a core is taken either way.
"""

import gc
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from time import perf_counter, sleep, thread_time

from authorizer.policy.plan import Budget, Context, compile_plan, read
from authorizer.policy.plan.loading import read_data
from authorizer.policy.rego import compile_modules, parse
from tests.bench.report import Row, lower_is_better

INTERVAL = 0.0005
BUSY = "import time\nend = time.time() + 10\nwhile time.time() < end: pass"


def run() -> dict[str, Row]:
    """Measure once: how long the source takes, then how late decisions are while the bundle is put in force."""
    rules = "".join(
        f'allow if {{ input.a == "{n}"; data.users[input.u].roles[_] == "r{n}"; not input.x[{n}] }}\n'
        for n in range(1000)
    )
    started = thread_time()
    plan = compile_modules([parse(f"package bench\n{rules}", "policy.rego")], entrypoints=["bench/allow"])
    compiled = compile_plan(read(plan), data={})
    taken = thread_time() - started
    text = json.dumps({"users": {f"g{group}": _users(group) for group in range(40)}}).encode()
    question = {"a": "7", "u": "nobody", "x": []}

    def decide() -> None:
        compiled.evaluate("bench/allow", question, Context(0, bytes, Budget()))

    def activate() -> None:
        compile_plan(read(plan), data=read_data(text))

    switching = sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(INTERVAL)
    try:
        thread = threading.Thread(target=activate)
        thread.start()
        late = _lateness(decide, thread.is_alive)
        with subprocess.Popen([sys.executable, "-c", BUSY]) as busy:
            beside = _lateness(decide, lambda: busy.poll() is None)
    finally:
        sys.setswitchinterval(switching)
        gc.enable()
        gc.unfreeze()
    return {
        "rego.compile": Row(
            value=round(taken, 2),
            unit="s",
            baseline="1,000 rules from source: 3 s are allowed",
            ratio=lower_is_better(taken, 3.0),
        ),
        "rego.activation": Row(
            value=round(late[1], 2),
            unit="ms",
            baseline=f"beside another busy process: {beside[1]:.2f} ms",
            ratio=lower_is_better(late[1], beside[1]),
            note=f"99th percentile of lateness, {len(text) / 1e6:.0f} MB; median {late[0]:.2f} ms",
        ),
    }


def _users(group: int) -> dict[str, object]:
    return {
        f"user-{group}-{n}": {
            "id": n,
            "name": f"name {n}",
            "roles": ["a", "b", f"r{n % 50}"],
            "attributes": {"x": 1.5, "y": [n]},
        }
        for n in range(10_000)
    }


def _lateness(decide: Callable[[], None], going: Callable[[], bool]) -> tuple[float, float]:
    """Return median and 99th percentile, in milliseconds, of what a decision each millisecond takes beyond that."""
    late = []
    while going():
        started = perf_counter()
        sleep(0.001)
        decide()
        late.append(perf_counter() - started - 0.001)
    late.sort()
    return late[len(late) // 2] * 1000, late[len(late) * 99 // 100] * 1000
