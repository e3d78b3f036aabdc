"""From the claims of a verified token, what is fixed for its issuer and the facts, to an Identity.

A claim that is read and has the wrong shape is a fault that refuses the token: a membership that cannot be read might
be the one that a deny is about. Claims that nothing reads may be anything.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from authorizer.model import ANYONE, AUTHENTICATED, Identity, assignee_token
from authorizer.pdp.api_keys import ApiKey
from authorizer.pdp.certificate_rules import CertificateRule
from authorizer.pdp.claims import ClaimFault, claim, numeric_date, surely_texts, text, texts
from authorizer.pdp.facts import Facts, Membership
from authorizer.pdp.proofs import confirmation
from authorizer.pdp.trust import Issuer

_Names = dict[str, list[str]]
"""Assignee tokens by kind: a kind that the facts list replaces the credential's."""

_Said = list[tuple[str, str, str, list[Any]]]
"""What a token says of names: their kind, how their assignee tokens begin, the claim, and they themselves."""

_FOREIGN = "claim {!r} has a name in another issuer's namespace"
_EVERYBODY = frozenset({ANYONE, AUTHENTICATED})


def identify(claims: Mapping[str, Any], issuer: Issuer, facts: Facts, expires: float, *, extra: int = 0) -> Identity:
    """Make the Identity of a verified token; ``expires`` in POSIX seconds. Raise if a claim that is read is malformed.

    Attributes, the later wins: the token's fields, what is fixed for the issuer, facts about the subject, the
    subscription of the subject's ``tenant``. A kind of membership listed in the facts replaces the token's.
    """
    namespace, client = issuer.namespace, ""
    subject = claims["sub"]
    said: _Said = []
    names: _Names = {}
    scopes: list[str] = []
    spoken = [subject]
    for kind, shape, before, paths in issuer.asserted:
        for path in paths:
            value = claims.get(path)
            if value is None and (("." not in path and path not in claims) or (value := claim(claims, path)) is None):
                continue
            if shape == "one":
                if kind == "client":
                    client = value
                value = [value]
            elif shape == "scopes":
                value = _scopes(value, path)
                scopes += value
            elif shape == "pairs" or not isinstance(value, list):  # no list is refused there too
                names[kind] = _pairs(kind, value, path, issuer)
                break
            spoken += value
            said.append((kind, before, path, value))
            break
    if issuer.foreign or not surely_texts(spoken):
        _check(subject, said, issuer)
    if client == subject:
        # RFC 9068 section 5: a client acts for itself, and its name may be that of a person.
        said = [each for each in said if each[0] != "person"]
    if namespace:
        subject, client = namespace + subject, namespace + client if client else ""
    member = facts.memberships.get(subject)
    if member is not None:
        said = [each for each in said if each[0] not in member]
        names |= _memberships(member)
    key, certificate = (confirmation(claims) or ("", "")) if "cnf" in claims else ("", "")
    reads = issuer.claims
    fields = _values(claims, reads.fields) if reads.fields else {}
    attributes: dict[str, object] = {**fields, **issuer.attributes}
    env = _values(claims, reads.env) if reads.env else {}
    if "acr" in claims or "amr" in claims:
        env |= _login(claims)
    if facts.subjects or attributes:
        _learn(subject, attributes, env, facts)
    return Identity(
        issuer=issuer.issuer,
        namespace=namespace,
        subject=subject,
        client=client,
        # APIs and rules are told them too: INVARIANT: as whole names, or a partner's `admin` would be ours.
        scopes=frozenset([namespace + scope for scope in scopes] if namespace else scopes),
        tokens=_EVERYBODY.union([before + name for _, before, _, listed in said for name in listed], *names.values()),
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
    expires = float("inf") if key.end is None else key.end
    return _holder(person or client, client, names, key.attributes, facts, frozenset(key.scopes), expires)


def of_certificate(rule: CertificateRule, name: str, facts: Facts) -> Identity:
    """Make the Identity of a client certificate's holder, whom ``rule`` calls ``name``."""
    names: _Names = {kind: [assignee_token(kind, one) for one in listed] for kind, listed in rule.names.items()}
    names[rule.kind] = [assignee_token(rule.kind, name)]
    client = name if rule.kind == "client" else ""
    return _holder(name, client, names, rule.attributes, facts)


def _holder(
    subject: str,
    client: str,
    names: _Names,
    fixed: Mapping[str, object],
    facts: Facts,
    scopes: frozenset[str] = frozenset(),
    expires: float = float("inf"),
) -> Identity:
    """Make the Identity of whom a document names: what is ``fixed`` there, and what the facts know of the subject."""
    attributes, env = dict(fixed), dict[str, object]()
    _learn(subject, attributes, env, facts)
    names = names | _memberships(facts.memberships.get(subject, {}))
    return Identity(
        subject=subject,
        client=client,
        scopes=scopes,
        tokens=_EVERYBODY.union(*names.values()),
        attributes=attributes,
        env=env,
        expires=expires,
        typed={},
    )


def _learn(subject: str, attributes: dict[str, object], env: dict[str, object], facts: Facts) -> None:
    """Add what the facts know of a subject to the attributes and env that its credential gives it."""
    known = facts.subjects.get(subject)
    if known is not None:
        attributes |= known.attributes
        env |= known.env
    tenant = attributes.get("tenant")
    if isinstance(tenant, str):
        attributes |= facts.subscriptions.get(tenant, {})


def _memberships(member: Membership) -> _Names:
    found: _Names = {}
    for kind, names in member.items():
        parts = (name if isinstance(name, tuple) else (name,) for name in names)
        found[kind] = [assignee_token(kind, *each) for each in parts]
    return found


def _pairs(kind: str, value: object, path: str, issuer: Issuer) -> list[str]:
    """Return the tokens of the pairs in a list that a claim has, in the issuer's namespace."""
    if not isinstance(value, list):
        raise ClaimFault(f"claim {path!r} must be a list, for it says each {kind}")
    pairs = []
    for item in value:
        pair = [item.get("role"), item.get("location")] if isinstance(item, Mapping) else item
        if not isinstance(pair, list) or len(pair) != 2:
            raise ClaimFault(f"claim {path!r} must be a list of pairs: [role, location], or an object of both")
        pairs.append(assignee_token(kind, _own(issuer, pair[0], path), _own(issuer, pair[1], path)))
    return pairs


def _check(subject: object, said: _Said, issuer: Issuer) -> None:
    """Raise if a name is no text, or if the issuer with the empty namespace reaches into another's."""
    _own(issuer, subject, "sub")
    for _, _, path, listed in said:
        for name in listed:
            _own(issuer, name, path)


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


def _scopes(value: object, path: str) -> list[str]:
    """Return the scopes in a claim: a text with spaces (RFC 9068 section 2.2.3), or a list of texts."""
    if isinstance(value, str):
        listed = value.split(" ")
        if "" in listed:
            listed = list(filter(None, listed))
        if value.isascii():
            return listed
    else:
        listed = texts(value, path)
    joined = "".join(listed)
    if listed and joined.split() != [joined]:
        raise ClaimFault("a scope has white space in it")  # whoever is told of them would take it for two
    return listed
