"""Turns what was declared into the compiled form."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from authorizer.model import assignee_token
from authorizer.policy.pbac import form
from authorizer.policy.pbac.declared import (
    AllOf,
    AnyOf,
    Application,
    Catalog,
    Claims,
    Condition,
    Decider,
    Duty,
    Eligibility,
    Emit,
    Leaf,
    Negation,
    Policy,
)
from authorizer.policy.pbac.pack import Rule, pack
from authorizer.policy.pbac.subjects import IS
from authorizer.policy.pbac.types import FieldType

_SCOPE = assignee_token("scope")


def compile_form(
    catalog: Catalog,
    applications: Mapping[str, Application],
    policies: Iterable[Policy],
    eligibility: Iterable[Eligibility],
) -> dict[str, Any]:
    """Return the compiled form as dict, list, str, numbers and None: the same for every order of the documents."""
    types: dict[FieldType, int] = {}
    templates = _Templates()
    policies = sorted(policies, key=lambda policy: policy.id)
    asked = _asked(policies)

    def type_index(kind: FieldType) -> int:
        return types.setdefault(kind, len(types))

    env = {name: form.EnvForm(type_index(field.type), field.default) for name, field in sorted(catalog.env.items())}
    compiled = form.Form(
        format=form.FORMAT,
        acr=list(catalog.acr),
        zone=catalog.zone,
        types=[],
        env=env,
        applications={
            name: _application(application, catalog, type_index, asked)
            for name, application in sorted(applications.items())
        },
        routes=[
            route
            for _, application in sorted(applications.items())
            for route in sorted(_routes(application), key=lambda route: (route.template, route.method))
        ],
        plans={name: sorted(features) for name, features in sorted(catalog.plans.items())},
        points=dict(sorted(catalog.points.items())),
        trees={} if catalog.trees.keys() <= {""} else {name: list(own) for name, own in sorted(catalog.trees.items())},
        templates=[],
        policies=form.TableForm(),
    )
    rules = [_policy(policy, templates, type_index) for policy in policies]
    rules += [
        Rule(rule.id, rule.type, rule.application, rule.target_kind, rule.target, rule.token, rule.point, rule.place)
        for rule in eligibility
    ]
    compiled.policies = pack(rules, templates.rows, tuple(types))
    compiled.types = [form.TypeForm(kind.base, kind.many, list(kind.values), kind.ordered) for kind in types]
    compiled.templates = templates.rows
    whole: dict[str, Any] = msgspec.to_builtins(compiled)
    return whole


class _Templates:
    """Templates without repeats, in the order of first use."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._known: dict[bytes, int] = {}

    def index(self, row: dict[str, Any]) -> int:
        found = self._known.setdefault(msgspec.json.encode(row), len(self.rows))
        if found == len(self.rows):
            self.rows.append(row)
        return found


def _asked(policies: Iterable[Policy]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the fewest scopes by which a policy grants a right, by application and right."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for policy in policies:
        if policy.effect != "allow" or policy.target_kind != "right":
            continue
        also = policy.condition.parts if isinstance(policy.condition, AllOf) else (policy.condition,)
        tokens = {policy.token, *(text for part in also for text in _held(part))}
        scopes = tuple(sorted(token.removeprefix(_SCOPE) for token in tokens if token.startswith(_SCOPE)))
        known = found.get((policy.application, policy.target))
        if scopes and (known is None or (len(scopes), scopes) < (len(known), known)):
            found[policy.application, policy.target] = scopes
    return found


def _held(part: Condition | None) -> tuple[str, ...]:
    """Return what the caller has to be by one comparison."""
    if isinstance(part, Leaf) and (part.side, part.field, part.operator) == ("assignee", IS, "has"):
        return part.texts
    return ()


def _application(
    application: Application,
    catalog: Catalog,
    type_index: Any,
    asked: Mapping[tuple[str, str], tuple[str, ...]],
) -> form.ApplicationForm:
    visible = {**catalog.fields, **application.fields} if application.has("fields") else {}
    return form.ApplicationForm(
        model=application.model,
        place=str(application.place),
        assignee={
            name: type_index(field.type) for name, field in sorted(visible.items()) if "assignee" in field.scopes
        },
        rights={
            name: form.RightForm(
                right.resource_type,
                right.feature,
                {field: type_index(visible[field].type) for field in sorted(right.fields)},
                _emit(right.emit),
                list(asked.get((application.id, name), ())),
            )
            for name, right in sorted(application.rights.items())
        },
        roles={name: list(role.rights) for name, role in sorted(application.roles.items())},
        scopes={name: list(implied) for name, implied in sorted(application.scopes.implied.items()) if implied},
        wildcards=dict(sorted(application.scopes.wildcards.items())),
        claims=_claims(application.claims) if application.claims is not None else None,
        emit=_emit(application.emit),
        unmapped=application.unmapped,
        issuers=list(application.issuers),
        credentials=application.credentials,
        client_by=application.client_by,
        decider=_decider(application.decider) if application.decider is not None else None,
    )


def _decider(decider: Decider) -> form.DeciderForm:
    return form.DeciderForm(decider.entrypoint, decider.input, decider.bundle)


def _routes(application: Application) -> Iterable[form.RouteForm]:
    for route in application.routes:
        yield form.RouteForm(
            application=application.id,
            hosts=list(application.hosts),
            method=route.method,
            template=route.template,
            right=route.right,
            sources=[form.SourceForm(source.field, source.kind, source.key) for source in route.sources],
            accepts=list(application.accepts),
            place=str(route.place),
            on_miss=route.on_miss,
            mode=route.mode,
        )


def _emit(emitted: Iterable[Emit]) -> list[form.EmitForm]:
    rows = [form.EmitForm(one.towards, one.header, one.kind, one.key) for one in emitted]
    return sorted(rows, key=lambda row: (row.towards, row.header))


def _claims(claims: Claims) -> form.ClaimsForm:
    return form.ClaimsForm(sorted(claims.issuers), claims.rights, claims.roles, dict(sorted(claims.fields.items())))


def _policy(policy: Policy, templates: _Templates, type_index: Any) -> Rule:
    params: list[tuple[str, ...]] = []
    template = -1
    if policy.condition is not None:
        template = templates.index(_template(policy.condition, params, type_index))
    require = policy.require
    extras = form.ExtrasForm(
        reason=policy.reason,
        feature_gate=policy.feature_gate,
        overridable=policy.overridable,
        overrides=sorted(policy.overrides),
        acr=require.acr if require else None,
        max_age=require.max_age if require else None,
        obligations=_duties(policy.obligations),
        advice=_duties(policy.advice),
        emit=_emit(policy.emit),
    )
    return Rule(
        policy.id,
        policy.effect,
        policy.application,
        policy.target_kind,
        policy.target,
        policy.token,
        policy.point,
        policy.place,
        policy.start,
        policy.end,
        template,
        params,
        None if extras == form.ExtrasForm() else extras,
    )


def _duties(duties: tuple[Duty, ...]) -> list[form.DutyForm]:
    return [
        form.DutyForm(duty.id, duty.type, dict(sorted(duty.properties.items())))
        for duty in sorted(duties, key=lambda duty: duty.id)
    ]


def _template(condition: Condition, params: list[tuple[str, ...]], type_index: Any) -> dict[str, Any]:
    """Return a condition without its literals, which go to ``params``."""
    if isinstance(condition, AllOf):
        return {"all": [_template(part, params, type_index) for part in condition.parts]}
    if isinstance(condition, AnyOf):
        return {"any": [_template(part, params, type_index) for part in condition.parts]}
    if isinstance(condition, Negation):
        return {"not": _template(condition.part, params, type_index)}
    return _comparison(condition, params, type_index)


def _comparison(leaf: Leaf, params: list[tuple[str, ...]], type_index: Any) -> dict[str, Any]:
    comparison: dict[str, Any] = {"op": leaf.operator, "left": [leaf.side, leaf.field], "type": type_index(leaf.type)}
    if leaf.reference is not None:
        return {**comparison, "right": list(leaf.reference)}
    params.append(leaf.texts if leaf.operator in {"between", "outside"} else tuple(sorted(leaf.texts)))
    return {**comparison, "param": len(params) - 1}
