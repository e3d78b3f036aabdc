"""Whose word counts: one JSON document -> ``Trust``, ready to check credentials. ``pdp.issuers`` makes the document.

Each issuer has its own keys, audiences and allow-list of algorithms, and its own namespace: the names that it asserts
(people, groups, roles, clients) can never be mistaken for those of another issuer.
"""

import re
from collections.abc import Container, Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from authorizer.errors import KeyMaterialError
from authorizer.jose.algorithms import ALGORITHMS
from authorizer.jose.jwk import VerifyKey, read_key
from authorizer.model import ASSIGNEE_KINDS
from authorizer.pdp.api_keys import ApiKey
from authorizer.pdp.certificate_rules import CertificateRule

FORMAT: Final = 1
DISCOVERY: Final = "discovery"
"""In ``keys_from``: the issuer's own metadata say where its keys are."""
IntrospectedTokens = Literal["opaque", "jwt", "all"]
Binding = Literal["optional", "required"]
"""Whether an issuer's tokens must be bound to a key or certificate. A binding that is there counts always."""
_HASH = re.compile(r"[0-9a-f]{64}").fullmatch


class Claims(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which claim says what. ``names``: assignee kind -> claims to try in order, the first present one counts.

    A claim is a top-level name, or a path with dots into nested objects; the name as a whole is tried first.
    """

    names: dict[str, tuple[str, ...]]
    fields: dict[str, str]
    env: dict[str, str]


class Introspection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an issuer tells whether a token is active (RFC 7662), and as which client of the settings it is asked.

    ``tokens`` are those that it is asked about: ``opaque`` ones, those that verify by themselves (``jwt``), or ``all``.
    An answer counts for at most ``seconds``.
    """

    endpoint: str
    client: str
    tokens: IntrospectedTokens = "opaque"
    seconds: int = 30


class TokenExchange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an issuer's tokens are exchanged for those of another (RFC 8693), and as which client of the settings.

    ``audience`` and ``scopes`` are asked for, if any. An exchanged token counts for at most ``seconds``.
    ``authorization`` is the token that the API gets there.
    """

    endpoint: str
    client: str
    audience: str = ""
    scopes: tuple[str, ...] = ()
    seconds: int = 60
    authorization: Literal["exchanged", "original"] = "exchanged"


class Asserted(NamedTuple):
    """Names that an issuer asserts: of which kind of assignee, how many, how their tokens begin, in which claims."""

    kind: str
    shape: Literal["one", "many", "pairs", "scopes"]
    before: str
    paths: tuple[str, ...]


class Issuer(Struct, frozen=True, kw_only=True):
    """One trusted issuer. Times are in seconds; ``types`` are lower-case media types without ``application/``.

    ``foreign`` are the namespaces of the other issuers and of certificate rules, where this one has none of its own to
    keep them apart: no name that it asserts may start with one of them.
    ``audience_claim`` is the top-level claim that one of ``audiences`` must be in. ``asserted`` are the names of
    ``claims``, and scopes, laid out as each token asks for them.
    ``keys_from`` is the URL that keys are fetched from, or ``DISCOVERY``, or "" where the document has them all;
    ``keys_until`` (POSIX seconds) is when fetched ones are too old to trust.
    """

    name: str
    issuer: str
    audiences: frozenset[str]
    audience_claim: str
    algorithms: frozenset[str]
    types: frozenset[str]
    leeway: int
    max_lifetime: int
    required: tuple[str, ...]
    namespace: str
    foreign: tuple[str, ...]
    claims: Claims
    asserted: tuple[Asserted, ...]
    attributes: Mapping[str, Any]
    binding: Binding
    introspection: Introspection | None
    exchange: TokenExchange | None
    keys_from: str
    keys_until: float
    keys: tuple[VerifyKey, ...]
    keys_by_id: Mapping[str, VerifyKey]


class Trust(Struct, frozen=True):
    """Whose word counts: issuers by the exact value of ``iss``, API keys by id, rules for client certificates.

    ``opaque`` is the issuer of tokens that only their issuer can read, if there is one. ``wanted`` gathers the issuers
    whose tokens named a key that is not there: whoever fetches keys empties it.
    """

    issuers: Mapping[str, Issuer]
    keys: Mapping[str, ApiKey] = {}
    certificates: tuple[CertificateRule, ...] = ()
    opaque: Issuer | None = None
    wanted: set[str] = set()


class Fetched(Struct, frozen=True):
    """An issuer's keys from ``source`` (its ``keys_from``), and until when (POSIX seconds) they may be trusted."""

    keys: tuple[VerifyKey, ...]
    until: float
    source: str


NOBODY = Trust({})


class _Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One issuer as it stands in ``trust.json``."""

    name: str
    issuer: str
    audiences: tuple[str, ...]
    audience_claim: str = "aud"
    algorithms: tuple[str, ...]
    types: tuple[str, ...]
    leeway: int
    max_lifetime: int
    required: tuple[str, ...]
    namespace: str
    claims: Claims
    attributes: dict[str, str | tuple[str, ...]]
    binding: Binding = "optional"
    introspection: Introspection | None = None
    exchange: TokenExchange | None = None
    keys_from: str = ""
    keys: list[dict[str, Any]]


class _Document(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal[1]
    issuers: tuple[_Row, ...]
    api_keys: tuple[ApiKey, ...] = ()
    certificates: tuple[CertificateRule, ...] = ()


def load(document: object) -> Trust:
    """Read ``trust.json`` (parsed). Raise ``KeyMaterialError`` AZ42x if it is not what ``compile_issuers`` makes."""
    try:
        whole = msgspec.convert(document, _Document)
    except msgspec.ValidationError as error:
        raise KeyMaterialError("AZ420", f"the trust document is malformed: {error}") from None
    rows = whole.issuers
    certified = sorted({rule.namespace for rule in whole.certificates})
    issuers: dict[str, Issuer] = {}
    for row in rows:
        unknown = sorted(set(row.algorithms) - set(ALGORITHMS))
        if unknown or not row.algorithms or not row.audiences or row.issuer in issuers:
            raise KeyMaterialError("AZ421", f"issuer '{row.name}': no audiences or algorithms, or listed twice")
        if not row.claims.names.keys() <= ASSIGNEE_KINDS.keys():
            raise KeyMaterialError("AZ421", f"issuer '{row.name}': a claim names an unknown kind of assignee")
        keys = tuple(read_key(jwk) for jwk in row.keys)
        by_id = {key.id: key for key in keys if key.id is not None}
        if len(by_id) != sum(key.id is not None for key in keys):
            raise KeyMaterialError("AZ409", f"issuer '{row.name}': two keys have the same 'kid'")
        others = [other.namespace for other in rows if other is not row]
        if clash(row.namespace, others) is not None:
            raise KeyMaterialError("AZ422", f"issuer '{row.name}': its namespace overlaps another issuer's")
        issuers[row.issuer] = Issuer(
            name=row.name,
            issuer=row.issuer,
            audiences=frozenset(row.audiences),
            audience_claim=row.audience_claim,
            algorithms=frozenset(row.algorithms),
            types=frozenset(row.types),
            leeway=row.leeway,
            max_lifetime=row.max_lifetime,
            required=row.required,
            namespace=row.namespace,
            foreign=() if row.namespace else tuple(filter(None, (*others, *certified))),
            claims=row.claims,
            asserted=_asserted(row),
            attributes=row.attributes,
            binding=row.binding,
            introspection=row.introspection,
            exchange=row.exchange,
            keys_from=row.keys_from,
            keys_until=0.0 if row.keys_from else float("inf"),
            keys=keys,
            keys_by_id=by_id,
        )
    by_key = {key.id: key for key in whole.api_keys}
    if len(by_key) != len(whole.api_keys) or not all(_HASH(key.hash) for key in whole.api_keys):
        raise KeyMaterialError("AZ421", "two API keys have one id, or one has no hash")
    opaque = [issuer for issuer in issuers.values() if issuer.introspection and issuer.introspection.tokens != "jwt"]
    if len(opaque) > 1:
        raise KeyMaterialError("AZ421", "several issuers have opaque tokens, which do not tell whose they are")
    return Trust(issuers, by_key, whole.certificates, opaque[0] if opaque else None, set())


def _asserted(row: _Row) -> tuple[Asserted, ...]:
    names = (
        Asserted(kind, ASSIGNEE_KINDS[kind], f"{kind}:{row.namespace}", paths)
        for kind, paths in row.claims.names.items()
    )
    scopes = (Asserted("scope", "scopes", f"scope:{row.namespace}", (claim,)) for claim in ("scope", "scp"))
    return (*names, *scopes)


def renewed(trust: Trust, fetched: Mapping[str, Fetched]) -> tuple[Trust, bool]:
    """Return ``trust`` with the keys that were fetched, by ``iss``; and whether each key still does what it did.

    INVARIANT: only an issuer that says to fetch from where they are from gets them. Nothing replaces a key that the
    document has, and a place that it names no more, for it may be lost to others, has no say any more.
    """
    issuers = dict(trust.issuers)
    kept = True
    for name, found in fetched.items():
        issuer = issuers.get(name)
        if issuer is None or not issuer.keys_from or issuer.keys_from != found.source:
            continue
        kept &= set(map(_worth, issuer.keys)) <= set(map(_worth, found.keys))
        by_id = {key.id: key for key in found.keys if key.id is not None}
        issuers[name] = replace(issuer, keys=found.keys, keys_by_id=by_id, keys_until=found.until)
    opaque = None if trust.opaque is None else issuers[trust.opaque.issuer]
    return replace(trust, issuers=issuers, opaque=opaque), kept


def _worth(key: VerifyKey) -> tuple[str | None, str, frozenset[str]]:
    return key.id, key.thumbprint, key.algorithms


def unknown_clients(trust: Trust, known: Container[str]) -> list[tuple[str, str]]:
    """Return (issuer's name, client) wherever an issuer would be asked as a client that is not ``known``."""
    asked = ((issuer.name, how) for issuer in trust.issuers.values() for how in (issuer.introspection, issuer.exchange))
    found = {(name, how.client) for name, how in asked if how is not None}
    return sorted((name, client) for name, client in found if client not in known)


def clash(namespace: str, others: Iterable[str]) -> str | None:
    """Return a namespace that shares names with ``namespace``. The empty one is apart: it is checked by name, later."""
    for other in others:
        if namespace == other or (namespace and other and (namespace.startswith(other) or other.startswith(namespace))):
            return other
    return None
