"""The signature algorithms that are ever accepted, and the one kind of key that each of them takes.

Source: RFC 7518 section 3.1, RFC 8037 and RFC 9864. There is no symmetric algorithm and no ``none`` in the table, so
nothing that looks an algorithm up here can be talked into one.
"""

from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, SECP521R1, EllipticCurve
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from jwt.algorithms import Algorithm, ECAlgorithm, OKPAlgorithm, RSAAlgorithm, RSAPSSAlgorithm
from msgspec import Struct

KeyType = Literal["RSA", "EC", "OKP"]


class Rule(Struct, frozen=True):
    """An algorithm's key type, its curve (empty for RSA) and the primitive that checks it."""

    key_type: KeyType
    curve: str
    primitive: Algorithm


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
    "RS256": Rule("RSA", "", RSAAlgorithm(SHA256)),
    "RS384": Rule("RSA", "", RSAAlgorithm(SHA384)),
    "RS512": Rule("RSA", "", RSAAlgorithm(SHA512)),
    "PS256": Rule("RSA", "", RSAPSSAlgorithm(SHA256)),
    "PS384": Rule("RSA", "", RSAPSSAlgorithm(SHA384)),
    "PS512": Rule("RSA", "", RSAPSSAlgorithm(SHA512)),
    "ES256": Rule("EC", "P-256", ECAlgorithm(SHA256, SECP256R1)),
    "ES384": Rule("EC", "P-384", ECAlgorithm(SHA384, SECP384R1)),
    "ES512": Rule("EC", "P-521", ECAlgorithm(SHA512, SECP521R1)),
    "EdDSA": Rule("OKP", "Ed25519", OKPAlgorithm()),
    "Ed25519": Rule("OKP", "Ed25519", OKPAlgorithm()),
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


def well_formed(rule: Rule, size: int, signature: bytes) -> bool:
    """Say whether a signature has the one form that its algorithm allows; ``size`` is the RSA modulus in bytes.

    RSA: as long as the modulus (RFC 8017 8.2.2). ECDSA: r and s of fixed size, each from 1 to n-1 (RFC 7518 3.4), which
    also shuts out DER. Ed25519: R a sound point, S below the group order (RFC 8032 5.1.7).
    """
    if rule.key_type == "RSA":
        return len(signature) == size
    if rule.key_type == "EC":
        curve = CURVES[rule.curve]
        if len(signature) != 2 * curve.size:
            return False
        r = int.from_bytes(signature[: curve.size], "big")
        s = int.from_bytes(signature[curve.size :], "big")
        return 0 < r < curve.order and 0 < s < curve.order
    return (
        len(signature) == 64
        and int.from_bytes(signature[32:], "little") < _ED25519_ORDER
        and sound_ed25519_point(signature[:32])
    )


def holds(rule: Rule, public: Any, size: int, message: bytes, signature: bytes) -> bool:
    """Say whether ``signature`` over ``message`` is good under the key object ``public`` of the rule's key type."""
    return well_formed(rule, size, signature) and bool(rule.primitive.verify(message, public, signature))
