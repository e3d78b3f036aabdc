"""What a decision may have to ask of the world before it can be made.

Each need is a value; its answer comes back beside the request, in a mapping of needs to what was learnt.
"""

from collections.abc import Mapping

from msgspec import Struct

from authorizer.pdp.proofs import Spend


class Introspect(Struct, frozen=True):
    """Whether a token of an issuer (by its ``iss``) is active (RFC 7662)."""

    issuer: str
    token: str

    def __repr__(self) -> str:
        return f"Introspect({self.issuer!r})"


Need = Spend | Introspect
"""``Spend``: whether a proof's digest is fresh; answered True, False (shown before) or None (cannot be told).
``Introspect``: answered by what the issuer says of the token, False (not active) or None (cannot be told)."""

Learnt = Mapping[Need, object]

NOTHING_LEARNT: Learnt = {}
