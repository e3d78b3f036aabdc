"""What a client asks of a bundle request: how long to wait (RFC 7240), and what it already has (RFC 9110, 13.1.2)."""

import re
from collections.abc import Sequence

MAX_WAIT = 300.0
"""Seconds that a request may wait, whatever it prefers."""

_WAIT = re.compile(r"(?:^|[;,])\s*wait\s*=\s*\"?([0-9]{1,9}(?:\.[0-9]{1,9})?)\"?\s*(?=[;,]|$)", re.IGNORECASE)
_ENTITY_TAG = re.compile(r"\s*(?:W/)?(\"[\x21\x23-\x7e\x80-\xff]*\")\s*(?:,|$)")
_MAX_TAGS = 20


def wait_of(prefer: Sequence[str]) -> float:
    """Return the seconds that the ``Prefer`` lines ask to wait for news, at most MAX_WAIT; 0 when they do not.

    OPA writes ``modes=snapshot,delta;wait=30``: one line in which a semicolon stands where RFC 7240 has a comma.
    """
    found = next((match for line in prefer if (match := _WAIT.search(line[:1024]))), None)
    return min(float(found[1]), MAX_WAIT) if found else 0.0


def tags_of(if_none_match: Sequence[str]) -> frozenset[str]:
    """Return the entity tags of the ``If-None-Match`` lines, ``*`` among them; what is malformed matches nothing."""
    line = ",".join(if_none_match)[:4096]
    if line.strip() == "*":
        return frozenset({"*"})
    tags: set[str] = set()
    at = 0
    while len(tags) < _MAX_TAGS and (match := _ENTITY_TAG.match(line, at)):
        tags.add(match[1])
        at = match.end()
    return frozenset(tags)
