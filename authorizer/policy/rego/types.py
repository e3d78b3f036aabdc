"""Types of values as far as the source tells them: enough to refuse what can never be right.

``ANY`` is what nothing is known of. A type is wrong for a place only where no value could be of both.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct

_MAX_MEMBERS = 32


class Type(Struct, frozen=True):
    """A type. ``choices`` of a ``any`` are what it may be; without them it may be anything.

    ``items`` are the first elements of an array, ``members`` the known members of an object; ``rest`` is what further
    elements or values are, None if there are none; ``keys`` is what further keys are.
    """

    kind: Literal["any", "null", "boolean", "number", "string", "array", "set", "object"]
    items: tuple["Type", ...] = ()
    members: tuple[tuple[str, "Type"], ...] = ()
    rest: "Type | None" = None
    keys: "Type | None" = None
    choices: tuple["Type", ...] = ()

    def __str__(self) -> str:
        return " or ".join(sorted({one.kind for one in self.choices})) if self.choices else self.kind


ANY = Type("any")
NULL, BOOLEAN, NUMBER, STRING = Type("null"), Type("boolean"), Type("number"), Type("string")


EMPTY = Type("object")


def array_of(rest: Type) -> Type:
    """Return the type of arrays of any length."""
    return Type("array", rest=rest)


def set_of(rest: Type) -> Type:
    """Return the type of sets."""
    return Type("set", rest=rest)


def either(types: Iterable[Type]) -> Type:
    """Return the type of values that are of one of these."""
    found: dict[Type, None] = {}
    for one in types:
        if one == ANY:
            return ANY
        found.update(dict.fromkeys(one.choices or (one,)))
        if len(found) > _MAX_MEMBERS:
            return ANY
    return next(iter(found)) if len(found) == 1 else Type("any", choices=tuple(found))


def declared(told: Mapping[str, Any]) -> Type:
    """Return the type that a builtin function's declaration tells."""
    kind = told["type"]
    if kind == "any":
        return either(map(declared, told["of"])) if "of" in told else ANY
    if kind == "set":
        return set_of(declared(told["of"]) if "of" in told else ANY)
    if kind == "array":
        rest = declared(told["dynamic"]) if told.get("dynamic") else None
        return Type("array", items=tuple(map(declared, told.get("static", ()))), rest=rest)
    if kind == "object":
        members = tuple((one["key"], declared(one["value"])) for one in told.get("static", ()))
        if further := told.get("dynamic"):
            return Type("object", members=members, keys=declared(further["key"]), rest=declared(further["value"]))
        return Type("object", members=members)
    known: dict[str, Type] = {"null": NULL, "boolean": BOOLEAN, "number": NUMBER, "string": STRING}
    return known.get(kind, ANY)


def meet(a: Type, b: Type) -> bool:
    """Tell whether some value may be of both types."""
    if a.kind == "any" or b.kind == "any":
        return all(
            not one.choices or any(meet(choice, other) for choice in one.choices)
            for one, other in ((a, b), (b, a))
            if one.kind == "any"
        )
    if a.kind != b.kind:
        return False
    if a.kind == "array":
        return _arrays_meet(a, b)
    if a.kind == "set":
        return meet(a.rest or ANY, b.rest or ANY)
    if a.kind == "object":
        return _objects_meet(a, b)
    return True


def _arrays_meet(a: Type, b: Type) -> bool:
    shorter, longer = sorted((a, b), key=lambda one: len(one.items))
    if len(shorter.items) < len(longer.items) and shorter.rest is None:
        return False
    paired = [*shorter.items, *[shorter.rest or ANY] * (len(longer.items) - len(shorter.items))]
    if not all(map(meet, paired, longer.items)):
        return False
    return a.rest is None or b.rest is None or meet(a.rest, b.rest)


def _objects_meet(a: Type, b: Type) -> bool:
    if a.rest is not None and b.rest is not None:
        return True
    if a.rest is None and b.rest is None and dict(a.members).keys() != dict(b.members).keys():
        return False
    exact, open_ = (a, b) if a.rest is None else (b, a)
    known = dict(open_.members)
    for name, value in exact.members:
        found = known.get(name, open_.rest)
        if found is None or not meet(value, found):
            return False
    return True


def member(source: Type, key: Type, constant: object = None) -> Type | None:
    """Return the type of what a value has at a key; None where it can have nothing there.

    ``constant`` is the key's text where it is a string that is known, its number where it is a whole number.
    """
    if source.kind == "any":
        if not source.choices:
            return ANY
        found = [one for choice in source.choices if (one := member(choice, key, constant)) is not None]
        return either(found) if found else None
    if source.kind == "array":
        return _element(source, key, constant)
    if source.kind == "set":
        return source.rest if source.rest is not None and meet(source.rest, key) else None
    if source.kind == "object":
        return _value(source, key, constant)
    return None


def _element(source: Type, key: Type, constant: object) -> Type | None:
    if not meet(key, NUMBER):
        return None
    if isinstance(constant, int):
        if 0 <= constant < len(source.items):
            return source.items[constant]
        return source.rest
    every = [*source.items, *([source.rest] if source.rest is not None else [])]
    return either(every)


def _value(source: Type, key: Type, constant: object) -> Type | None:
    if isinstance(constant, str):
        known = dict(source.members)
        if constant in known:
            return known[constant]
        return source.rest if source.rest is not None and meet(source.keys or ANY, STRING) else None
    every = [value for _, value in source.members] if meet(key, STRING) else []
    if source.rest is not None and meet(source.keys or ANY, key):
        every.append(source.rest)
    return either(every) if every or source == EMPTY else None


def elements(source: Type) -> tuple[Type, Type] | None:
    """Return the types of the keys and of the values that a loop over a value has; None where it has none."""
    if source.kind == "any":
        if not source.choices:
            return ANY, ANY
        pairs = [pair for choice in source.choices if (pair := elements(choice)) is not None]
        return (either(key for key, _ in pairs), either(value for _, value in pairs)) if pairs else None
    if source.kind == "array":
        every = [*source.items, *([source.rest] if source.rest is not None else [])]
        return NUMBER, either(every)
    if source.kind == "set":
        return source.rest or ANY, source.rest or ANY
    if source.kind == "object":
        keys = [STRING] if source.members else []
        values = [value for _, value in source.members]
        if source.rest is not None:
            keys.append(source.keys or ANY)
            values.append(source.rest)
        return either(keys), either(values)
    return None
