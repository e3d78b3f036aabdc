"""base64url and JSON as tokens may spell them: one spelling for one meaning, everything else is refused."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from authorizer.strict_json import Refused, reader

MAX_DEPTH = 16
MAX_NUMBER_DIGITS = 32

_read = reader(depth=MAX_DEPTH, digits=MAX_NUMBER_DIGITS)


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


def read_object(data: bytes) -> dict[str, Any] | None:
    """Return the JSON object in ``data``, or None if it is not one or can be read in two ways (``strict_json``).

    Whole numbers become int, others Decimal, exactly as written; none has more than 32 characters. Nesting ends at 16.
    """
    try:
        value = _read(data)
    except Refused:
        return None
    return value if isinstance(value, dict) else None
