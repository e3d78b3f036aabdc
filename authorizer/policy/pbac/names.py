"""What the documents name, for those who compare other documents with them."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from authorizer.errors import Place
from authorizer.policy.pbac.declared import Application, Catalog, Policy
from authorizer.policy.pbac.form import lookup_table


class Assigned(Struct, frozen=True):
    """Whom a policy is for, as an assignee token."""

    token: str
    policy: str
    place: Place


class Vocabulary(Struct, frozen=True):
    """The names that others may use. ``assignee`` and ``env`` are fields; ``lookups`` has the fields of each table."""

    assignee: frozenset[str]
    env: frozenset[str]
    lookups: Mapping[str, frozenset[str]]
    assigned: tuple[Assigned, ...]


def vocabulary(catalog: Catalog, applications: Mapping[str, Application], policies: Iterable[Policy]) -> Vocabulary:
    """Gather the names of documents without errors."""
    fields = [*catalog.fields.values(), *(one for app in applications.values() for one in app.fields.values())]
    lookups: dict[str, set[str]] = {}
    for application in applications.values():
        tables = {
            right.name: lookup_table(application.id, right.resource_type) for right in application.rights.values()
        }
        visible = {**catalog.fields, **application.fields}
        resource = {field.name for field in visible.values() if "resource" in field.scopes}
        for name in tables.values():
            lookups.setdefault(name, resource | {"point"})
        for route in application.routes:
            looked_up = {source.key for source in route.sources if source.kind == "lookup"}
            lookups[tables[route.right]] |= looked_up
    return Vocabulary(
        assignee=frozenset(field.name for field in fields if "assignee" in field.scopes),
        env=frozenset(catalog.env),
        lookups={name: frozenset(known) for name, known in lookups.items()},
        assigned=tuple(Assigned(policy.token, policy.id, policy.place) for policy in policies if policy.token),
    )
