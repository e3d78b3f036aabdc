"""What OPA 1.22 answered to calls of its builtin functions; each line of facts.jsonl is one: name, operands, result.

No result means undefined. A set is written {"$set": [...]}.
"""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from authorizer.policy.plan.builtins import BUILTINS
from authorizer.policy.plan.context import Budget, Context
from authorizer.policy.plan.values import UNDEFINED, BuiltinError, equal, set_of

NOW = 1_700_000_000_000_000_000
FACTS = defaultdict(list)
for line in (Path(__file__).parent / "facts.jsonl").read_text(encoding="utf-8").splitlines():
    fact = json.loads(line)
    FACTS[fact[0]].append(fact)


def value_of(told):
    if isinstance(told, dict):
        if "$set" in told:
            return set_of(map(value_of, told["$set"]))
        return {name: value_of(each) for name, each in told.items()}
    return [value_of(each) for each in told] if isinstance(told, list) else told


def call(name, operands):
    builtin = BUILTINS[name]
    context = [Context(NOW, bytes, Budget(10_000_000))] if builtin.context else []
    try:
        return builtin.function(*context, *operands)
    except BuiltinError:
        return UNDEFINED


@pytest.mark.parametrize("name", FACTS)
def test_a_builtin_answers_as_opa(name):
    wrong = []
    for _, operands, *result in FACTS[name]:
        found = call(name, [value_of(each) for each in operands])
        wanted = value_of(result[0]) if result else UNDEFINED
        if not equal(found, wanted):
            wrong.append((operands, wanted, found))
    assert wrong == []
