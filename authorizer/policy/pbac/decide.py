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
from typing import Any

from authorizer.model import ANYONE, Duty, Missing
from authorizer.policy.pbac.explain import nearest, why
from authorizer.policy.pbac.index import Row, candidates
from authorizer.policy.pbac.question import BadAttribute, Question, Verdict
from authorizer.policy.pbac.tables import EnvReading, RightTable, RouteTable, Shared
from authorizer.policy.pbac.templates import Sides
from authorizer.policy.pbac.types import FieldType, converter

_NOWHERE: tuple[str, ...] = ()
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
    chain = _NOWHERE
    if route.has_point:
        point = question.resource.get("point")
        chain = shared.chains.get(point, _NOWHERE) if isinstance(point, str) else _NOWHERE
        if not chain:
            return Verdict(False, "unknown_point", detail="the assignment point is absent or not in the tree")
    elif right.denied_at_points:
        return Verdict(False, "unknown_point", detail="a denial stands at a point and the route gives none")
    sides: Sides = (resource, question.assignee, env)
    for gate in right.gates:
        if _in_time(gate, question.now):
            failed = _gate(gate, right, shared, sides)
            if failed is not None:
                return failed

    tokens = question.tokens if ANYONE in question.tokens else question.tokens | {ANYONE}
    standing = []
    if right.denials:
        for row in candidates(right.denials, tokens, chain, sides):
            if _in_time(row, question.now):
                holds = _holds(row, sides)
                if holds is not False:
                    standing.append((row, holds))
    if standing and not all(row.extras.overridable for row, _ in standing):
        return _denied(standing, shared, sides)

    holding: list[Row] = []
    weak: list[Row] = []
    others: list[Row] = []
    for row in candidates(right.allows, tokens, chain, sides):
        if not _in_time(row, question.now) or _holds(row, sides) is not True:
            others.append(row)
        elif _login_suffices(row, shared, question.env):
            holding.append(row)
        else:
            weak.append(row)
    if standing:
        overridden = frozenset[str]().union(*(row.extras.overrides for row in holding))
        if not all(row.id in overridden for row, _ in standing):
            return _denied([one for one in standing if one[0].id not in overridden], shared, sides)
    if holding:
        return _allowed(holding, standing)
    if weak:
        return _step_up(weak)
    return _unmatched(right, others, tokens, chain, shared, question, sides)


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


def _in_time(row: Row, now: float) -> bool:
    return (row.start is None or row.start <= now) and (row.end is None or now < row.end)


def _holds(row: Row, sides: Sides) -> bool | None:
    """Evaluate a policy's condition; None when it cannot be told."""
    if row.template is None:
        return True
    try:
        return row.template.test(sides, row.params)
    except Exception:  # noqa: BLE001 - INVARIANT: what raises is unknown: as a denial it denies, as an allow it grants nothing
        return None


def _login_suffices(row: Row, shared: Shared, env: Mapping[str, object]) -> bool:
    extras = row.extras
    if extras.acr is not None:
        acr = env.get("acr", shared.acr_default)
        if not isinstance(acr, str) or shared.acr.get(acr, -1) < extras.acr:
            return False
    if extras.max_age is not None:
        age = _duration(env.get("auth_age"))
        return isinstance(age, float) and age <= extras.max_age
    return True


def _gate(gate: Row, right: RightTable, shared: Shared, sides: Sides) -> Verdict | None:
    holds = _holds(gate, sides)
    missing = None
    if holds is True:
        if not gate.extras.feature_gate or not right.feature:
            return None
        plan = sides[1].get("plan")
        if isinstance(plan, str) and right.feature in shared.plans.get(plan, ()):
            return None
        missing = Missing(right.feature, tuple(name for name, has in shared.plans.items() if right.feature in has))
        detail = f"the plan lacks {right.feature}" if isinstance(plan, str) else "the caller's plan is unknown"
    else:
        detail = why(gate, shared.types, sides)
    return Verdict(
        False,
        gate.extras.reason,
        by=(gate.id,),
        sources=(gate.place,),
        detail=f"gate {gate.id} ({gate.place}): {detail}",
        missing=missing,
        authored=True,
        obligations=gate.extras.obligations,
        advice=gate.extras.advice,
    )


def _denied(standing: Sequence[tuple[Row, bool | None]], shared: Shared, sides: Sides) -> Verdict:
    true = [row for row, holds in standing if holds is True]
    rows = sorted(true or [row for row, _ in standing], key=lambda row: row.id)
    first = rows[0]
    detail = "holds" if true else why(first, shared.types, sides)
    return Verdict(
        False,
        first.extras.reason if true else "indeterminate",
        authored=bool(true),
        by=tuple(row.id for row in rows),
        sources=tuple(row.place for row in rows),
        detail=f"denial {first.id} ({first.place}): {detail}",
        obligations=_duties(row.extras.obligations for row in rows),
        advice=_duties(row.extras.advice for row in rows),
    )


def _allowed(holding: list[Row], overridden: Sequence[tuple[Row, bool | None]]) -> Verdict:
    rows = sorted(holding, key=lambda row: row.id) if len(holding) > 1 else holding
    return Verdict(
        True,
        "allowed",
        by=tuple(row.id for row in rows),
        sources=tuple(row.place for row in rows),
        obligations=_duties(row.extras.obligations for row in rows),
        advice=_duties(row.extras.advice for row in rows),
        overrode=tuple(sorted(row.id for row, _ in overridden)),
    )


def _step_up(weak: list[Row]) -> Verdict:
    def demand(row: Row) -> tuple[int, float, str]:
        extras = row.extras
        age = extras.max_age
        return (-1 if extras.acr is None else extras.acr), -(float("inf") if age is None else age), row.id

    row = min(weak, key=demand)
    return Verdict(
        False,
        "step_up",
        by=(row.id,),
        sources=(row.place,),
        detail=f"{row.id} ({row.place}) asks for a stronger or fresher login",
        step_up=row.extras.step_up,
    )


def _unmatched(
    right: RightTable,
    rows: list[Row],
    tokens: frozenset[str],
    chain: tuple[str, ...],
    shared: Shared,
    question: Question,
    sides: Sides,
) -> Verdict:
    requestable: tuple[str, ...] = ()
    if right.eligible and not candidates(right.excluded, tokens, chain, sides):
        requestable = tuple(sorted({row.id for row in candidates(right.eligible, tokens, chain, sides)}))
    late = [
        row
        for row in sorted(rows, key=lambda row: row.id)
        if not _in_time(row, question.now) and _holds(row, sides) is True and _login_suffices(row, shared, question.env)
    ]
    ended = [row for row in late if row.end is not None and row.end <= question.now]
    if late:
        shown = ended or late
        word = "has ended" if ended else "has not begun"
        return Verdict(
            False,
            "expired" if ended else "not_yet",
            by=tuple(row.id for row in shown),
            sources=tuple(row.place for row in shown),
            detail=f"{shown[0].id} ({shown[0].place}) {word}",
            requestable=requestable,
        )
    live = [row for row in rows if _in_time(row, question.now)]
    detail = nearest(live, shared.types, sides) if live else f"no policy grants {right.name} to the caller"
    return Verdict(False, "no_matching_policy", detail=detail, requestable=requestable)


def _duties(groups: Iterable[tuple[Duty, ...]]) -> tuple[Duty, ...]:
    some = [group for group in groups if group]
    if len(some) < 2:
        return some[0] if some else ()
    joined = {duty.id: duty for group in some for duty in group}
    return tuple(duty for _, duty in sorted(joined.items()))
