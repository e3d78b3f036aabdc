"""Rego rules that act here: loaded once for a snapshot, asked within a budget."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from authorizer.errors import BundleError
from authorizer.model import Reason
from authorizer.policy.pbac.form import RULE, DeciderForm
from authorizer.policy.plan import Budget, BudgetError, Compiled, Context, EvaluationError, compile_plan, read
from authorizer.policy.plan.values import UNDEFINED, Value
from authorizer.reasons import reason

Chance = Callable[[int], bytes]
"""Gives that many random bytes."""

FAULT = RULE
"""Stands among the attributes of the moment for why a rule could not be evaluated; no rule has this name."""

_BUDGET = reason("rego_budget")
_ERROR = reason("rego_error")
_UNDEFINED = reason("rego_undefined")


def no_chance(_size: int) -> bytes:
    """Give nothing: a process that has no source of chance has rules that need none."""
    raise EvaluationError("eval_builtin_error", "there is no source of chance")


class Decider(Struct, frozen=True):
    """The rule that decides an application. ``input`` is the form in which it is told of a request."""

    rules: Compiled
    entrypoint: str
    input: str


class Rego(Struct, frozen=True):
    """What a snapshot has of Rego: deciders by application, and the rules that policies ask, if they ask any."""

    deciders: Mapping[str, Decider] = {}
    rules: Compiled | None = None


def load(policy: Mapping[str, Any], deciders: Mapping[str, DeciderForm]) -> Rego:
    """Compile the plans of a policy document; ``deciders`` are the applications that a rule decides.

    Raises PlanError where a plan cannot be taken, BundleError AZ391 where one that is asked is not there.
    """
    plans = {
        name: compile_plan(read(form["plan"]), data=form.get("data", {}))
        for name, form in policy.get("rego", {}).items()
    }
    found = {}
    for application, form in deciders.items():
        rules = plans.get(form.plan)
        if rules is None or form.entrypoint not in rules.entrypoints or form.input not in {"envoy", "cloudentity"}:
            what = f"nothing decides {application!r}: no plan has the entry point {form.entrypoint!r}"
            raise BundleError("AZ391", what, hint="build it again")
        found[application] = Decider(rules, form.entrypoint, form.input)
    asked = {name.removeprefix(RULE) for name in policy.get("env", {}) if name.startswith(RULE)}
    rules = plans.get("")
    if asked and (rules is None or not asked <= set(rules.entrypoints)):
        raise BundleError("AZ391", "a policy asks a rule that no plan has", hint="build it again")
    return Rego(found, rules)


def evaluate(rules: Compiled, path: str, document: Value, now: float, budget: int, chance: Chance) -> Value | Reason:
    """Return what a rule says of a document at ``now`` (POSIX seconds), or why it cannot be told."""
    context = Context(int(now * 1_000_000_000), chance, Budget(budget))
    try:
        found = rules.evaluate(path, document, context)
    except BudgetError:
        return _BUDGET
    except EvaluationError:
        return _ERROR
    value = found[0].get("result", UNDEFINED) if len(found) == 1 else UNDEFINED
    return _UNDEFINED if value is UNDEFINED else value


def answers(
    rules: Compiled, paths: tuple[str, ...], document: Value, now: float, budget: int, chance: Chance
) -> dict[str, object]:
    """Return attributes of the moment: what rules say that are true or false, and the first fault under ``FAULT``.

    They share one budget.
    """
    found: dict[str, object] = {}
    for path in paths:
        value = evaluate(rules, path, document, now, budget // len(paths), chance)
        if isinstance(value, bool):
            found[RULE + path] = "true" if value else "false"
        else:
            found.setdefault(FAULT, value.code if isinstance(value, Reason) else "rego_result")
    return found
