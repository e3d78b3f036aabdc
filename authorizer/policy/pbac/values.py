"""Reads a scalar as a value of a type."""

from collections.abc import Mapping

from authorizer.policy.documents import Node
from authorizer.policy.pbac.types import FieldType, converter
from authorizer.policy.reading import Findings

HINTS: Mapping[str, str] = {
    "timestamp": "write it with its offset, as in 2026-12-31T23:59:59Z",
    "timeofday": "write it as 21:00",
    "duration": "write seconds, or 90s, 5m, 1h, 30d",
    "decimal": "write digits with at most one point, as in 250000.01",
    "int": "write digits only",
    "cidr": "write the network's first address and length, as in 10.0.0.0/8",
    "bool": "write true or false",
}


def read_value(node: Node | None, what: str, kind: FieldType, code: str, findings: Findings) -> object:
    """Return the typed value of a scalar, or None with a problem of ``code``; nothing at all is None without one."""
    word = findings.text(node, what)
    typed = converter(kind)(word) if word else None
    if node is not None and word and typed is None:
        findings.error(code, node.place, f"{word!r} is not a valid {kind} ({what})", HINTS.get(kind.base, ""))
    return typed
