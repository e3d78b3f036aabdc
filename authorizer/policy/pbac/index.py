"""The index: from a subject's tokens and a point to the few policies that could match, without reading the others.

Level by level: a bucket for a right or role; in it the points, of which a request has one and its ancestors; at each
the tokens of assignees, intersected with the subject's; then, where more than ``LEAF`` policies remain, a split by the
value of a field whose equality tells them apart.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from authorizer.policy.pbac.templates import SIDE_INDEX, Field, Sides

LEAF = 8
WIDE = 64
MAX_COPIES = 16
"""How many values of a list a policy is told apart by; one with more stays with those that have none."""

_RESOURCE = SIDE_INDEX["resource"]
_BITS = 32
_MASK = (1 << _BITS) - 1


class Split(Struct, frozen=True):
    """A leaf that is told apart by a field. ``every`` holds all of its rows when they are denials, else nothing."""

    side: int
    field: str
    by: Mapping[Any, "Leaf"]
    rest: "Leaf"
    every: "Leaf"


Leaf = int | tuple[int, ...] | Split
"""Rows by their numbers: one row as it is; rows that follow each other as the one number that ``run`` makes, for a
million tuples would be too many; any rows as a tuple; or a split."""
Bucket = Mapping[str, Mapping[str, Leaf]]
"""The policies about one right or role: by point ("" is anywhere), then by assignee token."""
Values = Callable[[int, Field], tuple[Any, ...]]
"""The values that a row asks a field to have one of; () when it asks for none, or for too many."""

EMPTY: Leaf = ()


def run(start: int, size: int) -> Leaf:
    """Return the leaf of rows that follow each other."""
    return start if size == 1 else ~(start << _BITS | size) if size else EMPTY


def rows_of(leaf: int | tuple[int, ...]) -> Sequence[int]:
    """Return the rows of a leaf that is no split."""
    if isinstance(leaf, tuple):
        return leaf
    if leaf >= 0:
        return (leaf,)
    start = ~leaf >> _BITS
    return range(start, start + (~leaf & _MASK))


def build_leaf(start: int, size: int, by: Sequence[Field], values: Values, *, denials: bool) -> Leaf:
    """Make the leaf of the rows from ``start`` on, split by the fields ``by`` in this order where that helps."""
    return _build(range(start, start + size), by, values, MAX_COPIES * size, denials=denials)


def _build(rows: Sequence[int], by: Sequence[Field], values: Values, room: int, *, denials: bool) -> Leaf:
    """Split rows by the first field that helps, and the parts by those after it.

    INVARIANT: ``room``, which is shared out among the parts, bounds how many rows all parts hold together, however many
    values each row has.
    """
    for position, (side, name) in enumerate(by if len(rows) > LEAF else ()):
        parts, rest = _parts(rows, (side, name), values)
        sizes = [len(part) if isinstance(part, list) else 1 for part in parts.values()]
        total = len(rest) + sum(sizes)
        if not parts or len(rest) + max(sizes) >= len(rows) or total > room:
            continue
        further = by[position + 1 :]
        leaves: dict[Any, Any] = parts
        for value, part in parts.items():
            if isinstance(part, list):
                leaves[value] = _build(part, further, values, room * len(part) // total, denials=denials)
        return Split(
            side=side,
            field=name,
            by=leaves,
            rest=_build(rest, further, values, room * len(rest) // total, denials=denials),
            every=_leaf(rows) if denials else EMPTY,
        )
    return _leaf(rows)


def _parts(rows: Sequence[int], field: Field, values: Values) -> tuple[dict[Any, int | list[int]], list[int]]:
    """Return the rows by the values they ask the field to have, and those that ask for none."""
    parts: dict[Any, int | list[int]] = {}
    rest: list[int] = []
    for row in rows:
        several = values(row, field)
        if not several:
            rest.append(row)
        for value in several:
            known = parts.setdefault(value, row)
            if isinstance(known, list):
                known.append(row)
            elif known != row:
                parts[value] = [known, row]
    return parts, rest


def _leaf(rows: Sequence[int]) -> Leaf:
    if rows and rows[-1] - rows[0] == len(rows) - 1:
        return run(rows[0], len(rows))
    return tuple(rows)


def candidates(buckets: Iterable[Bucket], tokens: frozenset[str], points: Iterable[str], sides: Sides) -> list[int]:
    """Return the rows whose assignee is among ``tokens`` and whose point is among ``points``, "" for anywhere."""
    found: list[int] = []
    for bucket in buckets:
        for point in points:
            held = bucket.get(point)
            if held is not None:
                # The cost follows the smaller side: neither 300 groups nor 300,000 assignees are dear.
                for leaf in map(held.get, tokens if len(tokens) <= len(held) else tokens.intersection(held)):
                    if leaf is not None:
                        if type(leaf) is int and leaf >= 0:
                            found.append(leaf)
                        else:
                            _collect(leaf, sides, found)
    return found


def open_candidates(
    buckets: Iterable[Bucket], tokens: frozenset[str], points: Iterable[str], sides: Sides, fields: frozenset[str]
) -> Iterator[int]:
    """Yield the rows as ``candidates`` does, each once, whatever the values of ``fields`` of the resource may be."""
    seen: set[int] = set()
    for bucket in buckets:
        for point in points:
            held = bucket.get(point, {})
            for token in tokens.intersection(held):
                for row in _open_rows(held[token], sides, fields):
                    if row not in seen:
                        seen.add(row)
                        yield row


def _open_rows(leaf: Leaf, sides: Sides, fields: frozenset[str]) -> Iterator[int]:
    waiting = [leaf]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, Split):
            yield from rows_of(one)
        elif one.side == _RESOURCE and one.field in fields:
            waiting += [one.rest, *one.by.values()]
        else:
            value = sides[one.side].get(one.field)
            if value is None and one.every != EMPTY:
                waiting.append(one.every)
            else:
                waiting += [one.rest, *([one.by[value]] if value in one.by else [])]


def _collect(leaf: Leaf, sides: Sides, found: list[int]) -> None:
    while isinstance(leaf, Split):
        value = sides[leaf.side].get(leaf.field)
        if value is None:
            # INVARIANT: without the value each of these conditions is unknown or false. An allow does not grant then;
            # a denial may have to deny, so all denials are visited.
            if leaf.every != EMPTY:
                leaf = leaf.every
                continue
        else:
            branch = leaf.by.get(value)
            if branch is not None:
                _collect(branch, sides, found)
        leaf = leaf.rest
    found.extend(rows_of(leaf))


def leaves(bucket: Bucket) -> Iterator[Sequence[int]]:
    """Yield the rows of each part that no further split tells apart."""
    for held in bucket.values():
        for leaf in held.values():
            yield from _parts_of(leaf)


def _parts_of(leaf: Leaf) -> Iterator[Sequence[int]]:
    if isinstance(leaf, Split):
        for part in (*leaf.by.values(), leaf.rest):
            yield from _parts_of(part)
    else:
        yield rows_of(leaf)
