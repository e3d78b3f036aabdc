"""Arithmetic on numbers that are not both integers, in OPA's precision: 64 bits of mantissa, decimal in and out.

OPA reads a number from its decimal text into a binary float of 64 bits, computes, rounds to even, and writes the
shortest decimal that reads back the same, so 0.1 + 0.2 is 0.3. Source: Go's ``math/big.Float`` with its defaults.
"""

from collections.abc import Callable
from decimal import Context as DecimalContext
from decimal import Decimal
from fractions import Fraction
from typing import Final

from authorizer.policy.plan.context import BudgetError

MANTISSA = 64
MAX_BITS = 14_000
"""Bits of the largest integer that is computed: what Python writes as decimal text within its own limit."""
DECIMALS: Final = DecimalContext(prec=40)
_NEVER_WHOLE: Final = 15
DECIMAL_DIGITS: Final = 15
"""A double of no more significant digits is exactly the decimal that was written."""


def bounded(value: int) -> int:
    """Return ``value``; raise BudgetError if it is too large to go on with."""
    if value.bit_length() > MAX_BITS:
        raise BudgetError
    return value


def integral(value: float) -> int:
    """Return a float that is a whole number as the integer that its decimal text says."""
    return int(value) if -(2.0**53) < value < 2.0**53 else int(Decimal(repr(value)))


def rounded(value: Fraction) -> Fraction:
    """Return ``value`` rounded to 64 bits, halves to even."""
    numerator, denominator = abs(value.numerator), value.denominator
    shift = MANTISSA - numerator.bit_length() + denominator.bit_length()
    mantissa, rest, divisor = _quotient(numerator, denominator, shift)
    if mantissa.bit_length() > MANTISSA:
        shift -= 1
        mantissa, rest, divisor = _quotient(numerator, denominator, shift)
    if 2 * rest > divisor or (2 * rest == divisor and mantissa & 1):
        mantissa += 1
    whole = Fraction(mantissa << -shift) if shift < 0 else Fraction(mantissa, 1 << shift)
    return -whole if value < 0 else whole


def _quotient(numerator: int, denominator: int, shift: int) -> tuple[int, int, int]:
    divisor = denominator << max(-shift, 0)
    return *divmod(numerator << max(shift, 0), divisor), divisor


def exact(value: float) -> Fraction:
    """Return a number as OPA holds it while it computes.

    A double of more digits than a written decimal has comes from an earlier computation, and is taken as it is: so
    that 1 / 3 * 3 is 1.
    """
    if type(value) is int:
        return rounded(Fraction(value))
    written = Decimal(repr(value))
    return rounded(Fraction(written if len(written.as_tuple().digits) <= DECIMAL_DIGITS else value))


def shortcut(operation: Callable[[Decimal, Decimal], Decimal], a: float, b: float) -> float | None:
    """Return the result for written decimals that is no whole number; None for what needs the longer way.

    Such a result is the double next to the exact one: 64 bits are near enough to that never to show.
    """
    x, y = Decimal(repr(a)), Decimal(repr(b))
    if len(x.as_tuple().digits) > DECIMAL_DIGITS or len(y.as_tuple().digits) > DECIMAL_DIGITS:
        return None
    result = operation(x, y)
    if not -_NEVER_WHOLE < result.adjusted() < _NEVER_WHOLE or result == result.to_integral_value():
        return None
    return float(result)


def settled(value: Fraction) -> int | float:
    """Return the number that a result of 64 bits is: an integer if it is whole, else the nearest double."""
    value = rounded(value)
    if value.denominator != 1:
        return float(value)
    whole: int = value.numerator
    return whole if whole.bit_length() <= MANTISSA else _shortest(bounded(whole))


def _shortest(whole: int) -> int:
    """Return the integer of the fewest digits before its zeros that is the same in 64 bits."""
    digits = str(abs(whole))
    for size in range(1, min(22, len(digits) + 1)):
        unit = int(10 ** (len(digits) - size))
        near = (abs(whole) + unit // 2) // unit * unit
        if rounded(Fraction(near)) == abs(whole):
            return near if whole > 0 else -near
    return whole
