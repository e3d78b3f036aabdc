"""Whom a client certificate makes of its holder: authored ``kind: Certificates`` documents -> rows of ``trust.json``.

A gateway's word that a certificate was valid says nothing of what its holder may be called here: a rule does, by the
SPIFFE trust domain, or by exact names: alternative ones, or that of its subject. A certificate that no rule covers
identifies nobody.
"""

import re
from collections.abc import Iterable
from typing import Any, Literal

from msgspec import Struct

from authorizer.errors import Place, Problem
from authorizer.model import ASSIGNEE_KINDS
from authorizer.pdp.certificates import Certificate, distinguished_name
from authorizer.policy.documents import MapNode, Node, locate
from authorizer.policy.reading import Findings

MATCHERS = ("trust_domain", "uris", "dns", "subjects")
RULE_FIELDS = (*MATCHERS, "as", "namespace", "is", "attributes")
# SPIFFE-ID, section 2.1: a host of lower-case letters, digits, dots, dashes and underscores, no port, no user.
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_SPIFFE_PATH = re.compile(r"(?:/[A-Za-z0-9._-]+)*")


class CertificateRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule as it stands in the trust document. The holder is the ``kind`` named ``namespace`` + what matched.

    ``names`` is what else every holder is, by assignee kind: groups and the like, never one of a kind.
    """

    name: str
    match: Literal["trust_domain", "uris", "dns", "subjects"]
    values: tuple[str, ...]
    kind: Literal["client", "person"]
    namespace: str = ""
    names: dict[str, tuple[str, ...]] = {}
    attributes: dict[str, str | tuple[str, ...]] = {}


def holder(certificate: Certificate, rules: Iterable[CertificateRule]) -> tuple[CertificateRule, str] | None:
    """Return the first rule that covers a certificate and the name that it gives the holder, or None.

    A certificate with two names that one rule covers could be either: it identifies nobody.
    """
    for rule in rules:
        found = [name for name in _names(certificate, rule) if _covers(rule, name)]
        if found:
            return (rule, rule.namespace + found[0]) if len(set(found)) == 1 else None
    return None


def _names(certificate: Certificate, rule: CertificateRule) -> tuple[str, ...]:
    match rule.match:
        case "dns":
            return certificate.dns
        case "subjects":
            return (certificate.subject,)
        case "trust_domain" if len(set(certificate.uris)) > 1:
            return ()  # X509-SVID, section 2: one with another URI beside its SPIFFE ID is none
        case _:
            return certificate.uris


def _covers(rule: CertificateRule, name: str) -> bool:
    if rule.match != "trust_domain":
        return name in rule.values
    scheme, _, rest = name.partition("://")
    domain, slash, path = rest.partition("/")
    return (
        scheme == "spiffe"
        and domain in rule.values
        and _SPIFFE_PATH.fullmatch(slash + path) is not None
        and not {".", ".."} & set(path.split("/"))
    )


def compile_rules(documents: Iterable[Node]) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Compile ``kind: Certificates`` documents to rows, with all problems; do not publish them if one is an error."""
    findings = Findings()
    rows: list[dict[str, Any]] = []
    seen: dict[tuple[str, str], Place] = {}
    for document in documents:
        root = findings.fields(document, "a Certificates document", ("kind", "certificates"))
        if root is None:
            continue
        if root.get("certificates") is None:
            findings.error("AZ210", root.place, "a Certificates document has no 'certificates'")
        for name, key, node in findings.named(root.get("certificates"), "certificates"):
            findings.name(key)
            body = findings.fields(node, f"rule {name!r}", RULE_FIELDS)
            row = _row(name, body, findings) if body is not None else None
            if row is None:
                continue
            for value in [name, *row["values"]]:
                first = seen.setdefault((row["match"] if value != name else "name", value), key.place)
                if first is not key.place:
                    findings.error("T130", key.place, f"a rule for {value!r} is already at {first}", "keep one")
            rows.append(row)
    return sorted(rows, key=lambda row: str(row["name"])), findings.problems


def _row(name: str, body: MapNode, findings: Findings) -> dict[str, Any] | None:
    given = [matcher for matcher in MATCHERS if matcher in body.entries]
    if len(given) != 1:
        findings.error("T131", body.place, f"rule {name!r} needs exactly one of: {', '.join(MATCHERS)}")
        return None
    match = given[0]
    node = body.get(match)
    values = [findings.text(node, match)] if match == "trust_domain" else list(findings.texts(node, match))
    if match == "trust_domain" and values[0] and not _TRUST_DOMAIN.fullmatch(values[0]):
        findings.error("T131", locate(body, [match]), f"{values[0][:80]!r} is no trust domain", "acme.example")
    for value in values if match == "subjects" else ():
        spelled = distinguished_name(value)
        if spelled != value:
            hint = spelled or "CN=web,O=Acme, as openssl x509 -noout -subject -nameopt RFC2253 writes it"
            findings.error(
                "T131", locate(body, [match]), f"{value[:80]!r} is no name of a subject in this spelling", hint
            )
    names: dict[str, list[str]] = {}
    many = [kind for kind, number in ASSIGNEE_KINDS.items() if number == "many"]
    groups = findings.fields(body.get("is"), "is", many)
    for kind, entry in groups.entries.items() if groups else ():
        names[kind] = [findings.subject_name(item, kind) for item in findings.items(entry.value, f"is.{kind}")]
    return {
        "name": name,
        "match": match,
        "values": sorted(values),
        "kind": findings.choice(body.get("as"), "kind of holder", ("client", "person"), "T132") or "client",
        "namespace": findings.text(body.get("namespace"), "namespace", empty=True),
        "names": names,
        "attributes": {
            field: findings.text_or_texts(value, f"attribute {field!r}")
            for field, _, value in findings.named(body.get("attributes"), "attributes")
        },
    }
