"""Reads Eligibility documents: who may ask for what. They grant nothing."""

from collections.abc import Mapping, Sequence

from authorizer.errors import Place
from authorizer.policy.documents import MapNode
from authorizer.policy.pbac.declared import Application, Catalog, Eligibility
from authorizer.policy.pbac.grants import read_assignee, read_id, read_point, read_right_or_role
from authorizer.policy.pbac.repeats import Repeats
from authorizer.policy.pbac.scopes import check_scope
from authorizer.policy.reading import Findings

TYPES = ("eligible", "pre_approved", "suggested", "exclusion")


def read_eligibility(
    documents: Sequence[MapNode], catalog: Catalog, applications: Mapping[str, Application], findings: Findings
) -> tuple[Eligibility, ...]:
    """Read all Eligibility documents."""
    found: dict[str, Eligibility] = {}
    places: dict[str, Place] = {}
    repeats = Repeats(findings, documents)
    for document in documents:
        findings.fields(document, "the eligibility document", ("kind", "rules"))
        listed = findings.required(document, "rules", "the eligibility document")
        for item in findings.items(listed, "rules"):
            whole = findings.mapping(item, "an eligibility rule")
            for node in repeats.rows(whole) if whole is not None else ():
                rule = _read_rule(node, places, catalog, applications, findings)
                if rule is not None:
                    found[rule.id] = rule
    return tuple(found.values())


def _read_rule(
    node: MapNode,
    places: dict[str, Place],
    catalog: Catalog,
    applications: Mapping[str, Application],
    findings: Findings,
) -> Eligibility | None:
    findings.fields(node, "an eligibility rule", ("id", "type", "right", "role", "to", "at"))
    name = read_id(node, "eligibility rule", places, findings)
    if not name:
        return None
    places[name] = node.place
    title = f"eligibility rule {name!r}"
    kind = findings.choice(findings.required(node, "type", title), "type", TYPES, "R003")
    target = read_right_or_role(node, title, applications, findings, every=False)
    to = node.get("to")
    token = read_assignee(to, title, node.place, findings)
    if target is None or target.kind == "all":
        return None
    check_scope(token, target.application, to.place if to is not None else node.place, findings)
    point = read_point(node.get("at"), title, target.application, catalog, findings)
    return Eligibility(name, kind, target.application.id, target.kind, target.name, token, point, node.place)
