"""From a bearer token to an Identity, or to the reason why not. No I/O: all keys are already here.

Sources: RFC 7519 section 7.2, RFC 8725 section 3, RFC 9068 section 4, RFC 9700.
"""

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

from msgspec.structs import replace

from authorizer.jose.encoding import glance, read_object
from authorizer.jose.jwk import VerifyKey
from authorizer.jose.jws import MAX_TOKEN, Header, parse, signature_fault
from authorizer.model import Identity, Reason
from authorizer.pdp.claims import ClaimFault, claim, numeric_date, text, texts
from authorizer.pdp.facts import Facts
from authorizer.pdp.identity import identify
from authorizer.pdp.memo import Memo, of_token
from authorizer.pdp.needs import NOTHING_LEARNT, Exchange, Exchanged, Introspect, Learnt, Told
from authorizer.pdp.proofs import confirmation
from authorizer.pdp.revocations import is_revoked
from authorizer.pdp.trust import Issuer, TokenExchange, Trust
from authorizer.reasons import reason

_MALFORMED = reason("token_malformed")
_TOO_LARGE = reason("token_too_large")
_ALGORITHM = reason("token_algorithm")
_TYPE = reason("token_type")
_ISSUER = reason("token_issuer")
_KEY = reason("token_key")
_STALE = reason("keys_stale")
_INACTIVE = reason("token_inactive")
_REVOKED = reason("credential_revoked")
_UNTOLD = reason("introspection_failed")
_NOT_EXCHANGED = reason("token_not_exchanged")
_EXCHANGE_FAILED = reason("exchange_failed")
_CLAIMS = reason("token_claims")
_AUDIENCE = reason("token_audience")
_EXPIRED = reason("token_expired")
_NOT_YET = reason("token_not_yet")
_LIFETIME = reason("token_lifetime")
_UNBOUND = reason("token_unbound")
_NOT_BOUND = reason("token_not_bound")
_LISTED = 5
# How providers tell in ``token_use`` (Hydra) and ``typ`` (Keycloak) that a token is for themselves alone: one that is
# asked about a refresh token says that it is active.
_REFRESH = ("refresh_token", "Refresh", "Offline")


def recall(authorization: str, memo: Memo, now: float) -> Identity | None:
    """Return whose token a header holds, if it is one that needs no more looks: 1.3 us, against 4 by all the steps.

    INVARIANT: a token that is bound (RFC 9449, RFC 8705) is not among them, for the proof that belongs to it is another
    each time; nor is what the memo holds of other credentials (``memo.of_other``). What stands after ``Bearer`` and one
    space is well-formed if it was verified before.
    """
    if not authorization.startswith("Bearer ") or not authorization.isascii() or "\0" in authorization:
        return None
    known = memo.recent(of_token(authorization[7:]))
    if known is None or now >= known.expires or known.bound_key or known.bound_certificate:
        return None
    return known


def verify(
    token: str, trust: Trust, facts: Facts, memo: Memo, now: float, learnt: Learnt = NOTHING_LEARNT
) -> Identity | Reason | Introspect | Exchange:
    """Return who sent ``token``, at ``now`` (POSIX seconds), why it is refused, or who must be asked about it.

    Never raises.

    ``memo`` belongs to this ``trust`` and these ``facts``: INVARIANT: one memo is never used with two of them.
    """
    size = len(token)
    if size > MAX_TOKEN:
        return _TOO_LARGE
    # INVARIANT: with a NUL it could pass for another credential (``memo.of_other``).
    if not token.isascii() or "\0" in token:
        return _MALFORMED
    digest = of_token(token)
    known = memo.find(digest, size)
    if known is not None and now < known.expires:
        return known
    before = memo.before  # read once: a thread that builds the next snapshot takes it away
    earlier = before.find(digest, size) if before is not None else None
    if earlier is not None and now < earlier.expires and earlier.issuer in trust.issuers and not earlier.exchanged:
        issuer, claims, expires = trust.issuers[earlier.issuer], earlier.claims, earlier.expires
    else:
        opaque = trust.opaque if token.count(".") != 2 else None
        verified = _verify(token, trust, now) if opaque is None else _told(token, opaque, now, learnt)
        if not isinstance(verified, tuple):
            return verified
        issuer, claims, expires = verified
        if opaque is None and issuer.introspection is not None and issuer.introspection.tokens != "opaque":
            told = _asked(token, issuer, learnt)
            if not isinstance(told, Told):
                return told
            expires = min(expires, told.until)
        expires = min(expires, issuer.keys_until)
    extra = 0 if issuer.introspection is None else _extra(token, issuer, learnt, earlier)
    try:
        identity = identify(claims, issuer, facts, expires, extra=extra)
        revoked = is_revoked(identity, facts, now)
    except ClaimFault as fault:
        return _because(_CLAIMS, str(fault))
    if revoked:
        return _REVOKED
    if issuer.exchange is not None:
        exchanged = _exchanged(token, identity, issuer.exchange, trust, facts, memo, now, learnt)
        if not isinstance(exchanged, Identity):
            return exchanged
        identity = exchanged
    memo.keep(digest, size, identity)
    return identity


def _exchanged(
    token: str,
    identity: Identity,
    how: TokenExchange,
    trust: Trust,
    facts: Facts,
    memo: Memo,
    now: float,
    learnt: Learnt,
) -> Identity | Reason | Introspect | Exchange:
    """Return who the token is of that another one is exchanged for.

    INVARIANT: the exchanged token is verified like any other; it is proved by what the one shown is bound to, and ends
    no later. There is one exchange: no word of a provider makes us ask another.
    """
    need = Exchange(identity.issuer, token)
    if need not in learnt:
        return need
    got = learnt[need]
    if not isinstance(got, Exchanged):
        return _NOT_EXCHANGED if got is False else _EXCHANGE_FAILED
    if any(isinstance(asked, Exchange) and asked.token == got.token for asked in learnt):
        return _because(_EXCHANGE_FAILED, "a token was exchanged for itself")
    found = verify(got.token, trust, facts, memo, now, learnt)
    if isinstance(found, Introspect):
        return found
    if isinstance(found, Reason):
        return _because(_EXCHANGE_FAILED, f"the exchanged token is refused: {found.code}")
    if isinstance(found, Exchange) or found.exchanged or found.bound_key or found.bound_certificate:
        return _because(_EXCHANGE_FAILED, "the exchanged token is bound, or of an issuer whose tokens are exchanged")
    return replace(
        found,
        expires=min(found.expires, identity.expires, got.until),
        bound_key=identity.bound_key,
        bound_certificate=identity.bound_certificate,
        exchanged=got.token,
        replaces=how.authorization == "exchanged",
        extra=identity.extra + found.extra + len(got.token),
        typed={},
    )


def _asked(token: str, issuer: Issuer, learnt: Learnt) -> Told | Reason | Introspect:
    """Return what an issuer says of its token, if it says that it is active."""
    need = Introspect(issuer.issuer, token)
    if need not in learnt:
        return need
    answer = learnt[need]
    if answer is False:
        return _INACTIVE
    return answer if isinstance(answer, Told) else _UNTOLD


def _extra(token: str, issuer: Issuer, learnt: Learnt, earlier: Identity | None) -> int:
    """Return how many characters an issuer has said of a token."""
    told = learnt.get(Introspect(issuer.issuer, token)) if learnt else None
    if isinstance(told, Told):
        return told.size
    return 0 if earlier is None else earlier.extra


def _told(
    token: str, issuer: Issuer, now: float, learnt: Learnt
) -> tuple[Issuer, Mapping[str, Any], float] | Reason | Introspect:
    """Check what an issuer says of an opaque token as the claims of a token of its own (RFC 7662 section 2.2)."""
    told = _asked(token, issuer, learnt)
    if not isinstance(told, Told):
        return told
    claims = {"iss": issuer.issuer, "exp": int(told.until) + 1, **told.claims}
    if "sub" not in claims and "client_id" in claims:
        claims["sub"] = claims["client_id"]  # a client that acts for itself
    if claims["iss"] != issuer.issuer:
        return _because(_ISSUER, f"issuer {issuer.name!r} told of another issuer's token")
    if str(claims.get("token_type")).lower() == "dpop" and "cnf" not in claims:
        return _UNBOUND  # to a key that we are not told
    try:
        expires = _check(claims, issuer, now)
    except ClaimFault as fault:
        return _because(_CLAIMS, str(fault))
    return expires if isinstance(expires, Reason) else (issuer, claims, min(expires, told.until))


def _verify(token: str, trust: Trust, now: float) -> tuple[Issuer, Mapping[str, Any], float] | Reason:
    """Check form, issuer, algorithm, type, key, signature and claims, the cheap before the dear."""
    jws = parse(token)
    if type(jws) is Reason:  # a class of msgspec: ``isinstance`` would take four times as long to say no
        return jws
    claims, sure = glance(jws.payload)
    if claims is None:
        return _MALFORMED
    named = claims.get("iss")
    # Not yet verified: it only chooses whose keys and rules to verify with. INVARIANT: it is read strictly when it is.
    issuer = trust.issuers.get(named) if isinstance(named, str) else None
    if issuer is None:
        return _because(_ISSUER, f"claim 'iss' must be one of: {_listed(trust.issuers)}")
    header = jws.header
    if header.algorithm not in issuer.algorithms:
        return _because(_ALGORITHM, f"issuer {issuer.name!r} has the algorithms: {_listed(issuer.algorithms)}")
    if header.type not in issuer.types:
        return _because(_TYPE, f"issuer {issuer.name!r} has the types: {_listed([*map(repr, issuer.types)])}")
    if now >= issuer.keys_until:
        return _because(_STALE, f"the keys of issuer {issuer.name!r} are too old, or were never fetched")
    key = issuer.keys_by_id.get(header.key_id) if header.key_id is not None else _only_key(header, issuer)
    if key is None:
        if issuer.keys_from:
            trust.wanted.add(issuer.issuer)  # a note for whoever fetches keys: no request waits for that
        return _no_key(header, issuer)
    fault = signature_fault(jws, key)
    if fault is not None:
        return fault
    if not sure:
        claims = read_object(jws.payload)
        if claims is None or claims.get("iss") != named:
            return _MALFORMED
    try:
        expires = _check(claims, issuer, now)
    except ClaimFault as fault:
        return _because(_CLAIMS, str(fault))
    return expires if type(expires) is Reason else (issuer, claims, expires)


def _only_key(header: Header, issuer: Issuer) -> VerifyKey | None:
    """Return the one key of an issuer that fits a token that names none."""
    fitting = _fitting(header, issuer)
    return fitting[0] if len(fitting) == 1 else None


def _fitting(header: Header, issuer: Issuer) -> list[VerifyKey]:
    return [key for key in issuer.keys if header.algorithm in key.checks]


def _no_key(header: Header, issuer: Issuer) -> Reason:
    if header.key_id is not None:
        return _because(_KEY, f"issuer {issuer.name!r} has the keys: {_listed(issuer.keys_by_id)}")
    fitting = len(_fitting(header, issuer))
    return _because(_KEY, f"the token names no key, and {fitting} of issuer {issuer.name!r} fit its algorithm")


def _check(claims: Mapping[str, Any], issuer: Issuer, now: float) -> float | Reason:
    """Check the registered claims (RFC 7519 section 4.1); return from when on the token must not be used."""
    if "cnf" in claims:
        if confirmation(claims) is None:
            return _UNBOUND  # it cannot be told which proof belongs to it, so it must not pass as a bearer token
    elif issuer.binding == "required":
        return _NOT_BOUND
    if "events" in claims:
        return _TYPE  # a security event or logout token (RFC 8417 section 2.2), whatever its header says
    if claims.get("token_use") in _REFRESH or claims.get("typ") in _REFRESH:
        return _TYPE
    expires, issued = numeric_date(claims, "exp"), numeric_date(claims, "iat")
    starts = numeric_date(claims, "nbf") if "nbf" in claims else None
    latest = now + issuer.leeway
    if "auth_time" in claims and (numeric_date(claims, "auth_time") or 0.0) > latest:
        # It would count as the freshest login of all.
        return _because(_CLAIMS, "claim 'auth_time' is in the future")
    if expires is None or issuer.required:
        absent = [path for path in ("exp", *issuer.required) if claim(claims, path) is None]
        if expires is None or absent:
            return _because(_CLAIMS, f"absent claims: {_listed(absent)}")
    text(claims.get("sub"), "sub")
    named, meant = issuer.audience_claim, issuer.audiences
    audience = claims.get(named)
    if audience not in meant if isinstance(audience, str) else meant.isdisjoint(texts(audience, named)):
        return _because(_AUDIENCE, f"claim {named!r} must hold one of: {_listed(meant)}")
    if now >= expires + issuer.leeway:
        return _EXPIRED
    if (issued is not None and issued > latest) or (starts is not None and starts > latest):
        return _NOT_YET
    if expires - (now if issued is None else issued) > issuer.max_lifetime:
        return _because(_LIFETIME, f"issuer {issuer.name!r} has a max_lifetime of {issuer.max_lifetime}s")
    return expires + issuer.leeway


def _because(why: Reason, detail: str) -> Reason:
    return replace(why, detail=detail)


def _listed(names: Collection[str]) -> str:
    """Return what is configured: a few names, for a log line has an end, and a stranger makes us look at no more."""
    few = ", ".join(sorted(islice(names, _LISTED)))
    return few + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "") or "none"
