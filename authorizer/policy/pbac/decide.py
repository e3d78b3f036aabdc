"""The fixed algorithm. No priorities, no first match: the order of files and policies never matters.

1. Attributes have their types and the point is known, else ``bad_attribute``, ``unknown_point``.
2. Every gate holds, else the gate's own reason, also when it cannot be told: what cannot be shown does not pass.
   Gates speak in the order of their ids, those that ask for a feature last: a plan is offered to whom it would help.
3. Candidates are the policies about the right whose assignee the caller is, at the point or above, in their time.
4. A denial that is true or cannot be told denies (``indeterminate`` when none is true), unless it is overridable and
   an allow that holds overrides it.
5. An allow that is true and whose required login is met allows; where only the login falls short, ``step_up`` asks
   for the least demanding one.
6. Otherwise ``expired`` or ``not_yet`` when time alone stood in the way, else ``no_matching_policy``.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from authorizer.model import ANYONE, Duty, Missing
from authorizer.policy.pbac.emitting import headers
from authorizer.policy.pbac.explain import NEAREST, nearest, why
from authorizer.policy.pbac.form import EmitForm
from authorizer.policy.pbac.index import candidates
from authorizer.policy.pbac.points import EVERYWHERE
from authorizer.policy.pbac.question import BadAttribute, Question, Verdict
from authorizer.policy.pbac.rows import PLAIN, Case, Extras
from authorizer.policy.pbac.tables import EnvReading, RightTable, RouteTable, Shared
from authorizer.policy.pbac.templates import Sides
from authorizer.policy.pbac.types import FieldType, converter

_ANYWHERE = (EVERYWHERE,)
_first = itemgetter(0)
_duration = converter(FieldType("duration"))


def decide(shared: Shared, route: RouteTable, question: Question) -> Verdict:
    """Answer a question. Never raises for bad data."""
    right = route.right
    if right.broken:
        return Verdict(False, "indeterminate", by=right.broken, detail="a policy about this right could not be built")
    resource = _resource(route, question.resource)
    if isinstance(resource, BadAttribute):
        return Verdict(False, "bad_attribute", detail=str(resource))
    env = _env(route.env, question)
    if isinstance(env, BadAttribute):
        return Verdict(False, "bad_attribute", detail=str(env))
    points: tuple[str, ...] = _ANYWHERE
    for field, chains in route.points:
        point = question.resource.get(field)
        chain = chains.get(point) if isinstance(point, str) else None
        if chain is None:
            return Verdict(False, "unknown_point", detail="the assignment point is absent or not in the tree")
        points += chain
    if route.lacks_point:
        return Verdict(False, "unknown_point", detail="a denial stands at a point and the route gives none")
    sides: Sides = (resource, question.assignee, env)
    rows, now = shared.rows, question.now
    for gate in right.gates:
        failed = _gate(gate, right, shared, sides, now)
        if failed is not None:
            return failed

    tokens = question.tokens if ANYONE in question.tokens else question.tokens | {ANYONE}
    standing: list[tuple[int, bool | None]] = []
    if right.denials:
        for row in candidates(right.denials, tokens, points, sides):
            case = rows.case_at(row)
            if case.start <= now < case.end:
                holds = case.holds(sides)
                if holds is not False:
                    standing.append((row, holds))
    if standing and not all(rows.case_at(row).extras.overridable for row, _ in standing):
        return _denied(standing, shared, sides)

    found = candidates(right.allows, tokens, points, sides)
    holding, weak = _holding(found, shared, sides, question)
    if standing:
        overridden = frozenset[str]().union(*(rows.case_at(row).extras.overrides for row in holding))
        left = [one for one in standing if rows.id(one[0]) not in overridden]
        if left:
            return _denied(left, shared, sides)
    if holding:
        return _allowed(right, holding, standing, shared, sides)
    if weak:
        return _step_up(weak, shared)
    return _unmatched(right, found, tokens, points, shared, question, sides)


def _holding(found: list[int], shared: Shared, sides: Sides, question: Question) -> tuple[list[int], list[int]]:
    """Return the rows that hold, and those that would if the login were stronger."""
    rows, now = shared.rows, question.now
    case_of, known = rows.case_of, rows.cases.get
    holding: list[int] = []
    weak: list[int] = []
    for row in found:
        number = case_of[row]
        case = known(number) or rows.case(number)
        if case.start <= now < case.end:
            try:
                holds = case.test is None or case.test(sides, case.params)
            except Exception:  # noqa: BLE001 - INVARIANT: what raises is unknown, and what is unknown grants nothing
                holds = None
            if holds:
                extras = case.extras
                (holding if extras is PLAIN or _login_suffices(extras, shared, question.env) else weak).append(row)
    return holding, weak


def _resource(route: RouteTable, raw: Mapping[str, object]) -> dict[str, Any] | BadAttribute:
    resource = {}
    for name, kind, convert in route.fields:
        value = raw.get(name)
        if value is not None:
            typed = convert(value)
            if typed is None:
                return BadAttribute(f"resource.{name}", str(kind))
            resource[name] = typed
    return resource


def _env(readings: tuple[EnvReading, ...], question: Question) -> dict[str, Any] | BadAttribute:
    env: dict[str, Any] = {"now": question.now}
    for reading in readings:
        raw = question.env.get(reading.name)
        typed = reading.default if raw is None else reading.convert(raw)
        if typed is not None:
            env[reading.name] = typed
        elif raw is not None and reading.name != "acr":  # identity providers name logins that the catalog does not rank
            return BadAttribute(f"env.{reading.name}", str(reading.type))
    return env


def _login_suffices(extras: Extras, shared: Shared, env: Mapping[str, object]) -> bool:
    if extras.acr is not None:
        acr = env.get("acr", shared.acr_default)
        if not isinstance(acr, str) or shared.acr.get(acr, -1) < extras.acr:
            return False
    if extras.max_age is not None:
        age = _duration(env.get("auth_age"))
        return isinstance(age, float) and age <= extras.max_age
    return True


def _gate(row: int, right: RightTable, shared: Shared, sides: Sides, now: float) -> Verdict | None:
    gate = shared.rows.case_at(row)
    if not gate.start <= now < gate.end:
        return None
    missing = None
    if gate.holds(sides) is True:
        if not gate.extras.feature_gate or not right.feature:
            return None
        plan = sides[1].get("plan")
        if isinstance(plan, str) and right.feature in shared.plans.get(plan, ()):
            return None
        missing = Missing(right.feature, tuple(name for name, has in shared.plans.items() if right.feature in has))
        detail = f"the plan lacks {right.feature}" if isinstance(plan, str) else "the caller's plan is unknown"
    else:
        detail = why(gate, shared.types, sides)
    name, place = shared.rows.name(row)
    return Verdict(
        False,
        gate.extras.reason,
        by=(name,),
        sources=(place,),
        detail=f"gate {name} ({place}): {detail}",
        missing=missing,
        authored=True,
        obligations=gate.extras.obligations,
        advice=gate.extras.advice,
    )


def _denied(standing: Sequence[tuple[int, bool | None]], shared: Shared, sides: Sides) -> Verdict:
    true = [row for row, holds in standing if holds is True]
    named = _named(true or [row for row, _ in standing], shared)
    name, place, first = named[0]
    detail = "holds" if true else why(first, shared.types, sides)
    return Verdict(
        False,
        first.extras.reason if true else "indeterminate",
        authored=bool(true),
        by=tuple(name for name, _, _ in named),
        sources=tuple(place for _, place, _ in named),
        detail=f"denial {name} ({place}): {detail}",
        obligations=_duties(case.extras.obligations for _, _, case in named),
        advice=_duties(case.extras.advice for _, _, case in named),
    )


def _allowed(
    right: RightTable,
    holding: list[int],
    overridden: Sequence[tuple[int, bool | None]],
    shared: Shared,
    sides: Sides,
) -> Verdict:
    name = shared.rows.name
    named = [name(row) for row in holding]
    named.sort()
    duties: list[Extras] = []
    if right.dutiful:
        duties = [case.extras for _, _, case in _named(holding, shared)]
    emits: tuple[EmitForm, ...] = right.emits
    for extras in duties:
        emits += extras.emit
    return Verdict(
        True,
        "allowed",
        by=tuple([name for name, _ in named]),
        sources=tuple([place for _, place in named]),
        obligations=_duties(extras.obligations for extras in duties) if duties else (),
        advice=_duties(extras.advice for extras in duties) if duties else (),
        overrode=tuple(sorted(shared.rows.id(row) for row, _ in overridden)) if overridden else (),
        headers=headers(emits, sides, right.kinds) if emits else (),
    )


def _named(rows: Iterable[int], shared: Shared) -> list[tuple[str, str, Case]]:
    """Return rows with their names and places, in the order of their names."""
    named = [(*shared.rows.name(row), shared.rows.case_at(row)) for row in rows]
    if len(named) > 1:
        named.sort(key=_first)
    return named


def _step_up(weak: list[int], shared: Shared) -> Verdict:
    def demand(named: tuple[str, str, Case]) -> tuple[int, float, str]:
        extras = named[2].extras
        age = extras.max_age
        return (-1 if extras.acr is None else extras.acr), -(float("inf") if age is None else age), named[0]

    name, place, case = min(_named(weak, shared), key=demand)
    return Verdict(
        False,
        "step_up",
        by=(name,),
        sources=(place,),
        detail=f"{name} ({place}) asks for a stronger or fresher login",
        step_up=case.extras.step_up,
    )


def _unmatched(
    right: RightTable,
    found: list[int],
    tokens: frozenset[str],
    points: tuple[str, ...],
    shared: Shared,
    question: Question,
    sides: Sides,
) -> Verdict:
    now = question.now
    requestable: tuple[str, ...] = ()
    if right.eligible and not candidates(right.excluded, tokens, points, sides):
        requestable = tuple(sorted({shared.rows.id(row) for row in candidates(right.eligible, tokens, points, sides)}))
    live: list[int] = []
    late: list[int] = []
    for row in found:
        case = shared.rows.case_at(row)
        if case.start <= now < case.end:
            live.append(row)
        elif case.holds(sides) is True and _login_suffices(case.extras, shared, question.env):
            late.append(row)
    if late:
        named = _named(late, shared)
        ended = [one for one in named if one[2].end <= now]
        word = "has ended" if ended else "has not begun"
        shown = ended or named
        return Verdict(
            False,
            "expired" if ended else "not_yet",
            by=tuple(name for name, _, _ in shown),
            sources=tuple(place for _, place, _ in shown),
            detail=f"{shown[0][0]} ({shown[0][1]}) {word}",
            requestable=requestable,
        )
    detail = f"no policy grants {right.name} to the caller"
    if live:
        detail = nearest(_named(sorted(live)[:NEAREST], shared), shared.types, sides)
    return Verdict(False, "no_matching_policy", detail=detail, requestable=requestable)


def _duties(groups: Iterable[tuple[Duty, ...]]) -> tuple[Duty, ...]:
    some = [group for group in groups if group]
    if len(some) < 2:
        return some[0] if some else ()
    joined = {duty.id: duty for group in some for duty in group}
    return tuple(duty for _, duty in sorted(joined.items()))
