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


class EmitForm(Struct, array_like=True, forbid_unknown_fields=True):
    """One header that an allow sets. ``towards`` is upstream (a caller's copy is always removed) or response.

    ``kind`` and ``key`` say where its value comes from: literal (the text itself), assignee, resource or env (a field;
    no header while it is unknown), or decision (policies, id, right, application, subject, client, issuer, scopes).
    """

    towards: str
    header: str
    kind: str
    key: str


class ClaimsForm(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Claims that an application reads itself, of tokens whose ``iss`` is one of ``issuers``.

    Without ``issuers`` it is the issuer that has no namespace.

    ``rights`` and ``roles`` name claims that list rights and roles, as ``application/name`` or by the name alone: they
    become the tokens ``right:application/name`` and ``role:application/name``. ``fields`` is assignee field to claim.
    """

    issuers: list[str] = []
    rights: str = ""
    roles: str = ""
    fields: dict[str, str] = {}


class RightForm(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A right: resource type ("" without), feature, its resource fields with the index of their types, its headers."""

    on: str = ""
    feature: str = ""
    fields: dict[str, int] = {}
    emit: list[EmitForm] = []


class ApplicationForm(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An application: assignee fields by type index, rights, and roles by their rights.

    ``scopes`` leads from a declared scope to all that it implies. ``wildcards`` leads from a declared scope with one
    ``*`` to the assignee field that holds what stands for it ("" for none). ``unmapped`` is what a request to its hosts
    gets that has no route: deny, observe or allow.
    """

    model: str
    place: str
    assignee: dict[str, int]
    rights: dict[str, RightForm]
    roles: dict[str, list[str]]
    scopes: dict[str, list[str]] = {}
    wildcards: dict[str, str] = {}
    claims: ClaimsForm | None = None
    emit: list[EmitForm] = []
    unmapped: str = "deny"


class SourceForm(Struct, array_like=True, forbid_unknown_fields=True):
    """Where a resource field comes from. ``point`` is the request's point, ``point:TREE`` its point in that tree."""

    field: str
    kind: str
    key: str


class RouteForm(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One operation.

    ``on_miss`` is what becomes of a request whose lookup finds no facts: unknown (its fields are) or deny. ``mode`` is
    decide, or filter: resource fields that no source gives are left to the application, which gets the condition on
    them that remains.
    """

    application: str
    hosts: list[str]
    method: str
    template: str
    right: str
    sources: list[SourceForm]
    accepts: list[str]
    place: str
    on_miss: str = "unknown"
    mode: str = "decide"


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
    emit: list[EmitForm] = []


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


class Form(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The whole. ``policies`` rows are read one by one: one that is bad must not take the others with it.

    A template is ``{"all": [..]}``, ``{"any": [..]}``, ``{"not": t}`` or a comparison
    ``{"op": .., "left": [side, field], "type": n}`` with ``"param": n`` or ``"right": [side, field]``. The assignee's
    field ``is`` is the set of all its tokens. ``trees`` leads from a tree of points to its types of points; a single
    tree has no name.
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
    trees: dict[str, list[str]] = {}


def lookup_table(application: str, resource_type: str) -> str:
    """Return the name of the facts about a right's resources: ``application/ResourceType``, or ``application``."""
    return f"{application}/{resource_type}" if resource_type else application
