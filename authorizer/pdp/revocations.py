"""Whether what a caller showed was taken back before its time: a token, a login, a client, a person."""

from authorizer.model import Identity
from authorizer.pdp.facts import Facts


def is_revoked(identity: Identity, facts: Facts, now: float) -> bool:
    """Tell whether the facts revoke an identity at ``now`` (POSIX seconds). Names carry the issuer's namespace."""
    revoked = facts.revoked
    if not revoked:
        return False
    said = (
        ("jti", _named(identity, "jti")),
        ("sid", _named(identity, "sid")),
        ("sub", identity.subject),
        ("client", identity.client),
    )
    return any(now < revoked.get(kind, {}).get(name, 0.0) for kind, name in said if name)


def _named(identity: Identity, claim: str) -> str:
    value = identity.claims.get(claim)
    return identity.namespace + value if isinstance(value, str) else ""
