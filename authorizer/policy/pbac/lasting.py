"""How long a verdict holds if nothing but time passes, and which attributes it hangs on: what a cache must know.

Apart from the decision: only who wants to keep an answer pays for this.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from authorizer.policy.pbac.form import rule_of
from authorizer.policy.pbac.index import open_candidates
from authorizer.policy.pbac.question import Question
from authorizer.policy.pbac.rows import Case
from authorizer.policy.pbac.tables import RightTable, Shared
from authorizer.policy.pbac.templates import SIDE_INDEX, Sides
from authorizer.policy.pbac.types import FieldType, converter

_DAY = 86400
_ENV = SIDE_INDEX["env"]
_NAMES = {position: side for side, position in SIDE_INDEX.items()}
_TIMED = frozenset({"now", "time", "auth_age"})
_FOREVER = float("inf")
_duration = converter(FieldType("duration"))


def looks_at(right: RightTable) -> tuple[str, ...]:
    """Return the attributes that policies about a right look at, as ``side.field``; the caller's tokens count too.

    A Rego rule stands there by its own name: it may look at all that it is told.
    """
    fields = {*right.reads, *right.requires}
    return tuple(sorted(rule_of(name) or f"{_NAMES[side]}.{name}" for side, name in fields))


def lasts(
    shared: Shared,
    right: RightTable,
    question: Question,
    tokens: frozenset[str],
    points: tuple[str, ...],
    sides: Sides,
    fields: frozenset[str],
    zone: ZoneInfo | None,
) -> float:
    """Return for how many seconds a verdict holds at least; 0 where a policy looks at ``env.risk`` or asks a Rego rule.

    ``fields`` of the resource are left open.
    """
    if any(side == _ENV and (name == "risk" or rule_of(name)) for side, name in right.reads):
        return 0.0
    now = question.now
    age = _duration(question.env.get("auth_age"))
    rows = (*right.gates, *open_candidates((*right.denials, *right.allows), tokens, points, sides, fields))
    left = _FOREVER
    for case in map(shared.rows.case_at, rows):
        ends = [at - now for at in (case.start, case.end)]
        if case.extras.max_age is not None and isinstance(age, float):
            ends.append(case.extras.max_age - age)
        ends += _moments(case, sides, now, zone)
        left = min([left, *(end for end in ends if end >= 0)])
    if zone is not None and (_ENV, "time") in right.reads:
        left = min(left, _unturned(now, left, zone))
    return left


def _unturned(now: float, left: float, zone: ZoneInfo) -> float:
    """Return for how many of ``left`` seconds, at most a day, the clocks of a zone are not put forward or back."""

    def offset(seconds: float) -> timedelta | None:
        return datetime.fromtimestamp(now + seconds, zone).utcoffset()

    low, high = 0.0, min(left, float(_DAY))
    if offset(high) == offset(low):
        return left
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (middle, high) if offset(middle) == offset(0) else (low, middle)
    return low


def _moments(case: Case, sides: Sides, now: float, zone: ZoneInfo | None) -> Iterator[float]:
    """Yield when a comparison with the moment could turn, in seconds from now; what is past is not positive."""
    for node in _comparisons(part.node for part in (case.template.parts if case.template is not None else ())):
        fields = [node["left"], *([node["right"]] if "right" in node else [])]
        for position, (side, name) in enumerate(fields):
            if side != "env" or name not in _TIMED:
                continue
            if "param" in node:
                others = case.params[node["param"]]
            else:
                other_side, other_name = fields[1 - position]
                others = sides[SIDE_INDEX[other_side]].get(other_name)
            for other in others if isinstance(others, tuple) else (others,):
                if isinstance(other, (int, float)):
                    yield _until(name, float(other), sides, now, zone)
                    if name == "time":  # which is told by the minute, and begins anew each day
                        yield _until(name, float(other) + 60, sides, now, zone)
                        yield _until(name, 0.0, sides, now, zone)


def _until(name: str, other: float, sides: Sides, now: float, zone: ZoneInfo | None) -> float:
    if name == "now":
        return other - now
    if name == "auth_age":
        age = sides[2].get("auth_age")
        return other - age if isinstance(age, float) else 0.0
    if zone is None:
        return 0.0
    local = datetime.fromtimestamp(now, zone)
    passed = local.hour * 3600 + local.minute * 60 + local.second + local.microsecond / 1e6
    return (other - passed) % _DAY or float(_DAY)


def _comparisons(nodes: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for node in nodes:
        for name in ("all", "any"):
            if name in node:
                yield from _comparisons(node[name])
        if "not" in node:
            yield from _comparisons([node["not"]])
        if "op" in node:
            yield node
