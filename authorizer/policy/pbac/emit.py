"""Reads ``emit``: the headers that an allow sets towards the API and in its answer."""

import re
from collections.abc import Callable, Iterable, Mapping

from authorizer.errors import Place
from authorizer.grammar import TOKEN
from authorizer.model import FRAMING
from authorizer.policy.documents import Node, Scalar
from authorizer.policy.pbac.declared import Application, Catalog, Emit, Field, Policy
from authorizer.policy.reading import Findings

TOWARDS = ("upstream", "response")
DECISION = ("id", "policies", "right", "application", "subject", "client", "issuer", "scopes")
"""What ``$decision.x`` can say."""

MAX_HEADERS = 32
MAX_TEXT = 1024
_TAKEN = FRAMING | {
    "authorization", "cookie", "forwarded", "proxy-authenticate", "proxy-authorization", "set-cookie", "via",
    "www-authenticate",
}  # fmt: skip
_TAKEN_STARTS = ("content-", "grpc-", "sec-", "x-auth-", "x-authz-", "x-envoy-", "x-forwarded-")
_NAME = re.compile(rf"{TOKEN}{{1,64}}")
_VISIBLE = re.compile(r"[!-~]([ -~]*[!-~])?")

Find = Callable[[str, Place], Field | None]


def read_emit(
    node: Node | None, linked: frozenset[str], find: Find, catalog: Catalog, findings: Findings
) -> tuple[Emit, ...]:
    """Read ``{upstream: {HEADER: VALUE}, response: {..}}``; ``linked`` are the resource fields that may be told."""
    emit = findings.fields(node, "emit", TOWARDS)
    found: list[Emit] = []
    for towards in TOWARDS:
        for name, key, value in findings.named(emit.get(towards) if emit else None, f"emit.{towards}"):
            header = name.lower()
            if not _NAME.fullmatch(header) or "_" in header:
                findings.error("A022", key.place, f"{name[:80]!r} is not a header name", "letters, digits and '-'")
            elif header in _TAKEN or header.startswith(_TAKEN_STARTS):
                findings.error("A022", key.place, f"the header {header!r} is not a policy's to set", "choose another")
            elif any((one.towards, one.header) == (towards, header) for one in found):
                # In capitals or not, it is one header.
                findings.error("R021", key.place, f"the header {header!r} stands here twice", "keep one")
            else:
                source = _read_value(value, header, linked, find, catalog, findings)
                if source is not None:
                    found.append(Emit(towards, header, *source, key.place))
    if len(found) > MAX_HEADERS and node is not None:
        findings.error("A022", node.place, f"more than {MAX_HEADERS} headers")
    return tuple(found)


def _read_value(
    node: Node, header: str, linked: frozenset[str], find: Find, catalog: Catalog, findings: Findings
) -> tuple[str, str] | None:
    text = findings.text(node, f"the value of {header!r}")
    if not text or not isinstance(node, Scalar):
        return None
    if not text.startswith("$") or node.quoted:
        if len(text) > MAX_TEXT or not _VISIBLE.fullmatch(text):
            findings.error("A022", node.place, "not a header value", f"up to {MAX_TEXT} visible ASCII characters")
            return None
        return "literal", text
    side, _, name = text[1:].partition(".")
    if side == "decision":
        if name not in DECISION:
            findings.unknown("C001", node.place, "field", text, [f"$decision.{known}" for known in DECISION])
            return None
    elif side == "env":
        if name not in catalog.env:
            findings.unknown("C001", node.place, "field", text, [f"$env.{known}" for known in catalog.env])
            return None
    elif side in {"assignee", "resource"}:
        if not _is_field(side, name, node.place, linked, find, findings):
            return None
    else:
        hint = "write $assignee.x, $resource.x, $env.x or $decision.x, or quote a text that starts with $"
        findings.error("C002", node.place, f"{text!r} names no field", hint)
        return None
    return side, name


def _is_field(side: str, name: str, place: Place, linked: frozenset[str], find: Find, findings: Findings) -> bool:
    if side == "resource" and name == "id":
        return True
    field = find(name, place)
    if field is None:
        return False
    if side not in field.scopes:
        findings.error("C005", place, f"field {name!r} has scope {', '.join(sorted(field.scopes))}, not {side}")
        return False
    if side == "resource" and name not in linked:
        hint = "usable: " + (", ".join(sorted(linked)) or "none")
        findings.error("C004", place, f"field {name!r} is not linked to every right that is meant", hint)
        return False
    return True


def clashing(applications: Mapping[str, Application], policies: Iterable[Policy], findings: Findings) -> None:
    """Note headers that one decision could set to two values: there is no order in which one would win."""
    for application in applications.values():
        own = {(one.towards, one.header): one for one in application.emit}
        of_rights: dict[tuple[str, str], list[Emit]] = {}
        for right in application.rights.values():
            for one in right.emit:
                _compare(one, own.get((one.towards, one.header)), findings)
                of_rights.setdefault((one.towards, one.header), []).append(one)
        first: dict[tuple[str, str], Emit] = {}
        for policy in sorted(policies, key=lambda policy: policy.place):
            for one in policy.emit if policy.application == application.id else ():
                key = (one.towards, one.header)
                for other in (own.get(key), first.setdefault(key, one), *of_rights.get(key, ())):
                    _compare(one, other, findings)


def _compare(one: Emit, other: Emit | None, findings: Findings) -> None:
    if other is not None and (one.kind, one.key) != (other.kind, other.key):
        message = f"the header {one.header!r} has another value at {other.place}"
        findings.error("R021", one.place, message, "one header has one value: give it another name")
