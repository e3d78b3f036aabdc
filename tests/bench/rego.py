"""One decision of Rego, input already decoded: our functions against OPA's interpreter and regopy's compiled bundle.

OPA is the program that ``OPA`` names, or the one on the path; without it its rows are left out.
"""

import gc
import json
import os
import shutil
import statistics
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from regopy import Interpreter

from authorizer.policy.plan import Budget, Context, compile_plan, read
from authorizer.policy.plan.values import to_json
from tests.bench.rego_policies import Case, cases
from tests.bench.report import Row, lower_is_better

ROUNDS = 5
NOW = 1_790_000_000_000_000_000


def run() -> dict[str, Row]:
    """Measure each policy in interleaved rounds; medians."""
    opa = os.environ.get("OPA") or shutil.which("opa")
    rows = {}
    for name, case in cases().items():
        ours, theirs = _ours(case, opa), _regopy(case)
        medians: dict[str, list[float]] = {"ours": [], "regopy": [], "opa": []}
        for _ in range(ROUNDS):
            medians["ours"].append(_median(ours, 20_000))
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


def plan_of(case: Case, opa: str) -> Any:
    """Return the plan that OPA makes of a policy."""
    with tempfile.TemporaryDirectory() as directory:
        policy, bundle = Path(directory, "policy.rego"), Path(directory, "bundle.tar.gz")
        policy.write_text(case.source)
        command = [opa, "build", "-t", "plan", "-e", "bench/allow", "-o", str(bundle), str(policy)]
        subprocess.run(command, check=True, capture_output=True)
        with tarfile.open(bundle) as archive:
            member = archive.extractfile("/plan.json")
            assert member is not None
            return json.load(member)


def _ours(case: Case, opa: str | None) -> Callable[[], object]:
    assert opa
    compiled = compile_plan(read(plan_of(case, opa)), data=case.data)

    def decide() -> object:
        context = Context(NOW, _random, Budget())
        return compiled.evaluate("bench/allow", case.input, context)

    assert to_json(decide()) == [{"result": True}]
    return decide


def _random(size: int) -> bytes:
    return bytes(size)


def _regopy(case: Case) -> Callable[[], object]:
    interpreter = Interpreter()
    interpreter.add_module("policy", case.source)
    interpreter.add_data(case.data)
    bundle = interpreter.build("data.bench.allow")
    interpreter.set_input(case.input)
    assert "true" in str(interpreter.query_bundle(bundle))
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
