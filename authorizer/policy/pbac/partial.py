"""Lists: what policies ask of fields that are not known yet becomes a condition for the application's rows.

A row may be seen exactly when the algorithm would allow it with the row's own values. What remains is in negation
normal form: ``{"all": [..]}``, ``{"any": [..]}``, ``{"not": comparison}`` or a comparison ``{"field", "op", "value"}``,
with ``"other"``, another field, in place of the value; ``true`` when nothing remains.

INVARIANT: a comparison with a value that a row does not have is not true, negated or not; only ``exists`` asks for
that. So a row is never seen where a gate or a denial cannot be told, as the algorithm has it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from authorizer.policy.pbac.emitting import FILTER, Header
from authorizer.policy.pbac.index import Bucket, open_candidates
from authorizer.policy.pbac.question import Question, Verdict
from authorizer.policy.pbac.rows import Case
from authorizer.policy.pbac.tables import RouteTable, Shared
from authorizer.policy.pbac.templates import SIDE_INDEX, Field, Params, Sides, comparison
from authorizer.policy.pbac.types import FieldType, rank, show
from authorizer.policy.pbac.verdicts import allowed, denied, gate_verdict, login_suffices, step_up, unmatched

MAX_POLICIES = 500
MAX_LENGTH = 6144
"""Bytes of the header; gateways and servers take about 8 KiB of all of a request's headers."""

Rest = bool | dict[str, Any]
"""What remains of a condition: true, false, or a condition on open fields."""

_RESOURCE = SIDE_INDEX["resource"]
_OPPOSITE = {
    "eq": "ne", "ne": "eq", "in": "not_in", "not_in": "in", "gt": "lte", "lte": "gt", "gte": "lt", "lt": "gte",
    "between": "outside", "outside": "between",
}  # fmt: skip
_TURNED = {
    "eq": "eq", "ne": "ne", "gt": "lt", "lt": "gt", "gte": "lte", "lte": "gte", "in": "has", "not_in": "has",
    "has": "in", "has_any": "has_any",
}  # fmt: skip
"""An operator -> the one that says the same with its sides exchanged; ``not_in`` becomes a ``has`` to be negated."""
_RANKED = frozenset({"gt", "gte", "lt", "lte"})


class _World(Struct, frozen=True):
    sides: Sides
    open: frozenset[str]
    types: tuple[FieldType, ...]

    def is_open(self, field: Field) -> bool:
        return field[0] == _RESOURCE and field[1] in self.open


def filtered(
    shared: Shared, route: RouteTable, question: Question, tokens: frozenset[str], points: tuple[str, ...], sides: Sides
) -> Verdict:
    """Answer a question about a list: the allow has the filter among its headers."""
    right, now, rows = route.right, question.now, shared.rows
    world = _World(sides, route.open, shared.types)
    must: list[Rest] = []
    for gate in right.gates:
        case = rows.case_at(gate)
        if case.start <= now < case.end:
            rest = _remaining(case, world, want=True)
            failed = gate_verdict(gate, right, shared, sides, holds=True if rest is not False else case.holds(sides))
            if failed is not None:
                return failed
            must.append(rest)
    denials = _live(right.denials, tokens, points, world, shared, now)
    allows = _live(right.allows, tokens, points, world, shared, now)
    if denials is None or allows is None:
        return Verdict(False, "filter_limit", detail=f"more than {MAX_POLICIES} policies bear on the list")

    holding: list[tuple[int, Rest]] = []
    weak: list[int] = []
    for row, case in allows:
        rest = _remaining(case, world, want=True)
        if rest is not False:
            if login_suffices(case.extras, shared, question.env):
                holding.append((row, rest))
            else:
                weak.append(row)
    for row, case in denials:
        unless = [_remaining(case, world, want=False)]
        if case.extras.overridable:
            name = rows.id(row)
            unless += [rest for one, rest in holding if name in rows.case_at(one).extras.overrides]
        factor = _any(unless)
        if factor is False:
            sure = _remaining(case, world, want=True) is True
            return denied([(row, True if sure else None)], shared, sides)
        must.append(factor)
    if not holding:
        if weak:
            return step_up(weak, shared, question.env)
        found = sorted(open_candidates(right.allows, tokens, points, sides, route.open))
        return unmatched(right, found, tokens, points, shared, question, sides)
    must.append(_any([rest for _, rest in holding]))
    text = json.dumps(_all(must), separators=(",", ":"), sort_keys=True)
    if len(text) > MAX_LENGTH:
        return Verdict(False, "filter_limit", detail=f"the filter has {len(text)} bytes, more than {MAX_LENGTH}")
    verdict = allowed(right, [row for row, _ in holding], (), shared, sides)
    return replace(verdict, headers=(*verdict.headers, Header("upstream", FILTER, "literal", text)))


def _live(
    buckets: Sequence[Bucket],
    tokens: frozenset[str],
    points: tuple[str, ...],
    world: _World,
    shared: Shared,
    now: float,
) -> list[tuple[int, Case]] | None:
    """Return the candidates whose time it is, or None when there are too many."""
    found: list[tuple[int, Case]] = []
    for number, row in enumerate(open_candidates(buckets, tokens, points, world.sides, world.open)):
        if number >= MAX_POLICIES:
            return None
        case = shared.rows.case_at(row)
        if case.start <= now < case.end:
            found.append((row, case))
    return sorted(found, key=_number)


def _number(found: tuple[int, Case]) -> int:
    return found[0]


def _remaining(case: Case, world: _World, *, want: bool) -> Rest:
    """Return what must hold of the open fields for a case's condition to be what is wanted: true, or false."""
    parts = case.template.parts if case.template is not None else ()
    try:
        rests = [_rest(part.node, case.params, world, want=want) for part in parts]
    except Exception:  # noqa: BLE001 - INVARIANT: what raises is unknown, which is neither true nor false
        return False
    return _all(rests) if want else _any(rests)


def _rest(node: Mapping[str, Any], params: Params, world: _World, *, want: bool) -> Rest:
    for name in ("all", "any"):
        if name in node:
            rests = [_rest(part, params, world, want=want) for part in node[name]]
            return _all(rests) if (name == "all") is want else _any(rests)
    if "not" in node:
        return _rest(node["not"], params, world, want=not want)
    left = _field(node["left"])
    op, kind = node["op"], world.types[node["type"]]
    if op == "exists":
        there = bool(params[node["param"]]) is want
        if world.is_open(left):
            return {"field": left[1], "op": "exists", "value": there}
        return (world.sides[left[0]].get(left[1]) is not None) is there
    right = _field(node["right"]) if "right" in node else None
    if right is not None and world.is_open(right):
        if world.is_open(left):
            return _leaf(left[1], op, {"other": right[1]}, want=want) if not _by_rank(op, kind) else False
        return _turned(right[1], op, kind, world.sides[left[0]].get(left[1]), want=want)
    value = params[node["param"]] if right is None else world.sides[right[0]].get(right[1])
    if value is None:
        return False
    if world.is_open(left):
        return _compared(left[1], op, kind, value, want=want)
    own = world.sides[left[0]].get(left[1])
    return own is not None and comparison(op, kind)(own, value) is want


def _field(pair: Sequence[str]) -> Field:
    return SIDE_INDEX[pair[0]], pair[1]


def _by_rank(op: str, kind: FieldType) -> bool:
    return kind.ordered and op in _RANKED


def _compared(field: str, op: str, kind: FieldType, value: Any, *, want: bool) -> Rest:
    """Compare an open field with a value. The order of an enum is the policies' own: its values are listed instead."""
    if _by_rank(op, kind):
        holds = comparison(op, kind)
        fitting = [one for one in rank(kind) if holds(one, value) is want]
        return {"field": field, "op": "in", "value": fitting} if fitting else False
    told = _json(kind, value)
    if op in {"in", "not_in"} and not isinstance(told, list):
        told = [told]  # one network, of an attribute
    return _leaf(field, op, {"value": told}, want=want)


def _turned(field: str, op: str, kind: FieldType, value: Any, *, want: bool) -> Rest:
    """Compare a value with an open field, as a comparison of the field; what cannot be said so is never true."""
    if value is None or op not in _TURNED or kind.base == "ip":
        return False
    if _by_rank(op, kind):
        holds = comparison(op, kind)
        fitting = [one for one in rank(kind) if holds(value, one) is want]
        return {"field": field, "op": "in", "value": fitting} if fitting else False
    return _leaf(field, _TURNED[op], {"value": _json(kind, value)}, want=want is not (op == "not_in"))


def _leaf(field: str, op: str, other: dict[str, Any], *, want: bool) -> Rest:
    if want:
        return {"field": field, "op": op, **other}
    if op in _OPPOSITE:
        return {"field": field, "op": _OPPOSITE[op], **other}
    return {"not": {"field": field, "op": op, **other}}


def _json(kind: FieldType, value: Any) -> Any:
    """Write a value as JSON: texts, whole numbers and booleans as they are, all else as a policy's author would."""
    if isinstance(value, frozenset):
        return sorted((_json(kind.element, one) for one in value), key=str)
    if isinstance(value, tuple) and (kind.base not in {"ip", "cidr"} or isinstance(value[0], tuple)):
        return [show(kind, one) for one in value]  # two bounds, or networks
    return value if isinstance(value, (str, bool)) or kind.base == "int" else show(kind, value)


def _all(rests: Iterable[Rest]) -> Rest:
    return _joined("all", rests, neutral=True)


def _any(rests: Iterable[Rest]) -> Rest:
    return _joined("any", rests, neutral=False)


def _joined(name: str, rests: Iterable[Rest], *, neutral: bool) -> Rest:
    """Join what remains: constants vanish or decide, equals stand once, and the order is that of the text."""
    parts: dict[str, Rest] = {}
    for rest in rests:
        if isinstance(rest, bool):
            if rest is not neutral:
                return rest
            continue
        for part in rest.get(name, (rest,)):
            parts.setdefault(json.dumps(part, sort_keys=True), part)
    if not parts:
        return neutral
    several = [parts[key] for key in sorted(parts)]
    return several[0] if len(several) == 1 else {name: several}
