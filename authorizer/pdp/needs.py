"""What a decision may have to ask of the world before it can be made.

Each need is a value; its answer comes back beside the request, in a mapping of needs to what was learnt.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from authorizer.pdp.proofs import Spend


class Introspect(Struct, frozen=True):
    """Whether a token of an issuer (by its ``iss``) is active (RFC 7662)."""

    issuer: str
    token: str

    def __repr__(self) -> str:
        return f"Introspect({self.issuer!r})"


class Told(Struct, frozen=True):
    """What an issuer says of an active token, until when (POSIX seconds) that counts, and its characters."""

    claims: Mapping[str, Any]
    until: float
    size: int = 0


class Exchange(Struct, frozen=True):
    """What a token of an issuer (by its ``iss``) is exchanged for (RFC 8693)."""

    issuer: str
    token: str

    def __repr__(self) -> str:
        return f"Exchange({self.issuer!r})"


class Exchanged(Struct, frozen=True):
    """An exchanged token, not yet verified, and until when (POSIX seconds) it may stand for the other one."""

    token: str
    until: float

    def __repr__(self) -> str:
        return "Exchanged()"


Need = Spend | Introspect | Exchange
"""``Spend``: whether a proof's digest is fresh; answered True, False (shown before) or None (cannot be told).
``Introspect``: answered by Told, False (not active) or None (cannot be told).
``Exchange``: answered by Exchanged, False (the provider refuses the token) or None (cannot be told)."""

Learnt = Mapping[Need, object]

NOTHING_LEARNT: Learnt = {}
