"""base64url and JSON as tokens may spell them: one spelling for one meaning, everything else is refused."""

import json
import math
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

MAX_DEPTH = 16
MAX_NUMBER_DIGITS = 32

# INVARIANT: matches at every quote, closed or not, and never backs up, so that taking the strings out is linear work.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def decode_base64url(text: str) -> bytes | None:
    """Return the bytes that ``text`` encodes (RFC 7515 section 2), or None if it is not *the* encoding of them.

    Padding, the ``+/`` alphabet, white space and set bits after the last byte are other spellings: refused.
    """
    try:
        raw = text.encode("ascii")
        data = urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    except ValueError:
        return None
    # INVARIANT: the comparison is what makes this strict; the decoder alone skips foreign characters.
    return data if urlsafe_b64encode(data).rstrip(b"=") == raw else None


def encode_base64url(data: bytes) -> str:
    """Return ``data`` in base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def encode_json(value: Mapping[str, Any]) -> bytes:
    """Return ``value`` as JSON in UTF-8: members sorted, no white space, so equal values give equal bytes."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True).encode()


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is repeated")
    return members


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > MAX_NUMBER_DIGITS:
        raise ValueError("a number has too many digits")
    return int(digits)


def _real(digits: str) -> Decimal:
    # The double bounds the exponent, so that nobody can be made to write out a Decimal with a million zeros.
    if len(digits) > MAX_NUMBER_DIGITS or not math.isfinite(float(digits)):
        raise ValueError("a number is too large")
    return Decimal(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant, parse_int=_integer, parse_float=_real)


def _too_deep(text: str) -> bool:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for character in _STRING.sub("", text):
        if character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif character in "]}":
            depth -= 1
    return False


def read_object(data: bytes) -> dict[str, Any] | None:
    """Return the JSON object in ``data``, or None if it is not one or can be read in two ways.

    Whole numbers become int, others Decimal, exactly as written.

    Refused: bytes that are not UTF-8, a byte order mark, repeated members, NaN and infinities, numbers of more than 32
    digits, nesting beyond 16, unpaired surrogates, anything but one object.
    """
    try:
        text = data.decode("utf-8")
        # INVARIANT: depth is bounded before the recursive reader starts.
        if _too_deep(text):
            return None
        value = _DECODER.decode(text)
        if _ESCAPED_SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False, default=str).encode("utf-8")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
