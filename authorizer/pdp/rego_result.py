"""What a rule that decides an application says: true, false, or an object as opa-envoy-plugin takes it.

Source: opa-envoy-plugin v1.19, ``envoyauth/response.go``. An object is read as a whole: a member that is not what it
should be makes it no answer, so nothing passes. Members that mean nothing are the policy's
own: OPA passes them over too.
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from authorizer.grammar import TOKEN, UNSAFE
from authorizer.model import FRAMING
from authorizer.policy.plan.values import Key, Set

Pairs = tuple[tuple[str, str], ...]

MAX_HEADERS = 200
MAX_TEXT = 16 * 1024
MAX_BODY = 256 * 1024

MAX_DEPTH = 24
"""Levels of ``dynamic_metadata``, which a rule may take from a body.

INVARIANT: each is three messages deep in the answer, and who reads one gives up at 100: a gateway that lets pass what
it cannot read would let pass a denial.
"""

_STATUSES = range(100, 600)
_is_name = re.compile(rf"{TOKEN}{{1,256}}").fullmatch
_unsendable = re.compile(rf"{UNSAFE}(?<!\t)").search


class Ruling(Struct, frozen=True):
    """``headers`` go to the API when it allows and to the caller when it denies, ``back`` to the caller of an allow.

    ``status`` and ``body`` are those of a denial; "" is an empty body, None the house's own.
    """

    allowed: bool
    headers: Pairs = ()
    back: Pairs = ()
    remove: tuple[str, ...] = ()
    query_set: Pairs = ()
    query_remove: tuple[str, ...] = ()
    body: str | None = None
    status: int | None = None
    metadata: Mapping[str, Any] = {}


class _Wrong(Exception):  # noqa: N818 - it never leaves this module
    pass


def read_result(value: Any) -> Ruling | None:
    """Read what a rule said; None when it is neither true nor false nor an object of the form."""
    if isinstance(value, bool):
        return Ruling(value)
    if not isinstance(value, dict) or not isinstance(value.get("allowed"), bool):
        return None
    try:
        remove = tuple(_header(name) for name in _texts(value.get("request_headers_to_remove", [])))
        status = value.get("http_status")
        if status is not None and (type(status) not in {int, float} or status not in _STATUSES):
            return None
        body = value.get("body")
        if body is not None and (not isinstance(body, str) or len(body) > MAX_BODY):
            return None
        metadata = value.get("dynamic_metadata", {})
        if not isinstance(metadata, dict):
            return None
        return Ruling(
            allowed=value["allowed"],
            # Gateways remove after they set: what is to be removed is not set.
            headers=tuple(pair for pair in _headers(value.get("headers", {})) if pair[0] not in remove),
            back=_headers(value.get("response_headers_to_add", {})),
            remove=remove,
            query_set=_pairs(value.get("query_parameters_to_set", {})),
            query_remove=_texts(value.get("query_parameters_to_remove", [])),
            body=body,
            status=None if status is None else int(status),
            metadata=_plain(metadata),
        )
    except _Wrong:
        return None


def _headers(value: Any) -> Pairs:
    return tuple((_header(name), _value(text)) for name, text in _pairs(value))


def _header(name: str) -> str:
    if not _is_name(name) or name.lower() in FRAMING:
        raise _Wrong
    return name.lower()


def _value(text: str) -> str:
    if _unsendable(text):
        raise _Wrong
    return text


def _pairs(value: Any) -> Pairs:
    """Return the pairs of an object whose values are texts or lists of texts, or of a list of such objects."""
    found: list[tuple[str, str]] = []
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, dict):
            raise _Wrong
        for name, texts in each.items():
            if not isinstance(name, str):
                raise _Wrong
            found.extend((name, text) for text in (_texts(texts) if isinstance(texts, list) else (_text(texts),)))
    if len(found) > MAX_HEADERS:
        raise _Wrong
    return tuple(found)


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, Set):
        value = sorted(_text(each) for each in value.items.values())
    if not isinstance(value, list) or len(value) > MAX_HEADERS:
        raise _Wrong
    return tuple(_text(each) for each in value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise _Wrong
    return value


def _plain(value: Any, depth: int = 1) -> Any:
    """Return a value as JSON has it; names that are no texts, and numbers beyond a double, have no place in it."""
    if depth > MAX_DEPTH and isinstance(value, dict | list | Set):
        raise _Wrong
    if isinstance(value, dict):
        if any(isinstance(name, Key) or not isinstance(name, str) for name in value):
            raise _Wrong
        return {name: _plain(each, depth + 1) for name, each in value.items()}
    if isinstance(value, Set):
        return [_plain(each, depth + 1) for each in value.items.values()]
    if isinstance(value, list):
        return [_plain(each, depth + 1) for each in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 1 << 53:
        raise _Wrong
    return value
