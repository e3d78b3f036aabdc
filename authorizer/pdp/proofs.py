"""Whether the sender of a bound token proved that it is its own: RFC 9449 (a key's proof), RFC 8705 (a certificate).

A token says in ``cnf`` what it is bound to. INVARIANT: a bound token without its proof is refused always, for then the
sender may be whoever found it.
"""

from collections.abc import Mapping
from hashlib import blake2b
from hmac import compare_digest
from hmac import digest as hmac_digest
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from authorizer.jose.algorithms import ALGORITHMS
from authorizer.jose.dpop import fault, read_proof
from authorizer.jose.encoding import decode_base64url, encode_base64url
from authorizer.model import Identity, Reason, Request
from authorizer.pdp.certificates import CertificateFault, Place, certificate
from authorizer.reasons import reason

HEADER = "dpop"
_THUMBPRINT_BYTES = 32

_MISSING = reason("proof_missing")
_REPEATED = reason("proof_repeated")
_KEY = reason("proof_key")
_NONCE = reason("proof_nonce")
_NO_CERTIFICATE = reason("certificate_missing")
_OTHER_CERTIFICATE = reason("certificate_other")


class Proofs(Struct, frozen=True, kw_only=True):
    """What is asked of DPoP proofs. Times in seconds; ``nonce_key`` empty asks for no nonces.

    ``scheme`` is that of the API's public address: behind a gateway the request itself cannot tell.
    """

    algorithms: frozenset[str] = frozenset(ALGORITHMS)
    lifetime: float = 60.0
    leeway: float = 5.0
    scheme: Literal["https", "http"] = "https"
    nonce_key: bytes = b""


class Spend(Struct, frozen=True):
    """A good proof, which counts if its digest was not shown before; to be remembered ``until`` (POSIX seconds).

    ``holder`` names in 8 bytes whose it is, whatever key they use: everybody has a share of what can be remembered.
    """

    digest: bytes
    holder: bytes
    until: float


def confirmation(claims: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what a token is bound to: the thumbprints of its key (``jkt``) and certificate (``x5t#S256``), or "".

    None where ``cnf`` is malformed, or names a way that is not known here and hence cannot be proved.
    """
    if "cnf" not in claims:
        return "", ""
    named = claims["cnf"]
    if not isinstance(named, Mapping) or not named or not named.keys() <= {"jkt", "x5t#S256"}:
        return None
    for value in named.values():
        raw = decode_base64url(value) if isinstance(value, str) else None
        if raw is None or len(raw) != _THUMBPRINT_BYTES:
            return None
    return named.get("jkt", ""), named.get("x5t#S256", "")


def shown(
    request: Request, identity: Identity, token: str, wanted: Proofs, place: Place, now: float
) -> Spend | Reason | None:
    """Return None where a bound token's certificate was shown, Spend where its key's proof was, or what is wrong.

    A token that is bound to both needs both. ``place`` is where the gateway tells of client certificates.
    """
    if identity.bound_certificate:
        wrong = _certificate(request, identity.bound_certificate, place)
        if wrong is not None:
            return wrong
    return _proof(request, identity, token, wanted, now) if identity.bound_key else None


def _certificate(request: Request, bound: str, place: Place) -> Reason | None:
    try:
        seen = certificate(request, place)
    except CertificateFault as unreadable:
        return replace(_NO_CERTIFICATE, detail=f"the gateway's word of a certificate cannot be read: {unreadable}")
    if seen is None or not seen.thumbprint:
        return _NO_CERTIFICATE
    return None if compare_digest(seen.thumbprint, bound) else _OTHER_CERTIFICATE


def _proof(request: Request, identity: Identity, token: str, wanted: Proofs, now: float) -> Spend | Reason:
    proofs = request.headers.get(HEADER, ())
    if len(proofs) != 1:
        return _REPEATED if proofs else _MISSING
    proof = read_proof(proofs[0], wanted.algorithms)
    if isinstance(proof, Reason):
        return proof
    url = f"{wanted.scheme}://{request.host}{request.target}"
    wrong = fault(
        proof, method=request.method, url=url, token=token, now=now, lifetime=wanted.lifetime, leeway=wanted.leeway
    )
    if wrong is not None:
        return wrong
    if not compare_digest(proof.thumbprint, identity.bound_key):
        return _KEY
    if wanted.nonce_key and not _known_nonce(proof.nonce or "", wanted, now):
        return _NONCE
    return Spend(proof.digest, _holder(identity), proof.issued + wanted.lifetime + wanted.leeway)


def _holder(identity: Identity) -> bytes:
    return blake2b(f"{identity.issuer}\n{identity.subject}".encode("utf-8", "surrogatepass"), digest_size=8).digest()


def nonce(wanted: Proofs, now: float) -> str:
    """Return the nonce of the moment (RFC 9449 section 9), which every process with the same key knows.

    It changes with each lifetime of a proof, and that of the lifetime before is accepted too.
    """
    return _nonce(wanted, int(now // wanted.lifetime))


def _nonce(wanted: Proofs, slot: int) -> str:
    return encode_base64url(hmac_digest(wanted.nonce_key, slot.to_bytes(8, "big"), "sha256")[:16])


def _known_nonce(told: str, wanted: Proofs, now: float) -> bool:
    slot = int(now // wanted.lifetime)
    return any(compare_digest(told.encode(), _nonce(wanted, one).encode()) for one in (slot, slot - 1))
