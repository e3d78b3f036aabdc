"""From the claims of a verified token, what is fixed for its issuer and the facts, to an Identity.

A claim that is read and has the wrong shape is a fault that refuses the token: a membership that cannot be read might
be the one that a deny is about. Claims that nothing reads may be anything.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from authorizer.model import ANYONE, ASSIGNEE_KINDS, AUTHENTICATED, Identity, assignee_token
from authorizer.pdp.api_keys import ApiKey
from authorizer.pdp.certificate_rules import CertificateRule
from authorizer.pdp.claims import ClaimFault, claim, numeric_date, text, texts
from authorizer.pdp.facts import Facts, Membership
from authorizer.pdp.proofs import confirmation
from authorizer.pdp.trust import Issuer

_Names = dict[str, list[str]]
"""Assignee tokens by kind: a kind that the facts list replaces the credential's."""

_FOREIGN = "claim {!r} has a name in another issuer's namespace"
_EVERYBODY = frozenset({ANYONE, AUTHENTICATED})


def identify(claims: Mapping[str, Any], issuer: Issuer, facts: Facts, expires: float, *, extra: int = 0) -> Identity:
    """Make the Identity of a verified token; ``expires`` in POSIX seconds. Raise if a claim that is read is malformed.

    Attributes, the later wins: the token's fields, what is fixed for the issuer, facts about the subject, the
    subscription of the subject's ``tenant``. A kind of membership listed in the facts replaces the token's.
    """
    subject = _own(issuer, claims["sub"], "sub")
    names: _Names = {}
    client = ""
    reads = issuer.claims
    for kind, paths in reads.names.items():
        for path in paths:
            value = claims.get(path)
            if value is None and (value := claim(claims, path)) is None:
                continue
            if ASSIGNEE_KINDS[kind] == "one":
                name = _own(issuer, value, path)
                names[kind] = [f"{kind}:{name}"]
                if kind == "client":
                    client = name
            else:
                names[kind] = _asserted(kind, value, path, issuer)
            break
    if client == subject:
        # RFC 9068 section 5: a client acts for itself, and its name may be that of a person.
        names.pop("person", None)
    scopes = _scopes(claims)
    names["scope"] = _named("scope", scopes, "scope", issuer)
    key, certificate = (confirmation(claims) or ("", "")) if "cnf" in claims else ("", "")
    fields = _values(claims, reads.fields) if reads.fields else {}
    env = _values(claims, reads.env) if reads.env else {}
    if "acr" in claims or "amr" in claims:
        env |= _login(claims)
    tokens, attributes, env = _known(subject, names, {**fields, **issuer.attributes}, env, facts)
    return Identity(
        issuer=issuer.issuer,
        namespace=issuer.namespace,
        subject=subject,
        client=client,
        # APIs and rules are told them too: INVARIANT: as whole names, or a partner's `admin` would be ours.
        scopes=frozenset([issuer.namespace + scope for scope in scopes] if issuer.namespace else scopes),
        tokens=tokens,
        attributes=attributes,
        env=env,
        claims=claims,
        auth_time=numeric_date(claims, "auth_time") if "auth_time" in claims else None,
        expires=expires,
        bound_key=key,
        bound_certificate=certificate,
        extra=extra,
        typed={},
    )


def of_key(key: ApiKey, facts: Facts) -> Identity:
    """Make the Identity of an API key's holder. Facts about the person, or else the client, are facts about it."""
    names: _Names = {
        kind: [assignee_token(kind, *((one,) if isinstance(one, str) else one)) for one in listed]
        for kind, listed in key.names.items()
    }
    names["scope"] = [assignee_token("scope", scope) for scope in key.scopes]
    client, person = (str(key.names.get(kind, ("",))[0]) for kind in ("client", "person"))
    tokens, attributes, env = _known(person or client, names, dict(key.attributes), {}, facts)
    return Identity(
        subject=person or client,
        client=client,
        scopes=frozenset(key.scopes),
        tokens=tokens,
        attributes=attributes,
        env=env,
        expires=float("inf") if key.end is None else key.end,
        typed={},
    )


def of_certificate(rule: CertificateRule, name: str, facts: Facts) -> Identity:
    """Make the Identity of a client certificate's holder, whom ``rule`` calls ``name``."""
    names: _Names = {kind: [assignee_token(kind, one) for one in listed] for kind, listed in rule.names.items()}
    names[rule.kind] = [assignee_token(rule.kind, name)]
    client = name if rule.kind == "client" else ""
    tokens, attributes, env = _known(name, names, dict(rule.attributes), {}, facts)
    return Identity(subject=name, client=client, tokens=tokens, attributes=attributes, env=env, typed={})


def _known(
    subject: str, names: _Names, attributes: dict[str, object], env: dict[str, object], facts: Facts
) -> tuple[frozenset[str], dict[str, object], dict[str, object]]:
    """Add what the facts know of a subject to what its credential says; return its tokens, attributes and env."""
    member = facts.memberships.get(subject)
    if member is not None:
        names |= _memberships(member)
    known = facts.subjects.get(subject)
    if known is not None:
        attributes |= known.attributes
        env |= known.env
    tenant = attributes.get("tenant")
    if isinstance(tenant, str):
        attributes |= facts.subscriptions.get(tenant, {})
    return _EVERYBODY.union(*names.values()), attributes, env


def _memberships(member: Membership) -> _Names:
    found: _Names = {}
    for kind, names in member.items():
        parts = (name if isinstance(name, tuple) else (name,) for name in names)
        found[kind] = [assignee_token(kind, *each) for each in parts]
    return found


def _asserted(kind: str, value: object, path: str, issuer: Issuer) -> list[str]:
    """Return the tokens of the names, or pairs of names, in a list that a claim has, in the issuer's namespace."""
    if not isinstance(value, list):
        raise ClaimFault(f"claim {path!r} must be a list, for it says each {kind}")
    if ASSIGNEE_KINDS[kind] == "many":
        return _named(kind, texts(value, path), path, issuer)
    pairs = []
    for item in value:
        pair = [item.get("role"), item.get("location")] if isinstance(item, Mapping) else item
        if not isinstance(pair, list) or len(pair) != 2:
            raise ClaimFault(f"claim {path!r} must be a list of pairs: [role, location], or an object of both")
        pairs.append(assignee_token(kind, _own(issuer, pair[0], path), _own(issuer, pair[1], path)))
    return pairs


def _named(kind: str, names: list[str], path: str, issuer: Issuer) -> list[str]:
    """Return the tokens of names that a claim gives, in the issuer's namespace."""
    if issuer.foreign and any(name.startswith(issuer.foreign) for name in names):
        raise ClaimFault(_FOREIGN.format(path))
    before = f"{kind}:{issuer.namespace}"  # what ``assignee_token`` would say of each, for half of the time
    return [before + name for name in names]


def _own(issuer: Issuer, value: object, path: str) -> str:
    """Return the name that a claim gives, in the issuer's namespace.

    The issuer with the empty one must not reach into another's.
    """
    full = issuer.namespace + text(value, path)
    if issuer.foreign and full.startswith(issuer.foreign):
        raise ClaimFault(_FOREIGN.format(path))
    return full


def _values(claims: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, object]:
    """Return the fields that claims give: texts, or lists of texts; numbers and booleans as JSON writes them."""
    found: dict[str, object] = {}
    for field, path in paths.items():
        value = claim(claims, path)
        if value is not None:
            found[field] = (
                tuple(_scalar(item, path) for item in value) if isinstance(value, list) else _scalar(value, path)
            )
    return found


def _scalar(value: object, path: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        value = format(value, "f")
    elif isinstance(value, int):
        value = str(value)
    return text(value, path)  # INVARIANT: a number obeys the bound of a text too


def _login(claims: Mapping[str, Any]) -> dict[str, object]:
    """Return how the subject logged in: ``acr`` and ``amr`` (RFC 9068 section 2.2.1)."""
    found: dict[str, object] = {}
    if "acr" in claims:
        found["acr"] = text(claims["acr"], "acr")
    if "amr" in claims:
        found["amr"] = tuple(texts(claims["amr"], "amr"))
    return found


def _scopes(claims: Mapping[str, Any]) -> list[str]:
    """Return the scopes: ``scope`` (RFC 9068 section 2.2.3) and ``scp``, a text with spaces or a list of texts."""
    found: list[str] = []
    for name in ("scope", "scp"):
        if name in claims:
            value = claims[name]
            if isinstance(value, str):
                value = value.split(" ")
                if "" in value:
                    value = list(filter(None, value))
            found += texts(value, name)
    joined = "".join(found)
    if found and joined.split() != [joined]:
        raise ClaimFault("a scope has white space in it")  # whoever is told of them would take it for two
    return found
