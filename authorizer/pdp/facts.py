"""What changes by the minute: authored ``kind: Facts`` documents -> one JSON document -> ``Facts``.

Facts say more than a token can: they win over its claims. Values are texts or lists of texts; the fields' types in the
policies convert them.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from authorizer.errors import BundleError, Place, Problem
from authorizer.grammar import UNSAFE_TEXT
from authorizer.model import ASSIGNEE_KINDS
from authorizer.policy.documents import Entry, ListNode, MapNode, Node
from authorizer.policy.pbac.types import FieldType, converter
from authorizer.policy.pbac.values import read_value
from authorizer.policy.pbac.vocabulary import REQUEST_ENV
from authorizer.policy.reading import Findings

FORMAT: Final = 1
Membership = dict[str, tuple[str | tuple[str, str], ...]]
"""What a subject is a member of, by assignee kind. A kind that is present replaces what the token says of it."""
Values = dict[str, str | tuple[str, ...]]

MEMBER_KINDS = tuple(kind for kind, number in ASSIGNEE_KINDS.items() if number != "one")
_AGE = ("max_age", "on_stale")
_LAST_KNOWN = re.compile(r"last_known\(([^()]*)\)")
_SECTIONS = ("memberships", "subjects", "subscriptions", "lookups", "revoked")
REVOCABLE = ("jti", "sub", "sid", "client")
MAX_REVOKED = 100_000


class Subject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of one subject: ``attributes`` of the assignee and fields of the environment."""

    attributes: Values = {}
    env: Values = {}


class Facts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All facts. ``memberships`` and ``subjects`` by namespaced subject, ``subscriptions`` by tenant.

    ``revoked`` is what counts for nothing, by kind (``REVOCABLE``) and namespaced name, each until a moment (POSIX
    seconds).

    ``max_age`` is in seconds, 0 for any; ``last_known`` is for how much longer they serve when no newer ones come.
    """

    format: Literal[1] = FORMAT
    memberships: dict[str, Membership] = {}
    subjects: dict[str, Subject] = {}
    subscriptions: dict[str, Values] = {}
    lookups: dict[str, dict[str, Values]] = {}
    revoked: dict[str, dict[str, float]] = {}
    max_age: Annotated[float, Meta(ge=0)] = 0.0
    last_known: Annotated[float, Meta(ge=0)] = 0.0

    @property
    def lifetime(self) -> float:
        """For how many seconds after the control plane confirmed them these facts may be decided by."""
        return self.max_age + self.last_known if self.max_age else float("inf")

    def lookup(self, table: str, key: str) -> Mapping[str, object] | None:
        """Return what is known of the resource ``key`` in ``table`` (``app/ResourceType`` or ``app``), or None."""
        rows = self.lookups.get(table)
        return rows.get(key) if rows is not None else None


NOTHING = Facts()


def load(document: object) -> Facts:
    """Read ``facts.json`` (parsed). Raise ``BundleError`` AZ315 if it is not what ``compile_facts`` makes."""
    try:
        facts = msgspec.convert(document, Facts)
    except msgspec.ValidationError as error:
        raise BundleError("AZ315", f"the facts are malformed: {error}", hint="build them again") from None
    for subject, member in facts.memberships.items():
        if not all(_is_listed_as(kind, names) for kind, names in member.items()):
            raise BundleError("AZ315", "the facts are malformed: a membership is of an unknown kind or another shape")
        listed = [name for names in member.values() for name in names]
        # INVARIANT: no control character in a name, or two pairs of names could make one assignee token.
        if UNSAFE_TEXT.search(subject.join("".join(name) for name in listed)):
            raise BundleError("AZ315", "the facts are malformed: a membership has a control character in a name")
    if not facts.revoked.keys() <= set(REVOCABLE):
        raise BundleError("AZ315", "the facts are malformed: what is revoked is of an unknown kind")
    return facts


def _is_listed_as(kind: str, names: tuple[str | tuple[str, str], ...]) -> bool:
    pairs = ASSIGNEE_KINDS.get(kind) == "pairs"
    return kind in MEMBER_KINDS and all(isinstance(name, tuple) is pairs for name in names)


def compile_facts(documents: Iterable[Node]) -> tuple[dict[str, Any], list[Problem]]:
    """Compile ``kind: Facts`` documents to ``facts.json``, with all problems; do not publish it if one is an error.

    Several documents join. The same thing said twice is an error that names both places, even if they agree.
    """
    findings = Findings()
    places: dict[tuple[str, ...], Place] = {}
    result: dict[str, Any] = {"format": FORMAT} | {section: {} for section in _SECTIONS}
    for document in documents:
        root = findings.fields(document, "a Facts document", ("kind", *_SECTIONS, *_AGE))
        if root is not None and not root.entries.keys().isdisjoint(_AGE):
            if "max_age" in result:
                findings.error("T202", root.place, "the age of facts is already said", "keep one")
            result |= _age(root, findings)
        for section, entry in root.entries.items() if root else ():
            if section in _SECTIONS:
                for path, leaf in _leaves(section, entry, findings):
                    first = places.setdefault(path, leaf.key.place)
                    if first is not leaf.key.place:
                        findings.error("T202", leaf.key.place, f"{'.'.join(path)} is already at {first}", "keep one")
                        continue
                    value = _leaf(path, leaf.value, findings)
                    _check_names(path, value, leaf, findings)
                    _put(result, path, value)
    revoked = result["revoked"]
    if not revoked:
        del result["revoked"]
    elif sum(map(len, revoked.values())) > MAX_REVOKED:
        place = next(place for path, place in places.items() if path[0] == "revoked")
        findings.error("T206", place, f"more than {MAX_REVOKED} revocations", "take out those that are over")
    return result, findings.problems


def _age(root: MapNode, findings: Findings) -> dict[str, float]:
    """Read ``max_age: DURATION`` and ``on_stale``: deny, or ``last_known(DURATION)``."""
    duration = converter(FieldType("duration"))
    age = read_value(root.get("max_age"), "max_age", FieldType("duration"), "T205", findings)
    written = root.get("on_stale")
    word = findings.text(written, "on_stale")
    found = _LAST_KNOWN.fullmatch(word)
    longer = duration(found[1]) if found else 0.0
    if written is not None and word and word != "deny" and not longer:
        findings.error("T205", written.place, f"{word[:80]!r} is not what 'on_stale' takes", "deny, or last_known(6h)")
    if "max_age" not in root.entries:
        findings.error("T205", root.place, "'on_stale' without 'max_age': facts never become stale", "add max_age")
    elif age == 0.0:
        findings.error("T205", root.entries["max_age"].value.place, "facts cannot be of no age", "as in max_age: 10m")
    return {
        "max_age": age if isinstance(age, float) else 0.0,
        "last_known": longer if isinstance(longer, float) else 0.0,
    }


def _leaves(section: str, entry: Entry, findings: Findings) -> Iterable[tuple[tuple[str, ...], Entry]]:
    """Yield what is said, with the path that must be unique: (section, subject, part, name) and the like."""
    depth = 3 if section in {"subjects", "lookups"} else 2
    pending: list[tuple[tuple[str, ...], Entry]] = [((section,), entry)]
    while pending:
        path, current = pending.pop()
        if len(path) > depth:
            yield path, current
            continue
        known: tuple[str, ...] = ()
        if len(path) == 1 and section == "revoked":
            known = REVOCABLE
        elif len(path) == 2 and section == "memberships":
            known = MEMBER_KINDS
        elif len(path) == 2 and section == "subjects":
            known = Subject.__struct_fields__
        title = ".".join(path)
        body = findings.fields(current.value, title, known) if known else findings.mapping(current.value, title)
        for key, inner in reversed(body.entries.items()) if body else ():
            if not known or key in known:
                pending.append(((*path, key), inner))


def _leaf(path: tuple[str, ...], node: Node, findings: Findings) -> object:
    what = ".".join(path)
    if path[0] == "subjects" and path[2] == "env" and path[3] in REQUEST_ENV:
        findings.error("T203", node.place, f"env field {path[3]!r} cannot be a fact: the request or the login says it")
    if path[0] == "revoked":
        return _until(node, what, findings)
    if path[0] != "memberships":
        return findings.text_or_texts(node, what)
    if ASSIGNEE_KINDS[path[2]] != "pairs":
        return findings.texts(node, what)
    return tuple(_pair(item, what, findings) for item in findings.items(node, what))


def _until(node: Node, what: str, findings: Findings) -> object:
    body = findings.fields(node, what, ("until",))
    end = findings.required(body, "until", what) if body is not None else None
    return read_value(end, "until", FieldType("timestamp"), "T206", findings) if end is not None else None


def _check_names(path: tuple[str, ...], value: object, leaf: Entry, findings: Findings) -> None:
    """Refuse white space around the names of subjects, tenants and memberships: no other name would meet them."""
    names = [path[1], path[-1]]
    if path[0] == "memberships" and isinstance(value, tuple):
        names += [part for name in value for part in (name if isinstance(name, tuple) else (name,))]
    for name in names:
        if name != name.strip():
            findings.error("T204", leaf.key.place, f"the name {name!r} begins or ends with white space")


def _pair(node: Node, what: str, findings: Findings) -> tuple[str, ...]:
    parts: list[Node | None] = []
    if isinstance(node, ListNode):
        parts = list(node.items)
    elif isinstance(node, MapNode):
        parts = [node.get("role"), node.get("location")] if len(node.entries) == 2 else []
    texts = tuple(findings.text(part, f"each part of {what}") for part in parts)
    if len(texts) != 2 or None in parts:
        findings.error("AZ209", node.place, f"each of {what} must be a pair", "[role, location]")
    return texts


def _put(tree: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for step in path[:-1]:
        tree = tree.setdefault(step, {})
    tree[path[-1]] = value
