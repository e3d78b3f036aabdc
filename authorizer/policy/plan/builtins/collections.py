"""Arrays and sets: putting them together and taking them apart."""

from collections.abc import Mapping
from typing import Final

from authorizer.policy.plan.builtins.calling import Builtin, array, collection, contextual, word
from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import Set, Value


def _concat(context: Context, x: Value, y: Value) -> list[Value]:
    first, second = array(x, 1), array(y, 2)
    context.budget.charge(len(first) + len(second))
    return first + second


def _flatten(context: Context, value: Value) -> list[Value]:
    found: list[Value] = []
    for each in array(value, 1):
        inner = each if type(each) is list else [each]
        context.budget.charge(len(inner) + 1)
        found += inner
    return found


def _reverse(context: Context, value: Value) -> list[Value]:
    found = array(value, 1)
    context.budget.charge(len(found))
    return found[::-1]


def _slice(context: Context, value: Value, start: Value, stop: Value) -> list[Value]:
    found = array(value, 1)
    first, last = max(word(start, 2), 0), max(word(stop, 3), 0)
    context.budget.charge(max(min(last, len(found)) - first, 0))
    return found[first:last]


def _intersect(context: Context, x: Value, y: Value) -> Set:
    first, second = collection(x, 1), collection(y, 2)
    context.budget.charge(3 * len(first))
    return Set({name: each for name, each in first.items.items() if name in second.items})


def _unite(context: Context, x: Value, y: Value) -> Set:
    first, second = collection(x, 1), collection(y, 2)
    context.budget.charge(len(first) + len(second))
    return Set(second.items | first.items)


def _difference(context: Context, x: Value, y: Value) -> Set:
    first, second = collection(x, 1), collection(y, 2)
    context.budget.charge(3 * len(first))
    return Set({name: each for name, each in first.items.items() if name not in second.items})


def _intersection(context: Context, value: Value) -> Set:
    sets = [collection(each, 1) for each in collection(value, 1)]
    context.budget.charge(sum(map(len, sets)))
    if not sets:
        return Set()
    names = set(sets[0].items).intersection(*(each.items for each in sets[1:]))
    return Set({name: each for name, each in sets[0].items.items() if name in names})


def _union(context: Context, value: Value) -> Set:
    items: dict[Value, Value] = {}
    for each in collection(value, 1):
        inner = collection(each, 1)
        context.budget.charge(len(inner) + 1)
        items |= inner.items
    return Set(items)


BUILTINS: Final[Mapping[str, Builtin]] = {
    "and": contextual(_intersect),
    "array.concat": contextual(_concat),
    "array.flatten": contextual(_flatten),
    "array.reverse": contextual(_reverse),
    "array.slice": contextual(_slice),
    "intersection": contextual(_intersection),
    "or": contextual(_unite),
    "set_diff": contextual(_difference),
    "union": contextual(_union),
}
