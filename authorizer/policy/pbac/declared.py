"""What the documents declare, resolved: names are known, texts are typed, every value remembers its place."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from authorizer.errors import Place
from authorizer.policy.pbac.types import FieldType

Side = Literal["resource", "assignee", "env"]
SIDES: tuple[Side, ...] = ("resource", "assignee", "env")

MODELS: Mapping[str, frozenset[str]] = {
    "none": frozenset(),
    "pbac": frozenset({"rights", "conditions"}),
    "pbac+resources": frozenset({"rights", "conditions", "resources"}),
    "pbac+fields": frozenset({"rights", "conditions", "fields"}),
    "pbac+resources+fields": frozenset({"rights", "conditions", "resources", "fields"}),
    "azure": frozenset({"rights", "points"}),
    "azure+pbac": frozenset({"rights", "points", "conditions", "fields"}),
    "azure+resources+pbac": frozenset({"rights", "points", "conditions", "resources", "fields"}),
}
"""The authorization models, each with the sections that it has; what a model lacks is an error to write."""


class Field(Struct, frozen=True):
    """An attribute."""

    name: str
    type: FieldType
    scopes: frozenset[str]
    place: Place


class EnvField(Struct, frozen=True):
    """An attribute of the moment; ``default`` is the text that stands in when a request has none."""

    name: str
    type: FieldType
    default: str | None = None


class Leaf(Struct, frozen=True):
    """One comparison. Its right side is ``texts`` (literals as canonical text) or ``reference`` (another field)."""

    side: Side
    field: str
    type: FieldType
    operator: str
    texts: tuple[str, ...]
    reference: tuple[Side, str] | None
    place: Place


class AllOf(Struct, frozen=True):
    """Holds when every part holds."""

    parts: tuple["Condition", ...]


class AnyOf(Struct, frozen=True):
    """Holds when one part holds."""

    parts: tuple["Condition", ...]


class Negation(Struct, frozen=True):
    """Holds when its part does not."""

    part: "Condition"


Condition = Leaf | AllOf | AnyOf | Negation


class Source(Struct, frozen=True):
    """Where a resource field of a route comes from."""

    field: str
    kind: str
    key: str
    place: Place


class Route(Struct, frozen=True):
    """One operation of an application. ``trusted`` says that the backend acts on the very values sent."""

    method: str
    template: str
    right: str
    sources: tuple[Source, ...]
    trusted: bool
    place: Place
    on_miss: str = "unknown"
    mode: str = "decide"


class Emit(Struct, frozen=True):
    """A header that an allow sets: towards upstream or response, and where its value comes from."""

    towards: str
    header: str
    kind: str
    key: str
    place: Place


class AppResource(Struct, frozen=True):
    """A catalogued resource and the raw values of its fields."""

    id: str
    values: Mapping[str, str | tuple[str, ...]]
    place: Place


class Claims(Struct, frozen=True):
    """The claims that an application reads itself; ``fields`` is assignee field to claim."""

    issuers: tuple[str, ...]
    rights: str
    roles: str
    fields: Mapping[str, str]
    place: Place


class Scopes(Struct, frozen=True):
    """Declared scopes: all that each implies, and for one with ``*`` the field that holds what stands for it."""

    implied: Mapping[str, tuple[str, ...]] = {}
    wildcards: Mapping[str, str] = {}


class Right(Struct, frozen=True):
    """What may be granted. ``fields`` are the resource fields that its policies may use.

    ``stands_for`` is the global right that reports count it as, or "": nobody is granted that.
    """

    name: str
    resource_type: str
    fields: frozenset[str]
    feature: str
    must_constrain: tuple[str, ...]
    place: Place
    emit: tuple[Emit, ...] = ()
    stands_for: str = ""


class Role(Struct, frozen=True):
    """A bundle of rights."""

    name: str
    rights: tuple[str, ...]
    place: Place


class Decider(Struct, frozen=True):
    """A Rego rule that decides all of an application's requests; ``bundle`` is the archive that it is in, or "".

    Documents name an archive from their own folder on; here it is named as files are.
    """

    entrypoint: str
    input: str
    bundle: str
    place: Place


class Application(Struct, frozen=True):
    """An application with its security set-up.

    ``model`` is "" after an error: then nothing is said of what the model would lack. ``system`` is the type and module
    of the system that it belongs to, for reports.
    """

    id: str
    model: str
    fields: Mapping[str, Field]
    rights: Mapping[str, Right]
    roles: Mapping[str, Role]
    hosts: tuple[str, ...]
    routes: tuple[Route, ...]
    accepts: tuple[str, ...]
    place: Place
    scopes: Scopes = Scopes()
    claims: Claims | None = None
    emit: tuple[Emit, ...] = ()
    unmapped: str = "deny"
    issuers: tuple[str, ...] = ()
    credentials: str = "forward"
    client_by: str = "token"
    resources: Mapping[str, Mapping[str, AppResource]] = {}
    system: tuple[str, ...] = ()
    decider: Decider | None = None

    def has(self, section: str) -> bool:
        """Whether the model has a section."""
        return not self.model or section in MODELS[self.model]


class Catalog(Struct, frozen=True):
    """What all applications share. ``points`` maps ``type:name`` to its parent, or to "" at a root."""

    fields: Mapping[str, Field]
    env: Mapping[str, EnvField]
    acr: tuple[str, ...]
    zone: str | None
    point_types: tuple[str, ...]
    points: Mapping[str, str]
    plans: Mapping[str, frozenset[str]]
    trees: Mapping[str, tuple[str, ...]] = {}


class Duty(Struct, frozen=True):
    """An obligation or an advice."""

    id: str
    type: str
    properties: Mapping[str, str]
    place: Place


class Requirement(Struct, frozen=True):
    """What the login behind an allow must be: at least this acr, at most so many seconds old."""

    acr: str | None
    max_age: int | None


class Policy(Struct, frozen=True):
    """One policy. ``target`` is a right, a role, or "" for every right; ``token`` "" on a deny or gate means anyone."""

    id: str
    effect: Literal["allow", "deny", "gate"]
    application: str
    target_kind: Literal["right", "role", "all"]
    target: str
    token: str
    point: str
    start: float | None
    end: float | None
    condition: Condition | None
    place: Place
    reason: str = ""
    feature_gate: bool = False
    overridable: bool = False
    overrides: tuple[str, ...] = ()
    require: Requirement | None = None
    obligations: tuple[Duty, ...] = ()
    advice: tuple[Duty, ...] = ()
    emit: tuple[Emit, ...] = ()


class Eligibility(Struct, frozen=True):
    """Who may ask for a right or role, or (``exclusion``) may not."""

    id: str
    type: str
    application: str
    target_kind: Literal["right", "role"]
    target: str
    token: str
    point: str
    place: Place


class Query(Struct, frozen=True):
    """A collection whose members are computed: the condition on what the facts say of a subject."""

    name: str
    condition: Condition
    place: Place


class Estate(Struct, frozen=True):
    """Everything that a set of documents declares, for those who study policies instead of asking them."""

    catalog: Catalog
    applications: Mapping[str, Application]
    policies: tuple[Policy, ...]
    eligibility: tuple[Eligibility, ...] = ()
    queries: Mapping[str, Query] = {}
