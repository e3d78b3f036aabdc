"""Reads what policies and eligibility rules have in common: what they are about, for whom, and where."""

import re
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from authorizer import model
from authorizer.errors import Place
from authorizer.policy.documents import ListNode, MapNode, Node, Scalar
from authorizer.policy.pbac.belonging import lacks
from authorizer.policy.pbac.declared import Application, Catalog, Right
from authorizer.policy.reading import Findings

EVERYBODY = {"anyone": model.ANYONE, "authenticated": model.AUTHENTICATED}
"""Assignees that are no names: ``true`` is all that stands after them."""

ASSIGNEES = (*model.ASSIGNEE_KINDS, "scope", *EVERYBODY)


is_scope = re.compile(r"[!#-\[\]-~]+").fullmatch
"""Whether a text is a scope-token (RFC 6749, section 3.3)."""


class Target(Struct, frozen=True):
    """The rights that a policy is about; ``rights`` are all of them, with the roles opened."""

    application: Application
    kind: Literal["right", "role", "all"]
    name: str
    rights: tuple[Right, ...]

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f"every right of {self.application.id!r}" if self.kind == "all" else f"{self.kind} {self.name!r}"


def read_right_or_role(
    node: MapNode, title: str, applications: Mapping[str, Application], findings: Findings, *, every: bool
) -> Target | None:
    """Read ``right`` or ``role``, of which there must be exactly one; ``every`` permits ``app/*``."""
    given = [key for key in ("right", "role") if key in node.entries]
    if len(given) != 1:
        findings.error("R002", node.place, f"{title} must name exactly one right or one role (has {len(given)})")
        return None
    value = node.entries[given[0]].value
    if given[0] == "role":
        return read_role(value, applications, findings)
    return read_right(value, applications, findings, every=every)


def read_right(
    node: Node, applications: Mapping[str, Application], findings: Findings, *, every: bool
) -> Target | None:
    """Read ``application/right``, or ``application/*`` where that is permitted."""
    found = _split(node, "right", applications, findings)
    if found is None:
        return None
    application, name = found
    if name == "*":
        if not every:
            findings.error("R008", node.place, f"'{application.id}/*' cannot be granted", "name one right or one role")
            return None
        return Target(application, "all", "", tuple(application.rights.values()))
    if name not in application.rights:
        local = sorted(one.name for one in application.rights.values() if one.stands_for == name)
        if local:
            hint = "grant the local one: " + ", ".join(local)
            findings.error("R004", node.place, f"{name!r} is a global right, which is for reports", hint)
        else:
            findings.unknown("R004", node.place, "right", name, application.rights, f" in {application.id!r}")
        return None
    return Target(application, "right", name, (application.rights[name],))


def read_role(node: Node, applications: Mapping[str, Application], findings: Findings) -> Target | None:
    """Read ``application/role``."""
    found = _split(node, "role", applications, findings)
    if found is None:
        return None
    application, name = found
    if name not in application.roles:
        findings.unknown("R007", node.place, "role", name, application.roles, f" in {application.id!r}")
        return None
    held = application.roles[name].rights
    rights = tuple(application.rights[right] for right in held if right in application.rights)
    return Target(application, "role", name, rights)


def _split(
    node: Node, what: str, applications: Mapping[str, Application], findings: Findings
) -> tuple[Application, str] | None:
    text = findings.text(node, what)
    if not text:
        return None
    application, slash, name = text.partition("/")
    if not slash or not name:
        findings.error("R001", node.place, f"{text!r} is not a {what}", f"write it as application/{what}")
        return None
    if application not in applications:
        findings.unknown("R001", node.place, "application", application, applications)
        return None
    return applications[application], name


def read_assignee(node: Node | None, title: str, place: Place, findings: Findings) -> str:
    """Read ``to``, which must name exactly one assignee, as its token; "" with a problem."""
    to = findings.mapping(node, "to", "to: {group: NAME}")
    count = len(to.entries) if to is not None else 0
    if count != 1 or to is None:
        if node is None or to is not None:
            where = to.place if to is not None else place
            findings.error("R005", where, f"{title} must have exactly one assignee (has {count})")
        return ""
    (entry,) = to.entries.values()
    return read_token(entry.key, entry.value, title, findings)


def read_token(key: Scalar, node: Node, title: str, findings: Findings) -> str:
    """Read a kind of assignee and its name as an assignee token; "" with a problem."""
    kind = key.text
    if kind not in ASSIGNEES:
        findings.unknown("R006", key.place, "assignee", kind, ASSIGNEES)
        return ""
    if kind in EVERYBODY:
        if findings.flag(node, kind):
            return EVERYBODY[kind]
        if isinstance(node, Scalar) and node.text == "false":
            findings.error("R019", node.place, f"{title} is for nobody", f"write '{kind}: true', or who it is for")
        return ""
    if model.ASSIGNEE_KINDS.get(kind) == "pairs":
        pair = findings.fields(node, kind, ("role", "location"))
        if pair is None:
            return ""
        role = findings.subject_name(findings.required(pair, "role", kind), "role")
        location = findings.subject_name(findings.required(pair, "location", kind), "location")
        return model.assignee_token(kind, role, location) if role and location else ""
    if isinstance(node, ListNode) and len(node.items) > 1:
        message = f"{title} must have exactly one assignee (has {len(node.items)})"
        findings.error("R005", node.place, message, "write one policy for each")
        return ""
    name = findings.subject_name(node, kind)
    if kind == "scope" and name and not is_scope(name):
        findings.error(
            "A005", node.place, f"{name!r} is not a scope", "visible ASCII without spaces, quotes, backslashes"
        )
        return ""
    return model.assignee_token(kind, name) if name else ""


def read_point(node: Node | None, title: str, application: Application, catalog: Catalog, findings: Findings) -> str:
    """Read ``at`` as ``type:name``; "" when there is none, or with a problem."""
    if node is None or lacks(application, "points", node.place, findings):
        return ""
    at = findings.mapping(node, "at")
    if at is None:
        return ""
    if len(at.entries) != 1:
        findings.error("S001", at.place, f"{title} must have exactly one assignment point (has {len(at.entries)})")
        return ""
    ((kind, entry),) = at.entries.items()
    name = findings.text(entry.value, kind)
    if kind not in catalog.point_types:
        findings.unknown("S002", entry.key.place, "assignment point type", kind, catalog.point_types)
        return ""
    point = f"{kind}:{name}"
    if not name or point in catalog.points:
        return point if name else ""
    other = next((known.partition(":")[0] for known in catalog.points if known.partition(":")[2] == name), None)
    if other is not None:
        article = "an" if other[0] in "aeiou" else "a"
        against = "an" if kind[0] in "aeiou" else "a"
        findings.error("S004", entry.value.place, f"{name!r} is {article} {other}, not {against} {kind}")
    else:
        names = [known.partition(":")[2] for known in catalog.points if known.startswith(f"{kind}:")]
        findings.unknown("S005", entry.value.place, kind, name, names)
    return ""


def read_id(node: MapNode, what: str, taken: Mapping[str, Place], findings: Findings) -> str:
    """Read ``id``, which must be a name that no other has."""
    written = findings.required(node, "id", what)
    if not isinstance(written, Scalar) or not findings.name(written):
        if written is not None and not isinstance(written, Scalar):
            findings.error("AZ209", written.place, "id must be text")
        return ""
    earlier = taken.get(written.text)
    if earlier is not None:
        findings.error(
            "R009", written.place, f"{what} {written.text!r} is declared at {earlier} too", "choose another id"
        )
        return ""
    return written.text
