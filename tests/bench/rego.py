"""One decision of Rego, input already decoded: our functions against OPA's interpreter and regopy's compiled bundle.

OPA is the program that ``OPA`` names, or the one on the path; without it its rows are left out.
"""

import gc
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns

from regopy import Interpreter

from authorizer.policy.plan import Budget, Context, compile_plan, read
from authorizer.policy.rego import compile_modules, parse
from tests.bench.rego_policies import Case, cases
from tests.bench.report import Row, lower_is_better

ROUNDS = 3
NOW = 1_790_000_000_000_000_000


def run() -> dict[str, Row]:
    """Measure each policy in interleaved rounds; medians."""
    opa = os.environ.get("OPA") or shutil.which("opa")
    rows = {}
    for name, case in cases().items():
        ours, theirs = _ours(case), _regopy(case)
        medians: dict[str, list[float]] = {"ours": [], "regopy": [], "opa": []}
        for _ in range(ROUNDS):
            medians["ours"].append(_median(ours, 20_000))
            if theirs:
                medians["regopy"].append(_median(theirs, 300))
            if opa:
                medians["opa"].append(_opa(case, opa))
        value = {who: statistics.median(found) for who, found in medians.items() if found}
        for who in ("regopy", "opa"):
            if who in value:
                rows[f"rego.{name}.{who}"] = Row(
                    value=round(value["ours"], 2),
                    unit="us",
                    baseline=f"{who}: {value[who]:.1f} us",
                    ratio=lower_is_better(value["ours"], value[who]),
                )
    return rows


def _ours(case: Case) -> Callable[[], object]:
    plan = compile_modules([parse(case.source, "policy.rego")], entrypoints=["bench/allow"])
    compiled = compile_plan(read(plan), data=case.data)

    def decide() -> object:
        return compiled.evaluate("bench/allow", case.input, Context(NOW, _random, Budget()))

    assert decide() == [{"result": True}]
    return decide


def _random(size: int) -> bytes:
    return bytes(size)


def _regopy(case: Case) -> Callable[[], object] | None:
    """Return the decision by regopy; None where it lacks a builtin function."""
    interpreter = Interpreter()
    interpreter.add_module("policy", case.source)
    interpreter.add_data(case.data)
    bundle = interpreter.build("data.bench.allow")
    interpreter.set_input(case.input)
    if "true" not in str(interpreter.query_bundle(bundle)):
        return None
    return lambda: interpreter.query_bundle(bundle)


def _median(call: Callable[[], object], times: int) -> float:
    """Return the median of one call in microseconds."""
    gc.collect()
    taken = []
    for _ in range(times):
        started = perf_counter_ns()
        call()
        taken.append(perf_counter_ns() - started)
    return statistics.median(taken) / 1000


def _opa(case: Case, opa: str) -> float:
    """Return the median that ``opa bench`` measures for the evaluation alone, in microseconds."""
    with tempfile.TemporaryDirectory() as directory:
        names = {"policy.rego": case.source, "data.json": json.dumps(case.data), "input.json": json.dumps(case.input)}
        for name, text in names.items():
            Path(directory, name).write_text(text)
        command = [
            opa,
            "bench",
            "-f",
            "json",
            "-d",
            "policy.rego",
            "-d",
            "data.json",
            "-i",
            "input.json",
            "data.bench.allow",
        ]
        done = subprocess.run(
            command, cwd=directory, check=True, capture_output=True, env=os.environ | {"GOMAXPROCS": "1"}
        )
        extra = json.loads(done.stdout)["Extra"]
        return float(extra["histogram_timer_rego_query_eval_ns_median"]) / 1000
