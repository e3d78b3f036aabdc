"""Why a rule has no value: the expression that each of its bodies stopped at, with the variables known there."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from authorizer.errors import Place
from authorizer.policy.plan import Context, compile_plan, read
from authorizer.policy.plan.values import UNDEFINED
from authorizer.policy.rego.compile import Checked, check_modules, plan_modules
from authorizer.policy.rego.syntax import At, Body, Expr, Module, Rule
from authorizer.policy.rego.tracing import HEARD, Event, Tracer
from authorizer.policy.rego.tree import name_of

_MAX_KNOWN = 8
_MAX_SHOWN = 200


class Stop(Struct, frozen=True):
    """Where a body of a rule stopped. ``line`` is the source; ``known`` are the variables the last time it was there.

    ``times`` is how often the expression was reached without holding.
    """

    rule: str
    place: Place
    line: str
    times: int
    known: Mapping[str, Any]

    def render(self) -> str:
        """Return the place, the source with a caret, and the variables."""
        often = f" ({self.times} times)" if self.times > 1 else ""
        text = f"{self.place}: {self.rule} stopped here{often}\n    {self.line}\n    {' ' * (self.place.column - 1)}^"
        shown = list(self.known.items())[:_MAX_KNOWN]
        return text + "".join(f"\n    {name} = {repr(value)[:_MAX_SHOWN]}" for name, value in shown)


class Explanation(Struct, frozen=True):
    """The value of what was asked (``UNDEFINED``: none), and where rules stopped, in the order of evaluation."""

    value: Any
    stops: tuple[Stop, ...]


def explain(
    modules: Sequence[Module], path: str, context: Context, input_: Any, *, data: Mapping[str, Any] | None = None
) -> Explanation:
    """Evaluate ``acme/allow`` and tell which bodies of rules did not hold, and why.

    Raises RegoError, PlanError, EvaluationError, BudgetError.
    """
    checked = check_modules(modules)
    tracer = Tracer(variables=True)
    plan = read(plan_modules(checked, [path], {}, tracer))
    heard: list[Any] = []
    context.cache[HEARD] = heard
    results = compile_plan(plan).evaluate(path, input_, context, data or {})
    value = results[0]["result"] if results else UNDEFINED
    return Explanation(value, tuple(_stops(checked, tracer.events(heard))))


class _Seen(Struct):
    """What was told of one expression."""

    order: int
    reached: int = 0
    held: int = 0
    known: Mapping[str, Any] = {}


def _stops(checked: Checked, told: Sequence[Event]) -> Iterator[Stop]:
    seen: dict[int, _Seen] = {}
    for event in told:
        one = seen.setdefault(id(event.expr), _Seen(len(seen)))
        if event.held:
            one.held += 1
        else:
            one.reached += 1
            one.known = event.known
    found: list[tuple[int, Stop]] = []
    for module, rules in zip(checked.modules, checked.rules, strict=True):
        for rule in rules:
            for branch in (rule, *rule.elses):
                expr = _stopped(branch.body, seen)
                if expr is not None:
                    one = seen[id(expr)]
                    found.append((one.order, _stop(module, rule, expr.at, one)))
    return (stop for _, stop in sorted(found, key=lambda pair: pair[0]))


def _stopped(body: Body, seen: Mapping[int, _Seen]) -> Expr | None:
    """Return the expression that a body ended at without holding; None if it held, or was never begun."""
    reached = [expr for expr in body if id(expr) in seen]
    if not reached or (reached[-1] is body[-1] and seen[id(body[-1])].held):
        return None
    return reached[-1]


def _stop(module: Module, rule: Rule, at: At, seen: _Seen) -> Stop:
    line = module.lines[at[0] - 1].replace("\t", " ") if at[0] <= len(module.lines) else ""
    return Stop(name_of(rule), Place(module.file, *at), line, seen.reached, seen.known)
