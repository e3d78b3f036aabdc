"""The keys that ``io.jwt`` functions are given: a certificate or public key in PEM, or JWKs.

Keys are taken as ``authorizer.jose`` takes them, which is stricter than OPA: no key that also decrypts, no private or
symmetric key where a public one is due, RSA from 2048 bits. A key that is not taken verifies nothing.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from authorizer.errors import KeyMaterialError
from authorizer.jose.algorithms import ALGORITHMS, CURVES
from authorizer.jose.encoding import decode_base64url, read_object
from authorizer.jose.jwk import MAX_SET_BYTES, VerifyKey, public_members, read_key, read_key_set
from authorizer.policy.plan.builtins.calling import as_bytes
from authorizer.policy.plan.values import BuiltinError

_CACHED: Final = 64
_TYPES: Final = ("RSA", "EC", "OKP", "oct")
_PEM = re.compile(rb"-----BEGIN (?P<kind>[A-Z ]+)-----\r?\n.*?\n-----END (?P=kind)-----[ \t]*(?:\r?\n)?", re.DOTALL)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@lru_cache(maxsize=_CACHED)
def verify_keys(source: str) -> tuple[VerifyKey, ...]:
    """Return the keys of a text, none if none can be used. Raises BuiltinError if the text is of no known form."""
    data = as_bytes(source)
    found = _PEM.search(data)
    if found is not None:
        if found.end() < len(data):
            raise BuiltinError("extra data after a PEM certificate block")
        return _pem_keys(found[0], found["kind"])
    document = read_object(data) if len(data) <= MAX_SET_BYTES else None
    if document is None:
        raise BuiltinError("failed to parse a JWK key (set)")
    entries = document.get("keys", [document])
    known = (isinstance(each, Mapping) and each.get("kty") in _TYPES for each in entries)
    if not isinstance(entries, list) or not all(known):
        raise BuiltinError("failed to parse a JWK key (set)")
    try:
        return read_key_set({"keys": [_as_signing(each) for each in entries]}).keys
    except KeyMaterialError:
        raise BuiltinError("failed to parse a JWK key (set)") from None


def _as_signing(jwk: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a key whose ``alg`` is for signatures without what its ``use`` says, which OPA does not look at."""
    if jwk.get("alg") in ALGORITHMS:
        return {name: value for name, value in jwk.items() if name not in {"use", "key_ops"}}
    return jwk


def _pem_keys(pem: bytes, kind: bytes) -> tuple[VerifyKey, ...]:
    try:
        if kind == b"CERTIFICATE":
            public: Any = load_pem_x509_certificate(pem).public_key()
        elif kind == b"PUBLIC KEY":
            public = load_pem_public_key(pem)
        else:
            raise BuiltinError("failed to extract a Key from the PEM certificate")
    except (ValueError, UnsupportedAlgorithm):
        raise BuiltinError("failed to parse a PEM certificate or public key") from None
    try:
        return (read_key(public_members(public)),)
    except KeyMaterialError:
        return ()


def _bytes(jwk: Mapping[str, Any], name: str) -> bytes:
    value = jwk.get(name)
    data = decode_base64url(value) if isinstance(value, str) else None
    if not data:
        raise BuiltinError(f"the key's '{name}' is not base64url")
    return data


def _number(jwk: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(_bytes(jwk, name))


def signing_key(document: object) -> PrivateKey | bytes:
    """Return the private key, or the secret, of a JWK or of the first in a set. Raises BuiltinError."""
    jwk = document
    if isinstance(jwk, Mapping) and "keys" in jwk:
        keys = jwk["keys"]
        jwk = keys[0] if isinstance(keys, list) and keys else None
    if not isinstance(jwk, Mapping):
        raise BuiltinError("no keys found in JWK set")
    try:
        match jwk.get("kty"):
            case "oct":
                return _bytes(jwk, "k")
            case "RSA":
                return _rsa(jwk)
            case "EC" if jwk.get("crv") in CURVES:
                return ec.derive_private_key(_number(jwk, "d"), CURVES[jwk["crv"]].curve())
            case "OKP" if jwk.get("crv") == "Ed25519":
                return ed25519.Ed25519PrivateKey.from_private_bytes(_bytes(jwk, "d"))
    except (ValueError, UnsupportedAlgorithm):
        raise BuiltinError("the key's numbers are not a private key of its type") from None
    raise BuiltinError("the key's type is not supported")


def _rsa(jwk: Mapping[str, Any]) -> rsa.RSAPrivateKey:
    public = rsa.RSAPublicNumbers(_number(jwk, "e"), _number(jwk, "n"))
    if not 1024 <= public.n.bit_length() <= 8192 or public.e.bit_length() > 64:
        raise BuiltinError("the RSA key's size is not supported")
    d = _number(jwk, "d")
    if "p" in jwk:
        p, q = _number(jwk, "p"), _number(jwk, "q")
    else:
        p, q = rsa.rsa_recover_prime_factors(public.n, public.e, d)
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)  # a wrong key harms its own signatures only
