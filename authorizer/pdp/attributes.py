"""What the policies of a route read of a request: each source made into a reader once, when the snapshot is built.

A source that is not there leaves its field out: the field is then unknown to the policies, which fail closed. A source
that is there and can be read in two ways refuses the request.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import unquote

from msgspec.structs import replace

from authorizer.model import Reason, Request
from authorizer.pdp.canonical import clash
from authorizer.pdp.claims import ClaimFault, claim
from authorizer.pdp.json_body import ABSENT, member, read_body
from authorizer.pdp.query import read_query
from authorizer.pdp.routes import Match
from authorizer.policy.pbac import Source
from authorizer.reasons import reason

Claims = Mapping[str, object]
Lookup = Callable[[str, str], Mapping[str, object] | None]
"""What the facts know of a resource, by the name of its table and its id."""
Extractor = Callable[[Match, str, Request, Claims, Lookup], dict[str, object] | Reason]
"""Takes the route found, the raw query, the request, the verified claims and the facts; returns raw values."""

KINDS = frozenset({"path", "query", "header", "body", "token", "mtls", "lookup", "literal"})
MTLS_KEYS = frozenset({"uri_san"})
_MISS = reason("lookup_miss")

# RFC 3986, section 3.1. Envoy's principal is the first URI SAN or else something without a scheme.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:").match


def make_extractor(sources: Iterable[Source], table: str = "", *, deny_misses: bool = False) -> Extractor:
    """Make the reader of a route's sources. ``table`` is where ``lookup`` sources look the field ``id`` up.

    ``deny_misses`` refuses a request whose resource the facts do not know; else its fields are unknown.

    Path parameters and query parameters are percent-decoded exactly once. Raises ValueError for a source of an unknown
    kind, so that a route is never served with a field quietly missing.
    """
    by_kind: dict[str, list[tuple[str, str]]] = {kind: [] for kind in KINDS}
    for source in sources:
        if source.kind not in KINDS or (source.kind == "mtls" and source.key not in MTLS_KEYS):
            raise ValueError(f"the field {source.field!r} has an unknown source '{source.kind}.{source.key}'")
        key = source.key.lower() if source.kind == "header" else source.key
        by_kind[source.kind].append((source.field, key))
    literals = dict(by_kind["literal"])
    paths = tuple(by_kind["path"])
    queries = tuple(by_kind["query"])
    parameters = frozenset(key for _, key in queries)
    headers = tuple(by_kind["header"])
    header_names = frozenset(key for _, key in headers)
    bodies = tuple((field, tuple(key.split("."))) for field, key in by_kind["body"])
    tokens = tuple(by_kind["token"])
    principals = tuple(field for field, _ in by_kind["mtls"])
    lookups = tuple(by_kind["lookup"])

    def extract(
        match: Match, query: str, request: Request, claims: Claims, lookup: Lookup
    ) -> dict[str, object] | Reason:
        resource: dict[str, object] = dict(literals)
        refused = _read_path(paths, match, resource)
        if queries and refused is None:
            refused = _read_query(queries, parameters, query, resource)
        if headers and refused is None:
            refused = _read_headers(headers, header_names, request, resource)
        if bodies and refused is None:
            refused = _read_body(bodies, request, resource)
        if tokens and refused is None:
            refused = _read_claims(tokens, claims, resource)
        if refused is not None:
            return refused
        if principals and _URI(request.principal):
            resource.update(dict.fromkeys(principals, request.principal))
        if lookups and not _read_lookup(lookups, table, lookup, resource) and deny_misses:
            return _MISS
        return resource

    return extract


def _read_path(paths: tuple[tuple[str, str], ...], match: Match, resource: dict[str, object]) -> Reason | None:
    for field, key in paths:
        value = match.params.get(key)
        if value is None:
            continue
        if key in match.doubtful:
            # An application may take doubtful paths, but what a policy compares cannot be two things.
            return reason("path_ambiguous")
        # The canonical form vouches that this is UTF-8; an ill-formed octet would come out as a replacement character.
        resource[field] = unquote(value) if "%" in value else value
    return None


def _read_query(
    queries: tuple[tuple[str, str], ...], names: frozenset[str], query: str, resource: dict[str, object]
) -> Reason | None:
    values = read_query(query, names)
    if isinstance(values, Reason):
        return values
    for field, key in queries:
        if key in values:
            resource[field] = values[key]
    return None


def _read_headers(
    headers: tuple[tuple[str, str], ...], names: frozenset[str], request: Request, resource: dict[str, object]
) -> Reason | None:
    code = clash(request.headers, names)
    if code:
        return reason(code)
    for field, name in headers:
        values = request.headers.get(name)
        if not values:
            continue
        value = values[0]
        if not value.isascii() and not _is_text(value):
            return reason("header_not_text")
        # RFC 9110, section 5.3: gateways may join repeated lines by commas, so a comma is a repeat as well.
        if len(values) > 1 or "," in value:
            return reason("header_repeated")
        resource[field] = value
    return None


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_body(
    bodies: tuple[tuple[str, tuple[str, ...]], ...], request: Request, resource: dict[str, object]
) -> Reason | None:
    body = read_body(request)
    if isinstance(body, Reason):
        return body
    if body is ABSENT:
        return None
    for field, path in bodies:
        value = member(body, path)
        if isinstance(value, Reason):
            return value
        if value is not None:
            resource[field] = value
    return None


def _read_claims(tokens: tuple[tuple[str, str], ...], claims: Claims, resource: dict[str, object]) -> Reason | None:
    for field, path in tokens:
        try:
            value = claim(claims, path)
        except ClaimFault as fault:
            return replace(reason("token_claims"), detail=str(fault))
        if value is not None:
            resource[field] = value
    return None


def _read_lookup(lookups: tuple[tuple[str, str], ...], table: str, lookup: Lookup, resource: dict[str, object]) -> bool:
    """Fill in what the facts know of a resource; tell whether they know it."""
    known = resource.get("id")
    row = lookup(table, known) if isinstance(known, str) else None
    if row is None:
        return False
    for field, key in lookups:
        value = row.get(key)
        if value is not None:
            resource[field] = value
    return True
