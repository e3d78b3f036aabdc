"""Bodies that a decision reads: JSON that every parser takes for the same value (``strict_json``).

Decimal fractions stay exact (``decimal.Decimal``).
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from authorizer.grammar import TOKEN, UNSAFE
from authorizer.model import Request
from authorizer.reasons import reason
from authorizer.strict_json import Kind, Refused, reader

MAX_BODY = 64 * 1024
"""Bytes of a body that is read."""
MAX_DEPTH = 32
"""Objects and arrays inside each other."""
MAX_DIGITS = 128
"""Characters of a number."""

MAX_VALUES = 10_000
"""Values of a body; commas and brackets within texts count too."""

# ``member`` refuses a lone surrogate where it is read: what a client cut an emoji in half in may be what nobody reads.
_read = reader(depth=MAX_DEPTH, digits=MAX_DIGITS, lone_surrogates=True)
_CODES: dict[Kind, str] = {
    "encoding": "body_type",
    "malformed": "body_malformed",
    "surrogate": "body_malformed",
    "duplicate": "body_duplicate_key",
    "limit": "body_limit",
}

_MAX_TYPE = 1024
_TYPE = re.compile(
    rf"application/(?:{TOKEN}+\+)?json((?:[ \t]*;[ \t]*{TOKEN}+=(?:{TOKEN}+|\"[^\"\\;]*\"))*)[ \t]*", re.IGNORECASE
).fullmatch
_CHARSET = re.compile(r";[ \t]*charset=\"?([^;\" \t]*)", re.IGNORECASE).findall
# Texts of a body may have several lines.
_NO_TEXT = re.compile(rf"{UNSAFE}(?<![\t\n\r])").search


class _Absent:
    """No body was sent."""


ABSENT: Final = _Absent()


def read_body(request: Request) -> Any:
    """Return the parsed body, ABSENT when the request has none, or the Reason to refuse it. Never raises.

    A body that the request announces and the gateway does not hand over is refused; otherwise nothing would tell it
    from a request without one.
    """
    if request.body_state == "partial":
        return reason("body_partial")
    if request.body_state == "unknown":
        return reason("body_missing")
    if request.body_state == "absent" or not request.body:
        return reason("body_missing") if _announced(request) else ABSENT
    if len(request.body) > MAX_BODY:
        return reason("body_limit")
    if not _is_json(request):
        return reason("body_type")
    if sum(map(request.body.count, (b",", b"{", b"["))) > MAX_VALUES:
        return reason("body_limit")
    try:
        return _read(request.body)
    except Refused as refused:
        return reason(_CODES[refused.kind])


def member(body: object, path: Sequence[str]) -> object:
    """Return the value at ``path``, None where nothing (or null) stands, or the Reason to refuse it.

    A member whose name differs in its case only is a second value to the parsers that ignore case (Go's, .NET's).
    """
    here = body
    for name in path:
        if not isinstance(here, dict):
            return None
        folded = name.casefold()
        if any(key != name and key.casefold() == folded for key in here):
            return reason("body_duplicate_key")
        here = here.get(name)
    return reason("body_malformed") if _unclear(here) else here


def _unclear(value: object) -> bool:
    if isinstance(value, str):
        return _NO_TEXT(value) is not None
    return isinstance(value, list) and any(_unclear(item) for item in value)


def _announced(request: Request) -> bool:
    headers = request.headers
    return "transfer-encoding" in headers or any(value.strip(" 0") for value in headers.get("content-length", ()))


def _is_json(request: Request) -> bool:
    types = request.headers.get("content-type", ())
    found = _TYPE(types[0]) if len(types) == 1 and len(types[0]) <= _MAX_TYPE else None
    encodings = request.headers.get("content-encoding", ())
    return (
        found is not None
        and [charset for charset in _CHARSET(found[1]) if charset.lower() != "utf-8"] == []
        and all(encoding.lower() == "identity" for encoding in encodings)
    )
