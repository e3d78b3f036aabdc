"""Compares what issuers and facts say with what the policies can read, and whom they name with who can exist.

A name that nobody reads is no small thing: an issuer's fixed ``tennant`` leaves the tenant to its tokens.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from authorizer.errors import Problem
from authorizer.model import ANYONE
from authorizer.policy.documents import MapNode, Node, Scalar
from authorizer.policy.pbac import Vocabulary
from authorizer.policy.reading import Findings

_TENANT = "tenant"  # it chooses the subscription, whether or not a policy reads it


def compare(
    vocabulary: Vocabulary,
    issuers: Sequence[Node],
    facts: Sequence[Node],
    trust: Mapping[str, Any],
    memberships: Mapping[str, Mapping[str, object]],
) -> list[Problem]:
    """Return what is said and never read, and whom no issuer and no fact can speak of.

    ``issuers`` and ``facts`` are the documents, which others have checked; ``trust`` is ``trust.json``, and
    ``memberships`` those of ``facts.json``.
    """
    findings = Findings()
    assignee = vocabulary.assignee | {_TENANT}
    for key, issuer in _below(issuers, "issuers"):
        where = f" of issuer {key.text!r}"
        claims = _at(issuer, "claims")
        _fields(findings, assignee, _keys(_at(issuer, "attributes")), f" in the attributes{where}")
        _fields(findings, assignee, _keys(_at(claims, "fields")), f" in the claims{where}")
        _env(findings, vocabulary.env, _keys(_at(claims, "env")), f" in the claims{where}")
    for key, subject in _below(facts, "subjects"):
        where = f" of subject {key.text!r}"
        _fields(findings, assignee, _keys(_at(subject, "attributes")), where)
        _env(findings, vocabulary.env, _keys(_at(subject, "env")), where)
    for key, values in _below(facts, "subscriptions"):
        _fields(findings, assignee, _keys(values), f" of subscription {key.text!r}")
    for key, rows in _below(facts, "lookups"):
        known = vocabulary.lookups.get(key.text)
        if known is None:
            findings.unknown("T403", key.place, "lookup table", key.text, vocabulary.lookups)
            continue
        for _, row in _entries(rows):
            _fields(findings, known, _keys(row), f" in the lookup table {key.text!r}")
    _nobody(findings, vocabulary, trust["issuers"], {kind for member in memberships.values() for kind in member})
    return findings.problems


def _fields(findings: Findings, known: Collection[str], keys: Iterable[Scalar], where: str) -> None:
    for key in keys:
        if key.text not in known:
            findings.unknown("T401", key.place, "field", key.text, known, where)


def _env(findings: Findings, known: Collection[str], keys: Iterable[Scalar], where: str) -> None:
    for key in keys:
        if key.text not in known:
            findings.unknown("T402", key.place, "env field", key.text, known, where)


def _nobody(findings: Findings, vocabulary: Vocabulary, issuers: Sequence[Mapping[str, Any]], listed: set[str]) -> None:
    """Warn of policies for an assignee that cannot exist: no claim and no fact gives its kind or its namespace."""
    if not issuers:
        return
    namespaces = [issuer["namespace"] for issuer in issuers]
    for assigned in vocabulary.assigned:
        kind, _, name = assigned.token.partition(":")
        if assigned.token == ANYONE or kind in listed:
            continue
        speaking = [issuer["namespace"] for issuer in issuers if kind in issuer["claims"]["names"]]
        if not any(_owned(name.split("\x1f"), namespace, namespaces) for namespace in speaking):
            shown = f"{kind} {' at '.join(name.split(chr(0x1F)))!r}"
            message = f"policy {assigned.policy!r} is for {shown}, which no issuer and no membership can say of anyone"
            findings.warn("T404", assigned.place, message, "let a claim or a fact say it, or correct the name")


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
