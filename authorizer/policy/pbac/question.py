"""What the program is asked and what it answers: the values between the policies and the rest of the house."""

from collections.abc import Mapping

from msgspec import Struct

from authorizer.model import Duty, Missing, StepUp
from authorizer.policy.pbac.emitting import Header
from authorizer.policy.pbac.types import Value


class Source(Struct, frozen=True):
    """Where a resource field comes from: ``kind`` is path, query, header, body, token, mtls, lookup or literal."""

    field: str
    kind: str
    key: str


class Route(Struct, frozen=True):
    """One operation that an application guards. ``index`` is its position in ``Program.routes``.

    ``lookup_table`` names the facts that its lookups read: ``application/ResourceType``, or ``application``.
    ``accepts`` are the classes of doubtful requests that the application opts into. ``on_miss`` says what becomes of a
    request whose lookup finds nothing: unknown or deny. ``mode`` is decide or filter (``partial``). ``scopes`` are
    those by which its right is granted, if it is by any.
    """

    index: int
    application: str
    hosts: tuple[str, ...]
    method: str
    template: str
    right: str
    feature: str
    sources: tuple[Source, ...]
    lookup_table: str
    accepts: frozenset[str]
    place: str
    on_miss: str = "unknown"
    mode: str = "decide"
    scopes: tuple[str, ...] = ()


class BadAttribute(Struct, frozen=True):
    """An attribute that is not of its field's type. The value itself is kept out: it may be private."""

    field: str
    type: str

    def __str__(self) -> str:
        return f"{self.field} is not a valid {self.type}"


class Question(Struct, frozen=True):
    """Asks whether the holder of ``tokens`` may do what ``route`` does.

    ``assignee`` is typed (from ``Program.assignee``); ``resource`` and ``env`` are raw; ``now`` is POSIX seconds.
    """

    route: Route
    tokens: frozenset[str]
    assignee: Mapping[str, Value]
    resource: Mapping[str, object]
    env: Mapping[str, object]
    now: float


class Verdict(Struct, frozen=True):
    """The answer. ``reason`` is a policy's own word when it is ``authored``, else a built-in code.

    ``by`` are the policies that determined it, ``sources`` their places; ``detail`` is for a person who may see
    policies, ``requestable`` are the eligibility rules under which the caller may ask for the right, ``overrode`` the
    denials that an override set aside; ``headers`` are what an allow sets.
    """

    allow: bool
    reason: str
    by: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    detail: str = ""
    missing: Missing | None = None
    requestable: tuple[str, ...] = ()
    step_up: StepUp | None = None
    obligations: tuple[Duty, ...] = ()
    advice: tuple[Duty, ...] = ()
    overrode: tuple[str, ...] = ()
    authored: bool = False
    headers: tuple[Header, ...] = ()
