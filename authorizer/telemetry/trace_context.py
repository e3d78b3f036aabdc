"""The trace that a request is part of (W3C Trace Context, level 1, section 3.2)."""

import re
from hashlib import blake2b
from typing import NamedTuple

from authorizer.model import Request

HEADER = "traceparent"
LENGTH = 55
_ODD = frozenset("13579bdf")
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


class Parent(NamedTuple):
    """``trace`` and ``span`` in hexadecimal, and whether the caller records this trace."""

    trace: str
    span: str
    sampled: bool


def carried(request: Request) -> str:
    """Return the ``traceparent`` that leads to a decision, cut to its length; "" for none or several. The hot path.

    That of the gateway's own call, where it made one: the span by which it asked. Else that of the request.
    """
    if request.trace:
        return request.trace[: LENGTH + 1]
    values = request.headers.get(HEADER)
    return "" if values is None or len(values) != 1 else values[0][: LENGTH + 1]


def is_recorded(text: str) -> bool:
    """Tell whether what may be a ``traceparent`` has its sampled flag set. The hot path: no more is looked at."""
    return len(text) >= LENGTH and text[LENGTH - 1] in _ODD


def parent(text: str) -> Parent | None:
    """Read a ``traceparent``; None for what is none. Of a later version the part that is known counts."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace, 16) or not int(span, 16):
        return None
    return Parent(trace, span, bool(int(flags, 16) & 1))


def span_of(decision_id: str) -> str:
    """Return the id of the span that stands for a decision: log and trace find it each by itself."""
    return blake2b(decision_id.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()
