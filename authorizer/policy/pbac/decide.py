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

from collections.abc import Mapping
from typing import Any

from authorizer.model import ANYONE
from authorizer.policy.pbac.index import candidates
from authorizer.policy.pbac.partial import filtered
from authorizer.policy.pbac.points import EVERYWHERE
from authorizer.policy.pbac.question import BadAttribute, Question, Verdict
from authorizer.policy.pbac.rows import PLAIN
from authorizer.policy.pbac.tables import EnvReading, RouteTable, Shared
from authorizer.policy.pbac.templates import Sides
from authorizer.policy.pbac.verdicts import allowed, denied, gate_verdict, login_suffices, step_up, unmatched

_ANYWHERE = (EVERYWHERE,)


Read = tuple[frozenset[str], tuple[str, ...], Sides]
"""A question with its values typed: the caller's tokens, the points that count, the three sides."""


def decide(shared: Shared, route: RouteTable, question: Question) -> Verdict:
    """Answer a question. Never raises for bad data."""
    right = route.right
    if right.broken:
        return Verdict(False, "indeterminate", by=right.broken, detail="a policy about this right could not be built")
    asked = read(route, question)
    if isinstance(asked, Verdict):
        return asked
    tokens, points, sides = asked
    rows, now = shared.rows, question.now
    if route.open:
        return filtered(shared, route, question, tokens, points, sides)
    for gate in right.gates:
        case = rows.case_at(gate)
        if case.start <= now < case.end:
            failed = gate_verdict(gate, right, shared, sides, holds=case.holds(sides))
            if failed is not None:
                return failed

    standing: list[tuple[int, bool | None]] = []
    if right.denials:
        for row in candidates(right.denials, tokens, points, sides):
            case = rows.case_at(row)
            if case.start <= now < case.end:
                holds = case.holds(sides)
                if holds is not False:
                    standing.append((row, holds))
    if standing and not all(rows.case_at(row).extras.overridable for row, _ in standing):
        return denied(standing, shared, sides)

    found = candidates(right.allows, tokens, points, sides)
    holding, weak = _holding(found, shared, sides, question)
    if standing:
        overridden = frozenset[str]().union(*(rows.case_at(row).extras.overrides for row in holding))
        left = [one for one in standing if rows.id(one[0]) not in overridden]
        if left:
            return denied(left, shared, sides)
    if holding:
        return allowed(right, holding, standing, shared, sides)
    if weak:
        return step_up(weak, shared, question.env)
    return unmatched(right, found, tokens, points, shared, question, sides)


def read(route: RouteTable, question: Question) -> Read | Verdict:
    """Read the values of a question, or return the denial of what cannot be read."""
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
    tokens = question.tokens if ANYONE in question.tokens else question.tokens | {ANYONE}
    return tokens, points, (resource, question.assignee, env)


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
                (holding if extras is PLAIN or login_suffices(extras, shared, question.env) else weak).append(row)
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
