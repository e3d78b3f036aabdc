"""Finds what is well-formed and surely not meant: policies that never match, values only the caller vouches for."""

from collections.abc import Iterable, Mapping

from authorizer.errors import Place
from authorizer.policy.documents import Node
from authorizer.policy.pbac.declared import Application, Catalog, Policy, Right
from authorizer.policy.pbac.routes import CALLER_SUPPLIED
from authorizer.policy.pbac.trees import leaves
from authorizer.policy.reading import Findings


def features_without_plan(catalog: Catalog, applications: Mapping[str, Application], findings: Findings) -> None:
    """Warn of rights whose feature no plan has."""
    sold = frozenset[str]().union(*catalog.plans.values())
    for application in applications.values():
        for right in application.rights.values():
            if right.feature and right.feature not in sold:
                findings.warn("P004", right.place, f"no plan has the feature {right.feature!r} of right {right.name!r}")


def unvouched(applications: Mapping[str, Application], policies: Iterable[Policy], findings: Findings) -> None:
    """Warn of resource fields that policies read and that only the caller vouches for."""
    read: dict[tuple[str, str], dict[str, str]] = {}
    for policy in policies:
        application = applications[policy.application]
        for leaf in leaves(policy.condition):
            sides = [(leaf.side, leaf.field), *([leaf.reference] if leaf.reference else [])]
            for right in _rights(policy, application):
                for side, field in sides:
                    if side == "resource":
                        read.setdefault((application.id, right.name), {}).setdefault(field, policy.id)
    for application in applications.values():
        for route in application.routes:
            fields = read.get((application.id, route.right), {})
            for source in route.sources:
                if source.kind in CALLER_SUPPLIED and source.field in fields and not route.trusted:
                    message = f"policy {fields[source.field]!r} trusts {source.field!r}, which the caller chooses"
                    hint = (
                        "take it from path, token, mtls or lookup; or say 'trust: acted_on' when the backend acts on it"
                    )
                    findings.warn("L002", source.place, message, hint)


def _rights(policy: Policy, application: Application) -> Iterable[Right]:
    if policy.target_kind == "all":
        return application.rights.values()
    if policy.target_kind == "right":
        return (application.rights[policy.target],)
    held = application.roles[policy.target].rights
    return tuple(application.rights[name] for name in held if name in application.rights)


def pointless_routes(
    catalog: Catalog, applications: Mapping[str, Application], policies: Iterable[Policy], findings: Findings
) -> None:
    """Refuse routes without a point in a tree where a denial of their right stands: it could not be judged there."""
    tree_of = {level: tree for tree, levels in catalog.trees.items() for level in levels}
    denials: dict[tuple[str, str], dict[str, str]] = {}
    for policy in policies:
        if policy.effect == "deny" and policy.point:
            tree = tree_of[policy.point.partition(":")[0]]
            for right in _rights(policy, applications[policy.application]):
                denials.setdefault((policy.application, right.name), {}).setdefault(tree, policy.id)
    for application in applications.values():
        for route in application.routes:
            given = {source.field for source in route.sources}
            for tree, denial in denials.get((application.id, route.right), {}).items():
                if (f"point:{tree}" if tree else "point") not in given:
                    where = f" in {tree!r}" if tree else ""
                    message = f"the route gives no point{where}, which policy {denial!r} needs"
                    findings.error("S007", route.place, message, "add a source for point")


def unused_conditions(named: Mapping[str, Mapping[str, Node]], used: set[Place], findings: Findings) -> None:
    """Warn of named conditions that no policy uses: they were not checked."""
    for conditions in named.values():
        for name, node in conditions.items():
            if node.place not in used:
                findings.warn("L003", node.place, f"condition {name!r} is used by no policy, so it was not checked")


def time_without_zone(catalog: Catalog, policies: Iterable[Policy], findings: Findings) -> None:
    """Warn of policies that read the time of day when nobody said in which zone: it is unknown then."""
    if catalog.zone is not None:
        return
    for policy in policies:
        if any(("env", "time") in ((leaf.side, leaf.field), leaf.reference) for leaf in leaves(policy.condition)):
            message = f"policy {policy.id!r} reads env.time, which is unknown without a time zone"
            findings.warn("L004", policy.place, message, "declare it in the catalog: env: {time: {zone: Europe/Oslo}}")
