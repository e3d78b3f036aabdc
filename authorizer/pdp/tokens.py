"""From a bearer token to an Identity, or to the reason why not. No I/O: all keys are already here.

Sources: RFC 7519 section 7.2, RFC 8725 section 3, RFC 9068 section 4, RFC 9700.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from authorizer.jose.encoding import read_object
from authorizer.jose.jwk import VerifyKey
from authorizer.jose.jws import MAX_TOKEN, Jws, parse, signature_fault
from authorizer.model import ANYONE, Identity, Reason, assignee_token
from authorizer.pdp.facts import Facts, Membership
from authorizer.pdp.trust import Issuer, Trust, media_type
from authorizer.reasons import reason

MAX_TEXT = 1024

# Control characters, line separators and unpaired surrogates: they have no place in a name, a header or a log line.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MALFORMED = reason("token_malformed")
_TOO_LARGE = reason("token_too_large")
_ALGORITHM = reason("token_algorithm")
_TYPE = reason("token_type")
_ISSUER = reason("token_issuer")
_KEY = reason("token_key")
_CLAIMS = reason("token_claims")
_AUDIENCE = reason("token_audience")
_EXPIRED = reason("token_expired")
_NOT_YET = reason("token_not_yet")
_LIFETIME = reason("token_lifetime")
_UNBOUND = reason("token_unbound")


class _ClaimFault(Exception):  # noqa: N818 - never leaves this module; it is answered with a Reason
    """A claim that is read has the wrong shape."""


class Memo:
    """The verified tokens of one snapshot, keyed by a 16-byte BLAKE2b digest. It is not told of tokens that failed.

    Two generations: when the young one is full, it becomes the old one and the old one is dropped. So the memo holds
    at most ``tokens`` tokens of together at most ``characters`` characters, what is in use stays, and no step ever
    costs more than one entry. Not thread-safe.
    """

    __slots__ = ("_characters", "_limit", "_old", "_tokens", "_young")

    def __init__(self, tokens: int = 16_384, characters: int = 32 * 1024 * 1024) -> None:
        self._limit = max(tokens // 2, 1)
        self._characters = self._tokens = max(characters // 2, 1)
        self._young: dict[bytes, Identity] = {}
        self._old: dict[bytes, Identity] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def find(self, digest: bytes, size: int) -> Identity | None:
        """Return what is remembered of a token of ``size`` characters, expired or not."""
        identity = self._young.get(digest)
        if identity is None:
            identity = self._old.pop(digest, None)
            if identity is not None:
                self.keep(digest, size, identity)
        return identity

    def keep(self, digest: bytes, size: int, identity: Identity) -> None:
        """Remember a verified token."""
        if len(self._young) >= self._limit or size > self._tokens:
            self._old, self._young, self._tokens = self._young, {}, self._characters
        self._tokens -= size
        self._young[digest] = identity


def verify(token: str, trust: Trust, facts: Facts, memo: Memo, now: float) -> Identity | Reason:
    """Return who sent ``token``, at ``now`` (POSIX seconds), or why it is refused. Never raises.

    ``memo`` belongs to this ``trust`` and these ``facts``: INVARIANT: one memo is never used with two of them.
    """
    size = len(token)
    if size > MAX_TOKEN:
        return _TOO_LARGE
    if not token.isascii():
        return _MALFORMED
    digest = blake2b(token.encode("ascii"), digest_size=16).digest()
    known = memo.find(digest, size)
    if known is not None:
        return known if now < known.expires else _EXPIRED
    verified = _verify(token, trust, now)
    if isinstance(verified, Reason):
        return verified
    issuer, claims, expires = verified
    try:
        identity = identify(claims, issuer, facts, expires)
    except _ClaimFault:
        return _CLAIMS
    memo.keep(digest, size, identity)
    return identity


def _verify(token: str, trust: Trust, now: float) -> tuple[Issuer, Mapping[str, Any], float] | Reason:
    """Check form, issuer, algorithm, type, key, signature and claims, the cheap before the dear."""
    jws = parse(token)
    if isinstance(jws, Reason):
        return jws
    claims = read_object(jws.payload)
    if claims is None:
        return _MALFORMED
    named = claims.get("iss")
    # Not yet verified: it only chooses whose keys and rules to verify with.
    issuer = trust.issuers.get(named) if isinstance(named, str) else None
    if issuer is None:
        return _ISSUER
    if jws.algorithm not in issuer.algorithms:
        return _ALGORITHM
    if media_type(jws.type) not in issuer.types:
        return _TYPE
    key = _key(jws, issuer)
    if isinstance(key, Reason):
        return key
    fault = signature_fault(jws, key)
    if fault is not None:
        return fault
    try:
        expires = _check(claims, issuer, now)
    except _ClaimFault:
        return _CLAIMS
    return expires if isinstance(expires, Reason) else (issuer, claims, expires)


def _key(jws: Jws, issuer: Issuer) -> VerifyKey | Reason:
    if jws.key_id is not None:
        # Keys change with the snapshot only: an unknown key id costs one look-up and starts nothing.
        key = issuer.keys_by_id.get(jws.key_id)
        if key is None:
            return _KEY
        return key if jws.algorithm in key.algorithms else _ALGORITHM
    fitting = [key for key in issuer.keys if jws.algorithm in key.algorithms]
    return fitting[0] if len(fitting) == 1 else _KEY


def _check(claims: Mapping[str, Any], issuer: Issuer, now: float) -> float | Reason:
    """Check the registered claims (RFC 7519 section 4.1); return from when on the token must not be used."""
    if "cnf" in claims:
        return _UNBOUND  # the proof that belongs to it is not checked here, so it must not pass as a bearer token
    if "events" in claims:
        return _TYPE  # a security event or logout token (RFC 8417 section 2.2), whatever its header says
    expires, issued, starts = _time(claims, "exp"), _time(claims, "iat"), _time(claims, "nbf")
    if (_time(claims, "auth_time") or 0.0) > now + issuer.leeway:
        return _CLAIMS  # a login still to come would count as the freshest of all
    if expires is None or any(_claim(claims, path) is None for path in issuer.required):
        return _CLAIMS
    _text(claims.get("sub"))
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else _texts(audience)
    if issuer.audiences.isdisjoint(audiences):
        return _AUDIENCE
    if now >= expires + issuer.leeway:
        return _EXPIRED
    if max(issued or 0.0, starts or 0.0) > now + issuer.leeway:
        return _NOT_YET
    if expires - (now if issued is None else issued) > issuer.max_lifetime:
        return _LIFETIME
    return expires + issuer.leeway


def identify(claims: Mapping[str, Any], issuer: Issuer, facts: Facts, expires: float) -> Identity:
    """Make the Identity of a verified token; ``expires`` in POSIX seconds. Raise if a claim that is read is malformed.

    Attributes, the later wins: the token's fields, what is fixed for the issuer, facts about the subject, the
    subscription of the subject's ``tenant``. A kind of membership listed in the facts replaces the token's.
    """
    subject = _own(issuer, _text(claims["sub"]))
    names: dict[str, frozenset[str]] = {}
    client = ""
    for kind, paths in issuer.claims.names.items():
        value = next((found for path in paths if (found := _claim(claims, path)) is not None), None)
        if value is None:
            continue
        names[kind] = frozenset(assignee_token(kind, *parts) for parts in _asserted(kind, value, issuer))
        if kind == "client":
            client = _own(issuer, _text(value))
    member = facts.memberships.get(subject)
    if member is not None:
        names |= _memberships(member)
    attributes = _values(claims, issuer.claims.fields) | dict(issuer.attributes)
    env = _values(claims, issuer.claims.env) | _login(claims)
    known = facts.subjects.get(subject)
    if known is not None:
        attributes |= known.attributes
        env |= known.env
    tenant = attributes.get("tenant")
    if isinstance(tenant, str):
        attributes |= facts.subscriptions.get(tenant, {})
    return Identity(
        issuer=issuer.issuer,
        subject=subject,
        client=client,
        scopes=_scopes(claims),
        tokens=frozenset({ANYONE}).union(*names.values()),
        attributes=attributes,
        env=env,
        claims=claims,
        auth_time=_time(claims, "auth_time"),
        expires=expires,
    )


def _memberships(member: Membership) -> dict[str, frozenset[str]]:
    found = {}
    for kind in member.__struct_fields__:
        names = getattr(member, kind)
        if isinstance(names, tuple):
            parts = (name if isinstance(name, tuple) else (name,) for name in names)
            found[kind] = frozenset(assignee_token(kind, *each) for each in parts)
    return found


def _asserted(kind: str, value: object, issuer: Issuer) -> list[tuple[str, ...]]:
    """Return the names, or pairs of names, that a claim gives the subject, each in the issuer's namespace."""
    if kind in {"person", "client"}:
        return [(_own(issuer, _text(value)),)]
    if not isinstance(value, list):
        raise _ClaimFault
    if kind != "business_role_location":
        return [(_own(issuer, _text(item)),) for item in value]
    pairs: list[tuple[str, ...]] = []
    for item in value:
        pair = [item.get("role"), item.get("location")] if isinstance(item, Mapping) else item
        if not isinstance(pair, list) or len(pair) != 2:
            raise _ClaimFault
        pairs.append((_own(issuer, _text(pair[0])), _own(issuer, _text(pair[1]))))
    return pairs


def _own(issuer: Issuer, name: str) -> str:
    """Return ``name`` in the issuer's namespace. The issuer with the empty one must not reach into another's."""
    full = issuer.namespace + name
    if full.startswith(issuer.foreign):
        raise _ClaimFault
    return full


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """Return the claim of that name or, failing it, at that dotted path. None: absent. JSON null is a fault."""
    here: Any = claims
    for step in (path,) if path in claims else path.split("."):
        if not isinstance(here, Mapping) or step not in here:
            return None
        here = here[step]
    if here is None:
        raise _ClaimFault
    return here


def _text(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or _CONTROL.search(value):
        raise _ClaimFault
    return value


def _texts(value: object) -> list[str]:
    if not isinstance(value, list):
        raise _ClaimFault
    return [_text(item) for item in value]


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a NumericDate (RFC 7519 section 2) in POSIX seconds; None: absent."""
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value < 0:
        raise _ClaimFault
    return float(value)


def _values(claims: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, object]:
    """Return the fields that claims give: texts, or lists of texts; numbers and booleans as JSON writes them."""
    found: dict[str, object] = {}
    for field, path in paths.items():
        value = _claim(claims, path)
        if value is not None:
            found[field] = tuple(_scalar(item) for item in value) if isinstance(value, list) else _scalar(value)
    return found


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    return _text(value)


def _login(claims: Mapping[str, Any]) -> dict[str, object]:
    """Return how the subject logged in: ``acr`` and ``amr`` (RFC 9068 section 2.2.1)."""
    found: dict[str, object] = {}
    if "acr" in claims:
        found["acr"] = _text(claims["acr"])
    if "amr" in claims:
        found["amr"] = tuple(_texts(claims["amr"]))
    return found


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return the scopes: ``scope`` (RFC 9068 section 2.2.3) and ``scp``, a text with spaces or a list of texts."""
    found: set[str] = set()
    for name in ("scope", "scp"):
        value = claims.get(name, "")
        if not isinstance(value, str):
            found.update(_texts(value))
        elif _CONTROL.search(value):
            raise _ClaimFault
        else:
            found.update(value.split(" "))
    return frozenset(found) - {""}
