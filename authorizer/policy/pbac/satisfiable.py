"""Whether comparisons with literals can hold together: sets of words and intervals, field by field."""

from collections.abc import Iterable
from decimal import Decimal

from authorizer.policy.pbac.declared import Leaf
from authorizer.policy.pbac.types import converter, rank

_INTERVAL_BASES = frozenset({"int", "decimal", "timestamp", "timeofday", "duration"})


def exclusive(leaves: Iterable[Leaf]) -> str:
    """Return a field (``side.name``) that the comparisons ask for values that exclude each other, or ""."""
    groups: dict[tuple[str, str], list[Leaf]] = {}
    for leaf in leaves:
        groups.setdefault((leaf.side, leaf.field), []).append(leaf)
    for (side, field), group in groups.items():
        if len(group) > 1 and _empty(group):
            return f"{side}.{field}"
    return ""


def _empty(group: list[Leaf]) -> bool:
    if any(leaf.operator == "exists" and leaf.texts == ("false",) for leaf in group):
        return any(leaf.operator != "exists" or leaf.texts == ("true",) for leaf in group)
    kind = group[0].type
    if kind.base in {"string", "enum", "bool"} and not kind.many:
        allowed: set[str] | None = set(kind.values) if kind.values else None
        for leaf in group:
            named = set(leaf.texts)
            if leaf.operator in {"eq", "in"}:
                allowed = named if allowed is None else allowed & named
            elif leaf.operator in {"ne", "not_in"} and allowed is not None:
                allowed = allowed - named
            elif kind.ordered and allowed is not None and leaf.operator in {"gt", "gte", "lt", "lte"}:
                position = rank(kind)
                allowed = {one for one in allowed if _holds(leaf.operator, position[one], position[leaf.texts[0]])}
        return allowed is not None and not _without_excluded(allowed, group)
    if kind.base in _INTERVAL_BASES and not kind.many:
        return _empty_interval(group)
    return False


def _without_excluded(allowed: set[str], group: list[Leaf]) -> set[str]:
    excluded = {text for leaf in group if leaf.operator in {"ne", "not_in"} for text in leaf.texts}
    return allowed - excluded


def _holds(operator: str, left: int, right: int) -> bool:
    return {"gt": left > right, "gte": left >= right, "lt": left < right, "lte": left <= right}[operator]


def _empty_interval(group: list[Leaf]) -> bool:
    """Whether bounds leave nothing; each bound is (number, closed)."""
    convert = converter(group[0].type)
    low, low_closed = Decimal("-Infinity"), True
    high, high_closed = Decimal("Infinity"), True
    for leaf in group:
        if leaf.operator not in {"eq", "gt", "gte", "lt", "lte"}:
            continue
        value = convert(leaf.texts[0])
        assert isinstance(value, (int, float, Decimal))
        bound = Decimal(value)
        closed = leaf.operator not in {"gt", "lt"}
        if leaf.operator in {"eq", "gt", "gte"} and (bound, not closed) > (low, not low_closed):
            low, low_closed = bound, closed
        if leaf.operator in {"eq", "lt", "lte"} and (bound, closed) < (high, high_closed):
            high, high_closed = bound, closed
    return low > high or (low == high and not (low_closed and high_closed))
