"""Finds what is well-formed and surely not meant: policies that never match, values only the caller vouches for."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from authorizer.errors import Place
from authorizer.policy.documents import Node
from authorizer.policy.pbac.declared import Application, Catalog, Leaf, Policy, Right
from authorizer.policy.pbac.routes import CALLER_SUPPLIED
from authorizer.policy.pbac.trees import conjuncts, leaves
from authorizer.policy.pbac.types import converter, rank
from authorizer.policy.reading import Findings

_INTERVAL_BASES = frozenset({"int", "decimal", "timestamp", "timeofday", "duration"})


def never_matching(policies: Iterable[Policy], findings: Findings) -> None:
    """Warn of policies whose conjunction asks one field for values that exclude each other.

    Parts with ``any``, ``not`` or a reference are left out rather than guessed at.
    """
    for policy in policies:
        groups: dict[tuple[str, str], list[Leaf]] = {}
        for part in conjuncts(policy.condition):
            if isinstance(part, Leaf) and part.reference is None:
                groups.setdefault((part.side, part.field), []).append(part)
        for (side, field), group in groups.items():
            if len(group) > 1 and _empty(group):
                message = f"policy {policy.id!r} can never match: conditions on {side}.{field} exclude each other"
                findings.warn("D001", policy.place, message)


def _empty(group: list[Leaf]) -> bool:
    if any(leaf.operator == "exists" and leaf.texts == ("false",) for leaf in group):
        return any(leaf.operator != "exists" or leaf.texts == ("true",) for leaf in group)
    kind = group[0].type
    if kind.base in {"string", "enum", "bool"} and not kind.many:
        allowed: set[str] | None = set(kind.values) if kind.values else None
        for leaf in group:
            named = set(leaf.texts)
            if leaf.operator in {"eq", "in"}:
                allowed = named if allowed is None else allowed & named
            elif leaf.operator in {"ne", "not_in"} and allowed is not None:
                allowed = allowed - named
            elif kind.ordered and allowed is not None and leaf.operator in {"gt", "gte", "lt", "lte"}:
                position = rank(kind)
                allowed = {one for one in allowed if _holds(leaf.operator, position[one], position[leaf.texts[0]])}
        return allowed is not None and not _without_excluded(allowed, group)
    if kind.base in _INTERVAL_BASES and not kind.many:
        return _empty_interval(group)
    return False


def _without_excluded(allowed: set[str], group: list[Leaf]) -> set[str]:
    excluded = {text for leaf in group if leaf.operator in {"ne", "not_in"} for text in leaf.texts}
    return allowed - excluded


def _holds(operator: str, left: int, right: int) -> bool:
    return {"gt": left > right, "gte": left >= right, "lt": left < right, "lte": left <= right}[operator]


def _empty_interval(group: list[Leaf]) -> bool:
    """Whether bounds leave nothing; each bound is (number, closed)."""
    convert = converter(group[0].type)
    low, low_closed = Decimal("-Infinity"), True
    high, high_closed = Decimal("Infinity"), True
    for leaf in group:
        if leaf.operator not in {"eq", "gt", "gte", "lt", "lte"}:
            continue
        value = convert(leaf.texts[0])
        assert isinstance(value, (int, float, Decimal))
        bound = Decimal(value)
        closed = leaf.operator not in {"gt", "lt"}
        if leaf.operator in {"eq", "gt", "gte"} and (bound, not closed) > (low, not low_closed):
            low, low_closed = bound, closed
        if leaf.operator in {"eq", "lt", "lte"} and (bound, closed) < (high, high_closed):
            high, high_closed = bound, closed
    return low > high or (low == high and not (low_closed and high_closed))


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
