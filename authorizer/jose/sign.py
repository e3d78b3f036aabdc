"""Making keys and signing: for bundles and for the demo's identity provider."""

from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from authorizer.errors import KeyMaterialError
from authorizer.jose import algorithms
from authorizer.jose.algorithms import ALGORITHMS, CURVES, PrivateKey, Rule
from authorizer.jose.encoding import encode_base64url, encode_json
from authorizer.jose.jwk import public_members, read_key, thumbprint


def generate(algorithm: str) -> bytes:
    """Make a new private key for ``algorithm`` and return it as PKCS #8 in PEM, unencrypted."""
    key: PrivateKey
    match _rule(algorithm).key_type:
        case "RSA":
            key = rsa.generate_private_key(65537, 3072)
        case "EC":
            key = ec.generate_private_key(CURVES[ALGORITHMS[algorithm].curve].curve())
        case "OKP":
            key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_jwk(private_pem: bytes, algorithm: str, key_id: str | None = None) -> dict[str, Any]:
    """Return the public half as a JWK for ``algorithm``; without ``key_id`` the ``kid`` is the RFC 7638 thumbprint."""
    members = public_members(load_private(private_pem, algorithm).public_key())
    return members | {"kid": key_id or thumbprint(members), "alg": algorithm, "use": "sig"}


def public_pem(private_pem: bytes) -> bytes:
    """Return the public half as SubjectPublicKeyInfo in PEM."""
    return _load(private_pem).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def sign(
    payload: bytes | Mapping[str, Any],
    private_pem: bytes,
    algorithm: str,
    key_id: str | None = None,
    *,
    token_type: str | None = "JWT",  # noqa: S107 - the media type of the token, not a secret
) -> str:
    """Sign ``payload`` (bytes as they are; a mapping as compact JSON) and return the JWS in compact form.

    Raise ``KeyMaterialError`` if the key cannot be read, is weak, or does not fit the algorithm.
    """
    return sign_with(payload, load_private(private_pem, algorithm), algorithm, key_id, token_type=token_type)


def sign_with(
    payload: bytes | Mapping[str, Any],
    key: PrivateKey,
    algorithm: str,
    key_id: str | None = None,
    *,
    token_type: str | None = "JWT",  # noqa: S107 - the media type of the token, not a secret
) -> str:
    """Sign as ``sign`` does, with a key that ``load_private`` returned for the same algorithm."""
    header = {"alg": algorithm, "kid": key_id, "typ": token_type}
    head = encode_json({name: value for name, value in header.items() if value is not None})
    body = payload if isinstance(payload, bytes) else encode_json(payload)
    signed = f"{encode_base64url(head)}.{encode_base64url(body)}"
    signature = algorithms.sign(ALGORITHMS[algorithm], key, signed.encode("ascii"))
    return f"{signed}.{encode_base64url(signature)}"


def _rule(algorithm: str) -> Rule:
    try:
        return ALGORITHMS[algorithm]
    except KeyError:
        raise KeyMaterialError(
            "AZ411", f"'{algorithm}' is not an accepted algorithm", hint=", ".join(ALGORITHMS)
        ) from None


def _load(private_pem: bytes) -> PrivateKey:
    try:
        key = load_pem_private_key(private_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyMaterialError("AZ410", "this is not an unencrypted private key in PEM") from None
    if not isinstance(key, PrivateKey):
        raise KeyMaterialError(
            "AZ402", "the key's type or curve is not supported", hint="RSA, P-256/384/521 or Ed25519"
        )
    return key


def load_private(private_pem: bytes, algorithm: str) -> PrivateKey:
    """Return the key in a PEM. Raise ``KeyMaterialError`` if it cannot be read, is weak, or does not fit."""
    _rule(algorithm)
    key = _load(private_pem)
    read_key(public_members(key.public_key()) | {"alg": algorithm})  # the same rules as for keys that check
    return key
