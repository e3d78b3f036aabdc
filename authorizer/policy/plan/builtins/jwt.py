"""JSON web tokens (RFC 7519) in policies: taking apart, checking and signing.

Signatures are checked as ``authorizer.jose`` checks them. Refused where OPA is laxer: an algorithm that the key's
``alg`` or curve does not allow (also if the ``kid`` matches), signatures not of the one proper form, JWKs with private
members, ``oct`` keys as a ``cert``, RSA keys below 2048 bits.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from msgspec import Struct

from authorizer.jose.algorithms import ALGORITHMS, CURVES, sign
from authorizer.jose.jwk import VerifyKey
from authorizer.policy.plan.builtins.calling import (
    Builtin,
    as_bytes,
    as_text,
    contextual,
    encoded,
    mapping,
    spend,
    text,
)
from authorizer.policy.plan.builtins.encoding import decode_base64url, json_text, read_json
from authorizer.policy.plan.builtins.jwt_keys import signing_key, verify_keys
from authorizer.policy.plan.context import BudgetError, Context
from authorizer.policy.plan.values import BuiltinError, Value

_HASHES: Final = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
_KINDS: Final[Mapping[str, type]] = {
    "RSA": rsa.RSAPrivateKey,
    "EC": ec.EllipticCurvePrivateKey,
    "OKP": ed25519.Ed25519PrivateKey,
}
_VERIFYING: Final = 400
_SIGNING: Final = 20_000
_MAX_NESTING: Final = 8
_TEXT_MEMBERS: Final = ("alg", "kid", "typ", "cty")
_KNOWN_MEMBERS: Final = frozenset({*_TEXT_MEMBERS, "crit"})
_UNVERIFIED: Final[list[Value]] = [False, {}, {}]


class _Token(Struct):
    """A token's parts as written, and its header."""

    signed: bytes
    payload: bytes
    signature: bytes
    header: dict[str, Value]


def _object(context: Context, data: bytes) -> dict[str, Value]:
    value = read_json(context, as_text(data))
    if type(value) is not dict:
        raise BuiltinError("decoded JSON type was not an Object")
    return value


def _token(context: Context, value: Value) -> _Token:
    source = encoded(value, 1)
    spend(context, 4 * len(source))
    parts = source.split(b".")
    if len(parts) != 3:
        raise BuiltinError(f"encoded JWT must have 3 sections, found {len(parts)}")
    header = _object(context, decode_base64url(parts[0]))
    if "enc" in header:
        raise BuiltinError("JWT is a JWE object, which is not supported")
    return _Token(parts[0] + b"." + parts[1], parts[1], parts[2], header)


def _check_header(header: Mapping[str, Value]) -> bool:
    """Tell whether the header can be obeyed (RFC 7515, 4.1). Raises BuiltinError for members of the wrong type."""
    for name in _TEXT_MEMBERS:
        if name in header and type(header[name]) is not str:
            raise BuiltinError(f"{name}: must be a string")
    critical = header.get("crit", [])
    if type(critical) is not list or ("crit" in header and not any(type(each) is str for each in critical)):
        raise BuiltinError("crit: must be a nonempty list of strings")
    unknown = header.keys() - _KNOWN_MEMBERS
    return bool(header.get("alg")) and not any(type(each) is str and each in unknown for each in critical)


def _decode(context: Context, value: Value) -> list[Value]:
    for _ in range(_MAX_NESTING):
        token = _token(context, value)
        payload = decode_base64url(token.payload)
        nested = token.header.get("cty")
        if nested is not None and type(nested) is not str:
            raise BuiltinError("cty: must be a string")
        if nested != "JWT":
            claims = _object(context, payload)
            return [token.header, claims, decode_base64url(token.signature).hex()]
        value = as_text(payload).strip("\"'")
    raise BudgetError


def _good(context: Context, algorithm: str, key: VerifyKey, signed: bytes, signature: bytes) -> bool:
    context.budget.charge(_VERIFYING)
    check = key.checks.get(algorithm)
    return check is not None and check(signed, signature)


def _good_under(context: Context, algorithm: str, keys: tuple[VerifyKey, ...], token: _Token, signature: bytes) -> bool:
    """Tell whether one of the keys verifies the token: the one it names, else any that is for its algorithm."""
    named = token.header.get("kid", "")
    if named:
        match = next((key for key in keys if key.id == named), None)
        if match is not None:
            return _good(context, algorithm, match, token.signed, signature)
    told = token.header.get("alg", "")
    candidates = (key for key in keys if key.jwk.get("alg", told) == told)
    return any(_good(context, algorithm, key, token.signed, signature) for key in candidates)


def _verifier(algorithm: str) -> Callable[[Context, Value, Value], bool]:
    def verify(context: Context, value: Value, source: Value) -> bool:
        token = _token(context, value)
        material = text(source, 2)
        spend(context, len(material))
        keys = verify_keys(material)
        signature = decode_base64url(token.signature)
        _check_header(token.header)
        return _good_under(context, algorithm, keys, token, signature)

    return verify


def _mac(context: Context, algorithm: str, secret: bytes, data: bytes) -> bytes:
    spend(context, len(data) + len(secret))
    return hmac.digest(secret, data, _HASHES[algorithm])


def _mac_verifier(algorithm: str) -> Callable[[Context, Value, Value], bool]:
    def verify(context: Context, value: Value, source: Value) -> bool:
        token, secret = encoded(value, 1), encoded(source, 2)
        spend(context, 4 * len(token))
        parts = token.split(b".")
        if len(parts) != 3:
            raise BuiltinError(f"encoded JWT must have 3 sections, found {len(parts)}")
        made = _mac(context, algorithm, secret, parts[0] + b"." + parts[1])
        return hmac.compare_digest(decode_base64url(parts[2]), made)

    return verify


class _Constraints(Struct):
    """What ``decode_verify`` demands; ``keys`` None without a ``cert``."""

    seconds: float
    keys: tuple[VerifyKey, ...] | None = None
    secret: str = ""
    alg: str = ""
    iss: str = ""
    aud: str = ""


def _constraints(context: Context, value: Value) -> _Constraints:
    found = _Constraints(context.now_ns / 1e9)
    for name, each in mapping(value, 2).items():
        if name not in {"cert", "secret", "alg", "iss", "aud", "time"}:
            raise BuiltinError("unknown token validation constraint")
        if name == "time":
            if (type(each) is not int and type(each) is not float) or each < 0:
                raise BuiltinError("token time constraint: must be a number, and not negative")
            found.seconds = each / 1e9
        elif type(each) is not str:
            raise BuiltinError(f"{name} constraint: must be a string")
        elif name == "cert":
            spend(context, len(each))
            found.keys = verify_keys(each)
        else:
            setattr(found, name, each)
    if (found.keys is not None) == bool(found.secret):
        raise BuiltinError("duplicate key constraints" if found.secret else "no key constraint")
    return found


def _verified(context: Context, demanded: _Constraints, token: _Token, signature: bytes) -> bool:
    algorithm = token.header["alg"]
    if demanded.keys is not None:
        return algorithm in ALGORITHMS and _good_under(context, algorithm, demanded.keys, token, signature)
    if algorithm not in _HASHES:
        return False
    return hmac.compare_digest(signature, _mac(context, algorithm, as_bytes(demanded.secret), token.signed))


def _claims_fit(demanded: _Constraints, claims: Mapping[str, Value]) -> bool:
    """Tell whether issuer, audience and times are what is demanded. Raises BuiltinError for times of another type."""
    if demanded.iss and claims.get("iss") != demanded.iss:
        return False
    if "aud" in claims or demanded.aud:
        audience = claims.get("aud")
        if demanded.aud not in ([audience] if type(audience) is str else audience if type(audience) is list else []):
            return False
    for name in ("exp", "nbf"):
        if name in claims and type(claims[name]) is not int and type(claims[name]) is not float:
            raise BuiltinError(f"{name} value must be a number")
    if "exp" in claims and demanded.seconds >= claims["exp"]:
        return False
    return not ("nbf" in claims and demanded.seconds < claims["nbf"])


def _decode_verify(context: Context, value: Value, constraints: Value) -> list[Value]:
    demanded = _constraints(context, constraints)
    for _ in range(_MAX_NESTING):
        token = _token(context, value)
        if not _check_header(token.header) or (demanded.alg and demanded.alg != token.header["alg"]):
            return _UNVERIFIED
        if not _verified(context, demanded, token, decode_base64url(token.signature)):
            return _UNVERIFIED
        payload = decode_base64url(token.payload)
        if token.header.get("cty", "").upper() != "JWT":
            claims = _object(context, payload)
            return [True, token.header, claims] if _claims_fit(demanded, claims) else _UNVERIFIED
        value = as_text(payload)
    raise BudgetError


def _base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _signed(context: Context, header: bytes, payload: bytes, document: Any) -> str:
    key = signing_key(document)
    told = _object(context, header)
    algorithm = told.get("alg")
    if type(algorithm) is not str or (algorithm not in _HASHES and algorithm not in ALGORITHMS):
        raise BuiltinError("missing or unknown 'alg' header")
    if told.get("typ", "JWT") == "JWT":
        read_json(context, as_text(payload))
    signed = _base64url(header) + b"." + _base64url(payload)
    if algorithm in _HASHES:
        if not isinstance(key, bytes):
            raise BuiltinError("the key does not fit the algorithm")
        signature = _mac(context, algorithm, key, signed)
    else:
        rule = ALGORITHMS[algorithm]
        if (
            isinstance(key, bytes)
            or not isinstance(key, _KINDS[rule.key_type])
            or (isinstance(key, ec.EllipticCurvePrivateKey) and not isinstance(key.curve, CURVES[rule.curve].curve))
        ):
            raise BuiltinError("the key does not fit the algorithm")
        context.budget.charge(_SIGNING)
        signature = sign(rule, key, signed)
    return as_text(signed + b"." + _base64url(signature))


def _encode_sign(context: Context, header: Value, payload: Value, jwk: Value) -> str:
    return _signed(context, as_bytes(json_text(context, header)), as_bytes(json_text(context, payload)), jwk)


def _encode_sign_raw(context: Context, header: Value, payload: Value, jwk: Value) -> str:
    return _signed(context, encoded(header, 1), encoded(payload, 2), read_json(context, text(jwk, 3)))


BUILTINS: Final[Mapping[str, Builtin]] = {
    "io.jwt.decode": contextual(_decode),
    "io.jwt.decode_verify": contextual(_decode_verify),
    "io.jwt.encode_sign": contextual(_encode_sign),
    "io.jwt.encode_sign_raw": contextual(_encode_sign_raw),
    "io.jwt.verify_eddsa": contextual(_verifier("EdDSA")),
    **{
        f"io.jwt.verify_{kind}{size}": contextual(_verifier(f"{kind.upper()}{size}"))
        for kind in ("rs", "ps", "es")
        for size in (256, 384, 512)
    },
    **{f"io.jwt.verify_hs{size}": contextual(_mac_verifier(f"HS{size}")) for size in (256, 384, 512)},
}
