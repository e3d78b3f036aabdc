"""OPA's compliance cases by the plans that OPA made of them; what is left out is named, with the reason."""

import json
from pathlib import Path

import pytest

from tests.policy_plan import compliance

EXCEPTIONS = json.loads(Path(__file__).with_name("exceptions.json").read_text())
PARTS = 8


@pytest.fixture(scope="module")
def cases():
    return compliance.cases()


@pytest.mark.parametrize("part", range(PARTS))
def test_opas_plans_give_opas_results(cases, part):
    chosen = [name for name in sorted(cases)[part::PARTS] if name not in EXCEPTIONS]
    assert len(chosen) > 100
    found = {name: why for name in chosen if (why := _complaint(cases[name]))}
    assert found == {}


def _complaint(case):
    try:
        return compliance.complaint(case)
    except Exception as error:  # noqa: BLE001 - one case must not hide the others
        return repr(error)


def test_exceptions_are_few_and_still_needed(cases):
    assert len(EXCEPTIONS) <= 10
    assert [name for name in EXCEPTIONS if name not in cases or not _complaint(cases[name])] == []
