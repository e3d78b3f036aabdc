"""How a builtin function is called, and the reading of its operands.

A function takes Rego's values and returns one, or ``UNDEFINED``; it raises ``BuiltinError`` where OPA has an error.
What costs more than a step charges the budget of the context first.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Struct

from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import BuiltinError, Set, Value, type_name

TYPE_ERROR = "eval_type_error"
DEEP: Final = frozenset({list, dict, Set})
"""The types of collections."""


class Builtin(Struct, frozen=True):
    """A function; with ``context`` its first argument is the ``Context``."""

    function: Callable[..., Value]
    context: bool = False


def plain(function: Callable[..., Value]) -> Builtin:
    """Return the builtin of a function that needs nothing but its operands."""
    return Builtin(function)


def contextual(function: Callable[..., Value]) -> Builtin:
    """Return the builtin of a function whose first parameter is the context."""
    return Builtin(function, context=True)


def spend(context: Context, characters: int) -> None:
    """Charge what it costs to read or make a text of so many characters."""
    context.budget.charge(characters >> 4)


def deep(context: Context, *operands: Value) -> None:
    """Charge for hashing, comparing or ordering operands: the elements of collections, those of these, and so on."""
    level = [each for each in operands if type(each) in DEEP]
    while level:
        below: list[Value] = []
        for each in level:
            inner = each.values() if type(each) is dict else each.items.values() if type(each) is Set else each
            context.budget.charge(4 + 4 * len(inner))
            below += [one for one in inner if type(one) in DEEP]
        level = below


def wrong_type(position: int, value: Value, *expected: str) -> BuiltinError:
    """Return the error for an operand of the wrong type; ``position`` counts from 1."""
    wanted = expected[0] if len(expected) == 1 else f"one of {{{', '.join(expected)}}}"
    return BuiltinError(f"operand {position} must be {wanted} but got {type_name(value)}", code=TYPE_ERROR)


def wrong_operand(position: int, why: str) -> BuiltinError:
    """Return the error for an operand that has the right type and is still not one that the function takes."""
    return BuiltinError(f"operand {position} {why}", code=TYPE_ERROR)


def text(value: Value, position: int) -> str:
    """Return an operand that must be a string."""
    if type(value) is not str:
        raise wrong_type(position, value, "string")
    return value


def encoded(value: Value, position: int) -> bytes:
    """Return the bytes of an operand that must be a string."""
    return as_bytes(text(value, position))


def as_bytes(value: str) -> bytes:
    """Return a string's bytes; the inverse of ``as_text``."""
    return value.encode("utf-8", "surrogateescape")


def as_text(data: bytes) -> str:
    """Return bytes as a string. INVARIANT: bytes that are not UTF-8 stay distinct, so no two inputs become equal."""
    return data.decode("utf-8", "surrogateescape")


def number(value: Value, position: int) -> int | float:
    """Return an operand that must be a number."""
    if type(value) is int or type(value) is float:
        return value
    raise wrong_type(position, value, "number")


def whole(value: Value, position: int) -> int:
    """Return an operand that must be a whole number of any size; 1.0 is one."""
    if type(value) is int:
        return value
    if type(value) is not float:
        raise wrong_type(position, value, "number")
    if not value.is_integer():
        raise wrong_operand(position, "must be integer number but got floating-point number")
    return int(value)


def word(value: Value, position: int) -> int:
    """Return an operand that must be a whole number of 64 bits."""
    found = whole(value, position)
    if not -(2**63) <= found < 2**63:
        raise wrong_operand(position, "must be integer number but got floating-point number")
    return found


def array(value: Value, position: int) -> list[Value]:
    """Return an operand that must be an array."""
    if type(value) is not list:
        raise wrong_type(position, value, "array")
    return value


def mapping(value: Value, position: int) -> dict[Any, Value]:
    """Return an operand that must be an object."""
    if type(value) is not dict:
        raise wrong_type(position, value, "object")
    return value


def collection(value: Value, position: int) -> Set:
    """Return an operand that must be a set."""
    if type(value) is not Set:
        raise wrong_type(position, value, "set")
    return value


def elements(value: Value, position: int, *expected: str) -> list[Value]:
    """Return the elements of an operand that must be an array or a set."""
    if type(value) is list:
        return value
    if type(value) is not Set:
        raise wrong_type(position, value, *(expected or ("array", "set")))
    return list(value.items.values())


def texts(value: Value, position: int) -> list[str]:
    """Return the elements of an operand that must be an array or a set of strings."""
    found = elements(value, position)
    check_texts(found, value, position)
    return found


def check_texts(found: Iterable[Value], value: Value, position: int) -> None:
    """Raise the error for the first element that is not a string; ``value`` is the collection they are of."""
    for each in found:
        if type(each) is not str:
            outer = type_name(value)
            why = f"must be {outer} of strings but got {outer} containing {type_name(each)}"
            raise wrong_operand(position, why)
