"""Objects: looking up, merging, selecting by key, and being part of one another."""

from collections.abc import Mapping
from typing import Any, Final

from authorizer.policy.plan.builtins.calling import (
    TYPE_ERROR,
    Builtin,
    array,
    contextual,
    deep,
    mapping,
    wrong_operand,
    wrong_type,
)
from authorizer.policy.plan.builtins.rendering import MAX_DEPTH
from authorizer.policy.plan.context import BudgetError, Context
from authorizer.policy.plan.values import UNDEFINED, BuiltinError, Set, Value, equal, key, set_of, type_name, unkey


def child(value: Value, name: Value) -> Value:
    """Return what ``value[name]`` is, ``UNDEFINED`` if there is nothing."""
    kind = type(value)
    if kind is dict:
        return value.get(key(name), UNDEFINED)
    if kind is Set:
        return value.items.get(key(name), UNDEFINED)
    if kind is list and type(name) is not bool and isinstance(name, int | float) and name == name // 1:
        index = int(name)
        return value[index] if 0 <= index < len(value) else UNDEFINED
    return UNDEFINED


def _get(context: Context, value: Value, path: Value, default: Value) -> Value:
    current: Value = mapping(value, 1)
    steps = path if type(path) is list else [path]
    context.budget.charge(len(steps))
    deep(context, *steps)
    for step in steps:
        current = child(current, step)
        if current is UNDEFINED:
            return default
    return current


def _keys(context: Context, value: Value) -> Set:
    found = mapping(value, 1)
    context.budget.charge(len(found))
    return Set({stored: unkey(stored) for stored in found})


def _names(context: Context, value: Value) -> Mapping[Any, Value]:
    """Return the stored keys that an array, a set or the keys of an object name."""
    kind = type(value)
    if kind not in {list, Set, dict}:
        raise wrong_type(2, value, "object", "set", "array")
    context.budget.charge(len(value))
    if kind is list:
        deep(context, *value)
        return set_of(value).items
    found: Mapping[Any, Value] = value.items if kind is Set else value
    return found


def _remove(context: Context, value: Value, names: Value) -> dict[Any, Value]:
    found, removed = mapping(value, 1), _names(context, names)
    context.budget.charge(len(found))
    return {stored: each for stored, each in found.items() if stored not in removed}


def _filter(context: Context, value: Value, names: Value) -> dict[Any, Value]:
    found = mapping(value, 1)
    return {stored: found[stored] for stored in _names(context, names) if stored in found}


def merged(
    context: Context, first: dict[Any, Value], second: dict[Any, Value], depth: int = MAX_DEPTH
) -> dict[Any, Value]:
    """Return both objects in one; where both have objects these are merged, else the second wins."""
    if not depth:
        raise BudgetError
    context.budget.charge(4 + len(first) + 2 * len(second))
    result = first | second
    for stored, update in second.items():
        if type(update) is dict:
            original = first.get(stored)
            if type(original) is dict:
                result[stored] = merged(context, original, update, depth - 1)
    return result


def _union_n(context: Context, values: Value) -> dict[Any, Value]:
    found = array(values, 1)
    result: dict[Any, Value] = {}
    for each in found:
        if type(each) is not dict:
            raise wrong_operand(1, f"must be array of objects but got array containing {type_name(each)}")
        result = merged(context, result, each)
    return result


def _subset(context: Context, larger: Value, smaller: Value) -> bool:
    kinds = type(larger), type(smaller)
    if kinds in {(dict, dict), (Set, Set), (list, list)}:
        return _within(context, larger, smaller)
    if kinds == (list, Set):
        context.budget.charge(len(larger))
        deep(context, *larger)
        return bool(larger) and smaller.items.keys() <= set_of(larger).items.keys()
    why = "both arguments object.subset must be of the same type or array and set"
    raise BuiltinError(why, code=TYPE_ERROR)


def _within(context: Context, larger: Value, smaller: Value, depth: int = MAX_DEPTH) -> bool:
    if not depth:
        raise BudgetError
    kind = type(smaller)
    if kind is not type(larger):
        return equal(larger, smaller)
    if kind is dict:
        context.budget.charge(3 * len(smaller))
        return all(
            stored in larger and _within(context, larger[stored], each, depth - 1) for stored, each in smaller.items()
        )
    if kind is Set:
        context.budget.charge(len(smaller))
        return bool(smaller.items.keys() <= larger.items.keys())
    if kind is list:
        return _run_of(context, larger, smaller)
    return equal(larger, smaller)


def _same(context: Context, a: Value, b: Value) -> bool:
    deep(context, b)
    return equal(a, b)


def _run_of(context: Context, larger: list[Value], smaller: list[Value]) -> bool:
    """Tell whether the elements of ``smaller`` follow each other somewhere in ``larger``."""
    size = len(smaller)
    for start in range(len(larger) - size + 1):
        context.budget.charge(9)
        matched = 0
        while matched < size and _same(context, larger[start + matched], smaller[matched]):
            matched += 1
        context.budget.charge(matched)
        if matched == size:
            return True
    return False


BUILTINS: Final[Mapping[str, Builtin]] = {
    "object.filter": contextual(_filter),
    "object.get": contextual(_get),
    "object.keys": contextual(_keys),
    "object.remove": contextual(_remove),
    "object.subset": contextual(_subset),
    "object.union": contextual(lambda context, a, b: merged(context, mapping(a, 1), mapping(b, 2))),
    "object.union_n": contextual(_union_n),
}
