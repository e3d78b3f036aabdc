"""Metadata: ``# METADATA`` and the YAML of the comment lines after it, on packages and rules.

Read for ``rego.metadata.rule()`` and ``rego.metadata.chain()`` only. Nothing in it changes what a rule means.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from authorizer.policy.plan.builtins.yaml_text import read
from authorizer.policy.plan.context import BudgetError
from authorizer.policy.plan.values import BuiltinError
from authorizer.policy.rego.problems import Findings
from authorizer.policy.rego.syntax import (
    ArrayTerm,
    At,
    Comment,
    Module,
    Number,
    ObjectTerm,
    Rule,
    Scalar,
    Term,
    Var,
    is_ground,
)

_MAX_BLOCK = 64 * 1024
_SCOPES = frozenset({"rule", "document", "package", "subpackages"})
_ENTRYPOINTS = frozenset({"document", "package"})
_PLAIN = ("title", "description", "organizations", "custom", "labels")
_ALIAS = re.compile(r"(?m)(?:^|[:\-\[{,]\s*)[&*]")
_AUTHOR = re.compile(r"(?P<name>[^<]*?)\s*(?:<(?P<email>[^>]*)>)?\s*")


class _Note(Struct, frozen=True):
    """One block: what it says, and what it stands on."""

    scope: str
    path: tuple[str, ...]
    row: int
    told: Mapping[str, Any]


class Annotations:
    """The metadata of all modules."""

    def __init__(self, modules: Sequence[Module], findings: Sequence[Findings]) -> None:
        self._modules = modules
        self._notes = [list(_notes_of(module, found)) for module, found in zip(modules, findings, strict=True)]
        known: set[tuple[bool, tuple[str, ...]]] = set()
        for notes, found in zip(self._notes, findings, strict=True):
            for note in notes:
                if note.scope != "rule":
                    place = (note.scope == "package", note.path)
                    if place in known:
                        name = ".".join(("data", *note.path))
                        found.add("G401", f"metadata of scope {note.scope} for {name} twice", (note.row, 1), "keep one")
                    known.add(place)

    def term_for(self, index: int) -> Callable[[Rule, str, At], Term]:
        """Return what answers the calls of ``rego.metadata`` in the rules of a module."""

        def answer(rule: Rule, name: str, at: At) -> Term:
            chain = name.endswith(".chain")
            return _term(self._chain(index, rule) if chain else self._rule(index, rule), at)

        return answer

    def _own(self, index: int, rule: Rule) -> list[_Note]:
        """Return the notes on one rule: those since the rule of the same name before it, the closest last."""
        path = (*self._modules[index].package, *_fixed(rule))
        rows = [
            other.at[0] for other in self._modules[index].rules if other.at < rule.at and _fixed(other) == _fixed(rule)
        ]
        since = max(rows, default=0)
        notes = self._notes[index]
        return [one for one in notes if one.scope == "rule" and one.path == path and since < one.row < rule.at[0]]

    def _rule(self, index: int, rule: Rule) -> dict[str, Any]:
        own = self._own(index, rule)
        return dict(own[0].told) if own else {}

    def _chain(self, index: int, rule: Rule) -> list[Any]:
        package = self._modules[index].package
        path = (*package, *_fixed(rule))
        own = self._own(index, rule)
        links: list[dict[str, Any]] = [_link(one) for one in reversed(own)] or [{"path": list(path)}]
        everywhere = [note for notes in self._notes for note in notes]
        links.extend(_link(one) for one in everywhere if one.scope == "document" and one.path == path)
        links.extend(_link(one) for one in everywhere if one.scope == "package" and one.path == package)
        above = [one for one in everywhere if one.scope == "subpackages" and package[: len(one.path)] == one.path]
        links.extend(_link(one) for one in sorted(above, key=lambda one: -len(one.path)))
        return links


def _fixed(rule: Rule) -> tuple[str, ...]:
    steps: list[str] = []
    for step in rule.path:
        if isinstance(step, Var) and not steps:
            steps.append(step.name)
        elif isinstance(step, Scalar) and isinstance(step.value, str) and is_ground(step):
            steps.append(step.value)
        else:
            break
    return tuple(steps)


def _link(note: _Note) -> dict[str, Any]:
    return {"path": list(note.path), "annotations": dict(note.told)}


def _blocks(comments: Sequence[Comment]) -> Iterator[tuple[int, str]]:
    """Yield each block: its first row and the text of its comments."""
    index = 0
    while index < len(comments):
        first = comments[index]
        index += 1
        if first.at[1] != 1 or first.text.strip() != "METADATA":
            continue
        lines: list[str] = []
        row = first.at[0]
        while (
            index < len(comments) and comments[index].at == (row + 1, 1) and comments[index].text.strip() != "METADATA"
        ):
            lines.append(comments[index].text)
            row += 1
            index += 1
        yield first.at[0], "\n".join(lines)


def _notes_of(module: Module, findings: Findings) -> Iterator[_Note]:
    for row, text in _blocks(module.comments):
        if len(text) > _MAX_BLOCK or _ALIAS.search(text):
            findings.add("G107", "metadata that is too large, or has an anchor or alias", (row, 1), "write it out")
            continue
        try:
            told = read(text)
        except (BuiltinError, BudgetError):
            findings.add("G107", "metadata that is not YAML", (row, 1), "a mapping in the comments below")
            continue
        if not isinstance(told, dict):
            findings.add("G107", "metadata that is not a mapping", (row, 1), "`# title: text`")
            continue
        note = _note(module, row, told)
        if note is None:
            findings.add("G107", "metadata that stands on nothing, or with a scope that it cannot have", (row, 1))
        else:
            yield note


def _note(module: Module, row: int, told: Mapping[str, Any]) -> _Note | None:
    rule = next((one for one in module.rules if one.at[0] > row), None)
    on_package = module.at[0] > row
    scope = told.get("scope") or ("package" if on_package else "document" if told.get("entrypoint") else "rule")
    if scope not in _SCOPES or (not on_package and (rule is None or _before_import(module, row, rule))):
        return None
    if told.get("entrypoint") and scope not in _ENTRYPOINTS:
        return None
    on_rule = scope in {"rule", "document"}
    if on_rule == on_package:
        return None
    path = (*module.package, *_fixed(rule)) if on_rule and rule is not None else module.package
    return _Note(scope, path, row, {"scope": scope, **_members(told)})


def _before_import(module: Module, row: int, rule: Rule) -> bool:
    return any(row < one.at[0] < rule.at[0] for one in module.imports)


def _members(told: Mapping[str, Any]) -> dict[str, Any]:
    members = {name: told[name] for name in _PLAIN if told.get(name)}
    if told.get("entrypoint"):
        members["entrypoint"] = True
    if isinstance(authors := told.get("authors"), list) and authors:
        members["authors"] = [_author(one) for one in authors]
    if isinstance(resources := told.get("related_resources"), list) and resources:
        members["related_resources"] = [one if isinstance(one, dict) else {"ref": str(one)} for one in resources]
    if isinstance(schemas := told.get("schemas"), list) and schemas:
        members["schemas"] = schemas
    return members


def _author(told: Any) -> dict[str, Any]:
    if isinstance(told, dict):
        return told
    found = _AUTHOR.fullmatch(str(told))
    name, email = (found["name"], found["email"]) if found else (str(told), "")
    return ({"name": name} if name else {}) | ({"email": email} if email else {})


def _term(value: Any, at: At) -> Term:
    """Return plain data as a term."""
    if isinstance(value, dict):
        return ObjectTerm(tuple((Scalar(str(name), at), _term(one, at)) for name, one in value.items()), at)
    if isinstance(value, list | tuple):
        return ArrayTerm(tuple(_term(one, at) for one in value), at)
    if isinstance(value, bool | str) or value is None:
        return Scalar(value, at)
    return Number(str(value), at) if isinstance(value, int | float) else Scalar(str(value), at)
