"""Durations such as ``1h30m``, ``-1.5d`` or ``2w`` in nanoseconds."""

import re
from decimal import Decimal
from fractions import Fraction
from typing import Final

from authorizer.policy.plan.values import BuiltinError

_NANOSECONDS: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # the micro sign
    "\u03bcs": 1_000,  # the Greek letter
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_HOURS: Final = {"d": 24, "w": 7 * 24, "y": 365 * 24}
_PART = re.compile(r"([0-9]++\.?+[0-9]*+|\.[0-9]++)(ns|us|\u00b5s|\u03bcs|ms|s|m|h|d|w|y)", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_MAX_LENGTH: Final = 1000


def parse_duration(source: str) -> int:
    """Return the nanoseconds that ``source`` says. Raises BuiltinError."""
    unsigned = source[1:] if source[:1] in {"+", "-"} else source
    if unsigned == "0":
        return 0
    if len(unsigned) > _MAX_LENGTH or not _WHOLE.fullmatch(unsigned):
        raise BuiltinError("time: invalid duration")
    total = 0
    for amount, unit in _PART.findall(unsigned):
        if unit in _HOURS:  # OPA computes the hours as a float
            hours = float(amount) * _HOURS[unit]
            total += int(Fraction(Decimal(repr(hours))) * _NANOSECONDS["h"])
        else:
            total += int(Fraction(amount if not amount.endswith(".") else amount[:-1]) * _NANOSECONDS[unit])
    negative = source.startswith("-")
    if total > 2**63 - (not negative):
        raise BuiltinError("time: invalid duration")
    return -total if negative else total
