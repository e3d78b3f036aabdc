"""Condition templates of the compiled form become closures in three-valued logic.

A closure takes the three sides (resource, assignee, env: typed values by field name) and a policy's parameters, and
answers True, False, or None for unknown. Kleene's strong logic: false AND unknown is false, true OR unknown is true,
so an unknown matters only where it could change the answer. Nothing is generated as text or compiled as code.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from msgspec import Struct

from authorizer.policy.pbac.patterns import parse as parse_pattern
from authorizer.policy.pbac.types import ALL_OPERATORS, FieldType, converter, rank

Sides = tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]
Params = tuple[Any, ...]
Test = Callable[[Sides, Params], bool | None]
Field = tuple[int, str]
"""A side's position in ``Sides``, and the field's name."""
Wanted = tuple[str, int]
"""What a parameter must be: one of ``LITERALS``, and the position of the type."""

SIDE_INDEX = {"resource": 0, "assignee": 1, "env": 2}
MAX_DEPTH = 40
LITERALS = ("one", "set", "bounds", "networks", "pattern", "truth")
"""How the texts of a literal become a value: one value, a frozenset of them, the two bounds of a range of hours, a
tuple of networks, a pattern, or whether a field must exist."""


class BadTemplateError(ValueError):
    """A template or a policy's parameters are not what the compiler makes."""


class Key(Struct, frozen=True):
    """An equality that every match needs: the field's value is the parameter, or one of the parameter's values."""

    side: int
    field: str
    param: int
    several: bool


class Part(Struct, frozen=True):
    """One of the parts that must all hold, with what it takes to explain it."""

    test: Test
    node: Mapping[str, Any]


class Template(Struct, frozen=True):
    """A condition without its literals. ``wants`` says what each parameter is, ``reads`` which fields are looked at."""

    test: Test
    wants: tuple[Wanted, ...]
    parts: tuple[Part, ...]
    keys: tuple[Key, ...]
    reads: frozenset[Field]


def build(node: Mapping[str, Any], types: tuple[FieldType, ...]) -> Template:
    """Make one template. Raises BadTemplateError."""
    wants: dict[int, Wanted] = {}
    reads: set[Field] = set()
    test = _test(node, types, wants, reads, 0)
    if sorted(wants) != list(range(len(wants))):
        raise BadTemplateError("parameters are not numbered from 0")
    whole = _conjuncts(node)
    parts = tuple(Part(_test(part, types, {}, set(), 0), part) for part in whole)
    numbered = tuple(wants[position] for position in range(len(wants)))
    return Template(test, numbered, parts, tuple(_keys(whole, types)), frozenset(reads))


def _conjuncts(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "all" in node:
        return [inner for part in node["all"] for inner in _conjuncts(part)]
    return [node]


def _keys(parts: Iterable[Mapping[str, Any]], types: tuple[FieldType, ...]) -> Iterable[Key]:
    for part in parts:
        equality = part.get("op") == "eq" or (part.get("op") == "in" and types[part["type"]].base != "ip")
        if equality and "param" in part:
            side, field = part["left"]
            yield Key(SIDE_INDEX[side], field, part["param"], part["op"] == "in")


def _test(
    node: Mapping[str, Any], types: tuple[FieldType, ...], wants: dict[int, Wanted], reads: set[Field], depth: int
) -> Test:
    if not isinstance(node, dict) or depth > MAX_DEPTH:
        raise BadTemplateError("not a condition")
    for name, combine in (("all", _all), ("any", _any)):
        if name in node:
            parts = node[name]
            if len(node) != 1 or not isinstance(parts, list) or not parts:
                raise BadTemplateError(f"not a list under {name!r}")
            return combine(tuple(_test(part, types, wants, reads, depth + 1) for part in parts))
    if "not" in node:
        return _negation(_test(node["not"], types, wants, reads, depth + 1))
    return _comparison(node, types, wants, reads)


def _all(tests: tuple[Test, ...]) -> Test:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests

        def both(sides: Sides, params: Params) -> bool | None:
            one = first(sides, params)
            if one is False:
                return False
            other = second(sides, params)
            if other is False:
                return False
            return None if one is None or other is None else True

        return both

    def every(sides: Sides, params: Params) -> bool | None:
        known = True
        for test in tests:
            one = test(sides, params)
            if one is False:
                return False
            if one is None:
                known = False
        return True if known else None

    return every


def _any(tests: tuple[Test, ...]) -> Test:
    def some(sides: Sides, params: Params) -> bool | None:
        known = True
        for test in tests:
            one = test(sides, params)
            if one is True:
                return True
            if one is None:
                known = False
        return False if known else None

    return some


def _negation(test: Test) -> Test:
    def negation(sides: Sides, params: Params) -> bool | None:
        one = test(sides, params)
        return None if one is None else not one

    return negation


def _inside(value: Any, bounds: tuple[Any, Any]) -> bool:
    """Whether a time of day lies from the first bound to before the second, over midnight when they say so."""
    low, high = bounds
    return bool(low <= value < high if low < high else value >= low or value < high)


def _in_networks(address: tuple[int, int], networks: Any) -> bool:
    listed = (networks,) if isinstance(networks, tuple) and isinstance(networks[0], int) else networks
    return any(version == address[0] and first <= address[1] <= last for version, first, last in listed)


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "in": lambda value, several: value in several,
    "not_in": lambda value, several: value not in several,
    "prefix": str.startswith,
    "like": lambda value, pattern: pattern.matches(value),
    "has": operator.contains,
    "has_all": operator.ge,
    "has_any": lambda several, values: not several.isdisjoint(values),
    "between": _inside,
    "outside": lambda value, bounds: not _inside(value, bounds),
}


@lru_cache(maxsize=1024)
def comparison(op: str, kind: FieldType) -> Callable[[Any, Any], bool]:
    """Return the function that compares a value with another, or with a parameter."""
    if kind.base == "ip" and op in {"in", "not_in"}:
        return _in_networks if op == "in" else lambda value, networks: not _in_networks(value, networks)
    compare = _COMPARE[op]
    if kind.ordered and op in {"gt", "gte", "lt", "lte"}:
        ranks = rank(kind)
        return lambda value, other: compare(ranks[value], ranks[other])
    return compare


def _comparison(
    node: Mapping[str, Any], types: tuple[FieldType, ...], wants: dict[int, Wanted], reads: set[Field]
) -> Test:
    op, number = node.get("op"), node.get("type")
    if not isinstance(number, int) or not 0 <= number < len(types) or op not in ALL_OPERATORS:
        raise BadTemplateError("not a comparison")
    kind = types[number]
    side, name = _field(node.get("left"), reads)
    if op == "exists":
        return _exists(side, name, _param(node, wants, ("truth", number)))
    if op not in kind.operators:
        raise BadTemplateError(f"{op!r} does not apply to {kind}")
    compare = comparison(op, kind)
    if "right" in node:
        other_side, other_name = _field(node["right"], reads)

        def against_field(sides: Sides, _params: Params) -> bool | None:
            value = sides[side].get(name)
            other = sides[other_side].get(other_name)
            return None if value is None or other is None else compare(value, other)

        return against_field
    position = _param(node, wants, (literal_form(op, kind), number))
    if compare is _COMPARE["in"]:

        def among(sides: Sides, params: Params) -> bool | None:
            value = sides[side].get(name)
            return None if value is None else value in params[position]

        return among
    if compare is _COMPARE["eq"]:

        def equal(sides: Sides, params: Params) -> bool | None:
            value = sides[side].get(name)
            return None if value is None else value == params[position]

        return equal

    def against_literal(sides: Sides, params: Params) -> bool | None:
        value = sides[side].get(name)
        return None if value is None else compare(value, params[position])

    return against_literal


def _exists(side: int, name: str, position: int) -> Test:
    def exists(sides: Sides, params: Params) -> bool | None:
        there = sides[side].get(name) is not None
        return there is params[position]

    return exists


def _field(pair: object, reads: set[Field]) -> Field:
    if not isinstance(pair, list) or len(pair) != 2 or pair[0] not in SIDE_INDEX or not isinstance(pair[1], str):
        raise BadTemplateError("not a field")
    field = SIDE_INDEX[pair[0]], pair[1]
    reads.add(field)
    return field


def _param(node: Mapping[str, Any], wants: dict[int, Wanted], what: Wanted) -> int:
    position = node.get("param")
    if not isinstance(position, int) or position < 0 or position in wants:
        raise BadTemplateError("not a parameter")
    wants[position] = what
    return position


def literal_form(op: str, kind: FieldType) -> str:
    """Return the form of a comparison's literals: bounds, networks, one, pattern or set."""
    if op in {"between", "outside"}:
        return "bounds"
    if op == "like":
        return "pattern"
    if op in {"in", "not_in"} and kind.base == "ip":
        return "networks"
    if op in {"in", "not_in", "has_all", "has_any"}:
        return "set"
    return "one"


def literal_reader(how: str, kind: FieldType) -> Callable[[Sequence[str]], Any]:
    """Return the function that makes a parameter of its texts, or None of texts that are none. ``how`` is checked."""
    if how == "truth":
        return lambda texts: {"true": True, "false": False}.get(texts[0]) if len(texts) == 1 else None
    convert: Callable[[str], Any] = converter(FieldType("cidr") if how == "networks" else kind.element)
    if how == "pattern":
        convert = parse_pattern

    def read(texts: Sequence[str]) -> Any:
        values = tuple(convert(text) for text in texts)
        if None in values or not values:
            return None
        if how == "bounds":
            return values if len(values) == 2 and values[0] != values[1] else None
        if how in {"one", "pattern"}:
            return values[0] if len(values) == 1 else None
        return values if how == "networks" else frozenset(values)

    return read
