"""Reads ``where``: maps of comparisons into typed condition trees."""

import re
from collections.abc import Collection, Mapping

from msgspec import Struct

from authorizer.errors import Place
from authorizer.policy.documents import ListNode, Node, Scalar, suggestion
from authorizer.policy.pbac.belonging import find_field
from authorizer.policy.pbac.declared import (
    SIDES,
    AllOf,
    AnyOf,
    Application,
    Catalog,
    Condition,
    Leaf,
    Negation,
    Side,
)
from authorizer.policy.pbac.grants import read_token
from authorizer.policy.pbac.patterns import fault as pattern_fault
from authorizer.policy.pbac.scopes import check_scope
from authorizer.policy.pbac.subjects import IS
from authorizer.policy.pbac.types import ALL_OPERATORS, FieldType, comparable, converter
from authorizer.policy.pbac.values import HINTS
from authorizer.policy.reading import Findings

MAX_DEPTH = 12
MAX_LITERALS = 1000
MAX_COMPARISONS = 2000
"""Comparisons of one condition, those of named conditions with it."""
MAX_USED = 500_000
"""Comparisons that all uses of named conditions in one check make: a few lines can ask for very many."""
_RESERVED = ("all", "any", "is", "not", "use")
_TOKENS = FieldType("string", many=True)
_RESOURCE_ID = FieldType("string")
_TWO_BOUNDS = frozenset({"between", "outside"})
_LISTS = frozenset({"in", "not_in", "has_any", "has_all"})
_REFERENCE = re.compile(r"\$[a-z_]+\.[a-z_]", re.IGNORECASE)


class Uses:
    """What one check has read of conditions: the places of named ones that are used, and how many comparisons."""

    def __init__(self) -> None:
        self.places: set[Place] = set()
        self.named = 0
        self.here = 0


class Scope(Struct, frozen=True):
    """Where a condition stands: whose fields it may use.

    ``linked`` are the resource fields of all rights that it guards, which ``guarded`` names; ``named`` are the named
    conditions, of which ``uses`` (shared by all scopes) remembers the used ones. ``ids`` are all that a resource's id
    can be, None when that is not known.
    """

    catalog: Catalog
    application: Application
    applications: Mapping[str, Application]
    named: Mapping[str, Node]
    linked: frozenset[str]
    guarded: str
    uses: Uses
    ids: frozenset[str] | None = None


def read_condition(node: Node, scope: Scope, findings: Findings) -> Condition | None:
    """Read a ``where``; None when something in it is wrong, which is then among the findings."""
    scope.uses.here = 0
    return _read_map(node, scope, findings, depth=0, in_named=False)


def _read_map(node: Node, scope: Scope, findings: Findings, *, depth: int, in_named: bool) -> Condition | None:
    where = findings.mapping(node, "a condition", "{FIELD: {eq: VALUE}}")
    if where is None:
        return None
    if not where.entries:
        findings.error("C008", where.place, "an empty condition", "leave 'where' out, or say what must hold")
        return None
    if depth > MAX_DEPTH:
        findings.error("C015", where.place, f"conditions nest deeper than {MAX_DEPTH}")
        return None
    parts: list[Condition | None] = []
    for name, entry in where.entries.items():
        if name in {"all", "any"}:
            options = findings.items(entry.value, name)
            if not options:
                findings.error("C008", entry.value.place, f"{name!r} has nothing in it")
            read = [_read_map(item, scope, findings, depth=depth + 1, in_named=in_named) for item in options]
            whole = [part for part in read if part is not None]
            joined = AllOf(tuple(whole)) if name == "all" else AnyOf(tuple(whole))
            parts.append(joined if whole and len(whole) == len(read) else None)
        elif name == "is":
            parts += _read_is(entry.value, scope, findings, in_named=in_named)
        elif name == "not":
            part = _read_map(entry.value, scope, findings, depth=depth + 1, in_named=in_named)
            parts.append(Negation(part) if part is not None else None)
        elif name == "use":
            uses = entry.value.items if isinstance(entry.value, ListNode) else (entry.value,)
            if not uses:
                findings.error("C008", entry.value.place, "'use' names nothing")
                parts.append(None)
            parts += [_read_use(one, scope, findings, depth=depth, in_named=in_named) for one in uses]
        else:
            parts += _read_comparisons(entry.key, entry.value, scope, findings, in_named=in_named)
    good = [part for part in parts if part is not None]
    if len(good) < len(parts):
        return None
    return good[0] if len(good) == 1 else AllOf(tuple(good))


def _read_use(node: Node, scope: Scope, findings: Findings, *, depth: int, in_named: bool) -> Condition | None:
    name = findings.text(node, "use")
    if not name:
        return None
    if in_named:
        findings.error("C014", node.place, "a named condition cannot use another", "write its parts out")
        return None
    if name not in scope.named:
        findings.unknown("C013", node.place, "condition", name, scope.named)
        return None
    scope.uses.places.add(scope.named[name].place)
    if scope.uses.here > MAX_COMPARISONS or scope.uses.named > MAX_USED:
        return None
    return _read_map(scope.named[name], scope, findings, depth=depth + 1, in_named=True)


def _read_is(node: Node, scope: Scope, findings: Findings, *, in_named: bool) -> list[Condition | None]:
    """Read ``is``: what the caller must be besides, each kind by one name or by a list of which one is enough."""
    if _too_many(node.place, scope, findings, in_named=in_named):
        return [None]
    kinds = findings.mapping(node, "is", "{group: NAME}")
    if kinds is None or not kinds.entries:
        if kinds is not None:
            findings.error("C008", kinds.place, "an empty 'is'", "{group: NAME}")
        return [None]
    parts: list[Condition | None] = []
    for entry in kinds.entries.values():
        several = isinstance(entry.value, ListNode)
        names = entry.value.items if isinstance(entry.value, ListNode) else (entry.value,)
        if not 0 < len(names) <= MAX_LITERALS:
            findings.error("C010", entry.value.place, f"'is' takes a name, or a list of 1 to {MAX_LITERALS}")
        tokens = [read_token(entry.key, name, "the condition", findings) for name in names]
        for name, token in zip(names, tokens, strict=True):
            check_scope(token, scope.application, name.place, findings)
        operator = "has_any" if several else "has"
        leaf = Leaf("assignee", IS, _TOKENS, operator, tuple(tokens), None, entry.value.place)
        parts.append(leaf if tokens and all(tokens) else None)
    return parts


def _too_many(place: Place, scope: Scope, findings: Findings, *, in_named: bool) -> bool:
    """Count a comparison; note once that there are too many of one condition, or in all uses of named ones."""
    uses = scope.uses
    uses.here += 1
    uses.named += in_named
    if uses.here == MAX_COMPARISONS + 1:
        findings.error("C015", place, f"a condition of more than {MAX_COMPARISONS} comparisons", "split the policy")
    if in_named and uses.named == MAX_USED + 1:
        findings.error("C015", place, f"all uses of named conditions make more than {MAX_USED} comparisons")
    return uses.here > MAX_COMPARISONS or uses.named > MAX_USED


def _read_comparisons(
    key: Scalar, node: Node, scope: Scope, findings: Findings, *, in_named: bool
) -> list[Condition | None]:
    if _too_many(key.place, scope, findings, in_named=in_named):
        return [None]
    found = _field(key.text, key.place, scope, findings)
    comparisons = findings.mapping(node, f"the condition on {key.text!r}", "{eq: VALUE}")
    if found is None or comparisons is None:
        return [None]
    if not comparisons.entries:
        findings.error("C008", node.place, f"an empty condition on {key.text!r}")
        return [None]
    side, name, kind = found
    parts: list[Condition | None] = []
    for operator, entry in comparisons.entries.items():
        if operator not in ALL_OPERATORS:
            near = suggestion(operator, ALL_OPERATORS)
            hint = near or "use " + ", ".join((*kind.operators, "exists"))
            findings.error("C007", entry.key.place, f"unknown operator {operator!r}", hint)
            parts.append(None)
        elif operator != "exists" and operator not in kind.operators:
            shown = f"{'ordered ' if kind.ordered else ''}{kind}"
            message = f"operator {operator!r} does not apply to {shown} field {name!r}"
            findings.error("C006", entry.key.place, message, "use " + ", ".join(kind.operators))
            parts.append(None)
        else:
            parts.append(_read_leaf(side, name, kind, operator, entry.value, scope, findings))
    return parts


def _read_leaf(
    side: Side, name: str, kind: FieldType, operator: str, node: Node, scope: Scope, findings: Findings
) -> Leaf | None:
    if operator == "exists":
        if not (isinstance(node, Scalar) and node.text in {"true", "false"}):
            findings.error("C010", node.place, "'exists' takes true or false")
            return None
        return Leaf(side, name, kind, operator, (node.text,), None, node.place)
    if isinstance(node, Scalar) and node.text.startswith("$") and not node.quoted:
        return _read_reference(side, name, kind, operator, node, scope, findings)
    literal = FieldType("cidr") if kind.base == "ip" and operator in {"in", "not_in"} else kind.element
    if operator in _LISTS or operator in _TWO_BOUNDS:
        if not isinstance(node, ListNode) or not node.items or len(node.items) > MAX_LITERALS:
            takes = f"a list of 1 to {MAX_LITERALS} values" + ("" if kind.base == "timeofday" else ", or a set field")
            findings.error("C010", node.place, f"{operator!r} takes {takes}")
            return None
        if operator in _TWO_BOUNDS and len(node.items) != 2:
            findings.error("C010", node.place, f"{operator!r} takes two values")
            return None
        nodes = node.items
    else:
        nodes = (node,)
    texts = [_literal(item, name, literal, operator, scope, findings) for item in nodes]
    if side == "resource" and name == "id" and scope.ids is not None and operator in {"eq", "ne", "in", "not_in"}:
        for item, text in zip(nodes, texts, strict=True):
            if text and text not in scope.ids:
                findings.unknown("C018", item.place, "app resource", text, sorted(scope.ids))
    if operator in _TWO_BOUNDS and texts[0] == texts[1] and texts[0]:
        findings.error("C010", node.place, f"{operator!r} takes two different values")
        return None
    return Leaf(side, name, kind, operator, tuple(texts), None, node.place) if all(texts) else None


def _literal(node: Node, field: str, kind: FieldType, operator: str, scope: Scope, findings: Findings) -> str:
    text = findings.text(node, f"a value of {field!r}")
    if isinstance(node, Scalar) and _seems_reference(node, kind, scope):
        hint = "write $side.field, unquoted and not in a list, for the value of a field"
        findings.error("C017", node.place, f"{text!r} is compared as a text, but looks like a field", hint)
        return ""
    if operator == "like" and text and (fault := pattern_fault(text)):
        findings.error("C010", node.place, f"{text[:80]!r} is not a pattern: {fault}", "as in admin-*")
        return ""
    if text and converter(kind)(text) is None:
        if kind.base == "enum":
            findings.error(
                "C011", node.place, f"{text!r} is not a value of {field!r}", "values: " + ", ".join(kind.values)
            )
        else:
            findings.error("C010", node.place, f"{text!r} is not a valid {kind}", HINTS.get(kind.base, ""))
        return ""
    return text


def _seems_reference(node: Scalar, kind: FieldType, scope: Scope) -> bool:
    """Tell whether a literal looks as if the value of a field were meant: a deny would never fire."""
    text = node.text
    if (text.startswith("$") and not node.quoted) or _REFERENCE.match(text):
        return True
    side, _, name = text.partition(".")
    known: Collection[str] = scope.catalog.env
    if side != "env":
        known = (*scope.application.fields, *scope.catalog.fields, "id")
    return kind.base == "string" and side in SIDES and name in known


def _read_reference(
    side: Side, name: str, kind: FieldType, operator: str, node: Scalar, scope: Scope, findings: Findings
) -> Leaf | None:
    if operator in _TWO_BOUNDS:
        findings.error("C012", node.place, f"{operator!r} takes two values, not a field")
        return None
    found = _field(node.text[1:], node.place, scope, findings)
    if found is None:
        return None
    other_side, other_name, other = found
    if (other_side, other_name) == (side, name):
        message = f"{node.text!r} is compared with itself"
        findings.error("C016", node.place, message, "name another field; or ask 'exists: true'")
        return None
    if operator == "like":
        findings.error("C012", node.place, "'like' takes a pattern, not a field", "for a field use eq or prefix")
        return None
    if operator in _LISTS:
        fits = other.base == "cidr" if kind.base == "ip" else other.many and comparable(kind.element, other.element)
    else:
        fits = not other.many and comparable(kind.element, other)
    if not fits:
        wanted = " (a set of it is needed)" if operator in _LISTS and not other.many else ""
        message = f"type mismatch: {name!r} is {kind}, {node.text!r} is {other}{wanted}"
        if kind.base == "enum" == other.base and not wanted:
            message = f"type mismatch: {name!r} and {node.text!r} have different values"
        findings.error("C009", node.place, message)
        return None
    return Leaf(side, name, kind, operator, (), (other_side, other_name), node.place)


def _field(text: str, place: Place, scope: Scope, findings: Findings) -> tuple[Side, str, FieldType] | None:
    """Find the field that ``resource.x``, ``assignee.x`` or ``env.x`` names, if this place may use it."""
    prefix, dot, name = text.partition(".")
    side = next((known for known in SIDES if known == prefix), None)
    if side is None or not dot or not name:
        hint = suggestion(prefix, (*SIDES, *_RESERVED)) or "write resource.x, assignee.x or env.x"
        findings.error("C002", place, f"{text!r} names no field", hint)
        return None
    if side == "env":
        env = scope.catalog.env
        if name in env:
            return side, name, env[name].type
        findings.unknown("C001", place, "field", text, [f"env.{known}" for known in env])
        return None
    if side == "resource" and name == "id":
        return side, name, _RESOURCE_ID
    field = find_field(name, place, scope.application, scope.catalog, scope.applications, findings)
    if field is None:
        return None
    if side not in field.scopes:
        scopes = ", ".join(sorted(field.scopes))
        findings.error("C005", place, f"field {name!r} has scope {scopes}, not {side}")
        return None
    if side == "resource" and name not in scope.linked:
        hint = "usable: " + (", ".join(sorted(scope.linked)) or "none")
        findings.error("C004", place, f"field {name!r} is not linked to {scope.guarded}", hint)
        return None
    return side, name, field.type
