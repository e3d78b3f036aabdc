"""DPoP proofs (RFC 9449): what a proof says, once its own key has signed it, and whether that is about this request.

A proof brings its own key, the one place where a token may: the key proves nothing by itself, its thumbprint is what an
access token is bound to (``cnf.jkt``). Whether a proof was shown before is asked of a replay store, not here.
"""

import re
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from authorizer.errors import KeyMaterialError
from authorizer.grammar import UNSAFE_TEXT
from authorizer.jose.encoding import encode_base64url, read_object
from authorizer.jose.jwk import VerifyKey, read_key
from authorizer.jose.jws import parse, read_header, signature_fault
from authorizer.model import Reason
from authorizer.reasons import reason

MAX_PROOF = 8 * 1024
_MAX_TEXT = 1024
_TYPE = "dpop+jwt"
_CARRIES = frozenset({"jwk"})
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

_MALFORMED = reason("proof_malformed")
_SIGNATURE = reason("proof_signature")
_REQUEST = reason("proof_request")
_TOKEN = reason("proof_token")
_TIME = reason("proof_time")


class Proof(Struct, frozen=True, kw_only=True):
    """A proof whose signature is good. ``thumbprint`` is its key's (RFC 7638); ``issued`` in POSIX seconds."""

    thumbprint: str
    id: str
    method: str
    target: str
    issued: float
    nonce: str | None
    token_hash: str | None

    @property
    def digest(self) -> bytes:
        """Name this proof in 16 bytes: of two proofs of one key with one ``jti``, the second is a replay."""
        return blake2b(f"{self.thumbprint}\n{self.id}".encode(), digest_size=16).digest()


def read_proof(proof: str, algorithms: frozenset[str]) -> Proof | Reason:
    """Read a proof signed with one of ``algorithms`` by the key that it brings, or say why not (section 4.3, 1 to 7).

    Never raises. A private or symmetric key, a weak one, or one of another algorithm is refused.
    """
    if len(proof) > MAX_PROOF or not proof.isascii():
        return _MALFORMED
    jws = parse(proof, limit=MAX_PROOF, carries=_CARRIES)
    if isinstance(jws, Reason) or jws.header.algorithm not in algorithms:
        return _MALFORMED
    if jws.header.members.get("typ", "").lower() != _TYPE:
        return _MALFORMED
    key = _key(jws.signed.partition(b".")[0])
    if key is None:
        return _MALFORMED
    if signature_fault(jws, key) is not None:
        return _SIGNATURE
    claims = read_object(jws.payload)
    return _MALFORMED if claims is None else _proof(claims, key.thumbprint)


@lru_cache(maxsize=1024)
def _key(part: bytes) -> VerifyKey | None:
    """Return the key in the first part of a proof that was parsed. Remembered, for a sender makes many with one key."""
    header = read_header(part, _CARRIES)
    try:
        return None if isinstance(header, Reason) else read_key(header.members.get("jwk"))
    except KeyMaterialError:
        return None


def _proof(claims: dict[str, Any], thumbprint: str) -> Proof | Reason:
    texts = [claims.get(name) for name in ("jti", "htm", "htu")]
    optional = [claims[name] for name in ("nonce", "ath") if name in claims]
    issued = claims.get("iat")
    if not all(
        isinstance(text, str) and 0 < len(text) <= _MAX_TEXT and not UNSAFE_TEXT.search(text)
        for text in (*texts, *optional)
    ):
        return _MALFORMED
    if isinstance(issued, bool) or not isinstance(issued, int | Decimal):
        return _MALFORMED
    return Proof(
        id=claims["jti"],
        method=claims["htm"],
        target=claims["htu"],
        issued=float(issued),
        nonce=claims.get("nonce"),
        token_hash=claims.get("ath"),
        thumbprint=thumbprint,
    )


def fault(
    proof: Proof, *, method: str, url: str, token: str | None, now: float, lifetime: float, leeway: float
) -> Reason | None:
    """Say what is wrong with a proof for one request, or None (section 4.3, 8 to 12).

    ``url`` is the request's, with or without query; ``token`` is the access token that came along. The proof must have
    been made at most ``lifetime`` seconds ago, and at most ``leeway`` seconds from now.
    """
    target = normal_target(url)
    if proof.method != method or target is None or normal_target(proof.target) != target:
        return _REQUEST
    if not now - lifetime <= proof.issued <= now + leeway:
        return _TIME
    if token is not None and proof.token_hash != token_hash(token):
        return _TOKEN
    return None


def token_hash(token: str) -> str:
    """Return ``ath`` of an access token: the base64url of its SHA-256 (section 4.2)."""
    return encode_base64url(sha256(token.encode("ascii")).digest())


def normal_target(url: str) -> str | None:
    """Return an http(s) URL for comparing: without query and fragment, normalised as RFC 3986 6.2.2 and 6.2.3 say.

    None for what is no such URL, which is a proof of nothing. User information and IPv6 zones are refused.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    scheme, authority = parts.scheme.lower(), parts.netloc.lower()
    if scheme not in _DEFAULT_PORTS or not authority or "@" in authority or "%" in authority:
        return None
    authority = authority.removesuffix(_DEFAULT_PORTS[scheme]).removesuffix(":")
    return f"{scheme}://{authority}{_normal_path(parts.path)}" if authority else None


def _normal_path(path: str) -> str:
    spelled = _ESCAPE.sub(_spell, path)
    if "/." not in spelled:
        return spelled or "/"
    kept: list[str] = []
    segments = spelled.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


def _spell(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()
