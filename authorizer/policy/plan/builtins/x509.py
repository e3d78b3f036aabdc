"""Certificates, requests and private keys in policies."""

from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from authorizer.errors import KeyMaterialError
from authorizer.jose.encoding import encode_base64url
from authorizer.jose.jwk import public_members as jwk_members
from authorizer.policy.plan.builtins.calling import Builtin, as_bytes, contextual, mapping, spend, text
from authorizer.policy.plan.builtins.certificate_chains import Demands, chain, demands
from authorizer.policy.plan.builtins.certificates import (
    certificate_members,
    pem_blocks,
    public_members,
    read_certificates,
    read_request,
    request_members,
    unwrapped,
)
from authorizer.policy.plan.builtins.encoding import decode_base64
from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import BuiltinError, Value

_PARSING: Final = 500
_KINDS: Final = frozenset({"RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY"})
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def _source(context: Context, value: Value, position: int) -> str:
    found = text(value, position)
    spend(context, 16 * len(found))
    context.budget.charge(_PARSING)
    return found


def _parse(context: Context, value: Value) -> list[Value]:
    found = read_certificates(_source(context, value, 1))
    context.budget.charge(_PARSING * len(found))
    return [certificate_members(each, uri_strings=True) for each in found]


def _verified(context: Context, value: Value, wanted: Demands, *, uri_strings: bool) -> list[Value]:
    try:
        found = chain(context, read_certificates(_source(context, value, 1)), wanted)
    except BuiltinError:
        return [False, []]
    return [True, [certificate_members(each, uri_strings=uri_strings) for each in found]]


def _parse_and_verify(context: Context, value: Value) -> list[Value]:
    return _verified(context, value, Demands(context.now_ns), uri_strings=True)


def _parse_and_verify_with(context: Context, value: Value, options: Value) -> list[Value]:
    text(value, 1)
    return _verified(context, value, demands(context, mapping(options, 2)), uri_strings=False)


def _parse_request(context: Context, value: Value) -> dict[str, Value]:
    return request_members(read_request(_source(context, value, 1)))


def _private_keys(data: bytes) -> list[PrivateKey]:
    """Return the private keys of PEM, or of base64 of it; blocks of other kinds are passed over."""
    with suppress(BuiltinError):
        data = decode_base64(data)
    return [_private_key(der) for kind, der in pem_blocks(data) if kind in _KINDS]


def _private_key(der: bytes) -> PrivateKey:
    try:
        key = load_der_private_key(der, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BuiltinError("x509: failed to parse private key") from None
    if not isinstance(key, PrivateKey):
        raise BuiltinError("x509: the private key's type is not supported")
    return key


def _members(key: PrivateKey) -> Value:
    """Return a key as Go tells it."""
    _, public = public_members(key.public_key())
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        crt = {"Dp": numbers.dmp1, "Dq": numbers.dmq1, "Qinv": numbers.iqmp, "CRTValues": []}
        return public | {"D": numbers.d, "Primes": [numbers.p, numbers.q], "Precomputed": crt}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return public | {"D": key.private_numbers().private_value}
    raw = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return b64encode(raw + key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode("ascii")


def _jwk(key: PrivateKey) -> dict[str, Value]:
    try:
        members: dict[str, Any] = jwk_members(key.public_key())
    except KeyMaterialError:
        raise BuiltinError("the key's curve is not supported") from None
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        names = {"d": "d", "p": "p", "q": "q", "dp": "dmp1", "dq": "dmq1", "qi": "iqmp"}
        return members | {name: _unsigned(getattr(numbers, attribute)) for name, attribute in names.items()}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        secret = key.private_numbers().private_value.to_bytes((key.curve.key_size + 7) // 8)
    else:
        secret = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return members | {"d": encode_base64url(secret)}


def _unsigned(number: int) -> str:
    return encode_base64url(number.to_bytes((number.bit_length() + 7) // 8))


def _parse_private_keys(context: Context, value: Value) -> Value:
    source = _source(context, value, 1)
    return [_members(key) for key in _private_keys(as_bytes(source))] if source else None


def _parse_rsa_private_key(context: Context, value: Value) -> Value:
    source = _source(context, value, 1)
    if not source:
        raise BuiltinError("input PEM data was empty")
    keys = _private_keys(unwrapped(source))
    return _jwk(keys[0]) if keys else None


def _parse_keypair(context: Context, certificate: Value, key: Value) -> dict[str, Value]:
    certificates = read_certificates(_source(context, certificate, 1))
    data = unwrapped(_source(context, key, 2))
    blocks = pem_blocks(data) if data.startswith(b"-----BEGIN ") else [("PRIVATE KEY", data)]
    found = next((der for kind, der in blocks if kind in _KINDS), None)
    if not certificates or found is None:
        raise BuiltinError("tls: failed to find a certificate or a private key")
    private = _private_key(found)
    leaf = certificates[0]
    if leaf.public_key() != private.public_key():
        raise BuiltinError("tls: private key does not match public key")
    return {
        "Certificate": [b64encode(each.public_bytes(Encoding.DER)).decode("ascii") for each in certificates],
        "PrivateKey": _members(private),
        "SupportedSignatureAlgorithms": None,
        "OCSPStaple": None,
        "SignedCertificateTimestamps": None,
        "Leaf": certificate_members(leaf, uri_strings=False),
    }


BUILTINS: Final[Mapping[str, Builtin]] = {
    "crypto.parse_private_keys": contextual(_parse_private_keys),
    "crypto.x509.parse_and_verify_certificates": contextual(_parse_and_verify),
    "crypto.x509.parse_and_verify_certificates_with_options": contextual(_parse_and_verify_with),
    "crypto.x509.parse_certificate_request": contextual(_parse_request),
    "crypto.x509.parse_certificates": contextual(_parse),
    "crypto.x509.parse_keypair": contextual(_parse_keypair),
    "crypto.x509.parse_rsa_private_key": contextual(_parse_rsa_private_key),
}
