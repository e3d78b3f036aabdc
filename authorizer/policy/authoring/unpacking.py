"""The compiled form back to what was declared, so that a bundle can be studied like the documents it was made of.

What the form does not carry stays behind: names of named conditions, what rights are for in reports, must_constrain. A
source map, which no authorizer reads, tells where each comparison stands; without one it stands where its policy does.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from authorizer.errors import DocumentError, Place, Problem
from authorizer.policy.authoring.surgery import comparisons
from authorizer.policy.pbac import columns, form
from authorizer.policy.pbac.columns import Texts
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
    EnvField,
    Estate,
    Field,
    Leaf,
    Negation,
    Policy,
    Requirement,
    Right,
    Role,
    Route,
    Scopes,
    Source,
)
from authorizer.policy.pbac.program import load
from authorizer.policy.pbac.templates import build
from authorizer.policy.pbac.types import FieldType

SOURCE_MAP = "authorizer/sourcemap.json"
_EFFECTS = frozenset({"allow", "deny", "gate"})


class SourceMap(Struct, frozen=True):
    """Where comparisons stand: for each policy, three numbers for each in the order written: file, line, column."""

    files: list[str] = []
    policies: dict[str, list[int]] = {}


def source_map(estate: Estate) -> bytes:
    """Return the source map of an estate, as JSON; equal estates give equal bytes."""
    places = {
        policy.id: [leaf.place for _, leaf in comparisons(policy.condition)]
        for policy in sorted(estate.policies, key=lambda one: one.id)
        if policy.condition is not None
    }
    files = sorted({place.file for listed in places.values() for place in listed})
    number = {file: at for at, file in enumerate(files)}
    policies = {
        name: [part for place in listed for part in (number[place.file], place.line, place.column)]
        for name, listed in places.items()
    }
    return msgspec.json.encode(SourceMap(files, policies))


def unpacked(document: Mapping[str, Any], mapped: bytes = b"") -> Estate:
    """Return what a compiled form declares; ``mapped`` is its source map, if it has one.

    Raises DocumentError for a form or a map that cannot be read.
    """
    load(document)  # raises for all that is not a whole form
    whole = msgspec.convert(document, form.Form)
    try:
        places = msgspec.json.decode(mapped, type=SourceMap) if mapped else SourceMap()
        policies, eligibility = _rules(whole, places)
    except (msgspec.DecodeError, LookupError, ValueError) as error:
        raise DocumentError([Problem("AZ220", f"the bundle cannot be unpacked: {error}", Place(SOURCE_MAP))]) from None
    types = _types(whole)
    return Estate(_catalog(whole, types), _applications(whole, types), policies, eligibility)


def _types(whole: form.Form) -> tuple[FieldType, ...]:
    return tuple(FieldType(one.base, one.many, tuple(one.values), one.ordered) for one in whole.types)


def _catalog(whole: form.Form, types: Sequence[FieldType]) -> Catalog:
    return Catalog(
        fields={},
        env={name: EnvField(name, types[one.type], one.default) for name, one in whole.env.items()},
        acr=tuple(whole.acr),
        zone=whole.zone,
        point_types=tuple(dict.fromkeys(point.partition(":")[0] for point in whole.points)),
        points=whole.points,
        plans={name: frozenset(features) for name, features in whole.plans.items()},
        trees={name: tuple(own) for name, own in whole.trees.items()},
    )


def _applications(whole: form.Form, types: Sequence[FieldType]) -> dict[str, Application]:
    routes: dict[str, list[form.RouteForm]] = defaultdict(list)
    for route in whole.routes:
        routes[route.application].append(route)
    return {name: _application(name, one, routes[name], types) for name, one in whole.applications.items()}


def _application(
    name: str, one: form.ApplicationForm, routes: Sequence[form.RouteForm], types: Sequence[FieldType]
) -> Application:
    place = _place(one.place)
    scopes: dict[str, set[str]] = defaultdict(set)
    kinds: dict[str, FieldType] = {}
    for field, kind in one.assignee.items():
        scopes[field].add("assignee")
        kinds[field] = types[kind]
    for right in one.rights.values():
        for field, kind in right.fields.items():
            scopes[field].add("resource")
            kinds[field] = types[kind]
    return Application(
        id=name,
        model=one.model,
        fields={field: Field(field, kinds[field], frozenset(held), place) for field, held in scopes.items()},
        rights={
            title: Right(title, right.on, frozenset(right.fields), right.feature, (), place, _emit(right.emit, place))
            for title, right in one.rights.items()
        },
        roles={title: Role(title, tuple(rights), place) for title, rights in one.roles.items()},
        hosts=tuple(dict.fromkeys(host for route in routes for host in route.hosts)),
        routes=tuple(map(_route, routes)),
        accepts=tuple(dict.fromkeys(word for route in routes for word in route.accepts)),
        place=place,
        scopes=Scopes({scope: tuple(implied) for scope, implied in one.scopes.items()}, one.wildcards),
        claims=_claims(one.claims, place),
        emit=_emit(one.emit, place),
        unmapped=one.unmapped,
        issuers=tuple(one.issuers),
        credentials=one.credentials,
        client_by=one.client_by,
        decider=None if one.decider is None else _decider(one.decider, place),
    )


def _decider(decider: form.DeciderForm, place: Place) -> Decider:
    return Decider(decider.entrypoint, decider.input, decider.plan, place)


def _route(route: form.RouteForm) -> Route:
    place = _place(route.place)
    sources = tuple(Source(source.field, source.kind, source.key, place) for source in route.sources)
    # Whether the backend acts on the values sent is only for the checker, who has read the documents.
    return Route(route.method, route.template, route.right, sources, True, place, route.on_miss, route.mode)


def _claims(claims: form.ClaimsForm | None, place: Place) -> Claims | None:
    if claims is None:
        return None
    return Claims(tuple(claims.issuers), claims.rights, claims.roles, claims.fields, place)


def _emit(rows: Sequence[form.EmitForm], place: Place) -> tuple[Emit, ...]:
    return tuple(Emit(row.towards, row.header, row.kind, row.key, place) for row in rows)


def _place(text: str) -> Place:
    """Read a place as it is written: file:line:column, or the file alone."""
    file, _, rest = text.rpartition(":")
    file, _, line = file.rpartition(":")
    return Place(file, int(line), int(rest)) if file and line.isdigit() and rest.isdigit() else Place(text)


def _rules(whole: form.Form, places: SourceMap) -> tuple[tuple[Policy, ...], tuple[Eligibility, ...]]:
    table = whole.policies
    tokens, ids = Texts(table.tokens), Texts(table.ids)
    assignees, points, sizes = map(columns.unpack, (table.group_assignee, table.group_point, table.group_size))
    files, lines, positions = map(columns.unpack, (table.row_file, table.row_line, table.row_column))
    cases = columns.unpack(table.row_case)
    contents = list(_cases(whole))
    policies: list[Policy] = []
    eligibility: list[Eligibility] = []
    group = row = 0
    for bucket in table.buckets:
        for number in range(group, group + bucket.groups):
            for at in range(row, row + sizes[number]):
                place = Place(table.files[files[at]], lines[at], positions[at])
                about = (bucket.application, bucket.kind, bucket.target)
                token, point = tokens[assignees[number]], table.points[points[number]]
                if bucket.effect in _EFFECTS:
                    case = contents[cases[at]]
                    policies.append(_policy(ids[at], bucket.effect, about, token, point, place, case, whole, places))
                else:
                    eligibility.append(
                        Eligibility(ids[at], bucket.effect, about[0], about[1], about[2], token, point, place)  # type: ignore[arg-type]  # the form's words are the language's
                    )
            row += sizes[number]
        group += bucket.groups
    return tuple(policies), tuple(eligibility)


class _Case(Struct, frozen=True):
    template: int
    extras: int
    start: float | None
    end: float | None
    params: tuple[tuple[str, ...], ...]


def _cases(whole: form.Form) -> Iterator[_Case]:
    """Yield what policies say apart from whom, where and about what, in the order of the columns."""
    table = whole.policies
    moments, arguments = columns.unpack_moments(table.moments), columns.unpack(table.arguments)
    sections = {(one.how, one.type): list(_literals(one)) for one in table.sections}
    types = _types(whole)
    wants = [build(template, types).wants for template in whole.templates]
    at = 0
    for body in table.bodies:
        for _ in range(body.cases):
            values = list(arguments[at : at + body.width])
            at += body.width
            start = moments[values.pop(0)] if body.starts else None
            end = moments[values.pop(0)] if body.ends else None
            kinds = wants[body.template] if body.template >= 0 else ()
            params = tuple(sections[kind][value] for kind, value in zip(kinds, values, strict=True))
            yield _Case(body.template, body.extras, start, end, params)


def _literals(section: form.SectionForm) -> Iterator[tuple[str, ...]]:
    texts = Texts(section.texts)
    sizes = columns.unpack(section.counts) if section.counts else [1] * len(texts)
    at = 0
    for size in sizes:
        yield tuple(texts[at + offset] for offset in range(size))
        at += size


def _policy(
    name: str,
    effect: str,
    about: tuple[str, str, str],
    token: str,
    point: str,
    place: Place,
    case: _Case,
    whole: form.Form,
    places: SourceMap,
) -> Policy:
    raw = whole.policies.extras[case.extras] if case.extras >= 0 else {}
    extras = msgspec.convert(raw, form.ExtrasForm)
    numbers = places.policies.get(name, [])
    spots = iter(
        [Place(places.files[file], line, column) for file, line, column in zip(*[iter(numbers)] * 3, strict=True)]
    )
    condition = None
    if case.template >= 0:
        condition = _condition(whole.templates[case.template], case.params, _types(whole), spots, place)
    login = extras.acr is not None or extras.max_age is not None
    return Policy(
        id=name,
        effect=effect,  # type: ignore[arg-type]  # one of _EFFECTS
        application=about[0],
        target_kind=about[1],  # type: ignore[arg-type]  # the form was loaded: it is one of the three
        target=about[2],
        token=token,
        point=point,
        start=case.start,
        end=case.end,
        condition=condition,
        place=place,
        reason=extras.reason,
        feature_gate=extras.feature_gate,
        overridable=extras.overridable,
        overrides=tuple(extras.overrides),
        require=Requirement(extras.acr, extras.max_age) if login else None,
        obligations=tuple(Duty(duty.id, duty.type, duty.properties, place) for duty in extras.obligations),
        advice=tuple(Duty(duty.id, duty.type, duty.properties, place) for duty in extras.advice),
        emit=_emit(extras.emit, place),
    )


def _condition(
    node: Mapping[str, Any],
    params: Sequence[tuple[str, ...]],
    types: Sequence[FieldType],
    spots: Iterator[Place],
    place: Place,
) -> Condition:
    for key, kind in (("all", AllOf), ("any", AnyOf)):
        if key in node:
            return kind(tuple(_condition(part, params, types, spots, place) for part in node[key]))
    if "not" in node:
        return Negation(_condition(node["not"], params, types, spots, place))
    side, name = node["left"]
    reference = node.get("right")
    texts = params[node["param"]] if reference is None else ()
    where = next(spots, place)
    return Leaf(side, name, types[node["type"]], node["op"], texts, tuple(reference) if reference else None, where)
