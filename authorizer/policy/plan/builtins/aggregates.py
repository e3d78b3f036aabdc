"""What is computed from all elements of a collection, and membership in one."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Final

from authorizer.policy.plan.builtins.calling import (
    Builtin,
    contextual,
    deep,
    elements,
    plain,
    wrong_operand,
    wrong_type,
)
from authorizer.policy.plan.builtins.reals import bounded, exact, integral, rounded, settled
from authorizer.policy.plan.context import BudgetError, Context, charge_order
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

_REAL: Final = 150
_COMPARABLE: Final = ({str}, {int}, {float}, {int, float})


def _count(value: Value) -> int:
    if type(value) in {str, list, dict, Set}:
        return len(value)
    raise wrong_type(1, value, "array", "object", "set", "string")


def _numbers(context: Context, value: Value) -> tuple[list[Any], bool]:
    """Return the numbers of an operand, and whether all are integers."""
    found = elements(value, 1, "set", "array")
    context.budget.charge(len(found))
    kinds = set(map(type, found))
    if not kinds <= {int, float}:
        outer = type_name(value)
        raise wrong_operand(1, f"must be {outer} of numbers but got {outer} containing something else")
    whole = kinds <= {int}
    if not whole:
        context.budget.charge(_REAL * len(found))
    return found, whole


def _sum(context: Context, value: Value) -> int | float:
    found, whole = _numbers(context, value)
    if whole:
        return bounded(sum(found))
    # INVARIANT: what is in between is not rounded to a double, as OPA does not.
    total = Fraction(0)
    for each in found:
        total = rounded(total + exact(each))
    return settled(total)


def _product(context: Context, value: Value) -> int | float:
    found, whole = _numbers(context, value)
    if whole:
        made = 1
        for each in found:
            made = bounded(made * each)
        return made
    total = 1.0  # OPA multiplies with 53 bits, a double, here
    for each in found:
        try:
            total = float(Fraction(total) * exact(each))
        except OverflowError:
            raise BudgetError from None
    return integral(total) if total.is_integer() else total


def _extreme(context: Context, value: Value, direct: Callable[..., Any]) -> Value:
    found = elements(value, 1, "set", "array")
    if not found:
        return UNDEFINED
    charge_order(found, context.budget)
    deep(context, *found)
    return direct(found) if set(map(type, found)) in _COMPARABLE else direct(found, key=sort_key)


def _sort(context: Context, value: Value) -> list[Value]:
    found = elements(value, 1, "set", "array")
    charge_order(found, context.budget)
    deep(context, *found)
    return sorted_values(found)


def _all(context: Context, value: Value) -> bool:
    found = elements(value, 1)
    context.budget.charge(len(found))
    return all(each is True for each in found)


def _any(context: Context, value: Value) -> bool:
    found = elements(value, 1)
    context.budget.charge(len(found))
    return any(each is True for each in found)


def _compared(context: Context, a: Value, b: Value) -> int:
    deep(context, a, b)
    deep(context, a, b)  # what is compared is put in order first
    return compare(a, b)


def _equal(context: Context, a: Value, b: Value) -> bool:
    deep(context, a)
    return equal(a, b)


def _member(context: Context, value: Value, within: Value) -> bool:
    kind = type(within)
    before = context.budget.left
    deep(context, value)
    if kind is Set:
        return key(value) in within.items
    if kind is not list and kind is not dict:
        return False
    context.budget.charge(2 * len(within) * (1 + before - context.budget.left))
    return any(equal(value, each) for each in (within if kind is list else within.values()))


def _member_at(context: Context, name: Value, value: Value, within: Value) -> bool:
    kind = type(within)
    deep(context, name, value)
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
    "assign": contextual(_equal),
    "count": plain(_count),
    "eq": contextual(_equal),
    "equal": contextual(_equal),
    "gt": contextual(lambda context, a, b: _compared(context, a, b) > 0),
    "gte": contextual(lambda context, a, b: _compared(context, a, b) >= 0),
    "internal.member_2": contextual(_member),
    "internal.member_3": contextual(_member_at),
    "lt": contextual(lambda context, a, b: _compared(context, a, b) < 0),
    "lte": contextual(lambda context, a, b: _compared(context, a, b) <= 0),
    "max": contextual(lambda context, value: _extreme(context, value, max)),
    "min": contextual(lambda context, value: _extreme(context, value, min)),
    "neq": contextual(lambda context, a, b: not _equal(context, a, b)),
    "product": contextual(_product),
    "sort": contextual(_sort),
    "sum": contextual(_sum),
}
