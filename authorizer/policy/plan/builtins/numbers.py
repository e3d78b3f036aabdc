"""Numbers: arithmetic, rounding, bits, ranges and conversion.

Integers are exact; division gives an integer when it comes out even. Two of OPA's own oddities are kept, since policies
are compared with it: ``ceil(-0.5)`` is 1 and ``floor(-0.5)`` is 0.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from operator import add, and_, mul, or_, sub, xor
from typing import Final

from authorizer.policy.plan.builtins.calling import (
    Builtin,
    contextual,
    number,
    text,
    whole,
    wrong_operand,
    wrong_type,
)
from authorizer.policy.plan.builtins.reals import (
    DECIMALS,
    MANTISSA,
    MAX_BITS,
    bounded,
    exact,
    integral,
    settled,
    shortcut,
)
from authorizer.policy.plan.context import BudgetError, Context
from authorizer.policy.plan.values import BuiltinError, Set, Value

_MAX_DIGITS = 4000
_MAX_ADJUSTED = 30_102
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<fraction>\.[0-9]+)?(?P<exponent>[eE][+-]?[0-9]+)?", re.ASCII)
_WRITTEN = re.compile(
    r"(?P<sign>[+-]?)(?=\.?[0-9])(?P<whole>(?:[0-9]+(?:_[0-9]+)*)?)(?:\.(?P<fraction>(?:[0-9]+(?:_[0-9]+)*)?))?"
    r"(?P<exponent>(?:[eE][+-]?[0-9]+(?:_[0-9]+)*)?)",
    re.ASCII,
)
_HEXADECIMAL = re.compile(
    r"[+-]?0[xX](?=_?\.?[0-9a-fA-F])(?:_?[0-9a-fA-F]+)*(?:\.(?:[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*)?)?"
    r"[pP][+-]?[0-9]+(?:_[0-9]+)*",
    re.ASCII,
)
"""What Go's ``strconv.ParseFloat`` takes beside JSON's numbers: signs, zeros in front, bare points, underscores."""
_SMALL = 2**31


def _integers(a: float, b: float) -> tuple[int, int] | None:
    if type(a) is int and type(b) is int:
        return a, b
    if a == a // 1 and b == b // 1:
        return (a if type(a) is int else integral(a)), (b if type(b) is int else integral(b))
    return None


def _arithmetic(
    operation: Callable[[int, int], int], decimally: Callable[[Decimal, Decimal], Decimal]
) -> Callable[[Value, Value], int | float]:
    def compute(x: Value, y: Value) -> int | float:
        a, b = number(x, 1), number(y, 2)
        both = _integers(a, b)
        if both:
            return bounded(operation(*both))
        quick = shortcut(decimally, a, b)
        if quick is not None:
            return quick
        return settled(operation(exact(a), exact(b)))  # type: ignore[arg-type]  # Fraction has the same operators

    return compute


plus = _arithmetic(add, DECIMALS.add)
times = _arithmetic(mul, DECIMALS.multiply)
_minus = _arithmetic(sub, DECIMALS.subtract)


def minus(x: Value, y: Value) -> Value:
    """Return the difference of two numbers, or of two sets."""
    if type(x) is Set:
        if type(y) is not Set:
            raise wrong_type(2, y, "set")
        return Set({name: each for name, each in x.items.items() if name not in y.items})
    if type(x) is not int and type(x) is not float:
        raise wrong_type(1, x, "number", "set")
    return _minus(x, y)


def divide(x: Value, y: Value) -> int | float:
    """Return the quotient; an integer when the division of small integers comes out even."""
    a, b = number(x, 1), number(y, 2)
    if b == 0:
        raise BuiltinError("divide by zero")
    if type(a) is int and type(b) is int and a % b == 0 and -_SMALL <= a < _SMALL and -_SMALL <= b < _SMALL:
        return a // b
    quick = shortcut(DECIMALS.divide, a, b)
    return settled(exact(a) / exact(b)) if quick is None else quick


def remainder(x: Value, y: Value) -> int:
    """Return what a division of integers leaves, with the sign of the dividend."""
    both = _integers(number(x, 1), number(y, 2))
    if both is None:
        raise BuiltinError("modulo on floating-point number")
    a, b = both
    if b == 0:
        raise BuiltinError("modulo by zero")
    rest = abs(a) % abs(b)
    return -rest if a < 0 else rest


def absolute(x: Value) -> int | float:
    """Return the number without its sign."""
    a = number(x, 1)
    if type(a) is int:
        return abs(a) if a.bit_length() <= 64 else settled(abs(exact(a)))
    return integral(abs(a)) if a == a // 1 else abs(a)


def _rounding(direct: Callable[[Fraction], int]) -> Callable[[Value], int]:
    def compute(x: Value) -> int:
        a = number(x, 1)
        return a if type(a) is int and a.bit_length() <= 63 else bounded(direct(exact(a)))

    return compute


def _half_away(value: Fraction) -> int:
    return int(value + Fraction(1, 2)) if value >= 0 else int(value - Fraction(1, 2))


def _ceiling(value: Fraction) -> int:
    towards_zero = int(value)
    return towards_zero if towards_zero < 0 or towards_zero == value else towards_zero + 1


def _floor(value: Fraction) -> int:
    towards_zero = int(value)
    return towards_zero if towards_zero >= 0 or towards_zero == value else towards_zero - 1


def _bits(operation: Callable[[int, int], int]) -> Callable[[Value, Value], int]:
    return lambda x, y: bounded(operation(whole(x, 1), whole(y, 2)))


def _shift(x: Value, y: Value, *, left: bool) -> int:
    a, places = whole(x, 1), whole(y, 2)
    if places < 0:
        raise wrong_operand(2, "must be an unsigned integer number but got a negative integer")
    if not left:
        return a >> min(places, a.bit_length() + 1)
    if places + a.bit_length() > MAX_BITS:
        raise BudgetError
    return a << places


def _range(context: Context, x: Value, y: Value, step: int) -> list[int]:
    first, last = whole(x, 1), whole(y, 2)
    context.budget.charge(abs(last - first) // step + 1)
    return list(range(first, last + 1, step) if first <= last else range(first, last - 1, -step))


def _range_step(context: Context, x: Value, y: Value, step: Value) -> list[int]:
    by = whole(step, 3)
    if by <= 0:
        raise BuiltinError("numbers.range_step: step must be a positive integer")
    return _range(context, x, y, by)


def _random(context: Context, name: Value, limit: Value) -> int:
    below = abs(whole(limit, 2))
    if not below:
        return 0
    known = ("rand.intn", text(name, 1), below)
    if known not in context.cache:
        size = (below.bit_length() + 7) // 8 + 8  # eight bytes more than needed: the bias is below 2**-64
        context.cache[known] = int.from_bytes(context.random(size)) % below
    found: int = context.cache[known]
    return found


def read_number(literal: str) -> int | float | None:
    """Return the number that a JSON literal says, exactly if it is whole; None if it is not one or is too large.

    Raises BuiltinError for one beyond OPA's limit: 100,000 bits before or after the point.
    """
    found = _NUMBER.fullmatch(literal)
    if found is None or len(literal) > _MAX_DIGITS:
        return None
    if not found["fraction"] and not found["exponent"]:
        return int(literal)
    exact = Decimal(literal)
    if exact and abs(exact.adjusted()) > _MAX_ADJUSTED:
        raise BuiltinError("number too big")
    value = float(literal)
    if abs(value) != float("inf"):
        return value
    exponent = found["exponent"] or "e0"
    if len(exponent) > 6 or int(exponent[1:]) + len(literal) > _MAX_DIGITS:
        return None
    scaled = Fraction(literal)
    return scaled.numerator if scaled.denominator == 1 else None


def _spelt(source: str) -> int | float | None:
    """Return the number that a string spells as Go does; None if it spells none, or none of a double's range."""
    found = _WRITTEN.fullmatch(source)
    if found is not None:
        sign = found["sign"].removeprefix("+")
        fraction = f".{found['fraction']}" if found["fraction"] else ""
        shown = f"{sign}{found['whole'].replace('_', '').lstrip('0') or 0}{fraction}{found['exponent']}".replace(
            "_", ""
        )
        number = read_number(shown)
        return None if number is None or abs(float(shown)) == float("inf") else number
    if _HEXADECIMAL.fullmatch(source) is None:
        return None
    try:
        real = float.fromhex(source.replace("_", ""))
    except OverflowError:
        return None
    return int(real) if real.is_integer() else real


def to_number(value: Value) -> int | float:
    """Return null and false as 0, true as 1, a string as the number it spells."""
    if value is None or value is False:
        return 0
    if value is True:
        return 1
    if type(value) is str:
        if value.lstrip("+-").lower() in {"inf", "infinity", "nan"}:
            raise wrong_type(1, value, "valid number string")
        found = _spelt(value)
        if found is None:
            raise BuiltinError("the string is not a number of a double's range")
        return found
    if type(value) is int or type(value) is float:
        return value
    raise wrong_type(1, value, "null", "boolean", "number", "string")


def _to_number(context: Context, value: Value) -> int | float:
    if type(value) is str:
        context.budget.charge(40 + (len(value) >> 2))
    return to_number(value)


def _format_int(x: Value, base: Value) -> str:
    value, radix = number(x, 1), number(base, 2)
    letter = {2: "b", 8: "o", 10: "d", 16: "x"}.get(radix) if type(radix) is int else None
    if letter is None:
        raise wrong_operand(2, "must be one of {2, 8, 10, 16}")
    return format(bounded(value if type(value) is int else int(exact(value))), letter)


def _weighed(function: Callable[..., Value], real: int = 60, least: int = 0) -> Builtin:
    """Return the builtin of a function that takes its time with large integers, sets, and, ``real``, other numbers."""

    def compute(context: Context, *operands: Value) -> Value:
        context.budget.charge(least)
        for each in operands:
            if type(each) is int and each.bit_length() > MANTISSA:
                context.budget.charge(real + each.bit_length())
            elif type(each) is float:
                context.budget.charge(real)
            elif type(each) is Set:
                context.budget.charge(len(each))
        return function(*operands)

    return contextual(compute)


BUILTINS: Final[Mapping[str, Builtin]] = {
    "abs": _weighed(absolute, real=200),
    "bits.and": _weighed(_bits(and_)),
    "bits.lsh": _weighed(lambda x, y: _shift(x, y, left=True)),
    "bits.negate": _weighed(lambda x: ~whole(x, 1)),
    "bits.or": _weighed(_bits(or_)),
    "bits.rsh": _weighed(lambda x, y: _shift(x, y, left=False)),
    "bits.xor": _weighed(_bits(xor)),
    "ceil": _weighed(_rounding(_ceiling)),
    "div": _weighed(divide, real=300, least=40),
    "floor": _weighed(_rounding(_floor)),
    "format_int": _weighed(_format_int),
    "minus": _weighed(minus, real=100),
    "mul": _weighed(times, real=100),
    "numbers.range": contextual(lambda context, x, y: _range(context, x, y, 1)),
    "numbers.range_step": contextual(_range_step),
    "plus": _weighed(plus, real=100),
    "rand.intn": contextual(_random),
    "rem": _weighed(remainder),
    "round": _weighed(_rounding(_half_away)),
    "to_number": contextual(_to_number),
}
