"""The compiled form: the JSON that a signed bundle carries as ``authorizer/policy.json``.

It is data, never code. Types and condition templates stand in tables and are meant by their index, so that a million
policies that differ in one literal share one template. Everything is in the order of names: the same policies give
the same bytes, whichever files they came from (only places tell the files).
"""

from typing import Any

from msgspec import Struct, field

FORMAT = 2

# The words that members may be; documents are checked by the same.
CLIENT_BY = ("token", "api_key", "certificate")
CREDENTIALS = ("forward", "strip")
MISSES = ("unknown", "deny")
MODES = ("decide", "filter")
UNMAPPED = ("deny", "observe", "allow")

RULE = "rego:"
"""Begins the name of the attribute of the moment that is what a Rego rule says; no field has a colon in its name."""


def rule_of(name: str) -> str:
    """Return the Rego rule that an attribute of the moment stands for, as ``data.acme.ok``, or ""."""
    return f"data.{name.removeprefix(RULE).replace('/', '.')}" if name.startswith(RULE) else ""


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
    """A right: resource type ("" without), feature, its resource fields with the index of their types, its headers.

    ``scopes`` are the fewest by which a policy grants it, none where no policy asks for scopes.
    """

    on: str = ""
    feature: str = ""
    fields: dict[str, int] = {}
    emit: list[EmitForm] = []
    scopes: list[str] = []


class DeciderForm(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A Rego rule that decides all of an application's requests.

    ``entrypoint`` is its path, as in ``envoy/authz/allow``; ``input`` says in which form it is told of a request (envoy
    or cloudentity), ``plan`` in which of ``Form.rego`` it is.
    """

    entrypoint: str
    input: str
    plan: str = ""


class ApplicationForm(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An application: assignee fields by type index, rights, and roles by their rights.

    ``scopes`` leads from a declared scope to all that it implies. ``wildcards`` leads from a declared scope with one
    ``*`` to the assignee field that holds what stands for it ("" for none). ``unmapped`` is what a request to its hosts
    gets that has no route: deny, observe or allow. ``issuers`` are the names of those whose tokens count, none for all;
    ``credentials`` says whether the API gets what callers showed: forward or strip, ``client_by`` what says the
    client of a caller with a token: the token alone, or beside it an api_key or a certificate. With ``decider`` it has
    no policies.
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
    issuers: list[str] = []
    credentials: str = "forward"
    client_by: str = "token"
    decider: DeciderForm | None = None


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


class TextsForm(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Many texts: all of them joined, and a column of their lengths in characters (``columns``)."""

    text: str
    sizes: str


class SectionForm(Struct, array_like=True, forbid_unknown_fields=True):
    """The literals of one kind that comparisons have: ``how`` (``templates.LITERALS``) and of which type.

    ``counts`` is a column that says of how many texts each literal is made; "" when each is one text.
    """

    how: str
    type: int
    texts: TextsForm
    counts: str


class BodyForm(Struct, array_like=True, forbid_unknown_fields=True):
    """What many policies have in common: a template (-1 without a condition) and extras (-1 without).

    ``starts`` and ``ends`` say whether they have a beginning and an end. ``cases`` is how many differ by the arguments,
    of which each has ``width``.
    """

    template: int
    starts: bool
    ends: bool
    extras: int
    width: int
    cases: int


class BucketForm(Struct, array_like=True, forbid_unknown_fields=True):
    """What policies are about; ``groups`` is how many groups of them follow.

    ``effect`` is allow, deny or gate, or an eligibility rule's type; ``kind`` is right, role or all.
    """

    effect: str
    application: str
    kind: str
    target: str
    groups: int


class TableForm(Struct, forbid_unknown_fields=True):
    """All policies and eligibility rules, in columns (``columns``), sorted into the groups that the index needs.

    A group is the rules of one bucket for one assignee at one point: ``group_assignee`` counts from the first of
    ``tokens``; ``group_point`` from the first of ``points``, which is "" for anywhere; ``group_size`` is its rows,
    which follow each other; ``group_split`` is 1 more than its position in ``splits``, the fields that tell its rows
    apart, the best first, or 0. A row has its id, its place (0, 0: the whole file) and its case. A case's arguments are
    its beginning and its end, as positions in ``moments`` (POSIX seconds; the end is not included), and for each
    parameter of the template a position in the section of such literals.
    """

    tokens: TextsForm = TextsForm("", "1")
    points: list[str] = field(default_factory=lambda: [""])
    moments: str = "8"
    sections: list[SectionForm] = []
    extras: list[dict[str, Any]] = []
    bodies: list[BodyForm] = []
    arguments: str = "1"
    buckets: list[BucketForm] = []
    splits: list[list[tuple[str, str]]] = []
    group_assignee: str = "1"
    group_point: str = "1"
    group_size: str = "1"
    group_split: str = "1"
    ids: TextsForm = TextsForm("", "1")
    files: list[str] = []
    row_file: str = "1"
    row_line: str = "1"
    row_column: str = "1"
    row_case: str = "1"


class RegoForm(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Rego that was compiled: ``plan`` is OPA's plan IR, ``data`` what is ``data`` beside its rules."""

    plan: dict[str, Any]
    data: dict[str, Any] = {}


class Form(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The whole.

    A template is ``{"all": [..]}``, ``{"any": [..]}``, ``{"not": t}`` or a comparison
    ``{"op": .., "left": [side, field], "type": n}`` with ``"param": n`` or ``"right": [side, field]``. The assignee's
    field ``is`` is the set of all its tokens. ``trees`` leads from a tree of points to its types of points; a single
    tree has no name. ``rego`` are the plans: "" of the ``.rego`` files, others by their archives. An attribute of the
    moment called ``rego:PATH`` is what the rule at that path says in the plan "".
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
    policies: TableForm
    trees: dict[str, list[str]] = {}
    rego: dict[str, RegoForm] = {}


def lookup_table(application: str, resource_type: str) -> str:
    """Return the name of the facts about a right's resources: ``application/ResourceType``, or ``application``."""
    return f"{application}/{resource_type}" if resource_type else application
