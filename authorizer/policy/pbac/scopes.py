"""Reads ``scopes``: which scopes an application knows, which of them imply others, which stand for many."""

from collections.abc import Callable, Mapping

from authorizer.errors import Place
from authorizer.policy.documents import ListNode, Node, Scalar
from authorizer.policy.pbac.declared import Application, Field, Scopes
from authorizer.policy.pbac.grants import is_scope
from authorizer.policy.reading import Findings

MAX_IMPLIED = 100_000
"""Pairs of a scope and one that it implies, by way of others too."""


def read_scopes(node: Node | None, find: Callable[[str, Place], Field | None], findings: Findings) -> Scopes:
    """Read the section: a scope with nothing, with ``[what it implies, ..]``, or ``{implies: [..], as: FIELD}``."""
    direct: dict[str, tuple[str, ...]] = {}
    wildcards: dict[str, str] = {}
    for name, key, value in findings.named(node, "scopes"):
        if not _is_good(key, findings):
            continue
        implies, holder = _read_scope(value, name, find, findings)
        good = [word for word in findings.words(implies, f"scope {name!r}") if _is_good(word, findings)]
        direct[name] = tuple(word.text for word in good)
        if "*" in name:
            wildcards[name] = holder
        elif holder:
            findings.error("A020", value.place, f"scope {name!r} has no '*' whose values 'as' could hold")
        for word in good:
            if word.text == name:
                findings.error("A020", word.place, f"scope {name!r} implies itself")
    place = node.place if node is not None else Place("")
    return Scopes(_closed(direct, place, findings), wildcards)


def _is_good(word: Scalar, findings: Findings) -> bool:
    if not is_scope(word.text) or word.text.count("*") > 1:
        hint = "visible ASCII without spaces, quotes and backslashes, with at most one '*'"
        findings.error("A020", word.place, f"{word.text[:80]!r} is not a scope", hint)
        return False
    return True


def _read_scope(
    node: Node, name: str, find: Callable[[str, Place], Field | None], findings: Findings
) -> tuple[Node | None, str]:
    if isinstance(node, ListNode):
        return node, ""
    if isinstance(node, Scalar) and node.absent:
        return None, ""
    declared = findings.fields(node, f"scope {name!r}", ("implies", "as"), "write [what it implies], or {as: FIELD}")
    if declared is None:
        return None, ""
    holder = declared.get("as")
    word = findings.text(holder, "as")
    field = find(word, holder.place) if holder is not None and word else None
    if field is not None and holder is not None and not _holds_texts(field):
        message = f"field {word!r} cannot hold what stands for '*': it is no set of strings of the assignee"
        findings.error("A020", holder.place, message, "declare it {type: string, many: true, scope: assignee}")
    return declared.get("implies"), word if field is not None else ""


def _holds_texts(field: Field) -> bool:
    return field.type.many and field.type.base == "string" and "assignee" in field.scopes


def _closed(direct: Mapping[str, tuple[str, ...]], place: Place, findings: Findings) -> dict[str, tuple[str, ...]]:
    """Return all that each scope implies, by way of others too."""
    closed: dict[str, tuple[str, ...]] = {}
    total = 0
    for name in direct:
        found: set[str] = set()
        waiting = list(direct[name])
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += direct.get(one, ())
        total += len(found)
        if total > MAX_IMPLIED:
            findings.error("A020", place, f"scopes imply more than {MAX_IMPLIED} others")
            break
        closed[name] = tuple(sorted(found - {name}))
    return closed


def check_scope(token: str, application: Application, place: Place, findings: Findings) -> None:
    """Note a scope that the application does not declare, if it declares any; ``token`` may be of any kind."""
    kind, _, name = token.partition(":")
    declared = application.scopes.implied
    if kind == "scope" and declared and name not in declared:
        known = {*declared, *(one for all_of in declared.values() for one in all_of)}
        if name not in known:
            findings.unknown("A019", place, "scope", name, sorted(known), f" in {application.id!r}")
