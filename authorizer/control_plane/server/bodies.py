"""The bodies of requests, from strict JSON to the shape that is expected."""

from typing import TypeVar

import msgspec

from authorizer.control_plane.server.answers import RefusalError
from authorizer.strict_json import Refused, reader

T = TypeVar("T")

MAX_DEPTH = 32
MAX_DIGITS = 100

_read = reader(depth=MAX_DEPTH, digits=MAX_DIGITS, real=float)


def parse_as(body: bytes, shape: type[T]) -> T:
    """Parse one JSON text (``strict_json``) into ``shape``.

    Raises RefusalError ``bad_json``, which says what has two readings or which member does not fit.
    """
    try:
        return msgspec.convert(_read(body), shape)
    except (Refused, msgspec.ValidationError) as problem:
        raise RefusalError("bad_json", str(problem)) from None
