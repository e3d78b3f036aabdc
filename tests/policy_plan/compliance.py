"""OPA's compliance cases, from outside of the repository: their documents, and whether results are as they ask."""

import ast
import json
import tarfile
from pathlib import Path

import pytest

from authorizer.policy.plan import Budget, BudgetError, Context, EvaluationError, compile_plan, read
from authorizer.policy.plan.values import UNDEFINED, BuiltinError, Set, compare, json_text, key, set_of, unkey

ARCHIVE = Path(__file__).parents[3] / "shared" / "checks" / "rego-ir"
NOW = 1_780_000_000_000_000_000


def cases():
    """Return every case by its name; of equal names the later ones are numbered."""
    archives = sorted(ARCHIVE.glob("*.tar.gz"))
    if not archives:
        pytest.skip("the compliance cases are not beside this checkout (../shared/checks/rego-ir)")
    found = {}
    with tarfile.open(archives[0]) as archive:
        members = sorted(
            (each for each in archive if each.name.endswith(".json") and each.isfile()), key=lambda m: m.name
        )
        for member in members:
            for case in json.load(archive.extractfile(member)).get("cases", []):
                name, number = case["note"], 1
                while name in found:
                    number += 1
                    name = f"{case['note']} #{number}"
                found[name] = case
    return found


def context():
    return Context(NOW, lambda size: bytes(range(1, 256))[:size], Budget(100_000_000))


def value_of(term):
    """Return the value of a Rego term of constants; Python reads it, but for its names."""
    names = {"true": True, "false": False, "null": None}

    def walk(node):
        match node:
            case ast.Name(id=name):
                return names[name]
            case ast.Constant(value=value):
                return value
            case ast.UnaryOp(operand=inner):
                return -walk(inner)
            case ast.List(elts=elements):
                return [walk(each) for each in elements]
            case ast.Call(func=ast.Name(id="set"), args=[]):
                return set_of(())
            case ast.Set(elts=elements):
                return set_of(walk(each) for each in elements)
            case ast.Dict(keys=keys, values=values):
                return {key(walk(k)): walk(v) for k, v in zip(keys, values, strict=True)}
        raise AssertionError(term)

    return walk(ast.parse(term.strip(), mode="eval").body)


def input_of(case):
    if "input_term" in case:
        return value_of(case["input_term"])
    return case.get("input", UNDEFINED)


def is_as_wanted(value, wanted):
    """Compare a value with JSON, in which sets are arrays in any order."""
    if isinstance(value, dict) and isinstance(wanted, dict):
        members = {unkey(k) if isinstance(unkey(k), str) else json_text(unkey(k)): v for k, v in value.items()}
        return members.keys() == wanted.keys() and all(is_as_wanted(members[k], wanted[k]) for k in members)
    if isinstance(value, list) and isinstance(wanted, list):
        return len(value) == len(wanted) and all(map(is_as_wanted, value, wanted))
    if isinstance(value, Set) and isinstance(wanted, list):
        left = list(wanted)
        for each in value:
            found = next((at for at, other in enumerate(left) if is_as_wanted(each, other)), None)
            if found is None:
                return False
            del left[found]
        return not left
    return not isinstance(value, Set) and compare(value, wanted) == 0


def outcome(plan, case, *, strict):
    """Return the result set, or the code of the error."""
    data = case.get("data", {})
    try:
        compiled = compile_plan(plan, data=data, strict=strict)
        free = compile_plan(plan, strict=strict)
        results = compiled.evaluate(case["entrypoints"][0], input_of(case), context())
        again = free.evaluate(case["entrypoints"][0], input_of(case), context(), data)
    except (EvaluationError, BuiltinError) as error:
        return error.code
    except BudgetError:
        return "budget"
    assert compare(results, again) == 0, "bound and unbound data differ"
    return results


def complaint(case, plan=None):
    """Return what is wrong with the answer to a case, or nothing."""
    plan = read(case["plan"]) if plan is None else plan
    wanted, code = case.get("want_plan_result"), case.get("want_error_code")
    found = outcome(plan, case, strict=bool(case.get("strict_error")))
    if code or case.get("want_error"):
        if found != code if code else not isinstance(found, str):
            return f"wanted the error {code}, got {found!r}"
        found = outcome(plan, case, strict=False) if case.get("strict_error") else []
    if isinstance(found, str):
        return f"got the error {found}"
    wanted = wanted or []
    if case.get("sort_bindings"):
        found = [
            {name: Set(dict(enumerate(v))) if isinstance(v, list) else v for name, v in each.items()} for each in found
        ]
    return "" if is_as_wanted(Set(dict(enumerate(found))), wanted) else f"wanted {wanted!r}, got {found!r}"
