"""What an application has: the sections of its model, and the fields that it may use."""

from collections.abc import Mapping

from authorizer.errors import Place
from authorizer.policy.pbac.declared import MODELS, Application, Catalog, Field
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
    _refuse(application, section, place, findings)
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
        if known:
            findings.unknown("C001", place, "field", name, known, f" in {application.id!r}")
        else:
            hint = "declare it under 'fields' of the application or of the Catalog"
            findings.error("C001", place, f"unknown field {name!r} in {application.id!r}", hint)
        return None
    if not application.has("fields"):
        _refuse(application, "fields", place, findings)
        return None
    return field


def _refuse(application: Application, section: str, place: Place, findings: Findings) -> None:
    having = ", ".join(name for name, sections in MODELS.items() if section in sections)
    title = _TITLES.get(section, section)
    findings.error("A002", place, f"model {application.model!r} has no {title}", f"models that have: {having}")
