"""The signature algorithms that are ever accepted, and the one kind of key that each of them takes.

Source: RFC 7518 section 3.1, RFC 8037 and RFC 9864. There is no symmetric algorithm and no ``none`` in the table, so
nothing that looks an algorithm up here can be talked into one.
"""

from collections.abc import Callable
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from msgspec import Struct

KeyType = Literal["RSA", "EC", "OKP"]
PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey
PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
Check = Callable[[bytes, bytes], bool]
"""Message, signature -> whether it is good."""


class Rule(Struct, frozen=True):
    """An algorithm's key type, its curve (empty for RSA), its hash, and whether it is PSS."""

    key_type: KeyType
    curve: str
    hash: HashAlgorithm
    pss: bool = False


class Curve(Struct, frozen=True):
    """A NIST curve: bytes in a coordinate, and the order of its group."""

    curve: type[EllipticCurve]
    size: int
    order: int


CURVES = {
    "P-256": Curve(SECP256R1, 32, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
    "P-384": Curve(
        SECP384R1,
        48,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ),
    "P-521": Curve(
        SECP521R1,
        66,
        0x01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409,
    ),
}

ALGORITHMS = {
    "RS256": Rule("RSA", "", SHA256()),
    "RS384": Rule("RSA", "", SHA384()),
    "RS512": Rule("RSA", "", SHA512()),
    "PS256": Rule("RSA", "", SHA256(), pss=True),
    "PS384": Rule("RSA", "", SHA384(), pss=True),
    "PS512": Rule("RSA", "", SHA512(), pss=True),
    "ES256": Rule("EC", "P-256", SHA256()),
    "ES384": Rule("EC", "P-384", SHA384()),
    "ES512": Rule("EC", "P-521", SHA512()),
    "EdDSA": Rule("OKP", "Ed25519", SHA512()),
    "Ed25519": Rule("OKP", "Ed25519", SHA512()),
}

_ED25519_P = 2**255 - 19
_ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
_LOW_ORDER_Y = frozenset(
    {
        0,
        1,
        _ED25519_P - 1,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    }
)


def sound_ed25519_point(encoded: bytes) -> bool:
    """Say whether 32 bytes are a canonically encoded Ed25519 point (RFC 8032 5.1.3) that is not of low order.

    A signature under a key of low order can hold for many messages. Whether the point is on the curve is left to the
    primitive.
    """
    y = int.from_bytes(encoded, "little") & ((1 << 255) - 1)
    return len(encoded) == 32 and y < _ED25519_P and y not in _LOW_ORDER_Y


def checker(rule: Rule, public: PublicKey) -> Check:
    """Return what says whether a signature over a message is good under ``public``, a key of the rule's type.

    A signature has the one form that its algorithm allows, or is not good. RSA: as long as the modulus (RFC 8017
    8.2.2). ECDSA: r and s of fixed size, each from 1 to n-1 (RFC 7518 3.4), which also shuts out DER. Ed25519: R a
    sound point, S below the group order (RFC 8032 5.1.7).

    All that is the same for each signature is made here: with RSA a signature is checked in 20 us.
    """
    if isinstance(public, RSAPublicKey):
        return _rsa(public, _padding(rule), rule.hash)
    if isinstance(public, EllipticCurvePublicKey):
        return _ecdsa(public, CURVES[rule.curve], ECDSA(rule.hash))
    return _ed25519(public)


def sign(rule: Rule, private: PrivateKey, message: bytes) -> bytes:
    """Return the signature over a message by a key of the rule's type and curve, in the form that ``checker`` wants."""
    if isinstance(private, RSAPrivateKey):
        return private.sign(message, _padding(rule), rule.hash)
    if isinstance(private, EllipticCurvePrivateKey):
        size = CURVES[rule.curve].size
        r, s = decode_dss_signature(private.sign(message, ECDSA(rule.hash)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    return private.sign(message)


def _padding(rule: Rule) -> AsymmetricPadding:
    """Return how RSA pads: with PSS, by the same hash and a salt as long as it (RFC 7518 section 3.5)."""
    return PSS(MGF1(rule.hash), rule.hash.digest_size) if rule.pss else PKCS1v15()


def _rsa(public: RSAPublicKey, padding: AsymmetricPadding, digest: HashAlgorithm) -> Check:
    size, verify = (public.key_size + 7) // 8, public.verify

    def check(message: bytes, signature: bytes) -> bool:
        if len(signature) != size:
            return False
        try:
            verify(signature, message, padding, digest)
        except InvalidSignature:
            return False
        return True

    return check


def _ecdsa(public: EllipticCurvePublicKey, curve: Curve, algorithm: ECDSA) -> Check:
    size, order, verify = curve.size, curve.order, public.verify

    def check(message: bytes, signature: bytes) -> bool:
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        if len(signature) != 2 * size or not (0 < r < order and 0 < s < order):
            return False
        try:
            verify(encode_dss_signature(r, s), message, algorithm)
        except InvalidSignature:
            return False
        return True

    return check


def _ed25519(public: Ed25519PublicKey) -> Check:
    verify = public.verify

    def check(message: bytes, signature: bytes) -> bool:
        if (
            len(signature) != 64
            or int.from_bytes(signature[32:], "little") >= _ED25519_ORDER
            or not sound_ed25519_point(signature[:32])
        ):
            return False
        try:
            verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return check
