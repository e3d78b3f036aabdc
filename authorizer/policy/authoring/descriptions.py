"""OpenAPI 3.0, 3.1 and Swagger 2 documents as lists of operations. The one reader of them, for importers and discovery.

Nothing but the document itself is read: a reference to another one is told in a note. What the language cannot say is
an operation all the same, with the reason in ``unwritable``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from authorizer.errors import DocumentError, Place, Problem
from authorizer.policy.documents import load_bytes, plain
from authorizer.policy.pbac.grants import is_scope
from authorizer.policy.templates import TemplateError, parse_host, parse_template
from authorizer.strict_json import Refused, reader

MAX_BYTES = 32 << 20
MAX_OPERATIONS = 20_000
"""Operations of one document, each server path of an operation counted."""
MAX_SERVERS = 100
"""Servers of the document, of a path or of an operation."""
MAX_NOTES = 1_000

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_OF_PATHS = frozenset({"$ref", "summary", "description", "servers", "parameters"})
_SCOPED = frozenset({"oauth2", "openIdConnect"})
_NOT_WORD = re.compile(r"[^A-Za-z0-9_]")
_VARIABLE = re.compile(r"\{([^}]+)\}")
_read_json = reader(depth=200, digits=100)


class Operation(Struct, frozen=True):
    """One operation on the servers that have one path: ``template`` has that path before its own.

    ``id`` is its ``operationId``, "" for none. ``scopes`` are alternatives, each a list of scopes that are needed
    together; None when they are not about scopes. ``unwritable`` says why no route can have this template.
    """

    hosts: tuple[str, ...]
    method: str
    template: str
    title: str
    id: str = ""
    scopes: tuple[tuple[str, ...], ...] | None = None
    unwritable: str = ""


class Description(Struct, frozen=True):
    """What a document says: its operations in its order, and in ``notes`` what is not among them, each said once.

    ``unscoped`` says what operations ask for besides scopes.
    """

    title: str
    operations: tuple[Operation, ...]
    notes: tuple[str, ...]
    unscoped: tuple[str, ...] = ()


def read(data: bytes, file: str) -> Description:
    """Read one description, JSON or plain YAML. ``file`` is the name that problems show.

    Raises DocumentError: T310 for what is no description, or too large.
    """
    document = _parsed(data, file)
    version = str(document.get("openapi", document.get("swagger", "")))
    if not version.startswith(("3.", "2.")):
        raise refused("neither OpenAPI 3 nor Swagger 2", file)
    notes: dict[str, None] = {}
    unscoped: dict[str, None] = {}
    operations: list[Operation] = []
    for operation in _operations(document, file, notes, unscoped):
        if len(operations) >= MAX_OPERATIONS:
            raise refused(f"more than {MAX_OPERATIONS} operations", file)
        operations.append(operation)
    if webhooks := _mapping(document.get("webhooks")):
        notes[f"{len(webhooks)} webhooks are calls of the API itself: they are no operations"] = None
    title = str(_mapping(document.get("info")).get("title") or "api")
    return Description(title, tuple(operations), _told(notes), _told(unscoped))


def refused(message: str, file: str) -> DocumentError:
    """Return the error of a document that is no description."""
    return DocumentError([Problem("T310", f"not an API description: {message}", Place(file))])


def _told(notes: Mapping[str, None]) -> tuple[str, ...]:
    told = tuple(notes)
    return (*told[:MAX_NOTES], f"{len(told) - MAX_NOTES} more") if len(told) > MAX_NOTES else told


def _parsed(data: bytes, file: str) -> Mapping[str, Any]:
    if len(data) > MAX_BYTES:
        raise refused(f"larger than {MAX_BYTES} bytes", file)
    try:
        document = _read_json(data) if data.lstrip()[:1] == b"{" else _yaml(data, file)
    except Refused as error:
        raise refused(str(error), file) from None
    if not isinstance(document, dict):
        raise refused("not a mapping", file)
    return document


def _yaml(data: bytes, file: str) -> Any:
    nodes = load_bytes(data, file)
    return plain(nodes[0]) if len(nodes) == 1 else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _operations(
    document: Mapping[str, Any], file: str, notes: dict[str, None], unscoped: dict[str, None]
) -> Iterator[Operation]:
    schemes = _schemes(document)
    for path, item in _mapping(document.get("paths")).items():
        if path.startswith("x-"):
            continue
        members = _referred(document, path, _mapping(item), notes)
        for method, said in members.items():
            if method.lower() not in _METHODS:
                if method not in _OF_PATHS and not method.startswith("x-"):
                    notes[f"{path}: {method!r} is not understood"] = None
                continue
            operation = _mapping(said)
            title = f"{method.upper()} {path}"
            security = operation.get("security", document.get("security"))
            scopes = _scopes(security, schemes, title, unscoped)
            for hosts, base in _servers(document, members, operation, title, file, notes):
                template, why = _template(base + path)
                if why:
                    notes[f"{title}: left out: {why}"] = None
                yield Operation(
                    hosts, method.upper(), template, title, str(operation.get("operationId") or ""), scopes, why
                )


def _referred(
    document: Mapping[str, Any], path: str, members: Mapping[str, Any], notes: dict[str, None]
) -> Mapping[str, Any]:
    """Return a path's members with those that it refers to; its own go first."""
    passed: set[str] = set()
    while isinstance(reference := members.get("$ref"), str):
        own = {name: said for name, said in members.items() if name != "$ref"}
        if not reference.startswith("#/"):
            notes[f"{path}: refers to another document, which is not read"] = None
            return own
        if reference in passed:
            notes[f"{path}: refers to itself in the end"] = None
            return own
        passed.add(reference)
        found = _at(document, reference)
        if found is None:
            notes[f"{path}: refers to what is not there"] = None
            return own
        members = {**found, **own}
        if "$ref" in found:
            members["$ref"] = found["$ref"]
    return members


def _at(document: Mapping[str, Any], reference: str) -> dict[str, Any] | None:
    """Return the mapping that a JSON pointer in a fragment (RFC 6901, 6) leads to."""
    here: Any = document
    for step in reference[2:].split("/"):
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if not isinstance(here, dict) or name not in here:
            return None
        here = here[name]
    return here if isinstance(here, dict) else None


def _servers(
    document: Mapping[str, Any],
    item: Mapping[str, Any],
    operation: Mapping[str, Any],
    title: str,
    file: str,
    notes: dict[str, None],
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield hosts and the path before the operation's own; servers with the same path go together."""
    servers: Any = next(
        (part["servers"] for part in (operation, item, document) if part.get("servers")), [{"url": "/"}]
    )
    if "swagger" in document:
        servers = [{"url": f"//{document.get('host', '')}{document.get('basePath', '')}"}]
    if isinstance(servers, list) and len(servers) > MAX_SERVERS:
        raise refused(f"more than {MAX_SERVERS} servers", file)
    found: dict[str, list[str]] = {}
    for server in servers if isinstance(servers, list) else []:
        url = _url(_mapping(server))
        try:
            parts = urlsplit(url)
            host = parse_host(parts.hostname or "*")
        except (TemplateError, ValueError) as error:
            notes[f"{title}: the server {url[:200]!r} is left out: {error}"] = None
            continue
        if host == "*":
            notes["no server names a host: the routes answer for every host; write the one that is meant"] = None
        found.setdefault(parts.path.rstrip("/"), []).append(host)
    for base, hosts in found.items():
        yield tuple(dict.fromkeys(hosts)), base


def _url(server: Mapping[str, Any]) -> str:
    """Return a server's address with the defaults of its variables."""
    variables = _mapping(server.get("variables"))
    return _VARIABLE.sub(
        lambda match: str(_mapping(variables.get(match[1])).get("default", "")), str(server.get("url", "/"))
    )


def _template(path: str) -> tuple[str, str]:
    """Return a path as a route's template, and why it is none; a fragment, which no client sends, is dropped."""
    bare = path.partition("#")[0]
    if "?" in bare:
        return bare, "a query is no part of a path"
    template = _VARIABLE.sub(lambda match: "{" + _word(match[1]) + "}", bare) or "/"
    try:
        parse_template(template)
    except TemplateError as error:
        return bare, str(error)
    return template, ""


def _word(text: str) -> str:
    word = _NOT_WORD.sub("_", text)
    return word if word[:1].isalpha() or word[:1] == "_" else f"_{word}"


def _schemes(document: Mapping[str, Any]) -> Mapping[str, str]:
    components = _mapping(document.get("components"))
    declared = _mapping(components.get("securitySchemes")) or _mapping(document.get("securityDefinitions"))
    return {name: str(_mapping(scheme).get("type", "")) for name, scheme in declared.items()}


def _scopes(
    security: Any, schemes: Mapping[str, str], title: str, notes: dict[str, None]
) -> tuple[tuple[str, ...], ...] | None:
    """Return the alternatives of scopes, or None when there are none or one of them asks for something else."""
    if not isinstance(security, list) or not security:
        return None
    found = []
    for requirement in security:
        scopes: Sequence[str] = []
        for scheme, wanted in _mapping(requirement).items():
            listed = [str(scope) for scope in wanted] if isinstance(wanted, list) else []
            if schemes.get(scheme) not in _SCOPED or not listed:
                notes[f"{scheme!r} without scopes is asked for: granted to nobody by that"] = None
                scopes = []
                break
            if not all(map(is_scope, listed)):
                notes[f"{title}: a scope of {scheme!r} is no scope: granted to nobody by it"] = None
                scopes = []
                break
            scopes = [*scopes, *listed]
        if scopes:
            found.append(tuple(dict.fromkeys(scopes)))
    return tuple(dict.fromkeys(found)) or None
