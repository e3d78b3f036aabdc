"""What is computed from all elements of a collection, and membership in one."""

from collections.abc import Callable, Mapping
from operator import add, mul
from typing import Any, Final

from authorizer.policy.plan.builtins.calling import (
    Builtin,
    contextual,
    elements,
    plain,
    wrong_operand,
    wrong_type,
)
from authorizer.policy.plan.builtins.numbers import plus, times
from authorizer.policy.plan.builtins.reals import bounded
from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import (
    UNDEFINED,
    Set,
    Value,
    compare,
    equal,
    key,
    sort_key,
    sorted_values,
    type_name,
)

_COMPARABLE: Final = ({str}, {int}, {float}, {int, float})


def _count(value: Value) -> int:
    if type(value) in {str, list, dict, Set}:
        return len(value)
    raise wrong_type(1, value, "array", "object", "set", "string")


def _accumulate(
    context: Context, value: Value, start: int, exact: Callable[[Any, Any], Any], real: Callable[[Value, Value], Value]
) -> Value:
    found = elements(value, 1, "set", "array")
    context.budget.charge(len(found))
    kinds = set(map(type, found))
    if kinds <= {int}:
        total: int = start
        for each in found:
            total = bounded(exact(total, each))
        return total
    wrong = kinds - {int, float}
    if wrong:
        outer = type_name(value)
        why = f"must be {outer} of numbers but got {outer} containing something else"
        raise wrong_operand(1, why)
    result: Value = start
    for each in found:
        result = real(result, each)
    return result


def _extreme(context: Context, value: Value, direct: Callable[..., Any]) -> Value:
    found = elements(value, 1, "set", "array")
    if not found:
        return UNDEFINED
    context.budget.charge(len(found))
    return direct(found) if set(map(type, found)) in _COMPARABLE else direct(found, key=sort_key)


def _sort(context: Context, value: Value) -> list[Value]:
    found = elements(value, 1, "set", "array")
    context.budget.charge(4 * len(found))
    return sorted_values(found)


def _all(context: Context, value: Value) -> bool:
    found = elements(value, 1)
    context.budget.charge(len(found))
    return all(each is True for each in found)


def _any(context: Context, value: Value) -> bool:
    found = elements(value, 1)
    context.budget.charge(len(found))
    return any(each is True for each in found)


def _member(context: Context, value: Value, within: Value) -> bool:
    kind = type(within)
    if kind is Set:
        return key(value) in within.items
    if kind is not list and kind is not dict:
        return False
    context.budget.charge(len(within))
    return any(equal(value, each) for each in (within if kind is list else within.values()))


def _member_at(name: Value, value: Value, within: Value) -> bool:
    kind = type(within)
    if kind is Set:
        return key(name) in within.items and equal(name, value)
    if kind is dict:
        stored = key(name)
        return stored in within and equal(value, within[stored])
    if kind is list:
        index = name if type(name) is int else int(name) if type(name) is float and name.is_integer() else -1
        return 0 <= index < len(within) and equal(value, within[index])
    return False


BUILTINS: Final[Mapping[str, Builtin]] = {
    "all": contextual(_all),
    "any": contextual(_any),
    "assign": plain(equal),
    "count": plain(_count),
    "eq": plain(equal),
    "equal": plain(equal),
    "gt": plain(lambda a, b: compare(a, b) > 0),
    "gte": plain(lambda a, b: compare(a, b) >= 0),
    "internal.member_2": contextual(_member),
    "internal.member_3": plain(_member_at),
    "lt": plain(lambda a, b: compare(a, b) < 0),
    "lte": plain(lambda a, b: compare(a, b) <= 0),
    "max": contextual(lambda context, value: _extreme(context, value, max)),
    "min": contextual(lambda context, value: _extreme(context, value, min)),
    "neq": plain(lambda a, b: not equal(a, b)),
    "product": contextual(lambda context, value: _accumulate(context, value, 1, mul, times)),
    "sort": contextual(_sort),
    "sum": contextual(lambda context, value: _accumulate(context, value, 0, add, plus)),
}
