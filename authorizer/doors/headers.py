"""Headers on their way through a door: which may be sent, which must be taken off, and what they say of the caller."""

import re
from collections.abc import Iterable
from functools import lru_cache

from authorizer.grammar import TOKEN, UNSAFE
from authorizer.model import FRAMING, Headers

GRPC_MEDIA_TYPE = "application/grpc"

_token = re.compile(rf"{TOKEN}{{1,256}}").fullmatch
# RFC 9110 section 5.5 lets the tab stand in a value. Surrogates stand for bytes that are not UTF-8.
_unsendable = re.compile(rf"{UNSAFE}(?<!\t)").search


class UnsendableError(ValueError):
    """A header cannot be sent as it is, so the answer that carries it must not be sent at all."""


def speaks_grpc(headers: Headers) -> bool:
    """Tell whether the request is a gRPC call (``application/grpc``, ``application/grpc+proto``, gRPC-Web alike)."""
    return any(value.lower().startswith(GRPC_MEDIA_TYPE) for value in headers.get("content-type", ()))


def sendable(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return ``headers`` with names in lower case, or raise UnsendableError.

    A name must be a token that neither frames nor routes the message; a value must be text without control
    characters other than the tab. Envoy passes a line break in a value on to the client: that is response splitting.
    """
    checked = []
    for name, value in headers:
        lowered = _sendable_name(name)
        if _unsendable(value):
            raise UnsendableError(f"the value of header {lowered} cannot be sent")
        checked.append((lowered, value))
    return tuple(checked)


@lru_cache(maxsize=1024)
def removals(upstream: tuple[str, ...], remove: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names to take off the request: those of ``remove``, and the underscore spelling of every managed name.

    An API behind CGI or WSGI reads ``x_user`` and ``x-user`` as one. A name that is set is not removed, because
    gateways remove after they set.
    """
    kept = frozenset(upstream)
    dropped = {name.lower(): None for name in remove}
    dropped.update({name.replace("-", "_"): None for name in (*kept, *dropped) if "-" in name})
    return tuple(name for name in dropped if name not in kept)


@lru_cache(maxsize=1024)
def _sendable_name(name: str) -> str:
    lowered = name.lower()
    if _token(name) is None or lowered in FRAMING:
        raise UnsendableError("a header name cannot be sent")
    return lowered
