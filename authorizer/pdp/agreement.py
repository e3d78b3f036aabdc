"""Compares what issuers and facts say with what the policies can read, and whom they name with who can exist.

A name that nobody reads is no small thing: an issuer's fixed ``tennant`` leaves the tenant to its tokens.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from authorizer.errors import Problem
from authorizer.model import ANYONE, assignee_token
from authorizer.policy.documents import ListNode, MapNode, Node, Scalar
from authorizer.policy.pbac import Vocabulary
from authorizer.policy.pbac.declared import Estate
from authorizer.policy.pbac.grants import EVERYBODY
from authorizer.policy.pbac.types import Converter, FieldType, converter
from authorizer.policy.pbac.values import HINTS
from authorizer.policy.reading import Findings
from authorizer.policy.testing import CLAIMED

_TENANT = "tenant"  # it chooses the subscription, whether or not a policy reads it
_FIELD, _ENV = ("T401", "field"), ("T402", "env field")
_UNLISTED = frozenset({*EVERYBODY, "scope", *CLAIMED})  # what a token may say without a claim that an issuer names
_SHOWN = 12  # an enum's values are listed when they are no more than these

Readers = Mapping[str, Sequence[tuple[FieldType, Converter]]]


def compare(
    vocabulary: Vocabulary,
    issuers: Sequence[Node],
    holders: Sequence[Node],
    facts: Sequence[Node],
    trust: Mapping[str, Any],
    memberships: Mapping[str, Mapping[str, Iterable[str | Sequence[str]]]],
) -> list[Problem]:
    """Return what is said and never read or cannot be, and whom no issuer and no fact can speak of.

    ``issuers``, ``holders`` (of API keys and certificates) and ``facts`` are the documents, which others have checked;
    ``trust`` is ``trust.json``, and ``memberships`` those of ``facts.json``.
    """
    findings = Findings()
    assignee = _readers({_TENANT: (FieldType("string"),), **vocabulary.assignee})
    env = _readers(vocabulary.env)
    for key, issuer in _below(issuers, "issuers"):
        where = f" of issuer {key.text!r}"
        claims = _at(issuer, "claims")
        _values(findings, assignee, _at(issuer, "attributes"), _FIELD, f" in the attributes{where}")
        _names(findings, assignee, _keys(_at(claims, "fields")), _FIELD, f" in the claims{where}")
        _names(findings, env, _keys(_at(claims, "env")), _ENV, f" in the claims{where}")
    for section, what in (("keys", "API key"), ("certificates", "certificate rule")):
        for key, one in _below(holders, section):
            _values(findings, assignee, _at(one, "attributes"), _FIELD, f" of {what} {key.text!r}")
    for key, subject in _below(facts, "subjects"):
        where = f" of subject {key.text!r}"
        _values(findings, assignee, _at(subject, "attributes"), _FIELD, where)
        _values(findings, env, _at(subject, "env"), _ENV, where)
    for key, values in _below(facts, "subscriptions"):
        _values(findings, assignee, values, _FIELD, f" of subscription {key.text!r}")
    tables = {name: _readers(columns) for name, columns in vocabulary.lookups.items()}
    for key, rows in _below(facts, "lookups"):
        known = tables.get(key.text)
        if known is None:
            findings.unknown("T403", key.place, "lookup table", key.text, tables)
            continue
        for _, row in _entries(rows):
            _values(findings, known, row, _FIELD, f" in the lookup table {key.text!r}")
    members = [*memberships.values(), *(one["names"] for one in (*trust["api_keys"], *trust["certificates"]))]
    tokens = {assignee_token(kind, *_parts(name)) for names in members for kind in names for name in names[kind]}
    open_kinds = {rule["kind"] for rule in trust["certificates"]}  # a certificate's own name
    _nobody(findings, vocabulary, trust["issuers"], tokens, open_kinds)
    trusted = {issuer["issuer"] for issuer in trust["issuers"]}
    named = {issuer["name"] for issuer in trust["issuers"]}
    named |= {name.partition("/")[0] for name in named}
    for accepted in vocabulary.accepted:
        if accepted.issuer not in named:
            findings.unknown("T407", accepted.place, "issuer", accepted.issuer, sorted(named))
    for listened in vocabulary.listened:
        if listened.issuer not in trusted:
            where = f" in the claims of {listened.application!r}"
            findings.unknown("T406", listened.place, "issuer", listened.issuer, sorted(trusted), where)
    return findings.problems


def uncredentialed(estate: Estate, trust: Mapping[str, Any], findings: Findings) -> None:
    """Warn of each application that grants to callers with a credential, where no document says whose count.

    ``trust`` is ``trust.json``.
    """
    if trust["issuers"] or trust["api_keys"] or trust["certificates"]:
        return
    warned = set()
    for policy in sorted(estate.policies, key=lambda one: one.place):
        name = policy.application
        granted = policy.effect == "allow" and policy.token != ANYONE
        if granted and name not in warned and estate.applications[name].routes:
            warned.add(name)
            findings.warn(
                "T408",
                policy.place,
                f"{policy.target!r} of {name!r} takes a credential, and no Issuers, ApiKeys or Certificates say whose",
                "kind: Issuers, with issuer, audiences, algorithms and discovery: true",
            )


def _readers(known: Mapping[str, tuple[FieldType, ...]]) -> Readers:
    return {name: [(kind, converter(kind)) for kind in kinds] for name, kinds in known.items()}


def _names(findings: Findings, known: Readers, keys: Iterable[Scalar], sort: tuple[str, str], where: str) -> None:
    code, what = sort
    for key in keys:
        if key.text not in known:
            findings.unknown(code, key.place, what, key.text, known, where)


def _values(findings: Findings, known: Readers, node: Node | None, sort: tuple[str, str], where: str) -> None:
    """Note names that are not known, and values that no field of the name could take: they would deny, much later."""
    _names(findings, known, _keys(node), sort, where)
    for key, value in _entries(node):
        readers = known.get(key.text)
        raw = _raw(value)
        if readers and raw is not None and all(convert(raw) is None for _, convert in readers):
            _misfit(findings, readers[0], value, f"{sort[1]} {key.text!r}{where}")


def _misfit(findings: Findings, reader: tuple[FieldType, Converter], node: Node, what: str) -> None:
    kind, _ = reader
    if isinstance(node, ListNode) is not kind.many:
        message = f"{what} is a {kind}, so it takes " + ("a list" if kind.many else "one value")
        findings.error("T405", node.place, message, "write [a, b]" if kind.many else "write it without [ ]")
        return
    one = converter(kind.element)
    for item in node.items if isinstance(node, ListNode) else (node,):
        if not isinstance(item, Scalar) or one(item.text) is not None:
            continue
        if kind.base == "enum":
            shown = f" ({', '.join(kind.values)})" if len(kind.values) <= _SHOWN else ""
            findings.unknown("T405", item.place, "value", item.text[:80], kind.values, f" of {what}{shown}")
        else:
            message = f"{item.text[:80]!r} is not a valid {kind.element} ({what})"
            findings.error("T405", item.place, message, HINTS.get(kind.base, ""))


def _raw(node: Node) -> str | tuple[str, ...] | None:
    """Return a value as the facts carry it; None for one of another shape, which its own reader has refused."""
    if isinstance(node, Scalar):
        return node.text if node.text or node.quoted else None
    if not isinstance(node, ListNode) or not all(isinstance(item, Scalar) for item in node.items):
        return None
    return tuple(item.text for item in node.items if isinstance(item, Scalar))


def _nobody(
    findings: Findings,
    vocabulary: Vocabulary,
    issuers: Sequence[Mapping[str, Any]],
    tokens: Collection[str],
    open_kinds: Collection[str],
) -> None:
    """Warn of policies for an assignee that cannot exist: no claim gives its kind or namespace, no fact its name."""
    if not issuers:
        return
    namespaces = [issuer["namespace"] for issuer in issuers]
    for assigned in vocabulary.assigned:
        kind, _, name = assigned.token.partition(":")
        if assigned.token in tokens or kind in open_kinds or kind in _UNLISTED:
            continue
        speaking = [issuer["namespace"] for issuer in issuers if kind in issuer["claims"]["names"]]
        if not any(_owned(name.split("\x1f"), namespace, namespaces) for namespace in speaking):
            shown = f"{kind} {' at '.join(name.split(chr(0x1F)))!r}"
            message = f"policy {assigned.policy!r} is for {shown}, which no issuer and no membership can say of anyone"
            findings.warn("T404", assigned.place, message, "let a claim or a fact say it, or correct the name")


def _parts(name: str | Sequence[str]) -> Sequence[str]:
    return (name,) if isinstance(name, str) else name


def _owned(parts: Iterable[str], namespace: str, others: Iterable[str]) -> bool:
    foreign = tuple(other for other in others if other and other != namespace)
    return all(part.startswith(namespace) and not part.startswith(foreign) for part in parts)


def _below(documents: Iterable[Node], section: str) -> Iterator[tuple[Scalar, Node]]:
    for document in documents:
        yield from _entries(_at(document, section))


def _at(node: Node | None, key: str) -> Node | None:
    return node.get(key) if isinstance(node, MapNode) else None


def _entries(node: Node | None) -> Iterator[tuple[Scalar, Node]]:
    for entry in node.entries.values() if isinstance(node, MapNode) else ():
        yield entry.key, entry.value


def _keys(node: Node | None) -> Iterator[Scalar]:
    return (key for key, _ in _entries(node))
