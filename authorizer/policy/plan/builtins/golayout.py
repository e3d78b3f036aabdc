"""Points in time as text, by example: Go's layouts, where ``2006-01-02T15:04:05Z07:00`` shows what stands where.

A point in time is a number of nanoseconds since the epoch and a zone. Source: Go's package ``time``.
"""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from authorizer.policy.plan.values import BuiltinError

SECOND: Final = 1_000_000_000
NAMED: Final = {
    "ANSIC": "Mon Jan _2 15:04:05 2006",
    "UnixDate": "Mon Jan _2 15:04:05 MST 2006",
    "RubyDate": "Mon Jan 02 15:04:05 -0700 2006",
    "RFC822": "02 Jan 06 15:04 MST",
    "RFC822Z": "02 Jan 06 15:04 -0700",
    "RFC850": "Monday, 02-Jan-06 15:04:05 MST",
    "RFC1123": "Mon, 02 Jan 2006 15:04:05 MST",
    "RFC1123Z": "Mon, 02 Jan 2006 15:04:05 -0700",
    "RFC3339": "2006-01-02T15:04:05Z07:00",
    "RFC3339Nano": "2006-01-02T15:04:05.999999999Z07:00",
}
DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS_IN_400_YEARS: Final = 146_097
_CHUNK = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|0[1-6]|002|15|1|2006|2|__2|_2(?!006)|3|4|5|PM|pm"
    r"|[-Z]07(?:0000|:00:00|00|:00)?|[.,]0+(?![0-9])|[.,]9+(?![0-9])"
)
_ZONE_NAME = re.compile(
    r"ChST|MeST|GMT(?:[+-][0-9]{1,2})?|[+-][0-9]{2}|[A-Z]{4}T(?![A-Z])|(?:[A-Z]{3}T|WITA)(?![A-Z])|[A-Z]{3}(?![A-Z])"
)
_OFFSET: Final = {
    "07": re.compile(r"([+-])([0-9]{2})()()"),
    "0700": re.compile(r"([+-])([0-9]{2})([0-9]{2})()"),
    "07:00": re.compile(r"([+-])([0-9]{2}):([0-9]{2})()"),
    "070000": re.compile(r"([+-])([0-9]{2})([0-9]{2})([0-9]{2})"),
    "07:00:00": re.compile(r"([+-])([0-9]{2}):([0-9]{2}):([0-9]{2})"),
}


@lru_cache(maxsize=256)
def _chunks(layout: str) -> tuple[tuple[str, str], ...]:
    """Return a layout as pairs of the literal text before a chunk and the chunk; the last chunk is empty."""
    found: list[tuple[str, str]] = []
    position = 0
    for match in _CHUNK.finditer(layout):
        found.append((layout[position : match.start()], match[0]))
        position = match.end()
    return (*found, (layout[position:], ""))


def local(nanoseconds: int, zone: tzinfo) -> datetime:
    """Return the point in time, to the second, on the clock of ``zone``."""
    return (_EPOCH + timedelta(seconds=nanoseconds // SECOND)).astimezone(zone)


def format_time(nanoseconds: int, zone: tzinfo, layout: str) -> str:
    """Return a point in time as ``layout`` shows it."""
    at = local(nanoseconds, zone)
    fraction = f"{nanoseconds % SECOND:09d}"
    return "".join(literal + _shown(at, fraction, chunk) for literal, chunk in _chunks(layout))


def _shown(at: datetime, fraction: str, chunk: str) -> str:
    hour = at.hour % 12 or 12
    match chunk:
        case "":
            return ""
        case "2006":
            return f"{at.year:04d}"
        case "06":
            return f"{at.year % 100:02d}"
        case "January":
            return _MONTHS[at.month - 1]
        case "Jan":
            return _MONTHS[at.month - 1][:3]
        case "01":
            return f"{at.month:02d}"
        case "1":
            return str(at.month)
        case "Monday":
            return DAYS[at.weekday()]
        case "Mon":
            return DAYS[at.weekday()][:3]
        case "02" | "2" | "_2":
            return f"{at.day:{_width(chunk)}d}"
        case "002" | "__2":
            return f"{at.timetuple().tm_yday:{_width(chunk)}d}"
        case "15":
            return f"{at.hour:02d}"
        case "03" | "3":
            return f"{hour:{_width(chunk)}d}"
        case "04" | "4":
            return f"{at.minute:{_width(chunk)}d}"
        case "05" | "5":
            return f"{at.second:{_width(chunk)}d}"
        case "PM" | "pm":
            half = "PM" if at.hour >= 12 else "AM"
            return half if chunk == "PM" else half.lower()
        case "MST":
            return at.tzname() or ""
    if chunk[0] in "-Z":
        return _offset(at, chunk)
    digits = fraction[: len(chunk) - 1].ljust(len(chunk) - 1, "0")
    if chunk[1] == "9":
        digits = digits.rstrip("0")
    return chunk[0] + digits if digits else ""


def _width(chunk: str) -> str:
    """Return how a number is padded: ``02`` with zeros, ``_2`` with blanks."""
    return ("0" if chunk[0] == "0" else "") + str(len(chunk)) if len(chunk) > 1 else ""


def _offset(at: datetime, chunk: str) -> str:
    offset = at.utcoffset() or timedelta()
    seconds = int(offset.total_seconds())
    if chunk[0] == "Z" and not seconds:
        return "Z"
    minutes, rest = divmod(abs(seconds), 60)
    parts = [f"{minutes // 60:02d}", f"{minutes % 60:02d}", f"{rest:02d}"]
    colon = ":" if ":" in chunk else ""
    count = (len(chunk.replace(":", "")) - 1) // 2
    return ("-" if seconds < 0 else "+") + colon.join(parts[:count])


def _unfit() -> BuiltinError:
    return BuiltinError("the text does not fit the layout of the time")


class _Parser:
    """A text that is read by a layout; ``rest`` is what is not yet read."""

    def __init__(self, text: str) -> None:
        self.rest = text
        self.year = 0
        self.month = 0
        self.day = 0
        self.year_day = 0
        self.hour = 0
        self.minute = 0
        self.second = 0
        self.nanoseconds = 0
        self.half = ""
        self.offset = 0

    def literal(self, expected: str) -> None:
        """Read literal text; blanks stand for any number of blanks."""
        while expected:
            if expected[0] == " ":
                if self.rest and self.rest[0] != " ":
                    raise _unfit()
                expected, self.rest = expected.lstrip(" "), self.rest.lstrip(" ")
            elif self.rest[:1] == expected[0]:
                expected, self.rest = expected[1:], self.rest[1:]
            else:
                raise _unfit()

    def number(self, least: int, most: int, *, below: int | None = None, above: int = -1) -> int:
        """Read ``least`` to ``most`` digits, and refuse numbers outside of ``above`` and ``below``."""
        size = 0
        while size < most and self.rest[size : size + 1].isascii() and self.rest[size : size + 1].isdigit():
            size += 1
        if size < least:
            raise _unfit()
        found = int(self.rest[:size])
        if found <= above or (below is not None and found >= below):
            raise _unfit()
        self.rest = self.rest[size:]
        return found

    def name(self, names: tuple[str, ...], size: int | None = None) -> int:
        """Read one of ``names`` in any case, or its first ``size`` letters; return which."""
        for index, each in enumerate(names):
            wanted = each[:size].lower()
            if self.rest[: len(wanted)].lower() == wanted:
                self.rest = self.rest[len(wanted) :]
                return index
        raise _unfit()

    def blank(self) -> None:
        """Skip one blank if there is one."""
        self.rest = self.rest.removeprefix(" ")

    def fraction(self, digits: int | None = None) -> None:
        """Read a fraction of a second behind its point or comma: so many digits, or as many as there are."""
        size = 1
        while self.rest[size : size + 1].isascii() and self.rest[size : size + 1].isdigit():
            size += 1
        if digits is not None:
            if size <= digits:
                raise _unfit()
            size = digits + 1
        if self.rest[:1] not in {".", ","}:
            raise _unfit()
        self.nanoseconds = int(self.rest[1:size][:9].ljust(9, "0"))
        self.rest = self.rest[size:]

    def has_fraction(self) -> bool:
        """Tell whether a fraction of a second comes next."""
        return self.rest[:1] in {".", ","} and self.rest[1:2].isascii() and self.rest[1:2].isdigit()

    def zone(self, chunk: str) -> None:
        """Read a zone: its offset, or its name, which only counts if it is UTC."""
        if chunk == "MST":
            found = _ZONE_NAME.match(self.rest)
            if found is None:
                raise _unfit()
            self.rest = self.rest[3:] if self.rest.startswith("UTC") else self.rest[found.end() :]
            return
        if chunk[0] == "Z" and self.rest[:1] == "Z":
            self.rest = self.rest[1:]
            return
        found = _OFFSET[chunk[1:]].match(self.rest)
        if found is None:
            raise _unfit()
        hours, minutes, seconds = (int(found[group] or 0) for group in (2, 3, 4))
        if hours > 24 or minutes > 60 or seconds > 60:
            raise _unfit()
        self.offset = (hours * 3600 + minutes * 60 + seconds) * (-1 if found[1] == "-" else 1)
        self.rest = self.rest[found.end() :]

    def chunk(self, chunk: str, following: str) -> None:
        """Read what ``chunk`` shows; ``following`` is the next one."""
        least = 2 if chunk[0] == "0" else 1
        match chunk:
            case "2006":
                self.year = self.number(4, 4)
            case "06":
                short = self.number(2, 2)
                self.year = short + (1900 if short >= 69 else 2000)
            case "January":
                self.month = self.name(_MONTHS) + 1
            case "Jan":
                self.month = self.name(_MONTHS, 3) + 1
            case "01" | "1":
                self.month = self.number(least, 2, above=0, below=13)
            case "Monday":
                self.name(DAYS)
            case "Mon":
                self.name(DAYS, 3)
            case "02" | "2" | "_2":
                if chunk == "_2":
                    self.blank()
                self.day = self.number(least, 2, above=0)
            case "002" | "__2":
                if chunk == "__2":
                    self.blank()
                    self.blank()
                self.year_day = self.number(3 if chunk == "002" else 1, 3, above=0)
            case "15":
                self.hour = self.number(1, 2, below=24)
            case "03" | "3":
                self.hour = self.number(least, 2, below=13)
            case "04" | "4":
                self.minute = self.number(least, 2, below=60)
            case "05" | "5":
                self.second = self.number(least, 2, below=60)
                if self.has_fraction() and following[:1] not in {".", ","}:
                    self.fraction()
            case "PM" | "pm":
                self.half = self.rest[:2]
                if self.half not in ({"AM", "PM"} if chunk == "PM" else {"am", "pm"}):
                    raise _unfit()
                self.rest = self.rest[2:]
            case _ if chunk[0] in ".,":
                if chunk[1] == "0":
                    self.fraction(len(chunk) - 1)
                elif self.has_fraction():
                    self.fraction()
            case _:
                self.zone(chunk)

    def result(self) -> int:
        """Return the nanoseconds since the epoch."""
        if self.half.upper() == "PM" and self.hour < 12:
            self.hour += 12
        elif self.half.upper() == "AM" and self.hour == 12:
            self.hour = 0
        shift = 400 if self.year == 0 else 0  # the calendar repeats; Python's has no year 0
        year = self.year + shift
        try:
            if self.year_day:
                day = date(year, 1, 1) + timedelta(days=self.year_day - 1)
                if day.year != year or self.month not in {0, day.month} or self.day not in {0, day.day}:
                    raise _unfit()
            else:
                day = date(year, self.month or 1, self.day or 1)
        except (ValueError, OverflowError):
            raise _unfit() from None
        days = day.toordinal() - _EPOCH.date().toordinal() - (_DAYS_IN_400_YEARS if shift else 0)
        seconds = (days * 24 + self.hour) * 3600 + self.minute * 60 + self.second - self.offset
        return seconds * SECOND + self.nanoseconds


def parse_time(layout: str, text: str) -> int:
    """Return the nanoseconds since the epoch that ``text`` says by ``layout``. Raises BuiltinError."""
    parser = _Parser(text)
    chunks = _chunks(layout)
    for index, (literal, chunk) in enumerate(chunks):
        parser.literal(literal)
        if chunk:
            parser.chunk(chunk, chunks[index + 1][1])
    if parser.rest:
        raise _unfit()
    return parser.result()
