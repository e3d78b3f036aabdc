"""Reads Policies and Eligibility documents."""

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from authorizer.errors import Place
from authorizer.model import PERFORMED
from authorizer.policy.documents import MapNode, Node, unknown_keys
from authorizer.policy.pbac.belonging import find_field, lacks
from authorizer.policy.pbac.claims import claimed_policies
from authorizer.policy.pbac.conditions import Scope, Uses, read_condition
from authorizer.policy.pbac.declared import Application, Catalog, Condition, Duty, Emit, Field, Policy, Requirement
from authorizer.policy.pbac.emit import read_emit
from authorizer.policy.pbac.grants import Target, read_assignee, read_id, read_point, read_right, read_right_or_role
from authorizer.policy.pbac.rego import with_rule
from authorizer.policy.pbac.repeats import Repeats
from authorizer.policy.pbac.resources import known_ids
from authorizer.policy.pbac.scopes import check_scope
from authorizer.policy.pbac.trees import constrains
from authorizer.policy.pbac.types import FieldType
from authorizer.policy.pbac.values import read_value
from authorizer.policy.reading import Findings
from authorizer.reasons import TAKEN

_SHARED = ("id", "effect", "where", "rego", "from", "until", "obligations", "advice")
_KEYS = {
    "allow": (*_SHARED, "right", "role", "to", "at", "require", "overrides", "emit"),
    "deny": (*_SHARED, "right", "role", "to", "at", "reason", "overridable"),
    "gate": (*_SHARED, "on", "reason", "require_feature"),
}
EFFECTS = tuple(_KEYS)
ALL_KEYS = tuple(dict.fromkeys(key for keys in _KEYS.values() for key in keys))
_REASON = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


class World(Struct, frozen=True):
    """All that policies may refer to. ``named`` holds the named conditions of each application, ``uses`` those used."""

    catalog: Catalog
    applications: Mapping[str, Application]
    named: Mapping[str, Mapping[str, Node]]
    uses: Uses


def read_policies(documents: Sequence[MapNode], world: World, findings: Findings) -> tuple[Policy, ...]:
    """Read all Policies documents, in no particular order."""
    found: dict[str, Policy] = {}
    places: dict[str, Place] = {}
    repeats = Repeats(findings, documents)
    for document in documents:
        findings.fields(document, "the policies document", ("kind", "policies"))
        listed = findings.required(document, "policies", "the policies document")
        for item in findings.items(listed, "policies"):
            whole = findings.mapping(item, "a policy")
            for node in repeats.rows(whole) if whole is not None else ():
                name = read_id(node, "policy", places, findings)
                if not name:
                    continue
                places[name] = node.place
                policy = _read_policy(name, node, world, findings)
                if policy is not None:
                    found[name] = policy
    for application in world.applications.values():
        found |= {policy.id: policy for policy in claimed_policies(application, found, findings)}
    _check_overrides(found, places, findings)
    _check_duties(found, findings)
    return tuple(found.values())


def _read_policy(name: str, node: MapNode, world: World, findings: Findings) -> Policy | None:
    title = f"policy {name!r}"
    written = node.get("effect")
    effect = findings.choice(written, "effect", _KEYS, "R003") if written is not None else "allow"
    if not effect:
        return None
    _check_keys(node, effect, title, findings)
    to, at = node.get("to"), node.get("at")
    if effect == "gate":
        on = findings.required(node, "on", title)
        target = read_right(on, world.applications, findings, every=True) if on is not None else None
        token = ""
    else:
        target = read_right_or_role(node, title, world.applications, findings, every=effect == "deny")
        token = read_assignee(to, title, node.place, findings) if to is not None or effect == "allow" else ""
    if target is None:
        return None
    application = target.application
    check_scope(token, application, to.place if to is not None else node.place, findings)
    if application.decider is not None:
        message = f"{title} is about {application.id!r}, all of which a Rego rule decides"
        findings.error("R023", node.place, message, "let the rule say it, or drop 'rego' from the application")
        return None
    if not application.has("rights"):
        findings.error("A002", node.place, f"model {application.model!r} has no rights that a policy could be about")
        return None
    point = read_point(at, title, application, world.catalog, findings)
    for key in ("where", "rego", "require", "effect"):
        if key in node.entries and (key != "effect" or effect != "allow"):
            lacks(application, "conditions", node.entries[key].key.place, findings)
    start, end = _read_window(node, title, findings)
    condition = _read_where(node.get("where"), target, world, findings)
    if effect == "allow" and "where" in node.entries and condition is None:
        return None
    if "rego" in node.entries:
        condition = with_rule(condition, node.entries["rego"].value, findings)
    if effect == "allow":
        _check_constraints(node, title, target, condition, findings)
    return Policy(
        id=name,
        effect="allow" if effect == "allow" else "deny" if effect == "deny" else "gate",
        application=application.id,
        target_kind=target.kind,
        target=target.name,
        token=token,
        point=point,
        start=start,
        end=end,
        condition=condition,
        place=node.place,
        reason=_read_reason(node, title, findings) if effect != "allow" else "",
        feature_gate=_read_feature_gate(node, title, effect, application, world.catalog, findings),
        overridable=findings.flag(node.get("overridable"), "overridable"),
        overrides=findings.texts(node.get("overrides"), "overrides"),
        require=_read_require(node.get("require"), world.catalog, findings),
        obligations=_read_duties(node.get("obligations"), "obligation", findings),
        advice=_read_duties(node.get("advice"), "advice", findings),
        emit=_read_emit(node.get("emit"), target, world, findings),
    )


def _check_keys(node: MapNode, effect: str, title: str, findings: Findings) -> None:
    for key, entry in node.entries.items():
        if key in _KEYS[effect]:
            continue
        if key in ALL_KEYS:
            article = "an" if effect == "allow" else "a"
            findings.error("R003", entry.key.place, f"{title}: {article} {effect} has no {key!r}")
        else:
            findings.problems += unknown_keys(MapNode({key: entry}, node.place), _KEYS[effect], title)


def _read_window(node: MapNode, title: str, findings: Findings) -> tuple[float | None, float | None]:
    start = read_value(node.get("from"), "from", FieldType("timestamp"), "R011", findings)
    end = read_value(node.get("until"), "until", FieldType("timestamp"), "R011", findings)
    start = start if isinstance(start, float) else None
    end = end if isinstance(end, float) else None
    if start is not None and end is not None and start >= end:
        findings.error("R011", node.place, f"{title} ends before it begins", "'until' is the first moment after it")
    return start, end


def _read_where(node: Node | None, target: Target, world: World, findings: Findings) -> Condition | None:
    if node is None:
        return None
    application = target.application
    scope = Scope(
        catalog=world.catalog,
        application=application,
        applications=world.applications,
        named=world.named.get(application.id, {}),
        linked=_linked(target),
        guarded=target.title,
        uses=world.uses,
        ids=known_ids(application, target.rights),
    )
    return read_condition(node, scope, findings)


def _read_emit(node: Node | None, target: Target, world: World, findings: Findings) -> tuple[Emit, ...]:
    def find(name: str, place: Place) -> Field | None:
        return find_field(name, place, target.application, world.catalog, world.applications, findings)

    return read_emit(node, _linked(target), find, world.catalog, findings)


def _linked(target: Target) -> frozenset[str]:
    """Return the resource fields that all rights of a target have."""
    return frozenset.intersection(*(right.fields for right in target.rights)) if target.rights else frozenset()


def _check_constraints(
    node: MapNode, title: str, target: Target, condition: Condition | None, findings: Findings
) -> None:
    for right in target.rights:
        for field in right.must_constrain:
            if not constrains(condition, field):
                message = f"{title} grants {right.name!r}, which requires a constraint on {field!r}"
                findings.error("R010", node.place, message)


def _read_reason(node: MapNode, title: str, findings: Findings) -> str:
    written = node.get("reason")
    if written is None:
        findings.error("R017", node.place, f"{title} has no 'reason'", "a denial says why")
        return ""
    reason = findings.text(written, "reason")
    if reason and not _REASON.fullmatch(reason):
        findings.error("R017", written.place, f"{reason!r} is not a reason", "lower-case letters, digits and '_'")
    elif reason in TAKEN:
        findings.error("R017", written.place, f"the reason {reason!r} is built in", "choose another word")
    return reason


def _read_feature_gate(
    node: MapNode, title: str, effect: str, application: Application, catalog: Catalog, findings: Findings
) -> bool:
    written = node.get("require_feature")
    if effect != "gate":
        return False
    asked = findings.flag(written, "require_feature")
    if not asked and not {"where", "rego"} & node.entries.keys():
        hint = "give it 'where', 'rego' or 'require_feature: true'"
        findings.error("R018", node.place, f"{title} asks for nothing", hint)
    if asked and written is not None:
        plan = application.fields.get("plan") or catalog.fields.get("plan")
        if plan is None or "assignee" not in plan.scopes or plan.type.many or not catalog.plans:
            hint = "declare plans, and a field 'plan' of scope assignee"
            findings.error("P003", written.place, f"{title} needs to know the caller's plan", hint)
        elif plan.type.base == "enum":
            for name in sorted(set(catalog.plans) - set(plan.type.values)):
                findings.error("C011", plan.place, f"plan {name!r} is not a value of 'plan'", "add it to its values")
    return asked


def _read_require(node: Node | None, catalog: Catalog, findings: Findings) -> Requirement | None:
    require = findings.fields(node, "require", ("acr", "max_age"))
    if require is None:
        return None
    if not require.entries:
        findings.error("R012", require.place, "'require' asks for nothing", "give it acr or max_age")
    acr = require.get("acr")
    name = findings.text(acr, "acr")
    if acr is not None and name and name not in catalog.acr:
        hint = "the catalog's acr order: " + (", ".join(catalog.acr) or "none declared")
        findings.error("R012", acr.place, f"unknown acr {name!r}", hint)
    age = read_value(require.get("max_age"), "max_age", FieldType("duration"), "R012", findings)
    return Requirement(name or None, int(age) if isinstance(age, float) else None)


def _read_duties(node: Node | None, what: str, findings: Findings) -> tuple[Duty, ...]:
    duties: dict[str, Duty] = {}
    for item in findings.items(node, f"{what}s"):
        declared = findings.fields(item, what, ("id", "type", "properties"))
        if declared is None:
            continue
        name = findings.text(findings.required(declared, "id", what), "id")
        kind = findings.text(findings.required(declared, "type", what), "type")
        properties = {
            key: findings.text(value, f"property {key!r}")
            for key, _, value in findings.named(declared.get("properties"), "properties")
        }
        if what == "obligation" and kind and kind not in PERFORMED:
            findings.unknown("R020", item.place, "obligation type", kind, PERFORMED)
        if name in duties:
            findings.error("R016", item.place, f"{what} {name!r} stands here twice", "keep one")
        duties[name] = Duty(name, kind, properties, item.place)
    return tuple(duties.values())


def _check_overrides(policies: Mapping[str, Policy], places: Mapping[str, Place], findings: Findings) -> None:
    for policy in policies.values():
        if policy.overrides and not policy.obligations:
            message = f"policy {policy.id!r} overrides a denial without an obligation"
            findings.error("R015", policy.place, message, "add obligations: somebody must learn of it")
        for name in policy.overrides:
            denial = policies.get(name)
            if denial is None:
                if name not in places:
                    findings.unknown(
                        "R013", policy.place, "policy", name, places, f" in the overrides of {policy.id!r}"
                    )
            elif denial.effect != "deny" or denial.application != policy.application:
                message = f"policy {policy.id!r} overrides {name!r}, which is not a deny of {policy.application!r}"
                findings.error("R013", policy.place, message)
            elif not denial.overridable:
                hint = f"give {name!r} 'overridable: true', or drop the override"
                findings.error("R014", policy.place, f"policy {policy.id!r} overrides {name!r}, which cannot be", hint)


def _check_duties(policies: Mapping[str, Policy], findings: Findings) -> None:
    first: dict[tuple[str, str, str], Duty] = {}
    for _, policy in sorted(policies.items()):
        for what, duties in (("obligation", policy.obligations), ("advice", policy.advice)):
            for duty in duties:
                other = first.setdefault((policy.application, what, duty.id), duty)
                if (other.type, other.properties) != (duty.type, duty.properties):
                    message = f"{what} {duty.id!r} has other properties at {other.place}"
                    findings.error("R016", duty.place, message, "give it another id")
