"""Why a request is answered as it is: every policy about it with what it lacked, and what would have let it pass."""

from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct

from authorizer.errors import Place
from authorizer.model import ANYONE
from authorizer.policy.authoring.access import assignee, chain
from authorizer.policy.authoring.evaluation import field_type, holds, shown
from authorizer.policy.authoring.surgery import written
from authorizer.policy.authoring.trials import rights_of
from authorizer.policy.pbac.declared import AllOf, AnyOf, Application, Condition, Estate, Leaf, Negation, Policy
from authorizer.policy.pbac.form import rule_of
from authorizer.policy.pbac.templates import Sides
from authorizer.policy.pbac.types import FieldType, converter
from authorizer.timestamps import rfc3339

Lack = Literal["assignee", "point", "time", "condition", "login", "plan"]
_duration = converter(FieldType("duration"))


class Lacking(Struct, frozen=True):
    """One thing that a policy asks for and that is not so: where it is written, what it asks for, what there is.

    ``unknown`` says that it could not be told, for want of a value.
    """

    what: Lack
    place: Place
    wanted: str
    found: str
    unknown: bool = False


class Candidate(Struct, frozen=True):
    """One policy about the right. It holds when nothing is lacking; a denial stands also when it cannot be told."""

    policy: Policy
    lacking: tuple[Lacking, ...]

    @property
    def stands(self) -> bool:
        """Whether it acts: an allow that grants, a denial that denies, a gate that stops."""
        if self.policy.effect == "gate":
            return any(one.what in {"condition", "plan"} for one in self.lacking) and not self._out_of_time
        if self.policy.effect == "deny":
            return all(one.unknown for one in self.lacking)
        return not self.lacking

    @property
    def _out_of_time(self) -> bool:
        return any(one.what == "time" for one in self.lacking)


class Question(Struct, frozen=True):
    """A request as the policies see it: typed values, assignee tokens, the points at and above, and the login."""

    right: str
    sides: Sides
    tokens: frozenset[str]
    points: tuple[str, ...]
    acr: str
    auth_age: object
    now: float


def candidates(estate: Estate, application: str, question: Question) -> tuple[Candidate, ...]:
    """Return all policies about a question's right: gates, denials, then allows, those that lack least first."""
    declared = estate.applications[application]
    about = [
        policy
        for policy in estate.policies
        if policy.application == application and question.right in rights_of(policy, declared)
    ]
    found = [Candidate(policy, tuple(_lacking(policy, estate, declared, question))) for policy in about]
    effects = ("gate", "deny", "allow")
    return tuple(sorted(found, key=lambda one: (effects.index(one.policy.effect), _distance(one), one.policy.id)))


def chain_of(estate: Estate, field: str, name: str) -> tuple[str, ...]:
    """Return a point and all above it; by its whole name, or by its name alone where only one of its tree has it.

    ``field`` is what the route fills: ``point``, or ``point:TREE``.
    """
    if name not in estate.catalog.points:
        types = estate.catalog.trees.get(field.partition(":")[2], estate.catalog.point_types)
        named = [point for kind in types if (point := f"{kind}:{name}") in estate.catalog.points]
        name = named[0] if len(named) == 1 else ""
    return chain(estate, name)


def _distance(candidate: Candidate) -> int:
    """Count what is lacking; being somebody else is further away than anything else."""
    return sum(100 if one.what == "assignee" else 1 for one in candidate.lacking)


def _lacking(policy: Policy, estate: Estate, application: Application, question: Question) -> Iterator[Lacking]:
    if policy.token and policy.token not in question.tokens | {ANYONE}:
        yield Lacking("assignee", policy.place, f"to be {assignee(policy.token)}", "the caller is not")
    if policy.point and policy.point not in question.points:
        here = question.points[0] if question.points else "no point"
        yield Lacking("point", policy.place, f"to be at or below {policy.point}", here)
    if policy.start is not None and question.now < policy.start:
        yield Lacking("time", policy.place, f"from {rfc3339(policy.start)}", rfc3339(question.now))
    if policy.end is not None and question.now >= policy.end:
        yield Lacking("time", policy.place, f"until {rfc3339(policy.end)}", rfc3339(question.now))
    for condition in _conjuncts(policy.condition):
        truth = holds(condition, question.sides)
        if truth is not True:
            yield from _failed(condition, estate, application, question.sides, wanted=True)
    if policy.feature_gate:
        yield from _plan(policy, estate, application, question)
    yield from _login(policy, estate, question)


def _conjuncts(condition: Condition | None) -> Iterable[Condition]:
    if isinstance(condition, AllOf):
        for part in condition.parts:
            yield from _conjuncts(part)
    elif condition is not None:
        yield condition


def _failed(
    condition: Condition, estate: Estate, application: Application, sides: Sides, *, wanted: bool
) -> Iterator[Lacking]:
    """Yield the comparisons that kept a condition from being what is wanted; alternatives that all failed are one."""
    if isinstance(condition, Negation):
        yield from _failed(condition.part, estate, application, sides, wanted=not wanted)
        return
    truth = holds(condition, sides)
    if isinstance(condition, Leaf):
        text = written(condition) if wanted else f"not {written(condition)}"
        yield Lacking("condition", condition.place, text, _values(condition, estate, application, sides), truth is None)
        return
    wrong = [part for part in condition.parts if holds(part, sides) is not wanted]
    alternatives = isinstance(condition, AnyOf) is wanted
    parts = [one for part in wrong for one in _failed(part, estate, application, sides, wanted=wanted)]
    if not alternatives or len(parts) == 1:
        yield from parts
        return
    text = " or ".join(one.wanted for one in parts)
    found = "; ".join(dict.fromkeys(one.found for one in parts))
    yield Lacking("condition", parts[0].place, text, found, truth is None)


def _values(leaf: Leaf, estate: Estate, application: Application, sides: Sides) -> str:
    named = rule_of(leaf.field) or f"{leaf.side}.{leaf.field}"
    left = f"{named} is {shown(leaf.side, leaf.field, leaf.type, sides)}"
    if leaf.reference is None:
        return left
    side, name = leaf.reference
    kind = field_type(side, name, application, estate.catalog)
    return f"{left}, {side}.{name} is {shown(side, name, kind, sides)}"


def _plan(policy: Policy, estate: Estate, application: Application, question: Question) -> Iterator[Lacking]:
    feature = application.rights[question.right].feature
    plan = question.sides[1].get("plan")
    having = sorted(name for name, features in estate.catalog.plans.items() if feature in features)
    if feature and plan not in having:
        wanted = f"a plan with {feature}: {', '.join(having) or 'none has it'}"
        yield Lacking("plan", policy.place, wanted, f"assignee.plan is {plan or 'unknown'}", plan is None)


def _login(policy: Policy, estate: Estate, question: Question) -> Iterator[Lacking]:
    require = policy.require
    if require is None:
        return
    ranks = estate.catalog.acr
    if require.acr is not None and question.acr not in ranks[ranks.index(require.acr) :]:
        yield Lacking("login", policy.place, f"a login of {require.acr}", f"env.acr is {question.acr or 'unknown'}")
    age = _duration(question.auth_age)
    if require.max_age is not None and not (isinstance(age, float) and age <= require.max_age):
        found = f"{age:.0f} s" if isinstance(age, float) else "unknown"
        yield Lacking("login", policy.place, f"a login at most {require.max_age} s old", f"env.auth_age is {found}")
