"""Public keys for checking signatures, from JWK (RFC 7517, RFC 7518 section 6, RFC 8037) or PEM.

Only what can safely check a signature becomes a ``VerifyKey``. In a set, a key that cannot is left out and reported:
identity providers publish encryption keys and newer kinds beside their signing keys (RFC 7517 section 5).
"""

from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from msgspec import Struct

from authorizer.errors import KeyMaterialError
from authorizer.jose.algorithms import ALGORITHMS, CURVES, Check, KeyType, PublicKey, checker, sound_ed25519_point
from authorizer.jose.encoding import decode_base64url, encode_base64url, encode_json, read_object

MAX_SET_BYTES = 512 * 1024
MAX_SET_KEYS = 100
MAX_KEY_ID = 256
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
MIN_RSA_EXPONENT = 65537
MAX_RSA_EXPONENT = 2**64

_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_REQUIRED = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}


class VerifyKey(Struct, frozen=True, kw_only=True):
    """A public key and what it may be used for.

    ``checks`` says whether a signature is good, by the algorithms that the key's type, curve and ``alg`` member allow;
    ``thumbprint`` is RFC 7638 with SHA-256; ``jwk`` is its public form, for storing, and for comparing: functions are
    equal to themselves alone, so two readings of one key are not.
    """

    id: str | None
    checks: Mapping[str, Check]
    thumbprint: str
    jwk: Mapping[str, Any]

    @property
    def algorithms(self) -> frozenset[str]:
        """The algorithms that it may be used with."""
        return frozenset(self.checks)


class LeftOut(Struct, frozen=True):
    """A key of a set that is never used: its index in the set, its ``kid`` if readable, and why."""

    index: int
    id: str | None
    error: KeyMaterialError


class KeySet(Struct, frozen=True):
    """The usable keys of a set, each ``kid`` at most once, and those left out."""

    keys: tuple[VerifyKey, ...]
    left_out: tuple[LeftOut, ...] = ()


def _text(jwk: Mapping[str, Any], name: str) -> str:
    value = jwk.get(name)
    if not isinstance(value, str) or not value:
        raise KeyMaterialError("AZ401", f"the key's '{name}' must be a non-empty string")
    return value


def _bytes(jwk: Mapping[str, Any], name: str) -> bytes:
    data = decode_base64url(_text(jwk, name))
    if data is None:
        raise KeyMaterialError("AZ401", f"the key's '{name}' is not base64url without padding")
    return data


def _unsigned(jwk: Mapping[str, Any], name: str) -> int:
    data = _bytes(jwk, name)
    if data[0] == 0 or len(data) > MAX_RSA_BITS // 8:
        raise KeyMaterialError("AZ401", f"the key's '{name}' is not a base64urlUInt of an accepted size")
    return int.from_bytes(data, "big")


def _rsa(public: RSAPublicKey) -> RSAPublicKey:
    numbers = public.public_numbers()
    if not MIN_RSA_BITS <= public.key_size <= MAX_RSA_BITS:
        raise KeyMaterialError(
            "AZ406", f"an RSA key of {public.key_size} bits is not accepted", hint=f"{MIN_RSA_BITS} to {MAX_RSA_BITS}"
        )
    if not MIN_RSA_EXPONENT <= numbers.e < MAX_RSA_EXPONENT or numbers.e % 2 == 0 or numbers.n % 2 == 0:
        raise KeyMaterialError("AZ406", "the RSA exponent or modulus is not accepted", hint="use e = 65537")
    return public


def _ed25519(data: bytes) -> Ed25519PublicKey:
    if not sound_ed25519_point(data):
        raise KeyMaterialError("AZ407", "the Ed25519 key is not a canonical point of full order")
    return Ed25519PublicKey.from_public_bytes(data)


def _public(jwk: Mapping[str, Any], key_type: str, curve: str) -> PublicKey:
    try:
        if key_type == "RSA":
            modulus, exponent = _unsigned(jwk, "n"), _unsigned(jwk, "e")
            if exponent.bit_length() > 64 or exponent % 2 == 0 or exponent < MIN_RSA_EXPONENT:
                raise KeyMaterialError("AZ406", "the RSA exponent is not accepted", hint="use e = 65537")
            if modulus.bit_length() < MIN_RSA_BITS:
                raise KeyMaterialError("AZ406", f"an RSA key of {modulus.bit_length()} bits is not accepted")
            return _rsa(RSAPublicNumbers(exponent, modulus).public_key())
        if key_type == "OKP":
            return _ed25519(_bytes(jwk, "x"))
        known = CURVES[curve]
        x, y = _bytes(jwk, "x"), _bytes(jwk, "y")
        if len(x) != known.size or len(y) != known.size:
            raise KeyMaterialError("AZ401", f"coordinates on {curve} have {known.size} bytes each")
        numbers = EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), known.curve())
        return numbers.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise KeyMaterialError("AZ407", "the key's numbers are not a public key of its type") from None


def _algorithms(jwk: Mapping[str, Any], key_type: str, curve: str) -> frozenset[str]:
    """Return the algorithms that type, curve, ``alg``, ``use`` and ``key_ops`` together leave (RFC 7517 4.2-4.4)."""
    fitting = frozenset(name for name, r in ALGORITHMS.items() if r.key_type == key_type and r.curve == curve)
    if not fitting:
        raise KeyMaterialError("AZ402", "the key's type or curve is not supported")
    if "use" in jwk and jwk["use"] != "sig":
        raise KeyMaterialError("AZ403", "the key's 'use' is not 'sig'")
    if "key_ops" in jwk:
        operations = jwk["key_ops"]
        texts = isinstance(operations, list) and all(isinstance(each, str) for each in operations)
        if not texts or len(set(operations)) != len(operations) or "verify" not in operations:
            raise KeyMaterialError("AZ403", "the key's 'key_ops' is not a list with 'verify' in it")
    if "alg" not in jwk:
        return fitting
    if not isinstance(jwk["alg"], str) or jwk["alg"] not in fitting:
        raise KeyMaterialError("AZ403", "the key's 'alg' is not a signature algorithm of its type and curve")
    # RFC 9864 gives what was "EdDSA" on this curve its own name: one key, either spelling.
    return fitting if key_type == "OKP" else frozenset({jwk["alg"]})


def _key_id(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_KEY_ID or not value.isprintable():
        raise KeyMaterialError("AZ401", f"a 'kid' must be 1 to {MAX_KEY_ID} printable characters")
    return value


def read_key(jwk: object) -> VerifyKey:
    """Read one JWK (already parsed from strict JSON). Raise ``KeyMaterialError`` AZ401 to AZ407 if it must not be used.

    Refused: symmetric keys and any private member, RSA outside 2048 to 8192 bits or with an even or small exponent,
    other curves, ``use`` or ``key_ops`` that is not for verifying, ``alg`` that does not fit, malformed numbers.
    """
    if not isinstance(jwk, Mapping):
        raise KeyMaterialError("AZ401", "a key must be an object")
    key_type = _text(jwk, "kty")
    if key_type == "oct":
        raise KeyMaterialError("AZ404", "symmetric keys are never accepted")
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise KeyMaterialError(
            "AZ405", "the key has private members", hint="publish the public key only, replace this one"
        )
    if key_type not in _REQUIRED:
        raise KeyMaterialError("AZ402", "the key's type or curve is not supported")
    curve = "" if key_type == "RSA" else _text(jwk, "crv")
    algorithms = _algorithms(jwk, key_type, curve)
    public = _public(jwk, key_type, curve)
    kept = {name: jwk[name] for name in (*_REQUIRED[key_type], "alg", "kid", "key_ops", "use") if name in jwk}
    return VerifyKey(
        id=_key_id(jwk["kid"]) if "kid" in jwk else None,
        checks={name: checker(ALGORITHMS[name], public) for name in algorithms},
        thumbprint=thumbprint(jwk),
        jwk=kept,
    )


def read_key_set(document: object) -> KeySet:
    """Read a JWK set (parsed, or JSON bytes). A key that cannot be used is left out; so are all that share a ``kid``.

    Raise ``KeyMaterialError`` AZ408 if the set itself is malformed or too large.
    """
    if isinstance(document, bytes):
        if len(document) > MAX_SET_BYTES:
            raise KeyMaterialError("AZ408", f"a key set has at most {MAX_SET_BYTES} bytes")
        document = read_object(document)
    entries = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(entries, list):
        raise KeyMaterialError("AZ408", "a key set must be a JSON object with a list 'keys' and no repeated member")
    if len(entries) > MAX_SET_KEYS:
        raise KeyMaterialError("AZ408", f"a key set has at most {MAX_SET_KEYS} keys")
    read: list[tuple[int, VerifyKey]] = []
    left_out: list[LeftOut] = []
    for index, entry in enumerate(entries):
        try:
            read.append((index, read_key(entry)))
        except KeyMaterialError as error:
            kid = entry.get("kid") if isinstance(entry, Mapping) else None
            left_out.append(LeftOut(index, kid if isinstance(kid, str) and kid.isprintable() else None, error))
    counts = Counter(key.id for _, key in read if key.id is not None)
    keys = []
    for index, key in read:
        if key.id is not None and counts[key.id] > 1:
            left_out.append(
                LeftOut(index, key.id, KeyMaterialError("AZ409", "another key of the set has the same 'kid'"))
            )
        else:
            keys.append(key)
    return KeySet(tuple(keys), tuple(left_out))


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Return the SHA-256 thumbprint of a key (RFC 7638 section 3, RFC 8037 section 2), in base64url."""
    return encode_base64url(sha256(encode_json({name: jwk[name] for name in _REQUIRED[jwk["kty"]]})).digest())


def public_members(public: object) -> dict[str, Any]:
    """Return the JWK members that identify a public key object. Raise ``KeyMaterialError`` AZ402 for other kinds."""
    if isinstance(public, RSAPublicKey):
        rsa = public.public_numbers()
        n = rsa.n.to_bytes((rsa.n.bit_length() + 7) // 8, "big")
        e = rsa.e.to_bytes((rsa.e.bit_length() + 7) // 8, "big")
        return {"kty": "RSA", "n": encode_base64url(n), "e": encode_base64url(e)}
    if isinstance(public, EllipticCurvePublicKey):
        for name, known in CURVES.items():
            if isinstance(public.curve, known.curve):
                point = public.public_numbers()
                x, y = point.x.to_bytes(known.size, "big"), point.y.to_bytes(known.size, "big")
                return {"kty": "EC", "crv": name, "x": encode_base64url(x), "y": encode_base64url(y)}
    if isinstance(public, Ed25519PublicKey):
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(raw)}
    raise KeyMaterialError("AZ402", "the key's type or curve is not supported", hint="RSA, P-256/384/521 or Ed25519")


def read_pem(pem: bytes, algorithm: str, key_id: str | None = None) -> VerifyKey:
    """Read a public key in PEM for one algorithm. Raise ``KeyMaterialError`` if it cannot be read or does not fit."""
    try:
        public = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyMaterialError("AZ410", "this is not a public key in PEM") from None
    members = public_members(public) | {"alg": algorithm}
    return read_key(members if key_id is None else members | {"kid": key_id})


__all__ = [
    "KeySet",
    "KeyType",
    "LeftOut",
    "VerifyKey",
    "public_members",
    "read_key",
    "read_key_set",
    "read_pem",
    "thumbprint",
]
