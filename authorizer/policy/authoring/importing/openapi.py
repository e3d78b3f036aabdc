"""API descriptions as applications: a route and a right for each operation, grants for scopes.

``operationId`` is the right's name. An OAuth scope that an operation asks for becomes a grant to whoever holds it; what
asks for another credential, or for none, is granted to nobody until somebody writes to whom.
"""

from collections.abc import Iterator
from itertools import count
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from authorizer.policy.authoring.descriptions import Operation, read, refused
from authorizer.policy.authoring.importing import Imported, Names, Tree, made
from authorizer.policy.templates import parse_template, shape


class _Route(Struct, frozen=True):
    """A route of the application that is made, and its right."""

    operation: Operation
    right: str


def import_openapi(data: bytes, file: str, application: str = "") -> Imported:
    """Import one API description; ``application`` names it in place of its title. Raises DocumentError."""
    description = read(data, file)
    notes = [*description.notes, *description.unscoped]
    groups: dict[tuple[str, ...], list[_Route]] = {}
    for route in _routes(description.operations, notes):
        groups.setdefault(route.operation.hosts, []).append(route)
    if not groups:
        raise refused("there is no operation that could be a route", file)
    names = Names()
    title = application or names.name(description.title.lower())
    documents: list[Tree] = []
    for number, (hosts, group) in enumerate(sorted(groups.items(), key=lambda one: -len(one[1]))):
        name = title if not number else names.name(f"{title}-{hosts[0]}")
        documents += _application(name, hosts, group, notes)
    return made(documents, notes)


def _routes(operations: tuple[Operation, ...], notes: list[str]) -> Iterator[_Route]:
    taken: dict[tuple[Any, ...], str] = {}
    names = Names()
    used: set[str] = set()
    for operation in operations:
        if operation.unwritable:
            continue
        form = operation.method, shape(parse_template(operation.template))
        free = tuple(host for host in operation.hosts if (host, *form) not in taken)
        if len(free) < len(operation.hosts):
            first = next(taken[host, *form] for host in operation.hosts if (host, *form) in taken)
            notes.append(f"{operation.title}: the same requests as {first}, whose right it shares")
        if free:
            taken |= {(host, *form): operation.title for host in free}
            method, _, path = operation.title.partition(" ")
            text = operation.id or f"{method.lower()}{path}"
            # INVARIANT: no two operations share a right by their names: one would be granted what is the other's.
            if text in used:
                notes.append(f"{operation.title}: another operation is called {text!r} too")
                text = next(one for number in count(2) if (one := f"{method.lower()}{path}-{number}") not in used)
            used.add(text)
            yield _Route(replace(operation, hosts=free), names.name(text))


def _application(name: str, hosts: tuple[str, ...], group: list[_Route], notes: list[str]) -> Iterator[Tree]:
    routes: dict[str, Tree] = {
        f"{one.operation.method} {one.operation.template}": {"right": one.right} for one in group
    }
    rights: dict[str, Tree] = {one.right: {} for one in group}
    http: Tree = {"hosts": list(hosts), "routes": routes}
    yield {"kind": "Application", "id": name, "model": "pbac", "rights": rights, "http": http}
    policies: list[Tree] = []
    for one in group:
        for number, (first, *others) in enumerate(one.operation.scopes or ()):
            suffix = f".{number + 1}" if number else ""
            grant: dict[str, Tree] = {
                "id": f"{name}.{one.right}{suffix}",
                "right": f"{name}/{one.right}",
                "to": {"scope": first},
            }
            if others:
                grant["where"] = {"all": [{"is": {"scope": scope}} for scope in others]}
            policies.append(grant)
    ungranted = sum(one.operation.scopes is None for one in group)
    if ungranted:
        notes.append(f"{name}: {ungranted} of {len(group)} operations are granted to nobody: write to whom")
    if policies:
        yield {"kind": "Policies", "policies": policies}
