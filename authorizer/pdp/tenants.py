"""Issuers of many tenants: one template of a document becomes one issuer for each tenant that it lists.

Only those tenants are trusted. What differs between them, the namespace above all, says ``{tenant}``.
"""

import re
from collections.abc import Iterator

from authorizer.policy.documents import Entry, ListNode, MapNode, Node, Scalar
from authorizer.policy.reading import Findings

MARK = "{tenant}"
MAX_TENANTS = 200
_TENANT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")


def each_issuer(entries: MapNode, findings: Findings) -> Iterator[tuple[str, Entry, Node]]:
    """Yield the issuers of a document: name, entry and body. That of a tenant is ``NAME/TENANT``."""
    for name, entry in entries.entries.items():
        body = entry.value
        marked = isinstance(body, MapNode) and MARK in _text(body.get("issuer"))
        listed = body.get("tenants") if isinstance(body, MapNode) else None
        if listed is None and not marked:
            yield name, entry, body
            continue
        tenants = findings.words(listed, "tenants")
        if not marked or not 0 < len(tenants) <= MAX_TENANTS:
            hint = f"issuer: https://login.example/{MARK}/v2.0, tenants: [acme]; at most {MAX_TENANTS}"
            message = f"issuer {name!r} needs both {MARK} in its 'issuer' and 'tenants'"
            findings.error("T118", (listed or body).place, message, hint)
            continue
        for tenant in tenants:
            if not _TENANT.fullmatch(tenant.text):
                findings.error("T118", tenant.place, f"{tenant.text[:80]!r} is no name of a tenant")
            else:
                yield f"{name}/{tenant.text}", entry, _filled(body, tenant.text)


def _text(node: Node | None) -> str:
    return node.text if isinstance(node, Scalar) else ""


def _filled(node: Node, tenant: str) -> Node:
    """Return a node with the tenant's name for each mark."""
    if isinstance(node, Scalar):
        return Scalar(node.text.replace(MARK, tenant), node.place, node.quoted) if MARK in node.text else node
    if isinstance(node, ListNode):
        return ListNode(tuple(_filled(item, tenant) for item in node.items), node.place)
    entries = {
        key: Entry(entry.key, _filled(entry.value, tenant)) for key, entry in node.entries.items() if key != "tenants"
    }
    return MapNode(entries, node.place)
