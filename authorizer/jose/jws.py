"""JWS compact serialisation (RFC 7515 section 7.1): strict reading, and checking with one key.

What a token says about itself is never obeyed: the header chooses among configured keys and algorithms, it never adds
one, never brings a key and never names a place to fetch from.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from authorizer.jose.algorithms import ALGORITHMS
from authorizer.jose.encoding import decode_base64url, decode_both, read_object
from authorizer.jose.jwk import MAX_KEY_ID, VerifyKey
from authorizer.model import Reason
from authorizer.reasons import reason

MAX_TOKEN = 16 * 1024
MAX_HEADER = 4 * 1024
MAX_REMEMBERED = 512
MAX_COMMAS = 64
"""In a header: what is read before anything is proved has few members."""

# Members that would bring a key, name one to fetch, or change how the token is read (RFC 7515 4.1, 7516 4.1, 7797 3).
_FORBIDDEN = frozenset(
    {"jwk", "jku", "x5u", "x5c", "b64", "zip", "enc", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c"}
)
_KNOWN_TEXT = ("typ", "cty", "x5t", "x5t#S256")

_TOO_LARGE = reason("token_too_large")
_MALFORMED = reason("token_malformed")
_ALGORITHM = reason("token_algorithm")
_HEADER = reason("token_header")
_CRITICAL = reason("token_critical")
_KEY = reason("token_key")
_SIGNATURE = reason("token_signature")


class Header(Struct, frozen=True):
    """An accepted header: ``alg``, ``kid``, ``typ`` as ``media_type`` has it ("" if absent), and all that it says."""

    algorithm: str
    key_id: str | None
    type: str
    members: Mapping[str, Any]


class Jws(Struct, frozen=True):
    """A token taken apart, its header accepted, its signature NOT checked. ``signed`` is what the signature covers."""

    header: Header
    payload: bytes
    signed: bytes
    signature: bytes


def media_type(text: str) -> str:
    """Return a ``typ`` for comparing: lower case, without the optional prefix (RFC 7515 4.1.9)."""
    return text.lower().removeprefix("application/")


def read_header(part: bytes, carries: frozenset[str]) -> Header | Reason:
    """Return the header that the first part of a token says, or why it is refused."""
    head = decode_base64url(part.decode("ascii"))
    header = read_object(head) if head and head.count(b",") <= MAX_COMMAS else None
    if header is None:
        return _MALFORMED
    return _header_fault(header, carries) or Header(
        header["alg"], header.get("kid"), media_type(header.get("typ", "")), MappingProxyType(header)
    )


_remembered = lru_cache(maxsize=1024)(read_header)
"""Short headers, which are shared: all tokens of one key have the same, and it is no secret."""


def _header_fault(header: Mapping[str, Any], carries: frozenset[str]) -> Reason | None:
    if "crit" in header:
        return _CRITICAL  # no extension is understood, so none may be critical (RFC 7515 4.1.11)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        return _ALGORITHM
    if not _FORBIDDEN.isdisjoint(header.keys() - carries):
        return _HEADER
    if any(name in header and not isinstance(header[name], str) for name in _KNOWN_TEXT):
        return _HEADER
    if "cty" in header:
        return _HEADER  # a nested token or another content: claims are all that is read
    if "kid" in header:
        key_id = header["kid"]
        if not isinstance(key_id, str) or not 0 < len(key_id) <= MAX_KEY_ID:
            return _KEY
    return None


def parse(token: str, *, limit: int = MAX_TOKEN, carries: frozenset[str] = frozenset()) -> Jws | Reason:
    """Take a token of at most ``limit`` characters apart, or say why not. Never raises; checks no signature.

    ``carries`` are header members that this kind of token has, although an access token must not (a proof's ``jwk``).

    Exactly three non-empty parts of canonical base64url; a header that is one strict JSON object with an accepted
    ``alg``, no ``crit`` and nothing that brings keys or changes the reading.
    """
    if len(token) > limit:
        return _TOO_LARGE
    if token.count(".") != 2 or not token.isascii():
        return _MALFORMED
    signed, _, end = token.encode("ascii").rpartition(b".")
    head, _, body = signed.partition(b".")
    if len(head) > MAX_HEADER:
        return _TOO_LARGE
    header = _remembered(head, carries) if len(head) <= MAX_REMEMBERED else read_header(head, carries)
    if type(header) is Reason:
        return header
    both = decode_both(body, end)
    if both is not None:
        return Jws(header, both[0], signed, both[1])
    return _SIGNATURE if body and not end else _MALFORMED


def signature_fault(jws: Jws, key: VerifyKey) -> Reason | None:
    """Return None if the token's signature is good under ``key``, which must allow the token's algorithm."""
    check = key.checks.get(jws.header.algorithm)
    if check is None:
        return _ALGORITHM
    return None if check(jws.signed, jws.signature) else _SIGNATURE
