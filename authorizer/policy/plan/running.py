"""What generated functions call: looking up, going through collections, merging, replacing a part of a document."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn

from authorizer.policy.plan.context import Budget, BudgetError, charge_order
from authorizer.policy.plan.values import UNDEFINED, Key, Set, Value, equal, key, sorted_items, sorted_values

RESERVED: Final = 2
"""Places of an evaluation's memory that are taken: the budget and the context."""

_DEEP: Final = frozenset({list, dict, Set})


class EvaluationError(Exception):
    """An evaluation ends without an answer. ``code`` is OPA's, such as ``eval_conflict_error``."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


def weigh(value: Value, budget: Budget) -> None:
    """Charge for hashing or comparing a collection: its elements, those of its elements, and so on."""
    level = [value]
    while level:
        below: list[Value] = []
        for each in level:
            inner = each.values() if type(each) is dict else each.items.values() if type(each) is Set else each
            budget.charge(4 + 4 * len(inner))
            below += [one for one in inner if type(one) in _DEEP]
        level = below


def stored(value: Value, budget: Budget) -> Any:
    """Return the key of a value; the hash of a collection is charged for."""
    if type(value) in _DEEP:
        weigh(value, budget)
    return key(value)


def same(a: Value, b: Value, budget: Budget) -> bool:
    """Tell whether two values are equal; that of collections is charged for."""
    if type(a) is type(b) and type(a) in _DEEP and a is not b:
        if len(a) != len(b):
            return False
        weigh(a, budget)
    return equal(a, b)


def dot(source: Value, name: Value, budget: Budget | None = None) -> Value:
    """Return what ``source`` has under ``name``: a member, an element by its index, an element of a set itself.

    ``budget`` is due where the name may be a collection.
    """
    kind, called = type(source), type(name)
    if kind is dict:
        return source.get(name if called is str else _name(name, budget), UNDEFINED)
    if kind is list:
        if called is int:
            return source[name] if 0 <= name < len(source) else UNDEFINED
        if called is float and name.is_integer():
            return dot(source, int(name))
        return UNDEFINED
    if kind is Set and name is not UNDEFINED:
        return source.items.get(_name(name, budget), UNDEFINED)
    return UNDEFINED


def _name(name: Value, budget: Budget | None) -> Any:
    return key(name) if budget is None else stored(name, budget)


def base(source: Value, name: Value, budget: Budget | None = None) -> Value:
    """Return what base data, which are JSON, have under ``name``; a number may mean the string that it is."""
    found = dot(source, name, budget)
    if found is UNDEFINED and type(source) is dict and type(name) is int:
        return source.get(str(name), UNDEFINED)
    return found


def values(source: Value, budget: Budget, weight: int) -> Iterable[Value]:
    """Return the values of a collection in any order; nothing of what is no collection."""
    kind = type(source)
    if kind is dict:
        source = source.values()
    elif kind is Set:
        source = source.items.values()
    elif kind is not list:
        return ()
    budget.left -= len(source) * weight + 1
    if budget.left < 0:
        raise BudgetError
    return source  # type: ignore[no-any-return]


def values_in_order(source: Value, budget: Budget, weight: int) -> Iterable[Value]:
    """Return the values of a collection in OPA's order."""
    kind = type(source)
    if kind is dict:
        return [value for _, value in items_in_order(source, budget, weight)]
    found = values(source, budget, weight)
    if kind is Set:
        charge_order(source.items, budget)
        return sorted_values(found)
    return found


def items(source: Value, budget: Budget, weight: int) -> Iterable[tuple[Value, Value]]:
    """Return the keys and values of a collection in any order; an element of a set is its own key."""
    kind = type(source)
    found = values(source, budget, weight)
    if kind is list:
        return enumerate(found)
    if kind is dict:
        return [(name.value if type(name) is Key else name, value) for name, value in source.items()]
    return zip(found, found, strict=True)


def items_in_order(source: Value, budget: Budget, weight: int) -> Iterable[tuple[Value, Value]]:
    """Return the keys and values of a collection in OPA's order."""
    kind = type(source)
    if kind is list:
        return enumerate(values(source, budget, weight))
    found = values(source, budget, weight)
    if kind is dict:
        charge_order(source, budget)
        return sorted_items(source)
    if kind is Set:
        charge_order(source.items, budget)
    ordered = sorted_values(found)
    return zip(ordered, ordered, strict=True)


def length(source: Value) -> Value:
    """Return how many elements a collection or characters a string has."""
    return len(source) if type(source) in (list, dict, Set, str) else UNDEFINED


def merged(first: Value, second: Value, budget: Budget) -> Value:
    """Return two objects as one, recursively; where not both are objects, the first stands if there is one."""
    if type(first) is not dict or type(second) is not dict:
        return second if first is UNDEFINED else first
    budget.charge((len(first) >> 3) + 4 * len(second))
    both = dict(first)
    for name, value in second.items():
        both[name] = merged(both[name], value, budget) if name in both else value
    return both


def replaced(document: Value, path: Sequence[str], value: Value, budget: Budget) -> Value:
    """Return a document with another value at ``path``; only the objects on the path are new."""
    if not path:
        return value
    copy: dict[Any, Value] = {}
    if type(document) is dict:
        budget.charge(len(document) >> 3)
        copy.update(document)
    copy[path[0]] = replaced(copy.get(path[0], UNDEFINED), path[1:], value, budget)
    return copy


def dynamic(table: Mapping[tuple[Any, ...], Callable[..., Value]], path: tuple[Value, ...]) -> Any:
    """Return the function at a path known only now, or None."""
    return table.get(path) if all(type(each) is str for each in path) else None


def conflict() -> NoReturn:
    """Refuse a second, different value of one rule."""
    raise EvaluationError("eval_conflict_error", "complete rules must not produce multiple outputs")


def owned(own: dict[int, Value], value: Value, budget: Budget) -> Value:
    """Return a collection that may be changed: the value itself if the function made it, else a copy."""
    kind = type(value)
    if kind not in _DEEP or id(value) in own:
        return value
    budget.charge(len(value) >> 3)
    value = Set(dict(value.items)) if kind is Set else kind(value)
    own[id(value)] = value
    return value


def insert(target: Value, name: Value, value: Value, budget: Budget) -> None:
    """Insert into what should be an object."""
    if type(target) is not dict:
        conflict()
    target[stored(name, budget)] = value


def insert_once(target: Value, name: Value, value: Value, budget: Budget) -> None:
    """Insert into an object that may have each key once, or again with the same value."""
    at = stored(name, budget)
    if type(target) is not dict or (at in target and not same(target[at], value, budget)):
        raise EvaluationError("eval_conflict_error", "object keys must be unique")
    target[at] = value


def add(target: Value, value: Value, budget: Budget) -> None:
    """Add to what should be a set."""
    if type(target) is not Set:
        conflict()
    target.items[stored(value, budget)] = value


def append(target: Value, value: Value, budget: Budget) -> None:
    """Append to what should be an array."""
    budget.charge(1)
    if type(target) is not list:
        conflict()
    target.append(value)


def fork(memo: list[Any], empty: object) -> list[Any]:
    """Return a memory of the same evaluation in which nothing has been evaluated: another input or data holds."""
    return memo[:RESERVED] + [empty] * (len(memo) - RESERVED)
