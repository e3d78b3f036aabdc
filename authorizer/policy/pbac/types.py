"""The types of fields: what a value is, how a raw value becomes one, which operators fit.

A raw value is text (facts, paths, headers, YAML) or JSON (tokens, bodies): str, int, float, Decimal, bool, list.
A typed value is a plain Python value whose ``==``, ``<`` and hash mean what the type means:

====================  =======================================================================================
string, enum          str (an enum only one of its values)
int                   int of at most 38 digits
decimal               Decimal, exact, at most 38 digits on either side of the point, no exponent in text
bool                  bool
timestamp             float, POSIX seconds, from RFC 3339 text with its offset, or a JSON number (RFC 7519 NumericDate)
timeofday             int, seconds since midnight, from ``HH:MM`` or ``HH:MM:SS``
duration              float, seconds, from a number or ``90s``, ``5m``, ``1h``, ``30d``
ip                    (version, number); an IPv4 address mapped into IPv6 is the IPv4 address
cidr                  (version, first, last); an IPv4 network mapped into IPv6 is the IPv4 network
many of a type        frozenset of its values
====================  =======================================================================================
"""

import datetime as dt
import ipaddress
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Literal, get_args

from msgspec import Struct

from authorizer.timestamps import rfc3339

Base = Literal["string", "enum", "int", "decimal", "bool", "timestamp", "timeofday", "duration", "ip", "cidr"]
BASES: tuple[str, ...] = get_args(Base)

Address = tuple[int, int]
Network = tuple[int, int, int]
Value = str | int | float | Decimal | bool | Address | Network | frozenset["Value"]
Converter = Callable[[object], Value | None]
"""Raw value -> typed value, or None when it is not one. Never raises."""

MAX_TEXT = 8192
MAX_SET = 10_000
_EQUAL = ("eq", "ne")
_ORDER = ("gt", "gte", "lt", "lte")
_MEMBER = ("in", "not_in")

OPERATORS: dict[str, tuple[str, ...]] = {
    "string": (*_EQUAL, *_MEMBER, "prefix", "like"),
    "enum": (*_EQUAL, *_MEMBER),
    "int": (*_EQUAL, *_ORDER),
    "decimal": (*_EQUAL, *_ORDER),
    "bool": _EQUAL,
    "timestamp": (*_EQUAL, *_ORDER),
    "timeofday": (*_EQUAL, *_ORDER, "between", "outside"),
    "duration": (*_EQUAL, *_ORDER),
    "ip": (*_EQUAL, *_MEMBER),
    "cidr": _EQUAL,
}
_SET = ("has", "has_all", "has_any")
ALL_OPERATORS = frozenset({*_SET, "exists"}).union(*OPERATORS.values())


class FieldType(Struct, frozen=True):
    """A type as a field declares it. ``values`` and ``ordered`` belong to enums; ``many`` makes it a set."""

    base: str
    many: bool = False
    values: tuple[str, ...] = ()
    ordered: bool = False

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators that fit, in the order of the alphabet; ``exists`` fits every type."""
        if self.many:
            return _SET
        return tuple(sorted(OPERATORS[self.base] + (_ORDER if self.ordered else ())))

    @property
    def element(self) -> "FieldType":
        """The type of one member of a set."""
        return FieldType(self.base, values=self.values, ordered=self.ordered) if self.many else self

    def __str__(self) -> str:
        return f"set of {self.base}" if self.many else self.base


def comparable(left: FieldType, right: FieldType) -> bool:
    """Whether two single values may be compared: the same base, for enums the same values and order."""
    if left.ordered != right.ordered or left.base != right.base:
        return False
    return left.values == right.values if left.ordered else set(left.values) == set(right.values)


def converter(kind: FieldType) -> Converter:
    """Return the function that makes a typed value of a raw one."""
    single = _enum(kind.values) if kind.base == "enum" else _CONVERTERS[kind.base]
    return _many(single) if kind.many else single


def rank(kind: FieldType) -> dict[str, int]:
    """Return the position of each value of an ordered enum, weakest first."""
    return {value: position for position, value in enumerate(kind.values)}


def show(kind: FieldType, value: object) -> str:
    """Return a typed value as a person would write it."""
    if isinstance(value, (frozenset, list)):
        return "[" + ", ".join(sorted(show(kind, one) for one in value)) + "]"
    if kind.base == "timestamp" and isinstance(value, (int, float)):
        return rfc3339(value)
    if kind.base == "timeofday" and isinstance(value, int):
        return f"{value // 3600:02}:{value // 60 % 60:02}" + (f":{value % 60:02}" if value % 60 else "")
    if kind.base == "duration" and isinstance(value, (int, float)):
        return f"{int(value) if value == int(value) else value}s"
    if isinstance(value, tuple) and len(value) == 2:
        return str((ipaddress.IPv4Address if value[0] == 4 else ipaddress.IPv6Address)(value[1]))
    if isinstance(value, tuple):
        version, first, last = value
        network, width = (ipaddress.IPv4Network, 32) if version == 4 else (ipaddress.IPv6Network, 128)
        return str(network((first, width - (last - first).bit_length())))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _string(raw: object) -> str | None:
    return raw if isinstance(raw, str) and len(raw) <= MAX_TEXT else None


def _enum(values: tuple[str, ...]) -> Converter:
    allowed = frozenset(values)

    def convert(raw: object) -> str | None:
        return raw if isinstance(raw, str) and raw in allowed else None

    return convert


_INT = re.compile(r"-?[0-9]{1,38}")
_DECIMAL = re.compile(r"-?[0-9]{1,38}(\.[0-9]{1,38})?")
_LARGEST = 10**38


def _int(raw: object) -> int | None:
    if isinstance(raw, str):
        return int(raw) if _INT.fullmatch(raw) else None
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw if -_LARGEST < raw < _LARGEST else None
    return None


def _decimal(raw: object) -> Decimal | None:
    if isinstance(raw, str):
        return Decimal(raw) if _DECIMAL.fullmatch(raw) else None
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int):
        return Decimal(raw) if -_LARGEST < raw < _LARGEST else None
    if isinstance(raw, float):
        raw = Decimal(repr(raw)) if math.isfinite(raw) else None
    if isinstance(raw, Decimal) and raw.is_finite():
        exponent = raw.as_tuple().exponent
        return raw if isinstance(exponent, int) and exponent >= -38 and raw.adjusted() < 38 else None
    return None


def _bool(raw: object) -> bool | None:
    if isinstance(raw, bool):
        return raw
    return {"true": True, "false": False}.get(raw) if isinstance(raw, str) else None


_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_START_OF_TIME = -62135596800  # 0001-01-01T00:00:00Z
_END_OF_TIME = 253402300800  # 10000-01-01T00:00:00Z


def _timestamp(raw: object) -> float | None:
    if isinstance(raw, str):
        if not _TIMESTAMP.fullmatch(raw):
            return None
        try:
            moment = dt.datetime.fromisoformat(raw.upper()).timestamp()
        except (ValueError, OverflowError):
            return None
        return moment if _START_OF_TIME <= moment < _END_OF_TIME else None
    return _number(raw, _END_OF_TIME)


_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")


def _timeofday(raw: object) -> int | None:
    found = _TIME_OF_DAY.fullmatch(raw) if isinstance(raw, str) else None
    return int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3] or 0) if found else None


_DURATION = re.compile(r"([0-9]{1,12})([smhd]?)")
_UNIT = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(raw: object) -> float | None:
    if isinstance(raw, str):
        found = _DURATION.fullmatch(raw)
        return float(int(found[1]) * _UNIT[found[2]]) if found else None
    return _number(raw, _END_OF_TIME)


def _number(raw: object, below: float) -> float | None:
    if isinstance(raw, bool) or not isinstance(raw, (int, float, Decimal)):
        return None
    if isinstance(raw, Decimal) and not raw.is_finite():  # a NaN of this type raises when it is compared
        return None
    return float(raw) if 0 <= raw < below else None


def _ip(raw: object) -> Address | None:
    if not isinstance(raw, str) or "%" in raw:
        return None
    try:
        address = ipaddress.ip_address(raw)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.version, int(address)


def _cidr(raw: object) -> Network | None:
    if not isinstance(raw, str) or "%" in raw:
        return None
    try:
        network = ipaddress.ip_network(raw)
    except ValueError:
        return None
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            network = ipaddress.IPv4Network((int(mapped), network.prefixlen - 96))
    return network.version, int(network.network_address), int(network.broadcast_address)


def _many(single: Converter) -> Converter:
    def convert(raw: object) -> frozenset[Value] | None:
        if not isinstance(raw, (list, tuple, set, frozenset)) or len(raw) > MAX_SET:
            return None
        values = [single(item) for item in raw]
        return None if None in values else frozenset(value for value in values if value is not None)

    return convert


_CONVERTERS: dict[str, Converter] = {
    "string": _string,
    "int": _int,
    "decimal": _decimal,
    "bool": _bool,
    "timestamp": _timestamp,
    "timeofday": _timeofday,
    "duration": _duration,
    "ip": _ip,
    "cidr": _cidr,
}
