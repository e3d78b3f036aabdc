"""Finds policies that change nothing: they can never hold, or another policy already says as much.

Findings are certain ones. Parts of conditions with ``not`` or a reference to another field are taken to be possible;
of an implication all of the wider policy has to be found in the narrower one.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from authorizer.model import ANYONE, AUTHENTICATED
from authorizer.policy.pbac.declared import AllOf, AnyOf, Application, Catalog, Condition, Leaf, Policy
from authorizer.policy.pbac.satisfiable import exclusive
from authorizer.policy.pbac.trees import conjuncts
from authorizer.policy.reading import Findings

_MAX_BRANCHES = 64
_MAX_GATES = 32
_MAX_PEERS = 64
Leaves = tuple[Leaf, ...]


def never_matching(policies: Iterable[Policy], findings: Findings) -> None:
    """Warn of policies whose conditions ask one field for values that exclude each other, on every way to hold."""
    for policy in policies:
        field = _contradiction(policy.condition)
        if field:
            message = f"policy {policy.id!r} can never match: conditions on {field} exclude each other"
            findings.warn("D001", policy.place, message)


def never_granting(applications: Mapping[str, Application], policies: Sequence[Policy], findings: Findings) -> None:
    """Warn of allows that a gate or a denial without a condition always stands in the way of."""
    walls: dict[tuple[str, str], str] = {}
    gates: dict[str, list[tuple[Policy, Leaves]]] = defaultdict(list)
    for policy in sorted(policies, key=lambda policy: policy.id):
        if policy.start is not None or policy.end is not None:
            continue
        if policy.effect == "gate":
            gates[policy.application].append((policy, _certain(policy.condition)))
        elif policy.effect == "deny" and _is_wall(policy):
            for right in rights_of(policy, applications[policy.application]):
                walls.setdefault((policy.application, right), policy.id)
    for policy in policies:
        if policy.effect != "allow":
            continue
        rights = rights_of(policy, applications[policy.application])
        behind = [walls.get((policy.application, right)) for right in rights]
        if behind and all(behind):
            message = f"policy {policy.id!r} grants nothing: denial {behind[0]!r} always stands in its way"
            findings.warn("D003", policy.place, message, "drop it, or let the denial have a condition")
            continue
        own = _certain(policy.condition)
        for gate, asked in gates[policy.application][:_MAX_GATES] if own else ():
            guarded = gate.target_kind == "all" or rights == (gate.target,)
            field = exclusive(own + asked) if guarded and asked and not exclusive(own) else ""
            if field:
                message = f"policy {policy.id!r} grants nothing: gate {gate.id!r} asks {field} for something else"
                findings.warn("D003", policy.place, message)
                break


def _is_wall(denial: Policy) -> bool:
    """Whether a denial stands for everybody, everywhere and on no condition."""
    unbounded = denial.condition is None and not denial.point and denial.token in {"", ANYONE}
    return unbounded and not denial.overridable


def needless(
    catalog: Catalog, applications: Mapping[str, Application], policies: Iterable[Policy], findings: Findings
) -> None:
    """Warn of allows that a wider allow for the same rights makes needless."""
    peers: dict[tuple[str, str, str], list[Policy]] = defaultdict(list)
    for policy in sorted(policies, key=lambda policy: policy.id):
        if policy.effect == "allow":
            peers[policy.application, policy.target_kind, policy.target].append(policy)
    by_token: dict[tuple[str, str, str], dict[str, list[Policy]]] = {}
    for key, group in peers.items():
        tokens = by_token.setdefault(key, defaultdict(list))
        for policy in group:
            tokens[policy.token].append(policy)
    meanings: dict[str, frozenset[object]] = {}
    for key, group in peers.items():
        for policy in group:
            others = _wider(policy, key, by_token, applications)
            wider = next((one for one in others if _covers(one, policy, catalog, meanings)), None)
            if wider is not None:
                message = f"policy {policy.id!r} adds nothing to {wider.id!r}, which grants as much to as many"
                findings.warn("D004", policy.place, message, "drop the one or narrow the other")


def _wider(
    policy: Policy,
    key: tuple[str, str, str],
    by_token: Mapping[tuple[str, str, str], Mapping[str, list[Policy]]],
    applications: Mapping[str, Application],
) -> Iterator[Policy]:
    """Yield other allows of the same right or role, or a role that holds the right, for the same or for everybody."""
    keys = [key]
    if policy.target_kind == "right":
        roles = applications[policy.application].roles.values()
        keys += [(policy.application, "role", role.name) for role in roles if policy.target in role.rights]
    for one in keys:
        for token in dict.fromkeys((policy.token, AUTHENTICATED, ANYONE)):
            for other in by_token.get(one, {}).get(token, ())[:_MAX_PEERS]:
                if other is not policy and not (token == AUTHENTICATED and policy.token == ANYONE):
                    yield other


def _covers(wide: Policy, narrow: Policy, catalog: Catalog, meanings: dict[str, frozenset[object]]) -> bool:
    """Whether whatever the narrow policy grants the wide one grants as well, with nothing more to do for it.

    ``meanings`` remembers what each policy's condition needs, by the policy's id.
    """
    if (wide.obligations, wide.advice, wide.emit, wide.overrides) != (
        narrow.obligations, narrow.advice, narrow.emit, narrow.overrides,
    ):  # fmt: skip
        return False
    if wide.require is not None and wide.require != narrow.require:
        return False
    if wide.start is not None and (narrow.start is None or narrow.start < wide.start):
        return False
    if wide.end is not None and (narrow.end is None or narrow.end > wide.end):
        return False
    if wide.point and wide.point not in _upwards(narrow.point, catalog.points):
        return False
    asked, own = _needs(wide, meanings), _needs(narrow, meanings)
    if not asked <= own:
        return False
    same = own == asked and (wide.token, wide.point, wide.start, wide.end, wide.target_kind, wide.require) == (
        narrow.token, narrow.point, narrow.start, narrow.end, narrow.target_kind, narrow.require,
    )  # fmt: skip
    return not (same and narrow.id < wide.id)  # of two that are the same the later is needless


def _needs(policy: Policy, meanings: dict[str, frozenset[object]]) -> frozenset[object]:
    known = meanings.get(policy.id)
    if known is None:
        known = meanings[policy.id] = frozenset(_meaning(part) for part in conjuncts(policy.condition))
    return known


def _meaning(condition: Condition) -> object:
    """Return what a condition says, without the place where it says so."""
    if isinstance(condition, Leaf):
        texts = tuple(sorted(condition.texts)) if condition.operator in {"in", "not_in"} else condition.texts
        return condition.side, condition.field, condition.operator, texts, condition.reference
    if isinstance(condition, (AllOf, AnyOf)):
        return type(condition).__name__, frozenset(_meaning(part) for part in condition.parts)
    return "not", _meaning(condition.part)


def _upwards(point: str, parents: Mapping[str, str]) -> Iterator[str]:
    while point:
        yield point
        point = parents.get(point, "")


def unreachable(applications: Mapping[str, Application], findings: Findings) -> None:
    """Warn of rights that no route of an application with routes leads to, and of roles without rights."""
    for application in applications.values():
        reached = {route.right for route in application.routes}
        for right in application.rights.values() if application.routes else ():
            if right.name not in reached:
                findings.warn(
                    "D005", right.place, f"no route leads to the right {right.name!r}", "give it one, or drop it"
                )
        for role in application.roles.values():
            if not role.rights:
                findings.warn("D006", role.place, f"role {role.name!r} has no rights, so it grants nothing")


def nowhere(
    catalog: Catalog, applications: Mapping[str, Application], policies: Iterable[Policy], findings: Findings
) -> None:
    """Warn of allows at a point where no route of their rights gives one in its tree."""
    given: dict[tuple[str, str], set[str]] = defaultdict(set)
    for application in applications.values():
        for route in application.routes:
            given[application.id, route.right].update(source.field for source in route.sources)
    tree_of = {level: tree for tree, levels in catalog.trees.items() for level in levels}
    for policy in policies:
        if policy.effect != "allow" or not policy.point:
            continue
        tree = tree_of[policy.point.partition(":")[0]]
        routed = [
            given[policy.application, right]
            for right in rights_of(policy, applications[policy.application])
            if (policy.application, right) in given
        ]
        if routed and not any((f"point:{tree}" if tree else "point") in fields for fields in routed):
            message = f"policy {policy.id!r} grants nothing: no route of what it grants gives a point in its tree"
            findings.warn("D007", policy.place, message, "add a source for point, or drop 'at'")


def ended(policies: Iterable[Policy], now: float, findings: Findings) -> None:
    """Warn of policies whose time was over at ``now`` (POSIX seconds)."""
    for policy in policies:
        if policy.end is not None and policy.end <= now:
            findings.warn(
                "D002", policy.place, f"policy {policy.id!r} has ended", "drop it, or give it another 'until'"
            )


def rights_of(policy: Policy, application: Application) -> tuple[str, ...]:
    """Return the names of the rights that a policy is about."""
    if policy.target_kind == "all":
        return tuple(application.rights)
    return (policy.target,) if policy.target_kind == "right" else application.roles[policy.target].rights


def _contradiction(condition: Condition | None) -> str:
    """Return a field that keeps a condition from ever holding, or ""."""
    found = ""
    for branch in _branches(condition):
        field = exclusive(branch)
        if not field:
            return ""
        found = found or field
    return found


def _certain(condition: Condition | None) -> Leaves:
    """Return the comparisons with literals that must hold whenever a condition does."""
    return tuple(part for part in conjuncts(condition) if isinstance(part, Leaf) and part.reference is None)


def _branches(condition: Condition | None) -> list[Leaves]:
    """Return the ways in which a condition can hold, each by comparisons that it needs; too many count as one."""
    ways: list[Leaves] = [_certain(condition)]
    for part in conjuncts(condition):
        if isinstance(part, AnyOf):
            options = [one for choice in part.parts for one in _branches(choice)]
            if len(ways) * len(options) <= _MAX_BRANCHES:
                ways = [way + option for way in ways for option in options]
    return ways
