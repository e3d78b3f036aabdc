"""Reading JSON that someone else wrote: one meaning or none (RFC 8259 read strictly, RFC 7493 section 2)."""

import json
import math
import re
from typing import NoReturn, TypeVar

import msgspec

T = TypeVar("T")

MAX_DEPTH = 32
MAX_NUMBER = 100

# The closing quote is optional so that an unclosed string is passed over once, not tried again from each quote in it.
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class NotStrictJsonError(ValueError):
    """The bytes are not JSON with exactly one meaning; the text says what is wrong, without quoting the input."""


def parse(data: bytes) -> object:
    """Parse one JSON text in UTF-8.

    Raises NotStrictJsonError for anything with two readings (a member twice, NaN, lone surrogates, a byte order mark)
    and for what is too deep (MAX_DEPTH) or has a number too long (MAX_NUMBER characters) or too large for a double.
    The size is the caller's to bound.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise NotStrictJsonError("the text is not UTF-8") from None
    _check_depth(text)
    try:
        value: object = json.loads(
            text,
            object_pairs_hook=_members,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as problem:
        raise NotStrictJsonError(f"line {problem.lineno} column {problem.colno}: the text is not JSON") from None
    if _SURROGATE_ESCAPE.search(text):
        _check_surrogates(value)
    return value


def parse_as(data: bytes, shape: type[T]) -> T:
    """Parse one JSON text into ``shape``; raise NotStrictJsonError, which names the member that does not fit."""
    value = parse(data)
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as problem:
        raise NotStrictJsonError(str(problem)) from None


def _check_depth(text: str) -> None:
    """INVARIANT: runs before the parser, whose recursion it bounds; text that is not JSON is left for the parser."""
    depth = 0
    for found in _STRUCTURE.finditer(text):
        mark = found[0]
        if mark in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise NotStrictJsonError(f"the text is nested deeper than {MAX_DEPTH}")
        elif mark in "]}":
            depth -= 1


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrictJsonError("an object has a member twice")
    return members


def _check_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise NotStrictJsonError("a string has half of a surrogate pair") from None


def _integer(digits: str) -> int:
    if len(digits) > MAX_NUMBER:
        raise NotStrictJsonError("a number is too long")
    return int(digits)


def _float(digits: str) -> float:
    if len(digits) > MAX_NUMBER:
        raise NotStrictJsonError("a number is too long")
    value = float(digits)
    if not math.isfinite(value):
        raise NotStrictJsonError("a number is too large")
    return value


def _constant(_name: str) -> NoReturn:
    raise NotStrictJsonError("NaN and Infinity are not JSON")
