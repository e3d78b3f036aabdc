"""The demo's identity provider: one signing key, and a token for each of three people."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from authorizer.jose.sign import generate, public_jwk, sign

ISSUER = "https://login.shop.example"
AUDIENCE = "shop"
_ALGORITHM = "ES256"
_HOURS = 12

CALLERS: Mapping[str, Mapping[str, Any]] = {
    "alice": {"groups": ["sales"], "tenant": "acme", "acr": "otp"},
    "dana": {"roles": ["finance"], "tenant": "acme", "acr": "otp"},
    "pat": {"groups": ["partners"], "tenant": "acme", "acr": "pwd"},
}


def issue(policies: Path, tokens: Path, now: float) -> dict[str, str]:
    """Make a key, write its public half for the policies and a token a caller; return the tokens by caller.

    ``now`` is POSIX seconds. The private key is forgotten.
    """
    key = generate(_ALGORITHM)
    (policies / "keys.json").write_text(json.dumps({"keys": [public_jwk(key, _ALGORITHM, "demo")]}, indent=2) + "\n")
    tokens.mkdir(mode=0o700, exist_ok=True)
    issued = {}
    for name, claims in CALLERS.items():
        issued[name] = token({"sub": name, **claims}, key, now)
        path = tokens / name
        path.touch(mode=0o600)
        path.write_text(issued[name])
    return issued


def token(claims: Mapping[str, Any], key: bytes, now: float) -> str:
    """Sign an access token that says ``claims`` of a login that happened just now."""
    times = {"iat": int(now), "auth_time": int(now), "exp": int(now) + _HOURS * 3600}
    who = {"iss": ISSUER, "aud": AUDIENCE}
    return sign({**who, **times, **claims}, key, _ALGORITHM, "demo", token_type="at+jwt")  # noqa: S106 - a media type
