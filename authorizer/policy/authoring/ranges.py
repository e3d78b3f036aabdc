"""Sets of values of one field: unions of intervals over an ordered domain, and whether no value at all is meant too.

A single text is the interval that holds it alone, so that words, numbers, moments and addresses are all reckoned with
alike. The ends of an interval are cuts between values: ``(1, v, 0)`` lies just below ``v``, ``(1, v, 1)`` just above.
"""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

Cut = tuple[Any, ...]
LOWEST: Cut = (0,)
HIGHEST: Cut = (2,)


class Values(Struct, frozen=True):
    """Sorted intervals without overlap, each from a cut to a cut; ``missing`` when the field's being absent belongs."""

    intervals: tuple[tuple[Cut, Cut], ...]
    missing: bool = False

    def __bool__(self) -> bool:
        """Whether anything belongs."""
        return bool(self.intervals) or self.missing

    def __and__(self, other: "Values") -> "Values":
        """Return what belongs to both."""
        found = []
        for low, high in self.intervals:
            for other_low, other_high in other.intervals:
                start, end = max(low, other_low), min(high, other_high)
                if start < end:
                    found.append((start, end))
        return Values(tuple(sorted(found)), self.missing and other.missing)

    def __or__(self, other: "Values") -> "Values":
        """Return what belongs to either."""
        joined: list[tuple[Cut, Cut]] = []
        for low, high in sorted(self.intervals + other.intervals):
            if joined and low <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(joined[-1][1], high)
            else:
                joined.append((low, high))
        return Values(tuple(joined), self.missing or other.missing)

    def __sub__(self, other: "Values") -> "Values":
        """Return what belongs to this one and not to the other."""
        gaps = []
        start = LOWEST
        for low, high in other.intervals:
            if start < low:
                gaps.append((start, low))
            start = high
        if start < HIGHEST:
            gaps.append((start, HIGHEST))
        left = self & Values(tuple(gaps))
        return Values(left.intervals, self.missing and not other.missing)


PRESENT = Values(((LOWEST, HIGHEST),))
EVERYTHING = Values(((LOWEST, HIGHEST),), missing=True)
ABSENT = Values((), missing=True)


def among(values: Iterable[Any]) -> Values:
    """Return the set of these values."""
    return Values(tuple(((1, value, 0), (1, value, 1)) for value in sorted(set(values))))


def between(low: Any, high: Any) -> Values:
    """Return the values from ``low`` to ``high``, both included; None stands for no bound."""
    start = LOWEST if low is None else (1, low, 0)
    end = HIGHEST if high is None else (1, high, 1)
    return Values(((start, end),) if start < end else ())


def below(high: Any) -> Values:
    """Return the values less than ``high``; None stands for no bound."""
    return Values(((LOWEST, HIGHEST if high is None else (1, high, 0)),))


def above(low: Any) -> Values:
    """Return the values greater than ``low``."""
    return Values((((1, low, 1), HIGHEST),))


def described(values: Values, field: str, show: Callable[[Any], str]) -> str:
    """Write a set of a field's values as a person would; ``show`` writes one value."""
    if values == PRESENT:
        return f"{field} exists"
    if not values.intervals:
        return f"{field} does not exist"
    single = [low[1] for low, high in values.intervals if _is_one(low, high)]
    if len(single) > 1 and len(single) == len(values.intervals):
        words = [f"{field} in [{', '.join(map(show, single))}]"]
    else:
        words = [_interval(low, high, field, show) for low, high in values.intervals]
    if values.missing:
        words.append(f"{field} does not exist")
    return " or ".join(words)


def _is_one(low: Cut, high: Cut) -> bool:
    return len(low) == len(high) == 3 and bool(low[1] == high[1])


def _interval(low: Cut, high: Cut, field: str, show: Callable[[Any], str]) -> str:
    if _is_one(low, high):
        return f"{field} = {show(low[1])}"
    bounds = []
    if len(low) == 3:
        bounds.append(f"{field} {'>=' if low[2] == 0 else '>'} {show(low[1])}")
    if len(high) == 3:
        bounds.append(f"{field} {'<' if high[2] == 0 else '<='} {show(high[1])}")
    return " and ".join(bounds)
