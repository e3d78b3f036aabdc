"""The index: from a subject's tokens and a point to the few policies that could match, without reading the others.

Level by level: a bucket for a right or role; in it the tokens of assignees, intersected with the subject's; then the
point and its ancestors; then, where more than ``LEAF`` policies remain, a split by the value of the field whose
equality tells most of them apart.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from authorizer.model import Duty, StepUp
from authorizer.policy.pbac.templates import Params, Sides, Template

LEAF = 8
WIDE = 64
_MAX_COPIES = 16
_MAX_DEPTH = 12


class Extras(Struct, frozen=True):
    """What only some policies have. ``acr`` is the least rank of the login required, ``step_up`` what to ask for."""

    reason: str = ""
    feature_gate: bool = False
    overridable: bool = False
    overrides: frozenset[str] = frozenset()
    acr: int | None = None
    max_age: int | None = None
    step_up: StepUp | None = None
    obligations: tuple[Duty, ...] = ()
    advice: tuple[Duty, ...] = ()


PLAIN = Extras()


class Row(Struct, frozen=True, eq=False):
    """One policy, ready to be evaluated."""

    id: str
    place: str
    template: Template | None
    params: Params
    start: float | None
    end: float | None
    extras: Extras = PLAIN


class Split(Struct, frozen=True):
    """A leaf that is told apart by a field. ``every`` holds all of its rows when they are denials, else nothing."""

    side: int
    field: str
    by: dict[Any, "Leaf"]
    rest: "Leaf"
    every: tuple[Row, ...]


Leaf = tuple[Row, ...] | Split


class Bucket(Struct, frozen=True):
    """The policies about one right or role: by assignee token, and for those at a point by point."""

    anywhere: dict[str, Leaf]
    at: dict[str, dict[str, Leaf]]


def build_bucket(rows: Iterable[tuple[str, str, Row]], *, denials: bool) -> Bucket:
    """Index rows given as (token, point, row). ``denials`` are visited also when the field that splits is unknown."""
    anywhere: dict[str, list[Row]] = defaultdict(list)
    at: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for token, point, row in rows:
        (at[token][point] if point else anywhere[token]).append(row)
    return Bucket(
        {token: build_leaf(group, denials=denials) for token, group in anywhere.items()},
        {
            token: {point: build_leaf(group, denials=denials) for point, group in points.items()}
            for token, points in at.items()
        },
    )


def build_leaf(
    rows: Sequence[Row],
    *,
    denials: bool,
    without: frozenset[tuple[int, str]] = frozenset(),
    room: int | None = None,
) -> Leaf:
    """Make a leaf of rows, split by fields not in ``without`` for as long as that helps and there is ``room``.

    INVARIANT: ``room``, by default ``_MAX_COPIES`` times the rows, is shared out among the parts of a split, so it
    bounds how many rows all parts hold together, however many lists each row has.
    """
    if len(rows) <= LEAF or len(without) >= _MAX_DEPTH:
        return tuple(rows)
    room = _MAX_COPIES * len(rows) if room is None else room
    values = _values(rows, without)
    best: tuple[int, tuple[int, str], int] | None = None
    for field, of_row in values.items():
        sizes: dict[Any, int] = defaultdict(int)
        for several in of_row.values():
            for value in several:
                sizes[value] += 1
        left = len(rows) - len(of_row)
        cost, total = left + max(sizes.values()), left + sum(sizes.values())
        if cost < len(rows) and total <= room and (best is None or (cost, field) < best[:2]):
            best = (cost, field, total)
    if best is None:
        return tuple(rows)
    _, field, total = best
    split: dict[Any, list[Row]] = defaultdict(list)
    rest: list[Row] = []
    for number, row in enumerate(rows):
        if number not in values[field]:
            rest.append(row)
            continue
        for value in values[field][number]:
            split[value].append(row)
    narrower = without | {field}

    def part(group: list[Row]) -> Leaf:
        return build_leaf(group, denials=denials, without=narrower, room=room * len(group) // total)

    return Split(
        side=field[0],
        field=field[1],
        by={value: part(group) for value, group in split.items()},
        rest=part(rest),
        every=tuple(rows) if denials else (),
    )


def _values(
    rows: Sequence[Row], without: frozenset[tuple[int, str]]
) -> dict[tuple[int, str], dict[int, tuple[Any, ...]]]:
    """Return for each field the values that each row (by its position) asks it to have."""
    values: dict[tuple[int, str], dict[int, tuple[Any, ...]]] = defaultdict(dict)
    for number, row in enumerate(rows):
        for key in row.template.keys if row.template else ():
            field = (key.side, key.field)
            value = row.params[key.param]
            several = tuple(value) if key.several else (value,)
            if field not in without and len(several) <= _MAX_COPIES:
                values[field].setdefault(number, several)
    return values


def candidates(buckets: Iterable[Bucket], tokens: frozenset[str], chain: tuple[str, ...], sides: Sides) -> list[Row]:
    """Return the rows whose assignee is among ``tokens`` and whose point, if they have one, is in ``chain``."""
    found: list[Row] = []
    for bucket in buckets:
        anywhere = bucket.anywhere
        if anywhere:
            for token in _shared(anywhere, tokens):
                _collect(anywhere[token], sides, found)
        if chain and bucket.at:
            for token in _shared(bucket.at, tokens):
                points = bucket.at[token]
                for point in chain:
                    leaf = points.get(point)
                    if leaf is not None:
                        _collect(leaf, sides, found)
    return found


def _shared(assignees: dict[str, Any], tokens: frozenset[str]) -> Iterable[str]:
    """Intersect at the cost of the smaller side."""
    if len(assignees) < len(tokens):
        return tokens.intersection(assignees)
    return assignees.keys() & tokens


def _collect(leaf: Leaf, sides: Sides, found: list[Row]) -> None:
    while isinstance(leaf, Split):
        value = sides[leaf.side].get(leaf.field)
        if value is None:
            # INVARIANT: without the value each of these conditions is unknown or false. An allow does not grant then;
            # a denial may have to deny, so all denials are visited.
            if leaf.every:
                found.extend(leaf.every)
                return
        else:
            branch = leaf.by.get(value)
            if branch is not None:
                _collect(branch, sides, found)
        leaf = leaf.rest
    found.extend(leaf)


def leaves(bucket: Bucket) -> Iterator[Leaf]:
    """Yield all leaves of a bucket."""
    yield from bucket.anywhere.values()
    for points in bucket.at.values():
        yield from points.values()


def rows(leaf: Leaf) -> Iterator[Row]:
    """Yield all rows of a leaf; one that asks a field to be one of several values comes once for each."""
    if isinstance(leaf, Split):
        for part in (*leaf.by.values(), leaf.rest):
            yield from rows(part)
    else:
        yield from leaf


def wide(leaf: Leaf) -> Iterator[tuple[str, int]]:
    """Yield (a policy, how many) for each part of a leaf that stays wide."""
    if isinstance(leaf, Split):
        for part in (*leaf.by.values(), leaf.rest):
            yield from wide(part)
    elif len(leaf) > WIDE:
        yield min(row.id for row in leaf), len(leaf)
