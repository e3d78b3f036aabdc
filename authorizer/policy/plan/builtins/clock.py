"""Points in time: nanoseconds since the epoch, alone or with the name of a zone, and with a layout for formatting.

The zone ``Local`` is UTC: what a policy says does not hang on where it runs.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

from authorizer.policy.plan.builtins.calling import Builtin, contextual, number, spend, text, whole, wrong_type
from authorizer.policy.plan.builtins.durations import parse_duration
from authorizer.policy.plan.builtins.golayout import DAYS, NAMED, SECOND, format_time, local, parse_time
from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import BuiltinError, Value

_LIMIT: Final = 2**63
_MOST: Final = 10_000_000
_CALL: Final = 100
_LONGEST_ZONE: Final = 64


def _zone(name: str) -> tzinfo:
    if name in {"", "UTC", "Local"}:
        return UTC
    if len(name) > _LONGEST_ZONE:
        raise BuiltinError("unknown time zone")
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise BuiltinError("unknown time zone") from None


def _read(value: Value) -> tuple[int, tzinfo, str]:
    """Return the point in time, its zone and its layout, which is empty if there is none."""
    parts = value if type(value) is list else [value]
    if not parts:
        raise wrong_type(1, value, "either number (ns) or [number (ns), string (tz)]")
    at = number(parts[0], 1)
    zone = _zone(text(parts[1], 1)) if len(parts) > 1 else UTC
    layout = text(parts[2], 1) if len(parts) > 2 else ""
    if at != at // 1 or not -_LIMIT <= at < _LIMIT:
        raise BuiltinError("timestamp too big")
    return int(at), zone, layout


def _in_range(nanoseconds: int) -> int:
    if not -_LIMIT <= nanoseconds < _LIMIT:
        raise BuiltinError("time outside of valid range")
    return nanoseconds


def _format(context: Context, value: Value) -> str:
    context.budget.charge(_CALL)
    at, zone, layout = _read(value)
    spend(context, 32 * len(layout))
    return format_time(at, zone, NAMED.get(layout, layout) or NAMED["RFC3339Nano"])


def _date(context: Context, value: Value) -> list[int]:
    context.budget.charge(_CALL)
    at, zone, _ = _read(value)
    found = local(at, zone)
    return [found.year, found.month, found.day]


def _clock(context: Context, value: Value) -> list[int]:
    context.budget.charge(_CALL)
    at, zone, _ = _read(value)
    found = local(at, zone)
    return [found.hour, found.minute, found.second]


def _weekday(context: Context, value: Value) -> str:
    context.budget.charge(_CALL)
    at, zone, _ = _read(value)
    return DAYS[local(at, zone).weekday()]


def _add_date(context: Context, value: Value, years: Value, months: Value, days: Value) -> int:
    context.budget.charge(_CALL)
    at, zone, _ = _read(value)
    before = local(at, zone)
    more_years, more_months, more_days = whole(years, 2), whole(months, 3), whole(days, 4)
    year, month = divmod((before.year + more_years) * 12 + before.month - 1 + more_months, 12)
    if not 1 <= year <= 9999 or abs(more_days) > _MOST:
        raise BuiltinError("time outside of valid range")
    try:
        # A day that its month has not runs over into the next month.
        day = date(year, month + 1, 1) + timedelta(days=before.day - 1 + more_days)
        after = datetime.combine(day, before.time(), tzinfo=zone)
        seconds = Fraction(after.timestamp())
    except (OverflowError, ValueError):
        raise BuiltinError("time outside of valid range") from None
    return _in_range(int(seconds) * SECOND + at % SECOND)


def _diff(context: Context, first: Value, second: Value) -> list[int]:
    """Return years, months, days, hours, minutes and seconds between two points, on the clock of the first's zone."""
    context.budget.charge(_CALL)
    at, zone, _ = _read(first)
    other, _, _ = _read(second)
    start, end = local(min(at, other), zone), local(max(at, other), zone)
    parts = [
        end.year - start.year,
        end.month - start.month,
        end.day - start.day,
        end.hour - start.hour,
        end.minute - start.minute,
        end.second - start.second,
    ]
    following = date(start.year + start.month // 12, start.month % 12 + 1, 1)
    in_month = (following - date(start.year, start.month, 1)).days
    for index, size in ((5, 60), (4, 60), (3, 24), (2, in_month), (1, 12)):
        if parts[index] < 0:
            parts[index] += size
            parts[index - 1] -= 1
    return parts


def _parse(context: Context, layout: Value, value: Value) -> int:
    shape, source = text(layout, 1), text(value, 2)
    context.budget.charge(_CALL)
    spend(context, 32 * (len(shape) + len(source)))
    return _in_range(parse_time(NAMED.get(shape, shape), source))


def _parse_rfc3339(context: Context, value: Value) -> int:
    source = text(value, 1)
    context.budget.charge(_CALL)
    spend(context, 32 * len(source))
    return _in_range(parse_time(NAMED["RFC3339"], source))


def _parse_duration(context: Context, value: Value) -> int:
    source = text(value, 1)
    context.budget.charge(_CALL)
    spend(context, 16 * len(source))
    return parse_duration(source)


BUILTINS: Final[Mapping[str, Builtin]] = {
    "time.add_date": contextual(_add_date),
    "time.clock": contextual(_clock),
    "time.date": contextual(_date),
    "time.diff": contextual(_diff),
    "time.format": contextual(_format),
    "time.now_ns": contextual(lambda context: context.now_ns),
    "time.parse_duration_ns": contextual(_parse_duration),
    "time.parse_ns": contextual(_parse),
    "time.parse_rfc3339_ns": contextual(_parse_rfc3339),
    "time.weekday": contextual(_weekday),
}
