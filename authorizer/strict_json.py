"""JSON that someone else wrote: exactly one meaning, or refused (RFC 8259 read strictly; I-JSON, RFC 7493 section 2).

Every room that reads foreign JSON reads it here, so that none takes what another refuses. The size is the caller's to
bound.
"""

import json
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal, NoReturn

MAX_EXPONENT = 308
"""Powers of ten, either way, of a number: beyond it binary floats overflow or lose digits, each parser in its way."""

# INVARIANT: a string is taken whole, a broken one to the end of the text, and nothing is looked at twice: linear work.
_OTHER = re.compile(r'(?:"(?:[^"\\]+|\\.?)*+"?|[^"\[\]{}]+)++', re.DOTALL)
_ALIKE = str.maketrans("{}", "[]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]").search

Kind = Literal["encoding", "malformed", "duplicate", "limit", "surrogate"]


class Refused(ValueError):  # noqa: N818 - an answer to the caller, who gives it a code of its own
    """The bytes are not JSON with exactly one meaning. The text says what is wrong and quotes nothing of the input."""

    def __init__(self, kind: Kind, why: str) -> None:
        self.kind: Kind = kind
        super().__init__(why)


def reader(
    *,
    depth: int,
    digits: int,
    integer: Callable[[str], object] = int,
    real: Callable[[str], object] = Decimal,
    lone_surrogates: bool = False,
) -> Callable[[bytes], Any]:
    """Make a reader of JSON texts, which returns the value or raises Refused.

    ``integer`` and ``real`` make values of numbers as written. Refused are bytes that are not UTF-8, a byte order mark,
    a member twice, NaN and infinities, more than ``depth`` levels, numbers of more than ``digits`` characters (at most
    MAX_EXPONENT) or beyond MAX_EXPONENT or the range of a double, and lone surrogates, unless ``lone_surrogates``
    leaves them to a caller that refuses them in what it takes of the value.
    """

    def read_integer(literal: str) -> object:
        if len(literal) > digits:
            raise Refused("limit", "a number is too long")
        return integer(literal)

    def read_real(literal: str) -> object:
        if len(literal) > digits:
            raise Refused("limit", "a number is too long")
        if not _in_range(literal):
            raise Refused("limit", "a number is too large or too small")
        return real(literal)

    decode = json.JSONDecoder(
        object_pairs_hook=_members, parse_int=read_integer, parse_float=read_real, parse_constant=_constant
    ).decode

    def read(data: bytes) -> Any:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("encoding", "the text is not UTF-8") from None
        # INVARIANT: depth is bounded before the recursive parser starts.
        if _deeper(text, depth):
            raise Refused("limit", f"the text is nested deeper than {depth}")
        try:
            value = decode(text)
        except json.JSONDecodeError as problem:
            raise Refused("malformed", f"line {problem.lineno} column {problem.colno}: the text is not JSON") from None
        if not lone_surrogates and _ESCAPED_SURROGATE(text):
            _check_surrogates(value)
        return value

    return read


def _deeper(text: str, limit: int) -> bool:
    """Tell whether a text goes too deep. One that closes less than it opens, and is no JSON, may go twice as deep."""
    if text.count("[") + text.count("{") <= limit:
        return False
    # Each round takes away the innermost level everywhere; what closes nothing is for the parser to refuse.
    left = _OTHER.sub("", text).translate(_ALIKE)
    for _ in range(limit):
        shorter = left.replace("[]", "")
        if len(shorter) == len(left):
            break
        left = shorter
    return "[]" in left or left.count("[") > limit


def _in_range(literal: str) -> bool:
    if "e" not in literal and "E" not in literal:
        return True  # no more digits than MAX_EXPONENT
    # The decimal exponent is bounded by itself: a double makes a plain 0 of 1e-99999999, which a Decimal writes out.
    try:
        exponent = Decimal(literal).adjusted()
    except ArithmeticError:  # beyond what even a Decimal holds
        return False
    return abs(exponent) <= MAX_EXPONENT and math.isfinite(float(literal))


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Refused("duplicate", "an object has a member twice")
    return members


def _constant(_name: str) -> NoReturn:
    raise Refused("malformed", "NaN and Infinity are not JSON")


def _check_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise Refused("surrogate", "a string has half of a surrogate pair") from None
