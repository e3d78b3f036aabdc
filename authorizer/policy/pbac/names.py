"""What the documents name, for those who compare other documents with them."""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from authorizer.errors import Place
from authorizer.policy.pbac.declared import Application, Catalog, Policy
from authorizer.policy.pbac.form import lookup_table
from authorizer.policy.pbac.types import FieldType


class Assigned(Struct, frozen=True):
    """Whom a policy is for, as an assignee token."""

    token: str
    policy: str
    place: Place


class Listened(Struct, frozen=True):
    """An issuer whose claims an application takes rights from."""

    issuer: str
    application: str
    place: Place


Types = tuple[FieldType, ...]
"""The types that a name has: those of its namesakes in several applications, or of all fields that it fills."""

_TEXT = FieldType("string")
_PLAN = "plan"


class Vocabulary(Struct, frozen=True):
    """The names that others may use, with the types of their values; a value has to fit one of them.

    ``assignee`` and ``env`` are fields; ``lookups`` has the columns of each table; ``accepted`` are issuers by name.
    """

    assignee: Mapping[str, Types]
    env: Mapping[str, Types]
    lookups: Mapping[str, Mapping[str, Types]]
    assigned: tuple[Assigned, ...]
    listened: tuple[Listened, ...] = ()
    accepted: tuple[Listened, ...] = ()


def vocabulary(catalog: Catalog, applications: Mapping[str, Application], policies: Iterable[Policy]) -> Vocabulary:
    """Gather the names of documents without errors."""
    assignee: dict[str, Types] = {}
    for field in [*catalog.fields.values(), *(one for app in applications.values() for one in app.fields.values())]:
        if "assignee" in field.scopes:
            kind = field.type
            if field.name == _PLAN and kind == _TEXT and catalog.plans:
                kind = FieldType("enum", values=tuple(catalog.plans))
            assignee[field.name] = _with(assignee.get(field.name, ()), kind)
    lookups: dict[str, dict[str, Types]] = {}
    point = FieldType("enum", values=_points(catalog)) if catalog.points else _TEXT
    for application in applications.values():
        tables = {
            right.name: lookup_table(application.id, right.resource_type) for right in application.rights.values()
        }
        visible = {**catalog.fields, **application.fields}
        types = {field.name: field.type for field in visible.values() if "resource" in field.scopes} | {"point": point}
        for name in tables.values():
            lookups.setdefault(name, {})
        for route in application.routes:
            columns = lookups[tables[route.right]]
            for source in route.sources:
                if source.kind == "lookup":
                    columns[source.key] = _with(
                        columns.get(source.key, ()), types.get(source.field.partition(":")[0], _TEXT)
                    )
        for name in tables.values():
            lookups[name] = {field: (kind,) for field, kind in types.items()} | lookups[name]
    return Vocabulary(
        assignee=assignee,
        env={name: (field.type,) for name, field in catalog.env.items()},
        lookups=lookups,
        listened=tuple(
            Listened(issuer, name, application.claims.place)
            for name, application in sorted(applications.items())
            if application.claims is not None
            for issuer in application.claims.issuers
        ),
        accepted=tuple(
            Listened(issuer, name, application.place)
            for name, application in sorted(applications.items())
            for issuer in application.issuers
        ),
        assigned=tuple(Assigned(policy.token, policy.id, policy.place) for policy in policies if policy.token),
    )


def _with(types: Types, kind: FieldType) -> Types:
    return types if kind in types else (*types, kind)


def _points(catalog: Catalog) -> tuple[str, ...]:
    """Return how a request may name a point: ``type:name``, or the name alone where it is the only one."""
    bare = Counter(point.partition(":")[2] for point in catalog.points)
    return (*catalog.points, *(name for name, count in bare.items() if count == 1))
