"""OpenAPI 3.0, 3.1 and Swagger 2 documents as applications: a route and a right for each operation, grants for scopes.

``operationId`` is the right's name. An OAuth scope that an operation asks for becomes a grant to whoever holds it; what
asks for another credential, or for none, is granted to nobody until somebody writes to whom.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from authorizer.errors import DocumentError, Place, Problem
from authorizer.policy.authoring.importing import Imported, Names, Tree, made
from authorizer.policy.documents import load_bytes, plain
from authorizer.policy.pbac.grants import is_scope
from authorizer.policy.templates import TemplateError, parse_host, parse_template, shape
from authorizer.strict_json import Refused, reader

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_SCOPED = frozenset({"oauth2", "openIdConnect"})
_NOT_WORD = re.compile(r"[^A-Za-z0-9_]")
_VARIABLE = re.compile(r"\{([^}]+)\}")
_read_json = reader(depth=200, digits=100)


class Operation(Struct, frozen=True):
    """One operation: ``hosts``, ``template`` with the servers' path before it, and what it asks for.

    ``scopes`` are alternatives, each a list of scopes that are needed together; None when they are not about scopes.
    """

    hosts: tuple[str, ...]
    method: str
    template: str
    name: str
    scopes: tuple[tuple[str, ...], ...] | None


def import_openapi(data: bytes, file: str, application: str = "") -> Imported:
    """Import one API description; ``application`` names it in place of its title. Raises DocumentError."""
    document = _read(data, file)
    version = str(document.get("openapi", document.get("swagger", "")))
    if not version.startswith(("3.", "2.")):
        raise _refused("neither OpenAPI 3 nor Swagger 2", file)
    notes: list[str] = []
    operations = list(_operations(document, notes))
    if not operations:
        raise _refused("there is no operation that could be a route", file)
    names = Names()
    info = _mapping(document.get("info"))
    title = application or names.name(str(info.get("title") or "api").lower())
    groups: dict[tuple[str, ...], list[Operation]] = {}
    for operation in operations:
        groups.setdefault(operation.hosts, []).append(operation)
    documents: list[Tree] = []
    for number, (hosts, group) in enumerate(sorted(groups.items(), key=lambda one: -len(one[1]))):
        name = title if not number else names.name(f"{title}-{hosts[0]}")
        documents += _application(name, hosts, group, notes)
    return made(documents, notes)


def _read(data: bytes, file: str) -> Mapping[str, Any]:
    try:
        document = _read_json(data) if data.lstrip()[:1] == b"{" else _yaml(data, file)
    except Refused as error:
        raise _refused(str(error), file) from None
    if not isinstance(document, dict):
        raise _refused("not a mapping", file)
    return document


def _yaml(data: bytes, file: str) -> Any:
    nodes = load_bytes(data, file)
    return plain(nodes[0]) if len(nodes) == 1 else None


def _refused(message: str, file: str) -> DocumentError:
    return DocumentError([Problem("T310", f"not an API description: {message}", Place(file))])


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _operations(document: Mapping[str, Any], notes: list[str]) -> Iterator[Operation]:
    schemes = _schemes(document)
    taken: dict[tuple[Any, ...], str] = {}
    names = Names()
    for path, item in _mapping(document.get("paths")).items():
        members = _mapping(item)
        if "$ref" in members:
            notes.append(f"{path}: refers to another document, which is not read")
        for method, said in members.items():
            if method.lower() not in _METHODS:
                continue
            operation = _mapping(said)
            title = f"{method.upper()} {path}"
            for hosts, base in _servers(document, members, operation, title, notes):
                template = _template(base + path, title, notes)
                if template is None:
                    continue
                form = method.lower(), shape(parse_template(template))
                free = tuple(host for host in hosts if (host, *form) not in taken)
                if len(free) < len(hosts):
                    first = next(taken[host, *form] for host in hosts if (host, *form) in taken)
                    notes.append(f"{title}: the same requests as {first}, whose right it shares")
                if not free:
                    continue
                taken |= {(host, *form): title for host in free}
                name = str(operation.get("operationId") or f"{method}{path}")
                security = operation.get("security", document.get("security"))
                scopes = _scopes(security, schemes, title, notes)
                yield Operation(free, method.upper(), template, names.name(name), scopes)


def _servers(
    document: Mapping[str, Any], item: Mapping[str, Any], operation: Mapping[str, Any], title: str, notes: list[str]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield hosts and the path before the operation's own; servers with the same path go together."""
    servers: Any = next(
        (part["servers"] for part in (operation, item, document) if part.get("servers")), [{"url": "/"}]
    )
    if "swagger" in document:
        servers = [{"url": f"//{document.get('host', '')}{document.get('basePath', '')}"}]
    found: dict[str, list[str]] = {}
    for server in servers if isinstance(servers, list) else []:
        url = _url(_mapping(server))
        try:
            parts = urlsplit(url)
            host = parse_host(parts.hostname or "*")
        except (TemplateError, ValueError) as error:
            notes.append(f"{title}: the server {url!r} is left out: {error}")
            continue
        if host == "*":
            notes.append("no server names a host: the routes answer for every host; write the one that is meant")
        found.setdefault(parts.path.rstrip("/"), []).append(host)
    for base, hosts in found.items():
        yield tuple(dict.fromkeys(hosts)), base


def _url(server: Mapping[str, Any]) -> str:
    """Return a server's address with the defaults of its variables."""
    variables = _mapping(server.get("variables"))
    return _VARIABLE.sub(
        lambda match: str(_mapping(variables.get(match[1])).get("default", "")), str(server.get("url", "/"))
    )


def _template(path: str, title: str, notes: list[str]) -> str | None:
    """Return a path as a route's template; a fragment, which no client sends, is dropped."""
    bare = path.partition("#")[0]
    if "?" in bare:
        notes.append(f"{title}: left out: a query is no part of a path")
        return None
    template = _VARIABLE.sub(lambda match: "{" + _word(match[1]) + "}", bare) or "/"
    try:
        parse_template(template)
    except TemplateError as error:
        notes.append(f"{title}: left out: {error}")
        return None
    return template


def _word(text: str) -> str:
    word = _NOT_WORD.sub("_", text)
    return word if word[:1].isalpha() or word[:1] == "_" else f"_{word}"


def _schemes(document: Mapping[str, Any]) -> Mapping[str, str]:
    components = _mapping(document.get("components"))
    declared = _mapping(components.get("securitySchemes")) or _mapping(document.get("securityDefinitions"))
    return {name: str(_mapping(scheme).get("type", "")) for name, scheme in declared.items()}


def _scopes(
    security: Any, schemes: Mapping[str, str], title: str, notes: list[str]
) -> tuple[tuple[str, ...], ...] | None:
    """Return the alternatives of scopes, or None when there are none or one of them asks for something else."""
    if not isinstance(security, list) or not security:
        return None
    found = []
    for requirement in security:
        scopes: list[str] = []
        for scheme, wanted in _mapping(requirement).items():
            listed = [str(scope) for scope in wanted] if isinstance(wanted, list) else []
            if schemes.get(scheme) not in _SCOPED or not listed:
                notes.append(f"{scheme!r} without scopes is asked for: granted to nobody by that")
                scopes = []
                break
            if not all(map(is_scope, listed)):
                notes.append(f"{title}: a scope of {scheme!r} is no scope: granted to nobody by it")
                scopes = []
                break
            scopes += listed
        if scopes:
            found.append(tuple(dict.fromkeys(scopes)))
    return tuple(dict.fromkeys(found)) or None


def _application(name: str, hosts: tuple[str, ...], group: list[Operation], notes: list[str]) -> Iterator[Tree]:
    routes: dict[str, Tree] = {f"{one.method} {one.template}": {"right": one.name} for one in group}
    rights: dict[str, Tree] = {one.name: {} for one in group}
    http: Tree = {"hosts": list(hosts), "routes": routes}
    yield {"kind": "Application", "id": name, "model": "pbac", "rights": rights, "http": http}
    policies: list[Tree] = []
    for one in group:
        for number, (first, *others) in enumerate(one.scopes or ()):
            suffix = f".{number + 1}" if number else ""
            grant: dict[str, Tree] = {
                "id": f"{name}.{one.name}{suffix}",
                "right": f"{name}/{one.name}",
                "to": {"scope": first},
            }
            if others:
                grant["where"] = {"all": [{"is": {"scope": scope}} for scope in others]}
            policies.append(grant)
    ungranted = sum(one.scopes is None for one in group)
    if ungranted:
        notes.append(f"{name}: {ungranted} of {len(group)} operations are granted to nobody: write to whom")
    if policies:
        yield {"kind": "Policies", "policies": policies}
