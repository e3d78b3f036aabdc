"""Azure role assignments and definitions, as ``az role assignment list`` and ``az role definition list`` print them.

Scopes become assignment points, actions rights, definitions roles, assignments policies. An assignment with a condition
is not made into a grant, for the grant would be wider: it is named in a note.
"""

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

from authorizer.errors import DocumentError, Place, Problem
from authorizer.policy.authoring.importing import Imported, Names, Tree, made
from authorizer.strict_json import Refused, reader

TYPES = ("tenant", "management_group", "subscription", "resource_group", "resource")
ROOT = "tenant:root"
_GROUPS = "/providers/microsoft.management/managementgroups/"
_SUBSCRIPTIONS = "/subscriptions/"
_KINDS = {"User": "person", "Group": "group", "ServicePrincipal": "client"}
_read_json = reader(depth=64, digits=100)


def import_azure(assignments: bytes, definitions: bytes, *, application: str = "azure") -> Imported:
    """Import what the two commands printed. Raises DocumentError."""
    notes: list[str] = []
    names = Names()
    held = _roles(_read(definitions, "role definitions"), notes)
    rights = sorted({action for actions in held.values() for action in actions})
    points = _Points()
    policies: list[Tree] = []
    seen = Names()
    for assignment in _read(assignments, "role assignments"):
        policy = _policy(assignment, held, points, names, seen, application, notes)
        if policy is not None:
            policies.append(policy)
    used = {role for role, actions in held.items() if actions}
    roles: dict[str, Tree] = {
        names.name(role): [names.name(one) for one in sorted(held[role])] for role in sorted(used)
    }
    if len(points.parents) > 1:
        notes.append(
            "assignments do not tell which management group a subscription is below: move it there in the tree"
        )
    documents: list[Tree] = [
        {"kind": "AssignmentPoints", "types": list(TYPES), "tree": points.tree(ROOT)},
        {
            "kind": "Application",
            "id": application,
            "model": "azure",
            "system": {"type": "Azure AD SCIM", "module": "Azure Resource Manager"},
            "rights": {names.name(right): {} for right in rights},
            "roles": roles,
        },
    ]
    if policies:
        documents.append({"kind": "Policies", "policies": policies})
    return made(documents, notes)


def _read(data: bytes, what: str) -> list[Mapping[str, Any]]:
    """Read an array of objects; those of older versions have their members below ``properties``."""
    try:
        found = _read_json(data)
    except Refused as error:
        raise _refused(f"not JSON: {error}", what) from None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise _refused("not an array of objects", what)
    return [{**one, **one["properties"]} if isinstance(one.get("properties"), dict) else one for one in found]


def _refused(message: str, what: str) -> DocumentError:
    return DocumentError(
        [Problem("T311", f"{what}: {message}", Place(what), "give what the az command prints as JSON")]
    )


def _roles(definitions: Iterable[Mapping[str, Any]], notes: list[str]) -> dict[str, set[str]]:
    """Return the actions of each role; a pattern stands for the actions that are named in full somewhere."""
    permissions: dict[str, list[Mapping[str, Any]]] = {}
    for definition in definitions:
        name = definition.get("roleName")
        listed = definition.get("permissions")
        if not isinstance(name, str) or not isinstance(listed, list):
            raise _refused("a definition has no roleName or no permissions", "role definitions")
        permissions[name] = [one for one in listed if isinstance(one, dict)]
    wanted = ("actions", "dataActions")
    known = {
        kind: {
            action
            for listed in permissions.values()
            for one in listed
            for action in _texts(one, kind)
            if "*" not in action
        }
        for kind in wanted
    }
    held: dict[str, set[str]] = {}
    for name, listed in permissions.items():
        found: set[str] = set()
        for one in listed:
            if one.get("condition"):
                notes.append(f"role {name!r}: permissions with a condition are left out: {_short(one['condition'])}")
                continue
            for kind, without in (("actions", "notActions"), ("dataActions", "notDataActions")):
                patterns, excluded = _texts(one, kind), _texts(one, without)
                found |= {
                    action for action in known[kind] if _matches(action, patterns) and not _matches(action, excluded)
                }
        patterns = [action for one in listed for kind in wanted for action in _texts(one, kind) if "*" in action]
        if patterns:
            notes.append(f"role {name!r}: {', '.join(sorted(patterns))} stands for the {len(found)} actions named here")
        held[name] = found
    return held


def _texts(one: Mapping[str, Any], key: str) -> list[str]:
    listed = one.get(key)
    return [text for text in listed if isinstance(text, str)] if isinstance(listed, list) else []


def _matches(action: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns means the action: ``*`` is any text, case does not count."""
    folded = action.lower()
    return any(
        fnmatch.fnmatchcase(folded, pattern.lower().replace("[", "[[]").replace("?", "[?]")) for pattern in patterns
    )


def _policy(
    assignment: Mapping[str, Any],
    held: Mapping[str, set[str]],
    points: "_Points",
    names: Names,
    seen: Names,
    application: str,
    notes: list[str],
) -> Tree | None:
    said = {key: value for key, value in assignment.items() if isinstance(value, str) and value}
    title = f"assignment {said.get('name') or said.get('id', '?')}"
    role = said.get("roleDefinitionName", "")
    kind = _KINDS.get(said.get("principalType", ""))
    # A token names a person and a group by their object id, a client by its application id, which is the name here.
    order = ("principalName", "principalId") if kind == "client" else ("principalId", "principalName")
    principal = next((said[key] for key in order if key in said), "")
    why = ""
    if said.get("condition"):
        why = f"it has a condition: {_short(said['condition'])}"
    elif kind is None or not principal:
        why = f"its principal is a {said.get('principalType', 'nothing')}"
    elif role not in held:
        why = f"the role {role!r} has no definition"
    elif not held[role]:
        why = f"the role {role!r} has no action that is named in full"
    point = points.add(said.get("scope", "")) if not why else ""
    if not why and not point:
        why = f"its scope {said.get('scope', '')!r} is none"
    if why:
        notes.append(f"{title}: not granted: {why}")
        return None
    kind_of_point, _, name = point.partition(":")
    return {
        "id": seen.name(said.get("name") or f"{role}-{principal}-{name}"),
        "role": f"{application}/{names.name(role)}",
        "to": {str(kind): principal},
        "at": {kind_of_point: name},
    }


class _Points:
    """Scopes as a tree of assignment points, each with its parent."""

    def __init__(self) -> None:
        self.parents: dict[str, str] = {ROOT: ""}

    def add(self, scope: str) -> str:
        """Return the point of a scope, added with all above it; "" for a text that is no scope."""
        folded = scope.lower().rstrip("/")
        if scope == "/":
            return ROOT
        if folded.startswith(_GROUPS) and "/" not in folded.removeprefix(_GROUPS):
            return self._put(f"management_group:{folded.removeprefix(_GROUPS)}", ROOT)
        parts = folded.split("/")
        if not folded.startswith(_SUBSCRIPTIONS) or len(parts) < 3 or not all(parts[1:]):
            return ""
        point = self._put(f"subscription:{parts[2]}", ROOT)
        if len(parts) >= 5 and parts[3] == "resourcegroups":
            # Groups of two subscriptions may have one name, and so may resources: a point has its whole path.
            point = self._put(f"resource_group:{'/'.join(parts[2:5:2])}", point)
            parts = parts[5:]
        else:
            parts = parts[3:]
        return self._put(f"resource:{folded.removeprefix(_SUBSCRIPTIONS)}", point) if parts else point

    def _put(self, point: str, parent: str) -> str:
        self.parents[point] = parent
        return point

    def tree(self, root: str) -> Tree:
        """Return the tree from a point on, as a document has it."""
        below: dict[str, list[str]] = {}
        for point, parent in sorted(self.parents.items()):
            below.setdefault(parent, []).append(point)

        def branch(point: str) -> Tree:
            return {one: branch(one) for one in below.get(point, ())}

        return {root: branch(root)}


def _short(text: object) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= 200 else f"{line[:200]}..."
