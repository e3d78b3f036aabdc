"""Rego's values on Python's, and what they mean to each other.

===========  ======================================================================================
null         ``None``
boolean      ``True``, ``False`` (never equal to 1 and 0)
number       ``int`` or ``float``; integers of any size are exact; 1 equals 1.0
string       ``str``, ordered by code point, which is the order of the UTF-8 bytes
array        ``list``
object       ``dict`` whose keys went through ``key``
set          ``Set``, whose elements are keyed the same way
undefined    ``UNDEFINED``, which no value equals and null is not
===========  ======================================================================================

Decoded JSON is such a value as it stands. INVARIANT: a value is never changed once something else can see it.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

from authorizer.policy.plan.context import BudgetError

Value: TypeAlias = Any
"""One of the values above; JSON's types and ``Set``, nested."""


class Undefined:
    """What an expression has that has no value; there is one, ``UNDEFINED``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "undefined"

    def __bool__(self) -> bool:
        return False


UNDEFINED: Final = Undefined()


class BuiltinError(Exception):
    """A builtin function cannot answer: undefined, or under strict evaluation an error.

    ``code`` is OPA's: ``eval_type_error`` for an operand that it cannot take, ``eval_builtin_error`` for all else.
    """

    def __init__(self, message: str, *, code: str = "eval_builtin_error") -> None:
        self.code = code
        self.message = message
        super().__init__(message)


class Key:
    """A value that Python's dictionaries would not take, or would take for another one: true is not 1."""

    __slots__ = ("_hash", "value")

    def __init__(self, value: Value) -> None:
        self.value = value
        self._hash = _hashed(value)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return type(other) is Key and self._hash == other._hash and equal(self.value, other.value)

    def __repr__(self) -> str:
        return f"Key({self.value!r})"


class Set:
    """A set: each element under its key, in the order of insertion."""

    __slots__ = ("items",)

    def __init__(self, items: dict[Any, Value] | None = None) -> None:
        self.items: dict[Any, Value] = {} if items is None else items

    def __contains__(self, value: Value) -> bool:
        return key(value) in self.items

    def __iter__(self) -> Iterator[Value]:
        return iter(self.items.values())

    def __len__(self) -> int:
        return len(self.items)

    def __eq__(self, other: object) -> bool:
        return type(other) is Set and self.items.keys() == other.items.keys()

    __hash__ = None  # type: ignore[assignment]  # a set is hashed as ``key`` of it, like an array

    def __repr__(self) -> str:
        return f"Set({list(self.items.values())!r})"


def set_of(values: Iterable[Value]) -> Set:
    """Return the set of ``values``."""
    return Set({key(value): value for value in values})


def object_of(pairs: Iterable[tuple[Value, Value]]) -> dict[Any, Value]:
    """Return the object of keys and values; of equal keys the last wins."""
    return {key(name): value for name, value in pairs}


def key(value: Value) -> Any:
    """Return what stands for ``value`` as a key of a dictionary."""
    kind = type(value)
    return value if kind is str or kind is int or kind is float else Key(value)


def unkey(stored: Any) -> Value:
    """Return the value that ``key`` was given."""
    return stored.value if type(stored) is Key else stored


def _hashed(value: Value) -> int:
    kind = type(value)
    if kind is list:
        return hash((list, *map(key, value)))
    if kind is dict:
        return hash((dict, frozenset((name, key(item)) for name, item in value.items())))
    if kind is Set:
        return hash((Set, frozenset(value.items)))
    return hash((kind, value))


def equal(a: Value, b: Value) -> bool:
    """Tell whether two values are the same value of Rego."""
    if a is b:
        return True
    kind = type(a)
    if kind is str:
        return bool(a == b)
    if kind is int or kind is float:
        return bool(a == b and type(b) is not bool)
    if kind is not type(b):
        return False
    if kind is list:
        return len(a) == len(b) and all(map(equal, a, b))
    if kind is dict:
        if len(a) != len(b):
            return False
        return all(name in b and equal(item, b[name]) for name, item in a.items())
    return kind is Set and a.items.keys() == b.items.keys()


_RANKS: Final[dict[type, int]] = {type(None): 0, bool: 1, int: 2, float: 2, str: 3, list: 6, dict: 7, Set: 8}
_NAMES: Final[dict[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    Set: "set",
}


def type_name(value: Value) -> str:
    """Return the type's name as Rego's ``type_name`` says it."""
    return _NAMES[type(value)]


def sort_key(value: Value) -> tuple[Any, ...]:
    """Return what orders values as OPA does: null, booleans, numbers, strings, arrays, objects, sets."""
    kind = type(value)
    rank = _RANKS[kind]
    if kind is list:
        return (rank, *map(sort_key, value))
    if kind is dict:
        return (rank, *((name, sort_key(value[stored])) for name, stored in _sorted_keys(value)))
    if kind is Set:
        return (rank, *sorted(map(sort_key, value.items.values())))
    return (rank, value) if rank else (rank,)


def _sorted_keys(value: dict[Any, Value]) -> list[tuple[tuple[Any, ...], Any]]:
    return sorted(((sort_key(unkey(stored)), stored) for stored in value), key=_first)


def _first(pair: tuple[tuple[Any, ...], Any]) -> tuple[Any, ...]:
    return pair[0]


def compare(a: Value, b: Value) -> int:
    """Return -1, 0 or 1 as ``a`` stands before, beside or behind ``b`` in OPA's total order."""
    left, right = type(a), type(b)
    if left is not right or left is list or left is dict or left is Set or a is None:
        a, b = sort_key(a), sort_key(b)
    return int(a > b) - int(a < b)


def sorted_values(values: Iterable[Value]) -> list[Value]:
    """Return the values in OPA's total order."""
    listed = list(values)
    kinds = set(map(type, listed))
    if len(kinds) == 1 and kinds <= {str, int, float, bool}:
        return sorted(listed)
    return sorted(listed, key=sort_key)


def sorted_items(value: dict[Any, Value]) -> list[tuple[Value, Value]]:
    """Return an object's keys and values in the order of the keys."""
    if all(type(stored) is str for stored in value):
        return sorted(value.items(), key=lambda item: item[0])
    return [(unkey(stored), value[stored]) for _, stored in _sorted_keys(value)]


def to_json(value: Value) -> Any:
    """Return what JSON has for a value: a set becomes a sorted array, a key that is no string becomes its JSON text.

    Raises BudgetError for what is nested too deeply.
    """
    try:
        return _plain(value)
    except RecursionError:
        raise BudgetError from None


def _plain(value: Value) -> Any:
    kind = type(value)
    if kind is dict:
        return {stored if type(stored) is str else _key_text(stored): _plain(item) for stored, item in value.items()}
    if kind is list:
        return [_plain(item) for item in value]
    if kind is Set:
        return [_plain(item) for item in sorted_values(value)]
    return value


def _key_text(stored: Any) -> str:
    value = unkey(stored)
    return value if type(value) is str else json_text(value)


def json_text(value: Value) -> str:
    """Return the JSON text of a value as OPA writes it: no blanks, keys sorted, no escapes that JSON does not need."""
    return json.dumps(to_json(value), separators=(",", ":"), ensure_ascii=False, sort_keys=True, allow_nan=False)
