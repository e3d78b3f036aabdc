"""Whether what a caller showed was taken back before its time: a token, a login, a client, a person."""

from authorizer.model import Identity
from authorizer.pdp.claims import text
from authorizer.pdp.facts import Facts


def is_revoked(identity: Identity, facts: Facts, now: float) -> bool:
    """Tell whether the facts revoke an identity at ``now`` (POSIX seconds). Names carry the issuer's namespace.

    Raise ClaimFault for a claim that might be what they revoke, and cannot be compared.
    """
    if not facts.revoked:
        return False
    said = ((_named(identity, kind), names) for kind, names in facts.revoked.items())
    return any(now < names.get(name, 0.0) for name, names in said if name)


def _named(identity: Identity, kind: str) -> str:
    if kind == "sub":
        return identity.subject
    if kind == "client":
        return identity.client
    return identity.namespace + text(identity.claims[kind], kind) if kind in identity.claims else ""
