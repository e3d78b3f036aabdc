"""The values of ``format`` in JSON schemas, and what texts have them; a format that is not known takes every text."""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Final

from authorizer.policy.plan.builtins.golayout import NAMED, parse_time
from authorizer.policy.plan.builtins.regex import expression
from authorizer.policy.plan.builtins.uris import Uri, parse_uri
from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import BuiltinError

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_UUID = re.compile(r"[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}", re.ASCII)
_POINTER = r"(?:/(?:[^~/]|~0|~1)*+)*+"
_JSON_POINTER = re.compile(_POINTER)
_RELATIVE_POINTER = re.compile(rf"(?:0|[1-9][0-9]*)(?:#|{_POINTER})", re.ASCII)
_TEMPLATE = re.compile(r"(?:[^{]++|\{[^}]*+\})*+")
_ATOM = r"[^\s()<>\[\]:;@\\,.\"\x00-\x1f\x7f]+"
_ADDRESS = rf"(?:{_ATOM}(?:\.{_ATOM})*+|\"(?:[^\"\\]|\\.)*+\")@{_ATOM}(?:\.{_ATOM})*+"
_EMAIL = re.compile(rf"\s*(?:{_ADDRESS}|(?:[^<>@,;:]*+|\s*\"(?:[^\"\\]|\\.)*+\"\s*)<{_ADDRESS}>)\s*")


def _time(*layouts: str) -> Callable[[Context, str], bool]:
    def check(_context: Context, value: str) -> bool:
        for layout in layouts:
            try:
                parse_time(layout, value)
            except BuiltinError:
                continue
            return True
        return False

    return check


def _shaped(shape: re.Pattern[str]) -> Callable[[Context, str], bool]:
    return lambda _context, value: shape.fullmatch(value) is not None


def _address(mark: str) -> Callable[[Context, str], bool]:
    def check(_context: Context, value: str) -> bool:
        try:
            return mark in value and "%" not in value and bool(ip_address(value))
        except ValueError:
            return False

    return check


def _uri(accept: Callable[[Uri], bool]) -> Callable[[Context, str], bool]:
    def check(_context: Context, value: str) -> bool:
        try:
            return "\\" not in value and accept(parse_uri(value))
        except BuiltinError:
            return False

    return check


def _regex(context: Context, value: str) -> bool:
    try:
        expression(context, value)
    except BuiltinError:
        return False
    return True


_IS_URI: Final = _uri(lambda uri: bool(uri.scheme))
_IS_REFERENCE: Final = _uri(lambda _uri: True)
_IS_EMAIL: Final = _shaped(_EMAIL)
FORMATS: Final[Mapping[str, Callable[[Context, str], bool]]] = {
    "date": _time("2006-01-02"),
    "date-time": _time("15:04:05", "15:04:05Z07:00", "2006-01-02", NAMED["RFC3339"]),
    "email": _IS_EMAIL,
    "hostname": lambda _context, value: len(value) < 256 and _HOSTNAME.fullmatch(value) is not None,
    "idn-email": _IS_EMAIL,
    "ipv4": _address("."),
    "ipv6": _address(":"),
    "iri": _IS_URI,
    "iri-reference": _IS_REFERENCE,
    "json-pointer": _shaped(_JSON_POINTER),
    "regex": _regex,
    "relative-json-pointer": _shaped(_RELATIVE_POINTER),
    "time": _time("15:04:05Z07:00", "15:04:05"),
    "uri": _IS_URI,
    "uri-reference": _IS_REFERENCE,
    "uri-template": _uri(lambda uri: _TEMPLATE.fullmatch(uri.path) is not None),
    "uuid": _shaped(_UUID),
}
