"""Rules on routes: ``GET /orders/{id}: {scopes: [orders.read]}``. They are short for rights and policies.

A rule is taken off its route, which so asks for a right of its own, and becomes policies that grant that right, as if
somebody had written them: nothing after this knows of rules. A rule is a conjunction of lists; one of them is spread
over as many policies as it has names, the others become their conditions, so a rule makes no more policies than it has
names.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from authorizer.errors import Place
from authorizer.policy.documents import Entry, ListNode, MapNode, Node, Scalar
from authorizer.policy.reading import MAX_NAME, Findings
from authorizer.policy.templates import TemplateError, parse_method, parse_template

KINDS = {"scopes": "scope", "roles": "management_role", "groups": "group", "clients": "client", "persons": "person"}
"""A word of a rule -> the kind of assignee that it lists."""

EVERYBODY = {"public": "anyone", "authenticated": "authenticated"}
WORDS = (*KINDS, *EVERYBODY, "any", "all", "where", "require")
EXTRAS = ("where", "require")
_EVERY = frozenset({"scopes"})
MAX_DEPTH = 6
MAX_NAMES = 200
_SHORT = 160
_ODD = re.compile(r"[^A-Za-z0-9_.-]+")


class _Is(Struct, frozen=True):
    """The caller is this."""

    kind: str
    name: Scalar


class _All(Struct, frozen=True):
    parts: tuple["_Part", ...]


class _Any(Struct, frozen=True):
    parts: tuple["_Part", ...]


_Part = _Is | _All | _Any


class _Grant(Struct, frozen=True):
    to: _Is
    besides: tuple[_Part, ...]


def expand(applications: Sequence[MapNode], findings: Findings) -> tuple[list[MapNode], list[MapNode]]:
    """Return the applications with the rules taken off their routes, and the Policies documents that these become.

    Ids are made of the application, the method, the template and, where a rule makes several policies, the name: the
    same for every order of files. A name that is taken gets a number.
    """
    taken: set[str] = set()
    made = []
    for document in sorted(applications, key=_sort_key):
        policies = _policies(document, taken, findings)
        if policies:
            place = document.place
            kind = Entry(Scalar("kind", place), Scalar("Policies", place))
            listed = Entry(Scalar("policies", place), ListNode(tuple(policies), place))
            made.append(MapNode({"kind": kind, "policies": listed}, place))
    return [_shorn(document) for document in applications], made


def _sort_key(document: MapNode) -> tuple[str, Place]:
    name = document.get("id")
    return (name.text if isinstance(name, Scalar) else "", document.place)


def _routes(document: MapNode) -> Iterable[tuple[str, Entry]]:
    http = document.get("http")
    routes = http.get("routes") if isinstance(http, MapNode) else None
    return routes.entries.items() if isinstance(routes, MapNode) else ()


def _is_rule(node: Node) -> bool:
    if isinstance(node, Scalar):
        return node.text in EVERYBODY
    return isinstance(node, MapNode) and not node.entries.keys().isdisjoint(WORDS)


def _shorn(document: MapNode) -> MapNode:
    """Return an application without the rules of its routes."""
    rules = {key: entry for key, entry in _routes(document) if _is_rule(entry.value)}
    if not rules:
        return document
    http = document.entries["http"]
    assert isinstance(http.value, MapNode)
    routes = http.value.entries["routes"]
    assert isinstance(routes.value, MapNode)
    left = {
        key: Entry(entry.key, _without_rule(entry.value)) if key in rules else entry
        for key, entry in routes.value.entries.items()
    }
    whole = {**http.value.entries, "routes": Entry(routes.key, MapNode(left, routes.value.place))}
    entries = {**document.entries, "http": Entry(http.key, MapNode(whole, http.value.place))}
    return MapNode(entries, document.place)


def _without_rule(node: Node) -> Node:
    rest = {key: entry for key, entry in node.entries.items() if key not in WORDS} if isinstance(node, MapNode) else {}
    return MapNode(rest, node.place) if rest else Scalar("", node.place)


def _policies(document: MapNode, taken: set[str], findings: Findings) -> list[Node]:
    name = document.get("id")
    application = name.text if isinstance(name, Scalar) else ""
    made: list[Node] = []
    for key, entry in sorted(_routes(document), key=lambda one: one[0]):
        if not _is_rule(entry.value):
            continue
        rule = entry.value
        if isinstance(rule, MapNode) and "right" in rule.entries:
            hint = "name the right here and write policies for it, or leave 'right' out"
            findings.error("A018", rule.entries["right"].key.place, "a rule beside 'right'", hint)
            continue
        part = _read(rule, 0, findings)
        if part is None or not _can_match(key):
            continue
        grants = _spread(part, ())
        if len(grants) > MAX_NAMES:
            findings.error("A018", rule.place, f"the rule has more than {MAX_NAMES} names", "put them into a group")
            continue
        for grant in grants:
            wanted = f"{application}.{_slug(key)}" + (f".{_slug(grant.to.name.text)}" if len(grants) > 1 else "")
            made.append(_policy(_free(wanted, taken), f"{application}/{key}", grant, rule))
    return made


def _can_match(route: str) -> bool:
    """Whether a route is well-formed; what is wrong with it is told by who reads routes."""
    method, _, template = route.partition(" ")
    try:
        return bool(parse_method(method) and parse_template(template))
    except TemplateError:
        return False


def _slug(text: str) -> str:
    text = f"any{text[1:]}" if text.startswith("* ") else text
    return _ODD.sub("_", text.replace("/", ".").replace(" .", "."))[:_SHORT].strip(".") or "_"


def _free(wanted: str, taken: set[str]) -> str:
    name, number = wanted[: MAX_NAME - 8], 1
    while name in taken:
        number += 1
        name = f"{wanted[: MAX_NAME - 8]}-{number}"
    taken.add(name)
    return name


def _read_word(word: Scalar, findings: Findings) -> _Part | None:
    kind = EVERYBODY.get(word.text)
    if kind is None:
        findings.error("A018", word.place, f"{word.text!r} is not a rule", "public, authenticated, or {scopes: [..]}")
        return None
    return _Is(kind, Scalar("true", word.place))


def _read(node: Node, depth: int, findings: Findings) -> _Part | None:
    """Read one rule, or one of ``any`` and ``all``; None with a problem."""
    if isinstance(node, Scalar):
        return _read_word(node, findings)
    rule = findings.mapping(node, "a rule", "{scopes: [..]}")
    if rule is None:
        return None
    if depth > MAX_DEPTH:
        findings.error("A018", rule.place, f"rules nest deeper than {MAX_DEPTH}")
        return None
    if depth:
        rule = findings.fields(rule, "a rule", [word for word in WORDS if word not in EXTRAS])
        assert rule is not None
    parts: list[_Part | None] = []
    for word, entry in rule.entries.items():
        if word in KINDS:
            parts.append(_read_list(word, entry.value, findings))
        elif word in EVERYBODY:
            good = findings.flag(entry.value, word)
            if not good and isinstance(entry.value, Scalar) and entry.value.text == "false":
                findings.error("A018", entry.value.place, f"'{word}: false' lets nobody in", "leave the rule out")
            parts.append(_Is(EVERYBODY[word], Scalar("true", entry.value.place)) if good else None)
        elif word in {"any", "all"}:
            read = [_read(item, depth + 1, findings) for item in findings.items(entry.value, word)]
            parts.append(_joined(word, read, entry.value, findings))
    good_parts = [part for part in parts if part is not None]
    if len(good_parts) < len(parts):
        return None
    if not good_parts:
        hint = "say who: scopes, roles, groups, clients, persons, public or authenticated"
        findings.error("A018", rule.place, "the rule does not say whom it lets in", hint)
        return None
    return good_parts[0] if len(good_parts) == 1 else _All(tuple(good_parts))


def _read_list(word: str, node: Node, findings: Findings) -> _Part | None:
    """Read ``[a, b]`` (of scopes all are needed, of others one), ``{any: [..]}`` or ``{all: [..]}``."""
    how = "all" if word in _EVERY else "any"
    if isinstance(node, MapNode):
        chosen = findings.fields(node, word, ("any", "all"))
        if chosen is None or len(chosen.entries) != 1 or not chosen.entries.keys() <= {"any", "all"}:
            findings.error("A018", node.place, f"{word} takes a list, {{any: [..]}} or {{all: [..]}}")
            return None
        ((how, entry),) = chosen.entries.items()
        node = entry.value
    names = findings.words(node, word)
    return _joined(how, [_Is(KINDS[word], name) for name in names], node, findings)


def _joined(how: str, parts: Sequence[_Part | None], node: Node, findings: Findings) -> _Part | None:
    good = tuple(part for part in parts if part is not None)
    if not parts:
        findings.error("A018", node.place, "an empty list lets nobody in", "name somebody, or leave the rule out")
    if not good or len(good) < len(parts):
        return None
    if len(good) == 1:
        return good[0]
    return _Any(good) if how == "any" else _All(good)


def _spread(part: _Part, besides: tuple[_Part, ...]) -> list[_Grant]:
    if isinstance(part, _Is):
        return [_Grant(part, besides)]
    if isinstance(part, _Any):
        return [grant for one in part.parts for grant in _spread(one, besides)]
    chosen = min(part.parts, key=_width)
    others = tuple(one for one in part.parts if one is not chosen)
    return _spread(chosen, (*besides, *others))


def _width(part: _Part) -> tuple[int, int]:
    """Prefer the part that makes the fewest policies; among these what fewer callers are than have a scope."""
    if isinstance(part, _Is):
        rank = {"anyone": 3, "authenticated": 2, "scope": 1}.get(part.kind, 0)
        return (1, rank)
    widths = [_width(one) for one in part.parts]
    return (sum(width for width, _ in widths), 0) if isinstance(part, _Any) else min(widths)


def _policy(name: str, right: str, grant: _Grant, rule: Node) -> MapNode:
    place = grant.to.name.place
    written: dict[str, Node] = {
        "id": Scalar(name, place),
        "right": Scalar(right, place),
        "to": _mapping({grant.to.kind: grant.to.name}, place),
    }
    own = rule.entries if isinstance(rule, MapNode) else {}
    conditions = [_condition(part, place) for part in grant.besides]
    if "where" in own:
        conditions.append(own["where"].value)
    if conditions:
        written["where"] = (
            conditions[0] if len(conditions) == 1 else _mapping({"all": ListNode(tuple(conditions), place)}, place)
        )
    if "require" in own:
        written["require"] = own["require"].value
    return _mapping(written, place)


def _condition(part: _Part, place: Place) -> Node:
    if isinstance(part, _Is):
        return _mapping({"is": _mapping({part.kind: part.name}, part.name.place)}, part.name.place)
    if isinstance(part, _Any) and len({one.kind for one in part.parts if isinstance(one, _Is)}) == 1:
        names = tuple(one.name for one in part.parts if isinstance(one, _Is))
        if len(names) == len(part.parts) and isinstance(part.parts[0], _Is):
            return _mapping({"is": _mapping({part.parts[0].kind: ListNode(names, place)}, place)}, place)
    word = "any" if isinstance(part, _Any) else "all"
    return _mapping({word: ListNode(tuple(_condition(one, place) for one in part.parts), place)}, place)


def _mapping(members: Mapping[str, Node], place: Place) -> MapNode:
    return MapNode({key: Entry(Scalar(key, place), value) for key, value in members.items()}, place)
