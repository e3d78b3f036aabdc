"""What a token says when its signature is good under a key."""

from authorizer.jose import jws
from authorizer.jose.jwk import VerifyKey
from authorizer.model import Reason


def verified(token: str, key: VerifyKey) -> jws.Jws | Reason:
    """Take a token apart and check it with one key, or tell why it is refused."""
    taken = jws.parse(token)
    return taken if isinstance(taken, Reason) else jws.signature_fault(taken, key) or taken
