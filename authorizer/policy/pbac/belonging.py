"""What an application has: the sections of its model, and the fields that it may use."""

from collections.abc import Mapping

from authorizer.errors import Place
from authorizer.policy.pbac.declared import Application, Catalog, Field
from authorizer.policy.reading import Findings

_TITLES = {
    "fields": "field types",
    "resources": "resource types",
    "points": "assignment points",
    "conditions": "conditions, gates and denies",
}


def lacks(application: Application, section: str, place: Place, findings: Findings) -> bool:
    """Whether the model lacks a section, which is then an error at ``place``."""
    if application.has(section):
        return False
    findings.error("A002", place, f"model {application.model!r} has no {_TITLES.get(section, section)}")
    return True


def find_field(
    name: str,
    place: Place,
    application: Application,
    catalog: Catalog,
    applications: Mapping[str, Application],
    findings: Findings,
) -> Field | None:
    """Return the application's own or the universal field of a name, or None with a problem."""
    field = application.fields.get(name) or catalog.fields.get(name)
    if field is None:
        owner = next((app.id for _, app in sorted(applications.items()) if name in app.fields), None)
        if owner is not None:
            message = f"field type {name!r} belongs to application {owner!r}; make it universal to share it"
            findings.error("C003", place, message)
            return None
        known = [*application.fields, *catalog.fields]
        findings.unknown("C001", place, "field", name, known, f" in {application.id!r}")
        return None
    if not application.has("fields"):
        findings.error("A002", place, f"model {application.model!r} has no field types")
        return None
    return field
