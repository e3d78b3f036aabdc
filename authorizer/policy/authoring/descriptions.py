"""OpenAPI 3.0, 3.1 and Swagger 2 documents as lists of operations. The one reader of them, for importers and discovery.

Nothing but the document itself is read: a reference to another one is told in a note. What the language cannot say is
an operation all the same, with the reason in ``unwritable``.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from authorizer.errors import DocumentError, Place, Problem
from authorizer.policy.documents import load_bytes, plain
from authorizer.policy.pbac.grants import is_scope
from authorizer.policy.templates import TemplateError, parse_host, parse_template
from authorizer.strict_json import Refused, reader

MAX_BYTES = 32 << 20
MAX_YAML_NODES = 600_000
"""Scalars, lists and mappings of one in YAML: about 2 s of reading. JSON is read twenty times as fast."""
MAX_OPERATIONS = 20_000
"""Operations of one document, each server path of an operation counted."""
MAX_SERVERS = 100
"""Servers of the document, of a path or of an operation."""
MAX_NOTES = 1_000
MAX_TEXT = 2048
"""Characters of a path, of a server's address, of a reference and of a scope."""
MAX_LOOKS = 1_000_000
"""Looks at members, servers, scopes and segments of paths. A short document can refer to much, many times."""

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_LONGEST_METHOD = max(map(len, _METHODS))
_OF_PATHS = frozenset({"$ref", "summary", "description", "servers", "parameters"})
_SCOPED = frozenset({"oauth2", "openIdConnect"})
_NOT_WORD = re.compile(r"[^A-Za-z0-9_]")
_VARIABLE = re.compile(r"\{([^{}]+)\}")
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


class _Notes:
    """Notes, each once: the first ``MAX_NOTES``, and how many more were taken."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._more = 0

    def add(self, text: str) -> None:
        if text in self._texts:
            return
        if len(self._texts) < MAX_NOTES:
            self._texts[text] = None
        else:
            self._more += 1

    def told(self) -> tuple[str, ...]:
        return (*self._texts, *([f"{self._more} more"] if self._more else []))


class _Reading:
    """One document while it is read: what is noted of it, and how much may still be looked at.

    INVARIANT: every step of the reading that a document can ask for more than once is spent before it is made, and
    takes time that ``MAX_TEXT`` bounds: documents are written by whoever runs an API.
    """

    def __init__(self, document: Mapping[str, Any], file: str) -> None:
        self.document = document
        self.file = file
        self.notes = _Notes()
        self.unscoped = _Notes()
        self._left = MAX_LOOKS

    def spend(self, looks: int) -> None:
        self._left -= looks
        if self._left < 0:
            raise refused(f"more than {MAX_LOOKS} looks are needed to read it", self.file)


def read(data: bytes, file: str) -> Description:
    """Read one description, JSON or plain YAML. ``file`` is the name that problems show.

    Raises DocumentError: T310 for what is no description, or too large.
    """
    document = _parsed(data, file)
    version = _text(document.get("openapi", document.get("swagger")))
    if not version.startswith(("3.", "2.")):
        raise refused("neither OpenAPI 3 nor Swagger 2", file)
    reading = _Reading(document, file)
    operations: list[Operation] = []
    for operation in _operations(reading):
        if len(operations) >= MAX_OPERATIONS:
            raise refused(f"more than {MAX_OPERATIONS} operations", file)
        operations.append(operation)
    if webhooks := _mapping(document.get("webhooks")):
        reading.notes.add(f"{len(webhooks)} webhooks are calls of the API itself: they are no operations")
    title = _text(_mapping(document.get("info")).get("title"))[:MAX_TEXT] or "api"
    return Description(title, tuple(operations), reading.notes.told(), reading.unscoped.told())


def refused(message: str, file: str) -> DocumentError:
    """Return the error of a document that is no description."""
    return DocumentError([Problem("T310", f"not an API description: {message}", Place(file))])


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
    nodes = load_bytes(data, file, MAX_YAML_NODES)
    return plain(nodes[0]) if len(nodes) == 1 else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    """Return a text, or a number as text; "" for all else, which would be long to write out."""
    return str(value) if isinstance(value, str | int | Decimal) else ""


def _operations(reading: _Reading) -> Iterator[Operation]:
    document = reading.document
    schemes = _schemes(document)
    common = _swagger_servers(document) if "swagger" in document else None
    for path, item in _mapping(document.get("paths")).items():
        if path.startswith("x-"):
            continue
        if len(path) > MAX_TEXT:
            reading.notes.add(f"{path[:80]!r}: left out: a path of more than {MAX_TEXT} characters")
            continue
        members = _referred(reading, path, _mapping(item))
        reading.spend(1 + len(members))
        for method, said in members.items():
            if len(method) > _LONGEST_METHOD or method.lower() not in _METHODS:
                if method not in _OF_PATHS and not method.startswith("x-"):
                    reading.notes.add(f"{path}: {method[:80]!r} is not understood")
                continue
            operation = _mapping(said)
            title = f"{method.upper()} {path}"
            scopes = _scopes(reading, operation.get("security", document.get("security")), schemes, title)
            servers = common or _first(operation, members, document)
            for hosts, base in _servers(reading, servers, title):
                reading.spend(1 + base.count("/") + path.count("/"))
                template, why = _template(base + path)
                if why:
                    reading.notes.add(f"{title}: left out: {why}")
                named = _text(operation.get("operationId"))
                yield Operation(hosts, method.upper(), template, title, named, scopes, why)


def _referred(reading: _Reading, path: str, members: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a path's members with those that it refers to; its own go first."""
    passed: set[str] = set()
    while isinstance(reference := members.get("$ref"), str):
        reading.spend(1 + len(members))
        own = {name: said for name, said in members.items() if name != "$ref"}
        if not reference.startswith("#/"):
            reading.notes.add(f"{path}: refers to another document, which is not read")
            return own
        if reference in passed:
            reading.notes.add(f"{path}: refers to itself in the end")
            return own
        passed.add(reference)
        found = _at(reading.document, reference) if len(reference) <= MAX_TEXT else None
        if found is None:
            reading.notes.add(f"{path}: refers to what is not there")
            return own
        reading.spend(len(found))
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


def _first(*parts: Mapping[str, Any]) -> Any:
    """Return the servers that count: those of the operation, else of its path, else of the document."""
    return next((part["servers"] for part in parts if part.get("servers")), [{"url": "/"}])


def _swagger_servers(document: Mapping[str, Any]) -> Any:
    return [{"url": f"//{_text(document.get('host'))}{_text(document.get('basePath'))}"}]


def _servers(reading: _Reading, servers: Any, title: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield hosts and the path before the operation's own; servers with the same path go together."""
    if isinstance(servers, list) and len(servers) > MAX_SERVERS:
        raise refused(f"more than {MAX_SERVERS} servers", reading.file)
    found: dict[str, list[str]] = {}
    for server in servers if isinstance(servers, list) else []:
        url = _url(reading, _mapping(server))
        try:
            host, path = _host_and_path(url)
        except (TemplateError, ValueError) as error:
            reading.notes.add(f"{title}: the server {url[:200]!r} is left out: {str(error)[:400]}")
            continue
        if host == "*":
            reading.notes.add("no server names a host: the routes answer for every host; write the one that is meant")
        found.setdefault(path, []).append(host)
    for base, hosts in found.items():
        yield tuple(dict.fromkeys(hosts)), base


def _host_and_path(url: str) -> tuple[str, str]:
    """Return a server's host, ``*`` for none, and its path. Raises TemplateError or ValueError."""
    if len(url) > MAX_TEXT:
        raise ValueError(f"more than {MAX_TEXT} characters")
    parts = urlsplit(url)
    return parse_host(parts.hostname or "*"), parts.path.rstrip("/")


def _url(reading: _Reading, server: Mapping[str, Any]) -> str:
    """Return a server's address with the defaults of its variables; one that is too long without them as it is."""
    url = _text(server.get("url", "/"))
    if len(url) > MAX_TEXT:
        return url
    variables = _mapping(server.get("variables"))
    reading.spend(1 + url.count("{"))
    return _VARIABLE.sub(lambda match: _text(_mapping(variables.get(match[1])).get("default"))[: MAX_TEXT + 1], url)


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
    return {name: _text(_mapping(scheme).get("type")) for name, scheme in declared.items()}


def _scopes(
    reading: _Reading, security: Any, schemes: Mapping[str, str], title: str
) -> tuple[tuple[str, ...], ...] | None:
    """Return the alternatives of scopes, or None when there are none or one of them asks for something else."""
    if not isinstance(security, list) or not security:
        return None
    found = []
    for requirement in security:
        scopes: list[str] = []
        reading.spend(1)
        for scheme, wanted in _mapping(requirement).items():
            listed = wanted if isinstance(wanted, list) else []
            reading.spend(1 + len(listed))
            if schemes.get(scheme) not in _SCOPED or not listed:
                reading.unscoped.add(f"{scheme[:200]!r} without scopes is asked for: granted to nobody by that")
                scopes = []
                break
            if not all(isinstance(scope, str) and len(scope) <= MAX_TEXT and is_scope(scope) for scope in listed):
                reading.unscoped.add(f"{title}: a scope of {scheme[:200]!r} is no scope: granted to nobody by it")
                scopes = []
                break
            scopes += listed
        if scopes:
            found.append(tuple(dict.fromkeys(scopes)))
    return tuple(dict.fromkeys(found)) or None
