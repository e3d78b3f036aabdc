"""What the fixed algorithm reads: everything about a right at hand, nothing left to look up by name."""

from collections.abc import Mapping

from msgspec import Struct

from authorizer.policy.pbac.emitting import Kinds
from authorizer.policy.pbac.form import EmitForm
from authorizer.policy.pbac.index import Bucket
from authorizer.policy.pbac.rows import About, Rows
from authorizer.policy.pbac.templates import Field
from authorizer.policy.pbac.types import Converter, FieldType, Value


class RightTable(Struct, frozen=True):
    """The policies that are about a right, its roles' and the application's own included.

    ``gates`` are in the order in which they speak. ``broken`` are policies that could not be built: the right is
    denied. ``denied_in`` are the trees at whose points denials stand: a request without a point in one of them cannot
    be judged. ``abouts`` are where all these policies are; ``reads`` are the fields that their conditions look at,
    ``requires`` those that they need beside, and ``momentary`` says that what holds now need not hold in a second: some
    of them look at the moment, or at a login's strength and age, or have a beginning or an end. ``dutiful`` says that
    some allows have obligations, advice or headers; ``emits`` are the headers of the application and the right,
    ``kinds`` the types of what they may tell.
    """

    name: str
    feature: str
    gates: tuple[int, ...]
    denials: tuple[Bucket, ...]
    allows: tuple[Bucket, ...]
    eligible: tuple[Bucket, ...]
    excluded: tuple[Bucket, ...]
    broken: tuple[str, ...]
    abouts: tuple[About, ...]
    reads: frozenset[Field]
    requires: frozenset[Field]
    momentary: bool
    dutiful: bool
    emits: tuple[EmitForm, ...]
    kinds: Kinds
    denied_in: frozenset[str]


class EnvReading(Struct, frozen=True):
    """How an attribute of the moment is read."""

    name: str
    type: FieldType
    convert: Converter
    default: Value | None


class RouteTable(Struct, frozen=True):
    """What is read for a request of one route before its right's policies are asked.

    ``points`` leads from a source of a point to the points of its tree, each with its ancestors. ``open`` are the
    resource fields that are left to the application, which gets the condition on them that remains.
    """

    fields: tuple[tuple[str, FieldType, Converter], ...]
    points: tuple[tuple[str, Mapping[str, tuple[str, ...]]], ...]
    env: tuple[EnvReading, ...]
    right: RightTable
    lacks_point: bool
    open: frozenset[str] = frozenset()


class Shared(Struct, frozen=True):
    """What all rights share.

    ``rows`` are all policies. ``plans`` are in the order in which they are offered; ``types`` are those that templates
    mean by index.
    """

    rows: Rows
    acr: Mapping[str, int]
    acr_default: str
    plans: Mapping[str, frozenset[str]]
    types: tuple[FieldType, ...]
