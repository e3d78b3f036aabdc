"""Who sends a request: its credential, verified, and the proof that belongs to it.

No I/O: what has to be asked of the world is returned as a need, and comes back as what was learnt.
"""

from authorizer.model import Identity, Reason, Request
from authorizer.pdp import api_keys, credentials, tokens
from authorizer.pdp.certificate_rules import holder
from authorizer.pdp.certificates import CertificateFault, by_name, certificate, told
from authorizer.pdp.credentials import NOWHERE, Credential, KeyPlaces
from authorizer.pdp.identity import of_certificate, of_key
from authorizer.pdp.memo import of_other
from authorizer.pdp.needs import Learnt, Need
from authorizer.pdp.proofs import shown
from authorizer.pdp.revocations import is_revoked
from authorizer.pdp.snapshot import Snapshot
from authorizer.pdp.together import conflict, join
from authorizer.reasons import reason

_REPEATED = reason("credential_repeated")
_SCHEME = reason("proof_scheme")
_UNBOUND = reason("token_not_bound")
_REPLAYED = reason("proof_replayed")
_STORE = reason("proof_store")
_REVOKED = reason("credential_revoked")


def authenticate(
    snapshot: Snapshot, request: Request, now: float, learnt: Learnt, application: str = ""
) -> Identity | Reason | Need:
    """Return who sent ``request``, why that cannot be accepted, or what has to be asked first. Never raises.

    ``application`` is the one that is asked for; it may let an API key or a certificate come beside a token.
    """
    beside = snapshot.program.client_by.get(application, "")
    sent = request.headers.get("authorization")
    if sent is not None and beside:
        holder = _beside(snapshot, request, beside, now)
        if isinstance(holder, Reason):
            return holder
        if holder is not None:
            # INVARIANT: beside a token and a certificate, an API key is one credential too many.
            places = NOWHERE if beside == "api_key" else snapshot.key_places
            caller = _verified(snapshot, request, credentials.read(request, places), now, learnt)
            if not isinstance(caller, Identity):
                return caller
            return join(caller, holder, application, snapshot.program, snapshot.joined)
    if sent is not None and len(sent) == 1 and _has_no_key(request, snapshot.key_places):
        known = tokens.recall(sent[0], snapshot.memo, now)
        if known is not None:
            return known
    return _verified(snapshot, request, credentials.read(request, snapshot.key_places), now, learnt)


def _beside(snapshot: Snapshot, request: Request, beside: str, now: float) -> Identity | Reason | None:
    """Return who holds what came beside a token, None where nothing did."""
    if beside == "api_key":
        found = credentials.keys_of(request, snapshot.key_places)
        if len(found) > 1:
            return _REPEATED
        return _by_key(snapshot, found[0], now) if found else None
    holder = _by_certificate(snapshot, request, now)
    if holder is not snapshot.anonymous:
        return holder
    return conflict("no rule covers the certificate") if _shows_one(snapshot, request) else None


def _shows_one(snapshot: Snapshot, request: Request) -> bool:
    place = snapshot.options.certificates[request.transport]
    try:
        return bool(told(request, place) or (place.form == "source" and request.principal))
    except CertificateFault:
        return True


def _verified(
    snapshot: Snapshot, request: Request, credential: Credential | Reason | None, now: float, learnt: Learnt
) -> Identity | Reason | Need:
    if credential is None:
        return _by_certificate(snapshot, request, now)
    if isinstance(credential, Reason):
        return credential
    if credential.scheme == "key":
        return _by_key(snapshot, credential.text, now)
    identity = tokens.verify(credential.text, snapshot.trust, snapshot.facts, snapshot.memo, now, learnt)
    if not isinstance(identity, Identity):
        return identity
    if credential.scheme == "bearer" and not identity.bound_key and not identity.bound_certificate:
        return identity
    return _proved(snapshot, request, credential, identity, now, learnt)


def _has_no_key(request: Request, places: KeyPlaces) -> bool:
    return places is NOWHERE or (
        places.header not in request.headers and not (places.parameter and "?" in request.target)
    )


def _proved(
    snapshot: Snapshot, request: Request, credential: Credential, identity: Identity, now: float, learnt: Learnt
) -> Identity | Reason | Need:
    """Ask for the proof that a token's binding calls for, under the scheme that goes with it (RFC 9449 7.1, 7.2)."""
    if (credential.scheme == "dpop") is not bool(identity.bound_key):
        return _SCHEME if identity.bound_key else _UNBOUND
    options = snapshot.options
    proof = shown(request, identity, credential.text, options.proofs, options.certificates[request.transport], now)
    if proof is None:
        return identity
    if isinstance(proof, Reason):
        return proof
    if proof not in learnt:
        return proof
    fresh = learnt[proof]
    if fresh is True:
        return identity
    return _REPLAYED if fresh is False else _STORE


def _by_key(snapshot: Snapshot, text: str, now: float) -> Identity | Reason:
    digest = of_other("key", text)
    known = snapshot.memo.find(digest, len(text))
    if known is not None and now < known.expires:
        return known
    key = api_keys.find(text, snapshot.trust.keys, snapshot.options.pepper, now)
    if isinstance(key, Reason):
        return key
    identity = of_key(key, snapshot.facts)
    if is_revoked(identity, snapshot.facts, now):
        return _REVOKED
    snapshot.memo.keep(digest, len(text), identity)
    return identity


def _by_certificate(snapshot: Snapshot, request: Request, now: float) -> Identity | Reason:
    """Return whom a rule makes of the client certificate's holder. One that cannot be read identifies nobody."""
    rules = snapshot.trust.certificates
    if not rules:
        return snapshot.anonymous
    place = snapshot.options.certificates[request.transport]
    try:
        text = told(request, place)
        principal = request.principal if place.form == "source" and not text else ""
        digest = of_other(f"certificate {request.transport}", text or principal)
        known = snapshot.memo.find(digest, len(text)) if text or principal else snapshot.anonymous
        if known is not None:
            return known
        seen = certificate(request, place) if text else by_name(principal)
    except CertificateFault:
        return snapshot.anonymous
    found = holder(seen, rules) if seen is not None else None
    if found is None:
        return snapshot.anonymous
    identity = of_certificate(*found, snapshot.facts)
    if is_revoked(identity, snapshot.facts, now):
        return _REVOKED
    snapshot.memo.keep(digest, len(text), identity)
    return identity
