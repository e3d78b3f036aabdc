"""Reads ``http``: hosts, the classes of doubtful paths an application accepts, and routes with their sources."""

import re
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from authorizer.errors import Place
from authorizer.grammar import TOKEN
from authorizer.policy.documents import MapNode, Node, Scalar
from authorizer.policy.pbac.declared import Application, Field, Right, Route, Source
from authorizer.policy.pbac.form import CLIENT_BY, CREDENTIALS, MISSES, MODES, UNMAPPED
from authorizer.policy.pbac.rules import EVERYBODY, WORDS
from authorizer.policy.pbac.types import converter
from authorizer.policy.reading import Findings
from authorizer.policy.templates import TemplateError, keys, parameters, parse_host, parse_method, parse_template
from authorizer.reasons import ACCEPTABLE

CALLER_SUPPLIED = frozenset({"query", "header", "body"})
SOURCES = ("path", "query", "header", "body", "token", "mtls", "lookup", "literal")
_BUILT_IN = ("id", "point")
"""Fields of every resource; in several trees it has several points, ``point:TREE``."""
_ANY_KEY = re.compile(r".+")
_KEY = {
    "header": re.compile(rf"{TOKEN}+"),
    "body": re.compile(r"[^.]+(\.[^.]+)*"),
    "mtls": re.compile(r"uri_san"),
}
"""What stands after the dot of a source; a path or claim may hold dots of its own."""
_FOREIGN = re.compile(r":([A-Za-z_][A-Za-z0-9_]*)|\*{1,2}", re.ASCII)
"""A literal that routers elsewhere take for a parameter (``:id``) or a wildcard (``*``, ``**``)."""


class Http(Struct, frozen=True):
    """How requests reach an application."""

    hosts: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    accepts: tuple[str, ...] = ()
    unmapped: str = "deny"
    issuers: tuple[str, ...] = ()
    credentials: str = "forward"
    client_by: str = "token"


HTTP_KEYS = ("hosts", "routes", "accept", "unmapped", "issuers", "credentials", "client_by")
ROUTE_KEYS = ("right", "resource", "trust", "on_miss", "mode")
FindField = Callable[[str, Place], Field | None]


def read_http(
    node: Node | None,
    application: str,
    rights: Mapping[str, Right],
    find: FindField,
    findings: Findings,
    *,
    trees: Mapping[str, tuple[str, ...]] | None,
) -> Http:
    """Read the ``http`` section; ``trees`` are those of the assignment points, None when the model has none."""
    http = findings.fields(node, "http", HTTP_KEYS)
    if http is None:
        return Http()
    hosts = []
    for word in findings.words(findings.required(http, "hosts", "http"), "hosts"):
        try:
            hosts.append(parse_host(word.text))
        except TemplateError as error:
            findings.error("A017", word.place, str(error))
    accepts = findings.words(http.get("accept"), "accept")
    for word in accepts:
        if word.text not in ACCEPTABLE:
            findings.unknown("A014", word.place, "word", word.text, ACCEPTABLE, " in accept")
    unmapped = findings.choice(http.get("unmapped"), "unmapped", UNMAPPED, "A013") or "deny"
    routes = []
    for _, key, value in findings.named(http.get("routes"), "routes"):
        route = _read_route(key, value, application, rights, find, findings, trees=trees)
        if route is not None:
            routes.append(route)
    issuers = http.get("issuers")
    if issuers is not None and not findings.texts(issuers, "issuers"):
        findings.error("A023", issuers.place, "no issuer is listed, so no token counts", "list one, or leave it out")
    return Http(
        tuple(hosts),
        tuple(routes),
        tuple(sorted(word.text for word in accepts)),
        unmapped,
        tuple(sorted(findings.texts(issuers, "issuers"))),
        findings.choice(http.get("credentials"), "credentials", CREDENTIALS, "A025") or "forward",
        findings.choice(http.get("client_by"), "client_by", CLIENT_BY, "A027") or "token",
    )


def _read_route(
    key: Scalar,
    node: Node,
    application: str,
    rights: Mapping[str, Right],
    find: FindField,
    findings: Findings,
    *,
    trees: Mapping[str, tuple[str, ...]] | None,
) -> Route | None:
    method, _, template = key.text.partition(" ")
    try:
        parse_method(method)
        segments = parse_template(template)
    except TemplateError as error:
        findings.error("A010", key.place, str(error), "write a route as METHOD /template")
        return None
    names = parameters(segments)
    literals = (part.text for part in segments if part.kind == "literal")
    foreign = next(filter(None, map(_FOREIGN.fullmatch, literals)), None)
    if foreign is not None:
        hint = f"a parameter is {{{foreign[1] or 'name'}}}, and {{name=**}} at the end takes the rest"
        findings.warn("L006", key.place, f"the segment {foreign[0]!r} is no parameter: it fits itself alone", hint)
    what = f"route {key.text!r}"
    absent = isinstance(node, Scalar) and node.absent
    if isinstance(node, Scalar) and not absent:
        findings.choice(node, "rule", EVERYBODY, "A018")
        return None
    declared = None if absent else findings.fields(node, what, (*ROUTE_KEYS, *WORDS), "{scopes: [..]}, {roles: [..]}")
    named = declared.get("right") if declared else None
    right = key.text
    linked: frozenset[str] = frozenset()
    if named is not None:
        right = findings.text(named, "right")
        if right in rights:
            linked = rights[right].fields
        elif right:
            findings.unknown("R004", named.place, "right", right, rights, f" in {application!r}")
    trust = declared.get("trust") if declared else None
    if trust is not None and findings.text(trust, "trust") != "acted_on":
        findings.error(
            "A012", trust.place, "'trust' takes acted_on", "it says that the backend acts on the values sent"
        )
    usable = linked | {"id"} | ({"point"} if trees is not None else set())
    sources: dict[str, Source] = {}
    for name, field_key, value in findings.named(declared.get("resource") if declared else None, "resource"):
        if name not in usable:
            if name in _BUILT_IN or find(name, field_key.place) is not None:
                hint = "usable: " + ", ".join(sorted(usable))
                findings.error("C004", field_key.place, f"field {name!r} is not linked to right {right!r}", hint)
            continue
        for field, written in _fields_of(name, value, trees or {}, findings):
            source = _read_source(field, written, names, find, findings)
            if source is not None:
                sources[field] = source
    looked_up = next((source for source in sources.values() if source.kind == "lookup"), None)
    if looked_up is not None and ("id" not in sources or sources["id"].kind == "lookup"):
        findings.error("A012", looked_up.place, "a lookup needs the resource's id", "add a source for id")
    miss = declared.get("on_miss") if declared else None
    if miss is not None and looked_up is None:
        findings.error("A012", miss.place, "'on_miss' is about lookups, and the route has none", "leave it out")
    return Route(
        method,
        template,
        right,
        tuple(sources.values()),
        trust is not None,
        key.place,
        findings.choice(miss, "on_miss", MISSES, "A012") or "unknown",
        _read_mode(declared.get("mode") if declared else None, linked, sources, findings),
    )


def _fields_of(
    name: str, node: Node, trees: Mapping[str, tuple[str, ...]], findings: Findings
) -> Iterable[tuple[str, Node]]:
    """Yield the fields that one key gives: ``point: {TREE: SOURCE}`` gives a point in each tree."""
    if name != "point" or not isinstance(node, MapNode):
        named = sorted(tree for tree in trees if tree)
        if name == "point" and "" not in trees and named:
            hint = "write point: {" + ", ".join(f"{tree}: SOURCE" for tree in named) + "}"
            findings.error("S008", node.place, "a point of which tree?", hint)
        yield name, node
        return
    for tree, entry in node.entries.items():
        if tree not in trees or not tree:
            findings.unknown("S008", entry.key.place, "tree of points", tree, [one for one in trees if one])
        else:
            yield f"point:{tree}", entry.value


def _read_mode(node: Node | None, linked: frozenset[str], sources: Mapping[str, Source], findings: Findings) -> str:
    mode = findings.choice(node, "mode", MODES, "A021") or "decide"
    if node is not None and mode == "filter" and not linked - sources.keys():
        hint = "leave a field of its right without a source: the API is told the condition on it"
        findings.error("A021", node.place, "there is nothing to filter by", hint)
    return mode


def _read_source(field: str, node: Node, names: tuple[str, ...], find: FindField, findings: Findings) -> Source | None:
    text = findings.text(node, "a source")
    kind, _, key = text.partition(".")
    if not text:
        return None
    if kind not in SOURCES or not _KEY.get(kind, _ANY_KEY).fullmatch(key):
        hint = "write one of " + ", ".join("mtls.uri_san" if known == "mtls" else f"{known}.x" for known in SOURCES)
        findings.error("A012", node.place, f"{text!r} is not a source", hint)
        return None
    if kind == "path" and key not in names:
        findings.unknown("A012", node.place, "path parameter", key, names)
        return None
    if kind == "header":
        key = key.lower()
    if kind == "literal" and field.partition(":")[0] not in _BUILT_IN:
        declared = find(field, node.place)
        if declared is not None and converter(declared.type)(key) is None:
            findings.error("C010", node.place, f"{key!r} is not a valid {declared.type}")
            return None
    return Source(field, kind, key, node.place)


def same_routes(applications: Iterable[Application], findings: Findings) -> None:
    """Note routes that answer for the same requests as an earlier one, in the order of applications' names."""
    first: dict[object, tuple[Application, Route]] = {}
    for application in sorted(applications, key=lambda one: one.id):
        for route in application.routes:
            for key in keys(application.hosts, route.method, route.template):
                other, earlier = first.setdefault(key, (application, route))
                if earlier is not route:
                    same = f"the route of {other.id!r} at {earlier.place}"
                    message = f"route {route.method} {route.template} on {key[0]!r} is {same}"
                    findings.error("A011", route.place, message, "one operation has one right")
