"""Conditions as sets of requests: boxes that say, field by field, which values belong.

A comparison with a literal is a set of values of its field. One with another field, a pattern or a set is an opinion of
its own, true, not true or unknown, of which nothing else is known: what is found with several of them is only possible,
not sure. A missing value belongs neither to what makes a comparison true nor to what makes it false.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from authorizer.policy.authoring.ranges import (
    ABSENT,
    EVERYTHING,
    PRESENT,
    Values,
    above,
    among,
    below,
    between,
    described,
)
from authorizer.policy.authoring.surgery import in_one_order, written
from authorizer.policy.pbac.declared import AllOf, Condition, Leaf, Negation
from authorizer.policy.pbac.form import rule_of
from authorizer.policy.pbac.types import FieldType, converter, rank, show

MAX_BOXES = 512


class TooComplexError(Exception):
    """A region would have more than ``MAX_BOXES`` boxes."""


class Axis(Struct, frozen=True, order=True):
    """What a box constrains: a field such as ``resource.value``, or an opinion by its text.

    ``base`` is the field's type; ``reads`` are the fields that an opinion depends on; ``variant`` tells what else the
    field's meaning depends on, such as its default: axes of different variants have nothing to do with each other.
    """

    name: str
    base: str = "string"
    opinion: bool = False
    reads: tuple[str, ...] = ()
    variant: str = ""


Box = Mapping[Axis, Values]
Region = Sequence[Box]
WHOLE: Region = ({},)
NOTHING: Region = ()


def true_region(condition: Condition | None) -> Region:
    """Return the requests for which a condition is true; None is true for all. Raises TooComplexError."""
    return WHOLE if condition is None else _region(condition, truth=True)


def false_region(condition: Condition | None) -> Region:
    """Return the requests for which a condition is false, not merely unknown. Raises TooComplexError."""
    return NOTHING if condition is None else _region(condition, truth=False)


def _region(condition: Condition, *, truth: bool) -> Region:
    if isinstance(condition, Leaf):
        return _leaf(condition, truth=truth)
    if isinstance(condition, Negation):
        return _region(condition.part, truth=not truth)
    parts = [_region(part, truth=truth) for part in condition.parts]
    return product(*parts) if isinstance(condition, AllOf) is truth else joined(*parts)


def joined(*regions: Region) -> Region:
    """Return what belongs to one of the regions. Raises TooComplexError."""
    return _bounded([box for region in regions for box in region])


def product(*regions: Region) -> Region:
    """Return what belongs to all of the regions. Raises TooComplexError."""
    found: Region = WHOLE
    for region in regions:
        met = (meet(box, other) for box in found for other in region)
        found = _bounded([box for box in met if box is not None])
    return found


def meet(box: Box, other: Box) -> Box | None:
    """Return what belongs to both boxes, or None when nothing does."""
    both = dict(box)
    for axis, values in other.items():
        both[axis] = both[axis] & values if axis in both else values
        if not both[axis]:
            return None
    return both


def minus(region: Region, other: Region) -> Region:
    """Return what belongs to ``region`` and not to ``other``. Raises TooComplexError."""
    left = region
    for box in other:
        left = _bounded([piece for one in left for piece in _without(one, box)])
    return left


def _without(box: Box, other: Box) -> list[Box]:
    if meet(box, other) is None:
        return [box]
    pieces: list[Box] = []
    inside = dict(box)
    for axis, values in other.items():
        here = inside.get(axis, EVERYTHING)
        outside = here - values
        if outside:
            pieces.append({**inside, axis: outside})
        inside[axis] = here & values
    return pieces


def _bounded(boxes: list[Box]) -> Region:
    if len(boxes) > MAX_BOXES:
        raise TooComplexError
    return boxes


def sure(box: Box) -> bool:
    """Whether a request in the box surely exists: no part of it shares a field with another, and none is a rule's."""
    seen: set[str] = set()
    for axis in box:
        reads = set(axis.reads) if axis.opinion else {axis.name}
        if not seen.isdisjoint(reads) or any(map(rule_read, reads)):
            return False
        seen |= reads
    return True


def rule_read(field: str) -> str:
    """Return the Rego rule that a field, as ``env.x``, stands for; "" for any other."""
    return rule_of(field.removeprefix("env."))


def text(box: Box) -> str:
    """Write a box as a person would; "" for the box of all requests."""
    words = []
    named = Counter(axis.name for axis in box)
    for axis, values in sorted(box.items(), key=lambda item: item[0]):
        # Two variants of one name stand side by side where what it means has changed.
        name = f"{axis.name} [{axis.variant[:_VARIANT]}]" if named[axis.name] > 1 else axis.name
        if axis.opinion:
            told = " or ".join(word for word, part in _ANSWERS.items() if values & part)
            words.append(f"({name}) is {told}")
        else:
            kind = FieldType(axis.base)
            words.append(described(values, name, partial(show, kind)))
    return " and ".join(words)


_VARIANT = 16
"""Characters of what tells two variants apart: of a time zone, a default, a rule's fingerprint."""


_ANSWERS = {"true": among(["true"]), "not true": among(["false"]), "unknown": ABSENT}


def opinion(name: str, reads: Sequence[str], *, truth: bool, base: str = "bool") -> Box:
    """Return the box in which a yes-or-no question has this answer; ``base`` is the type of what it compares."""
    return {Axis(name, base, opinion=True, reads=tuple(reads)): _ANSWERS["true" if truth else "not true"]}


def _leaf(leaf: Leaf, *, truth: bool) -> Region:
    name = f"{leaf.side}.{leaf.field}"
    axis = Axis(name, leaf.type.base)
    if leaf.operator == "exists":
        there = (leaf.texts == ("true",)) is truth
        return ({axis: PRESENT if there else ABSENT},)
    # Of a rule nothing is known but what it is called.
    single = leaf.reference is None and not leaf.type.many and not rule_read(name)
    values = _values(leaf) if single else None
    if values is None:
        reads = (name, ".".join(leaf.reference)) if leaf.reference else (name,)
        return (opinion(written(in_one_order(leaf)), reads, truth=truth, base=str(leaf.type)),)
    universe = among(leaf.type.values) if leaf.type.base == "enum" else PRESENT
    wanted = values & universe if truth else universe - values
    return ({axis: wanted},) if wanted else NOTHING


def _values(leaf: Leaf) -> Values | None:
    """Return the values that make a comparison with literals true; None for one that is not about single values."""
    kind = leaf.type
    if kind.base == "ip" and leaf.operator in {"in", "not_in"}:
        return _networks(leaf)
    if kind.ordered and leaf.operator in {"gt", "gte", "lt", "lte"}:
        ranks = rank(kind)
        places = _ranked(leaf.operator, ranks[leaf.texts[0]], len(ranks))
        return among(one for one, place in ranks.items() if place in places)
    convert = converter(kind)
    literals: list[Any] = [convert(one) for one in leaf.texts]
    first = literals[0]
    match leaf.operator:
        case "eq" | "in":
            return among(literals)
        case "ne" | "not_in":
            return PRESENT - among(literals)
        case "gt":
            return above(first)
        case "gte":
            return between(first, None)
        case "lt":
            return below(first)
        case "lte":
            return between(None, first)
        case "between" | "outside":
            low, high = literals
            from_low, to_high = between(low, None), below(high)
            inside = from_low & to_high if low < high else from_low | to_high
            return inside if leaf.operator == "between" else PRESENT - inside
        case _:
            return None


def _networks(leaf: Leaf) -> Values:
    convert = converter(FieldType("cidr"))
    inside = Values(())
    for one in leaf.texts:
        network = convert(one)
        assert isinstance(network, tuple)
        inside |= between((network[0], network[1]), (network[0], network[-1]))
    return inside if leaf.operator == "in" else PRESENT - inside


def _ranked(operator: str, limit: int, count: int) -> range:
    match operator:
        case "gt":
            return range(limit + 1, count)
        case "gte":
            return range(limit, count)
        case "lt":
            return range(limit)
        case _:
            return range(limit + 1)
