"""Whether comparisons with literals can hold together, field by field: the values that could differ are tried.

A comparison with literals splits a type's values at its literals and nowhere else. So where the literals, what lies
beside them and what lies between them all fail, everything does.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import localcontext
from itertools import pairwise
from typing import Any

from authorizer.policy.pbac.declared import Leaf
from authorizer.policy.pbac.templates import comparison, literal_form, literal_reader
from authorizer.policy.pbac.types import FieldType

_WHOLE = frozenset({"int", "timeofday"})
_DAY = 86400
_DIGITS = 120
"""More than any decimal has: what lies between two of them is never rounded to one."""
_WIDTHS = {4: 32, 6: 128}


def exclusive(leaves: Iterable[Leaf]) -> str:
    """Return a field (``side.name``) that the comparisons ask for values that exclude each other, or ""."""
    groups: dict[tuple[str, str], list[Leaf]] = {}
    for leaf in leaves:
        groups.setdefault((leaf.side, leaf.field), []).append(leaf)
    for (side, field), group in groups.items():
        if _empty(group):
            return f"{side}.{field}"
    return ""


def _empty(group: Sequence[Leaf]) -> bool:
    if any(leaf.operator == "exists" and leaf.texts == ("false",) for leaf in group):
        return any(leaf.operator != "exists" or leaf.texts == ("true",) for leaf in group)
    compared = [leaf for leaf in group if leaf.operator != "exists"]
    if not compared or (len(compared) == 1 and compared[0].operator in {"eq", "in"}):
        return False
    kind = compared[0].type
    tests = [_test(leaf) for leaf in compared]
    values = _values(kind, compared)
    return values is not None and not any(all(test(value) for test in tests) for value in values)


def _test(leaf: Leaf) -> Callable[[Any], bool]:
    compare, literal = comparison(leaf.operator, leaf.type), _literal(leaf)
    return lambda value: compare(value, literal)


def _literal(leaf: Leaf) -> Any:
    return literal_reader(literal_form(leaf.operator, leaf.type), leaf.type.element)(leaf.texts)


def _literals(leaf: Leaf) -> Iterable[Any]:
    literal = _literal(leaf)
    return (literal,) if literal_form(leaf.operator, leaf.type) == "one" else literal


def _values(kind: FieldType, group: Sequence[Leaf]) -> Iterable[Any] | None:
    """Return values of a type, one at least of each sort that the comparisons of a group tell apart; None for any."""
    if kind.many:
        return None
    if kind.base == "enum":
        return kind.values
    if kind.base == "bool":
        return (False, True)
    equal = next((leaf for leaf in group if leaf.operator in {"eq", "in"} and kind.base != "ip"), None)
    if equal is not None:
        return _literals(equal)
    if kind.base in {"string", "cidr"}:
        return None
    named = [literal for leaf in group for literal in _literals(leaf)]
    return _addresses(named) if kind.base == "ip" else _numbers(kind, sorted(named))


def _addresses(named: Iterable[tuple[int, ...]]) -> Iterator[tuple[int, int]]:
    for version, width in _WIDTHS.items():
        last = (1 << width) - 1
        edges = {0, last}.union(*(edges for known, *edges in named if known == version))
        yield from ((version, at) for edge in edges for at in (edge - 1, edge, edge + 1) if 0 <= at <= last)


def _numbers(kind: FieldType, named: Sequence[Any]) -> Iterator[Any]:
    with localcontext(prec=_DIGITS):
        values = [at + step for at in named for step in (-1, 0, 1)]
        if kind.base not in _WHOLE:
            values += [(low + high) / 2 for low, high in pairwise(named)]
    if kind.base in {"timeofday", "duration"}:
        values = [at for at in values if at >= 0]
    if kind.base == "timeofday":
        values = [0, *(at for at in values if at < _DAY)]
    return iter(values)
