"""The keys of a trusted issuer (some hostile on purpose) and of a partner, and the making of tokens with them."""

import base64
import functools
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from authorizer.jose.jwk import public_members

ISSUER = "https://idp.example"
PARTNER = "https://idp.partner.example"
AUDIENCE = "orders"
ED_ORDER = 2**252 + 27742317777372353535851937790883648493
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Attack(NamedTuple):
    """A token that must be refused: the class of JWT-ATTACK-CLASSES.md, a name, the token, the reason's code."""

    group: str
    name: str
    token: str
    reason: str

    @property
    def sendable(self) -> bool:
        """Whether an HTTP header carries it as it is: visible ASCII, no white space at its ends."""
        return (
            bool(self.token) and self.token.isascii() and self.token.isprintable() and self.token == self.token.strip()
        )


class Material(NamedTuple):
    """Key id -> private key, or a secret for the symmetric one; ``jwks`` is what the issuer publishes."""

    keys: Mapping[str, Any]
    jwks: dict[str, Any]
    partner_jwks: dict[str, Any]


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":"), allow_nan=True).encode()


@functools.cache
def material() -> Material:
    """Make all keys once a process. Key ids say what is odd about a key."""
    keys: dict[str, Any] = {
        "rs": rsa.generate_private_key(65537, 2048),
        "rs2": rsa.generate_private_key(65537, 2048),
        "es": ec.generate_private_key(ec.SECP256R1()),
        "ed": ed25519.Ed25519PrivateKey.generate(),
        "enc": rsa.generate_private_key(65537, 2048),
        "ops": ec.generate_private_key(ec.SECP256R1()),
        "oaep": rsa.generate_private_key(65537, 2048),
        "ps": rsa.generate_private_key(65537, 2048),
        "weak1024": rsa.generate_private_key(65537, 1024),
        "weak1536": rsa.generate_private_key(65537, 1536),
        "e3": rsa.generate_private_key(3, 2048),
        "k1": ec.generate_private_key(ec.SECP256K1()),
        "ed448": ed448.Ed448PrivateKey.generate(),
        "twin": rsa.generate_private_key(65537, 2048),
        "secret": b"a symmetric key of thirty-two bytes",
        "partner": ec.generate_private_key(ec.SECP256R1()),
        "attacker": rsa.generate_private_key(65537, 2048),
    }

    def jwk(key: str, **more: Any) -> dict[str, Any]:
        return public_members(keys[key].public_key()) | {"kid": key} | more

    k1 = keys["k1"].public_key().public_numbers()
    published = [
        jwk("rs", alg="RS256", use="sig"),
        jwk("rs2", alg="RS256", use="sig"),
        jwk("es", key_ops=["verify"]),
        jwk("ed", alg="EdDSA"),
        jwk("enc", use="enc"),
        jwk("ops", key_ops=["deriveBits"]),
        jwk("oaep", alg="RSA-OAEP"),
        jwk("ps", alg="PS256"),
        jwk("weak1024"),
        jwk("weak1536"),
        jwk("e3"),
        jwk("twin"),
        jwk("rs2", kid="twin"),
        {"kty": "EC", "crv": "secp256k1", "kid": "k1", "x": b64(k1.x.to_bytes(32)), "y": b64(k1.y.to_bytes(32))},
        {"kty": "OKP", "crv": "Ed448", "kid": "ed448", "x": b64(keys["ed448"].public_key().public_bytes_raw())},
        {"kty": "OKP", "crv": "Ed25519", "kid": "loworder", "x": b64((1).to_bytes(32, "little"))},
        {"kty": "oct", "kid": "secret", "k": b64(keys["secret"])},
    ]
    return Material(keys, {"keys": published}, {"keys": [jwk("partner", alg="ES256")]})


def issuers(made: Material) -> str:
    """Return the ``kind: Issuers`` document for the material: two issuers, one with an empty namespace."""
    return f"""kind: Issuers
issuers:
  main:
    issuer: {ISSUER}
    audiences: [{AUDIENCE}]
    algorithms: [RS256, ES256, EdDSA]
    jwks: {json.dumps(made.jwks)}
    claims: {{fields: {{tenant: tenant, limit: limits.credit}}, env: {{risk: risk_score}}}}
  partner:
    issuer: {PARTNER}
    audiences: [{AUDIENCE}]
    algorithms: [ES256]
    jwks: {json.dumps(made.partner_jwks)}
    namespace: partner/
    attributes: {{tenant: partner}}
"""


def claims(now: float, **more: Any) -> dict[str, Any]:
    """Return the claims of an honest token made at ``now`` (POSIX seconds)."""
    now = int(now)
    base = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 600, "groups": ["sales"]}
    return base | more


def signature(key: Any, algorithm: str, message: bytes) -> bytes:
    """Sign with any key by the family of ``algorithm``, whatever the header says."""
    digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}.get(
        algorithm[2:], hashes.SHA256()
    )
    if isinstance(key, bytes):
        return hmac.new(key, message, getattr(hashlib, digest.name)).digest()
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
        return key.sign(message, pss if algorithm.startswith("PS") else padding.PKCS1v15(), digest)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(digest)))
        size = (key.curve.key_size + 7) // 8
        return r.to_bytes(size) + s.to_bytes(size)
    return key.sign(message)


def honest(made: Material, good: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield tokens that must be accepted: the control without which refusing everything would pass."""

    def token(header: dict[str, Any], body: object, key: str) -> str:
        signed = f"{b64(compact(header))}.{b64(compact(body))}"
        return f"{signed}.{b64(signature(made.keys[key], header['alg'], signed.encode()))}"

    yield "RS256", token({"alg": "RS256", "kid": "rs", "typ": "JWT"}, good, "rs")
    yield "ES256", token({"alg": "ES256", "kid": "es", "typ": "at+jwt"}, good, "es")
    yield "EdDSA", token({"alg": "EdDSA", "kid": "ed", "typ": "application/at+JWT"}, good, "ed")
    yield "no kid, one fitting key", token({"alg": "EdDSA"}, good, "ed")
    yield "audience in a list", token({"alg": "RS256", "kid": "rs2"}, {**good, "aud": ["x", AUDIENCE]}, "rs2")
    yield "fractional times", token({"alg": "RS256", "kid": "rs"}, {**good, "exp": good["exp"] + 0.5}, "rs")
    yield "unknown members", token({"alg": "ES256", "kid": "es", "x": 1}, {**good, "jti": "1", "x": None}, "es")
    yield "partner", token({"alg": "ES256", "kid": "partner"}, {**good, "iss": PARTNER}, "partner")


class Forge:
    def __init__(self, made: Material, good: Mapping[str, Any]) -> None:
        self.keys = made.keys
        self.jwks = {jwk["kid"]: jwk for jwk in made.jwks["keys"]}
        self.good = dict(good)

    def token(
        self,
        header: object = None,
        body: object = None,
        key: Any = "rs",
        family: str = "RS256",
        sign: Callable[[bytes], bytes] | None = None,
        parts: Callable[[str, str], tuple[str, str]] | None = None,
    ) -> str:
        """Make a token with a valid signature over whatever its first two parts are."""
        first = b64(compact({"alg": "RS256", "kid": "rs"} if header is None else header))
        second = b64(compact(self.good if body is None else body))
        if parts:
            first, second = parts(first, second)
        signed = f"{first}.{second}"
        key = self.keys.get(key, key) if isinstance(key, str) else key
        made = sign(signed.encode()) if sign else signature(key, family, signed.encode())
        return f"{signed}.{b64(made)}"

    def with_claims(self, *gone: str, **changed: Any) -> dict[str, Any]:
        return {name: value for name, value in (self.good | changed).items() if name not in gone}
