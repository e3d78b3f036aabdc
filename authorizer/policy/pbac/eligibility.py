"""Reads Eligibility documents: who may ask for what. They grant nothing."""

from collections.abc import Mapping, Sequence

from authorizer.errors import Place
from authorizer.policy.documents import MapNode
from authorizer.policy.pbac.declared import Application, Catalog, Eligibility
from authorizer.policy.pbac.grants import read_assignee, read_id, read_point, read_right_or_role
from authorizer.policy.reading import Findings

TYPES = ("eligible", "pre_approved", "suggested", "exclusion")


def read_eligibility(
    documents: Sequence[MapNode], catalog: Catalog, applications: Mapping[str, Application], findings: Findings
) -> tuple[Eligibility, ...]:
    """Read all Eligibility documents."""
    found: dict[str, Eligibility] = {}
    places: dict[str, Place] = {}
    for document in documents:
        findings.fields(document, "the eligibility document", ("kind", "rules"))
        listed = findings.required(document, "rules", "the eligibility document")
        for item in findings.items(listed, "rules"):
            node = findings.fields(item, "an eligibility rule", ("id", "type", "right", "role", "to", "at"))
            name = read_id(node, "eligibility rule", places, findings) if node is not None else ""
            if node is None or not name:
                continue
            places[name] = node.place
            title = f"eligibility rule {name!r}"
            kind = findings.choice(findings.required(node, "type", title), "type", TYPES, "R003")
            target = read_right_or_role(node, title, applications, findings, every=False)
            token = read_assignee(node.get("to"), title, node.place, findings)
            if target is not None and target.kind != "all":
                point = read_point(node.get("at"), title, target.application, catalog, findings)
                found[name] = Eligibility(
                    name, kind, target.application.id, target.kind, target.name, token, point, node.place
                )
    return tuple(found.values())
