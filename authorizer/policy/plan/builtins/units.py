"""Amounts with units: ``10Ki``, ``1500m``, ``2.5e6MB``."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from authorizer.policy.plan.builtins.calling import Builtin, contextual, spend, text
from authorizer.policy.plan.builtins.reals import rounded
from authorizer.policy.plan.context import BudgetError, Context
from authorizer.policy.plan.values import BuiltinError, Value

_MAX_EXPONENT: Final = 3000
_MAX_LENGTH: Final = 3000
_READING: Final = 100
_SPLIT = re.compile(r"((?:[0-9.+-]|[eE][0-9]|[eE][+-])*)(.*)", re.ASCII | re.DOTALL)
_AMOUNT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?([0-9]+))?", re.ASCII)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5, "e": 6}
_UNITS: Final = {letter: 1000**power for letter, power in _POWERS.items()} | {
    f"{letter}i": 1024**power for letter, power in _POWERS.items() if letter
}
_BYTES: Final = _UNITS | {f"{unit}b": factor for unit, factor in _UNITS.items() if unit}


def _split(context: Context, source: str) -> tuple[str, str]:
    context.budget.charge(_READING)
    spend(context, 16 * len(source))
    if " " in source:
        raise BuiltinError("spaces not allowed in resource strings")
    found = _SPLIT.fullmatch(source)
    assert found
    if not found[1]:
        raise BuiltinError("no amount provided")
    return found[1], found[2]


def _amount(number: str) -> Fraction:
    found = _AMOUNT.fullmatch(number)
    if found is None:
        raise BuiltinError("could not parse amount to a number")
    if found[1] and len(found[1]) > 6:
        raise BuiltinError("exponent too large")
    if len(number) > _MAX_LENGTH or int(found[1] or "0") > _MAX_EXPONENT:
        raise BudgetError
    return Fraction(number)


def _parse(context: Context, value: Value) -> int | float:
    number, unit = _split(context, text(value, 1).replace('"', ""))
    folded = unit[:1] + unit[1:].lower()
    factor = Fraction(0.001) if folded == "m" else _UNITS.get(folded.lower())
    if factor is None:
        raise BuiltinError("unit not recognized")
    amount = _amount(number) * factor
    if amount.denominator == 1:
        return amount.numerator
    half = Fraction(1, 2) if amount > 0 else Fraction(-1, 2)
    return float(Fraction(int(amount * 10**10 + half), 10**10))


def _parse_bytes(context: Context, value: Value) -> int:
    number, unit = _split(context, text(value, 1).lower().replace('"', ""))
    factor = _BYTES.get(unit)
    if factor is None:
        raise BuiltinError("byte unit not recognized")
    return int(rounded(rounded(_amount(number)) * factor))


BUILTINS: Final[Mapping[str, Builtin]] = {
    "units.parse": contextual(_parse),
    "units.parse_bytes": contextual(_parse_bytes),
}
