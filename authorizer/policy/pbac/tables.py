"""What the fixed algorithm reads: everything about a right at hand, nothing left to look up by name."""

from collections.abc import Mapping

from msgspec import Struct

from authorizer.policy.pbac.index import Bucket, Row
from authorizer.policy.pbac.types import Converter, FieldType, Value


class RightTable(Struct, frozen=True):
    """The policies that are about a right, its roles' and the application's own included.

    ``gates`` are in the order in which they speak. ``broken`` are policies that could not be built: the right is
    denied. ``denied_at_points`` says that a denial stands at a point, so that a request without one cannot be judged.
    ``reads`` are the resource fields that its policies read; ``momentary`` says that some of them read the moment (its
    attributes, the time in their windows, how fresh a login is), so that what holds now need not hold in a second.
    """

    name: str
    feature: str
    gates: tuple[Row, ...]
    denials: tuple[Bucket, ...]
    allows: tuple[Bucket, ...]
    eligible: tuple[Bucket, ...]
    excluded: tuple[Bucket, ...]
    broken: tuple[str, ...]
    denied_at_points: bool
    reads: frozenset[str]
    momentary: bool


class EnvReading(Struct, frozen=True):
    """How an attribute of the moment is read."""

    name: str
    type: FieldType
    convert: Converter
    default: Value | None


class RouteTable(Struct, frozen=True):
    """What is read for a request of one route before its right's policies are asked."""

    fields: tuple[tuple[str, FieldType, Converter], ...]
    has_point: bool
    env: tuple[EnvReading, ...]
    right: RightTable


class Shared(Struct, frozen=True):
    """What all rights share.

    ``chains`` leads from a point, by ``type:name`` or by its name where that is unique, to itself and its ancestors.
    ``plans`` are in the order in which they are offered; ``types`` are those that templates mean by index.
    """

    acr: Mapping[str, int]
    acr_default: str
    chains: Mapping[str, tuple[str, ...]]
    plans: Mapping[str, frozenset[str]]
    types: tuple[FieldType, ...]
