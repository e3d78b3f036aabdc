"""What an API is told of its caller, signed: a short-lived JWT of our own for one API (RFC 7519, RFC 9068 claims).

It says who the caller is without showing what the caller showed, so an API can pass it on and nobody can use it here.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from authorizer.jose.algorithms import PrivateKey
from authorizer.jose.sign import sign_with
from authorizer.model import Identity


class Asserting(Struct, frozen=True, kw_only=True):
    """With what assertions are signed, as whom, for how many seconds each, and the audience of an application.

    An application without one is its own audience.
    """

    key: PrivateKey
    key_id: str
    algorithm: str
    issuer: str
    seconds: float
    audiences: Mapping[str, str] = {}


def assertion(asserting: Asserting, identity: Identity, application: str, now: float) -> str:
    """Return an assertion about an identity that is good at ``now`` (POSIX seconds) for half its time at least.

    The last one is kept with the identity: signing takes longer than deciding.
    """
    kept = identity.typed.get(f"\0{application}")
    if kept is not None and kept[0] <= now < kept[1]:
        return str(kept[2])
    begin = int(now)
    end = min(begin + asserting.seconds, identity.expires)
    claims: dict[str, Any] = {
        "iss": asserting.issuer,
        "aud": asserting.audiences.get(application, application),
        "sub": identity.subject,
        "iat": begin,
        "exp": int(end),
    }
    claims |= {"client_id": identity.client} if identity.client else {}
    claims |= {"scope": " ".join(sorted(identity.scopes))} if identity.scopes else {}
    claims |= {"idp": identity.issuer} if identity.issuer else {}
    claims |= {"auth_time": int(identity.auth_time)} if identity.auth_time is not None else {}
    claims |= {name: identity.env[name] for name in ("acr", "amr") if name in identity.claims and name in identity.env}
    token = sign_with(claims, asserting.key, asserting.algorithm, asserting.key_id)
    identity.typed[f"\0{application}"] = (begin, begin + asserting.seconds / 2, token)
    return token
