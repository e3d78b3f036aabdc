"""The compiled form: the JSON that a signed bundle carries as ``authorizer/policy.json``.

It is data, never code. Types and condition templates stand in tables and are meant by their index, so that a million
policies that differ in one literal share one template. Everything is in the order of names: the same policies give
the same bytes, whichever files they came from (only places tell the files).
"""

from typing import Any

from msgspec import Struct, field

FORMAT = 1


class TypeForm(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A field type; the fields are those of ``types.FieldType``."""

    base: str
    many: bool = False
    values: list[str] = []
    ordered: bool = False


class EnvForm(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An attribute of the moment: index of its type, and its default as text."""

    type: int
    default: str | None = None


class RightForm(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A right: resource type ("" without), feature, and its resource fields with the index of their types."""

    on: str = ""
    feature: str = ""
    fields: dict[str, int] = {}


class ApplicationForm(Struct, forbid_unknown_fields=True):
    """An application: assignee fields by type index, rights, and roles by their rights."""

    model: str
    place: str
    assignee: dict[str, int]
    rights: dict[str, RightForm]
    roles: dict[str, list[str]]


class SourceForm(Struct, array_like=True, forbid_unknown_fields=True):
    """Where a resource field comes from."""

    field: str
    kind: str
    key: str


class RouteForm(Struct, forbid_unknown_fields=True):
    """One operation."""

    application: str
    hosts: list[str]
    method: str
    template: str
    right: str
    sources: list[SourceForm]
    accepts: list[str]
    place: str


class DutyForm(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An obligation or an advice."""

    id: str
    type: str
    properties: dict[str, str] = {}


class ExtrasForm(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What only some policies have. ``acr`` and ``max_age`` are the login an allow requires."""

    reason: str = ""
    feature_gate: bool = False
    overridable: bool = False
    overrides: list[str] = []
    acr: str | None = None
    max_age: int | None = None
    obligations: list[DutyForm] = []
    advice: list[DutyForm] = []


class PolicyForm(Struct, array_like=True, forbid_unknown_fields=True):
    """One policy as a row. ``template`` is -1 when it has no condition; ``params`` are the literals of its comparisons.

    ``kind`` is right, role or all; ``token`` "" is anyone; ``point`` "" is anywhere; ``start`` and ``end`` are POSIX
    seconds, the end not included.
    """

    id: str
    effect: str
    application: str
    kind: str
    target: str
    token: str
    point: str
    start: float | None
    end: float | None
    template: int
    params: list[list[str]]
    place: str
    extras: ExtrasForm | None = None


class EligibilityForm(Struct, array_like=True, forbid_unknown_fields=True):
    """One eligibility rule as a row."""

    id: str
    type: str
    application: str
    kind: str
    target: str
    token: str
    point: str
    place: str


class Form(Struct, forbid_unknown_fields=True):
    """The whole. ``policies`` rows are read one by one: one that is bad must not take the others with it.

    A template is ``{"all": [..]}``, ``{"any": [..]}``, ``{"not": t}`` or a comparison
    ``{"op": .., "left": [side, field], "type": n}`` with ``"param": n`` or ``"right": [side, field]``.
    """

    format: int
    acr: list[str]
    zone: str | None
    types: list[TypeForm]
    env: dict[str, EnvForm]
    applications: dict[str, ApplicationForm]
    routes: list[RouteForm]
    plans: dict[str, list[str]]
    points: dict[str, str]
    templates: list[dict[str, Any]]
    policies: list[list[Any]]
    eligibility: list[EligibilityForm] = field(default_factory=list)


def lookup_table(application: str, resource_type: str) -> str:
    """Return the name of the facts about a right's resources: ``application/ResourceType``, or ``application``."""
    return f"{application}/{resource_type}" if resource_type else application
