"""The long form of documents: rules of routes as rights and policies, ``for each`` as its rows."""

from collections.abc import Iterable, Sequence

from authorizer.errors import DocumentError
from authorizer.policy.documents import Entry, ListNode, MapNode, Node, Scalar
from authorizer.policy.pbac.repeats import Repeats
from authorizer.policy.pbac.rules import expand
from authorizer.policy.reading import Findings

_LISTS = {"Policies": "policies", "Eligibility": "rules"}


def expanded(documents: Sequence[Node]) -> list[Node]:
    """Return documents that compile to the same, with nothing left that is short for something else.

    The policies of an application's rules follow the application. Ids depend on all applications: give all documents
    of a set. Raises DocumentError.
    """
    findings = Findings()
    repeats = Repeats(findings, documents)
    applications = [one for one in documents if isinstance(one, MapNode) and _kind(one) == "Application"]
    shorn, made = expand(applications, findings)
    plain = dict(zip(map(id, applications), shorn, strict=True))
    policies = {document.place: document for document in made}
    found: list[Node] = []
    for document in documents:
        if id(document) in plain:
            found.append(plain[id(document)])
            if document.place in policies:
                found.append(policies[document.place])
        else:
            found.append(_written_out(document, repeats))
    if findings.failed:
        raise DocumentError(findings.problems)
    return found


def _kind(document: MapNode) -> str:
    kind = document.get("kind")
    return kind.text if isinstance(kind, Scalar) else ""


def _written_out(document: Node, repeats: Repeats) -> Node:
    key = _LISTS.get(_kind(document), "") if isinstance(document, MapNode) else ""
    entry = document.entries.get(key) if isinstance(document, MapNode) else None
    if entry is None or not isinstance(entry.value, ListNode):
        return document
    assert isinstance(document, MapNode)
    items = ListNode(tuple(_rows(entry.value.items, repeats)), entry.value.place)
    return MapNode({**document.entries, key: Entry(entry.key, items)}, document.place)


def _rows(items: Iterable[Node], repeats: Repeats) -> Iterable[Node]:
    for item in items:
        if isinstance(item, MapNode):
            yield from repeats.rows(item)
        else:
            yield item
