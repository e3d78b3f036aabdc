"""OPA's compliance cases from source: our compiler's plan gives the results that are asked for."""

import json
from pathlib import Path

import pytest

from authorizer.policy.plan import read
from authorizer.policy.rego import compile_modules, parse, parse_query
from tests.policy_plan import compliance

EXCEPTIONS = json.loads((Path(compliance.__file__).parent / "exceptions.json").read_text())
PARTS = 4


@pytest.fixture(scope="module")
def cases():
    return compliance.cases()


def plan_of(case):
    modules = [parse(text, f"module-{number}.rego") for number, text in enumerate(case.get("modules") or [])]
    return read(compile_modules(modules, queries={case["entrypoints"][0]: parse_query(case["query"])}))


def complaint(case):
    try:
        return compliance.complaint(case, plan_of(case))
    except Exception as error:  # noqa: BLE001 - one case must not hide the others
        return repr(error)


@pytest.mark.parametrize("part", range(PARTS))
def test_our_plans_give_opas_results(cases, part):
    chosen = [name for name in sorted(cases)[part::PARTS] if name not in EXCEPTIONS]
    assert len(chosen) > 300
    assert {name: why for name in chosen if (why := complaint(cases[name]))} == {}


def test_exceptions_are_still_needed(cases):
    assert [name for name in EXCEPTIONS if not complaint(cases[name])] == []
