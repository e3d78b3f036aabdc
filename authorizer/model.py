"""The nouns of the house: frozen values that every room shares.

No I/O, no clock, no behaviour beyond reading. Foreign types (protobuf, HTTP, others' JSON) become these at their door.
"""

from collections.abc import Mapping
from typing import Any, Literal, final, get_args

from msgspec import Struct

Headers = Mapping[str, tuple[str, ...]]
"""Header name in lower case -> its values as sent, one a line. Bytes that are no UTF-8 stay as surrogate escapes."""

FRAMING = frozenset(
    {
        "connection", "content-length", "host", "http2-settings", "keep-alive", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Fields that frame or route a message; no decision sets them (RFC 9110 sections 7.2, 7.6.1, 8.6; RFC 9112, 6)."""

BodyState = Literal["absent", "complete", "partial", "unknown"]
"""``absent``: the gateway proves that there is none. ``unknown``: none came, and there may be one all the same."""

Kind = Literal["policy", "facts", "trust"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""The documents that make a snapshot; each travels in a bundle of its own."""

DEFAULT_REGO_BUDGET = 25_000
"""What the rules of one decision may cost: some 2 ms. Others wait for so long, so it is less than tests may cost."""

ASSIGNEE_KINDS: Mapping[str, Literal["one", "many", "pairs"]] = {
    "person": "one",
    "client": "one",
    "group": "many",
    "management_role": "many",
    "management_role_definition": "many",
    "business_role": "many",
    "location": "many",
    "business_role_location": "pairs",
    "collection": "many",
}
"""What a policy can be assigned to, apart from anyone, and how many of it a subject is: one name, many names, or many
pairs of a role and a location."""


def assignee_token(kind: str, *parts: str) -> str:
    """Name one thing a subject is (``group``, ``person``, ``business_role_location`` ...) as one string.

    A policy's assignee and a subject's membership meet by equality of these strings. The unit separator keeps
    the parts of a pair apart; it cannot occur in a part (control characters in names are refused where they enter).
    """
    return f"{kind}:{parts[0]}" if len(parts) == 1 else f"{kind}:" + "\x1f".join(parts)


ANYONE = assignee_token("anyone")
AUTHENTICATED = assignee_token("authenticated")
"""Whoever showed a credential that was verified."""


class Request(Struct, frozen=True, kw_only=True):
    """What a gateway asks about, as it was sent: nothing decoded, merged or repaired.

    ``target`` is the raw request target (path and query); ``peer`` the address that the gateway saw;
    ``principal`` the identity that the gateway verified by TLS and ``certificate`` the whole certificate, in
    percent-encoded PEM; ``context`` what the gateway's configuration says about the route, never the client;
    ``trace`` the ``traceparent`` of the gateway's own call, which is later in the trace than the request's.
    """

    method: str = ""
    target: str = ""
    host: str = ""
    scheme: str = ""
    headers: Headers = {}
    body: bytes = b""
    body_state: BodyState = "absent"
    peer: str = ""
    principal: str = ""
    certificate: str = ""
    context: Mapping[str, str] = {}
    transport: Literal["grpc", "http"] = "grpc"
    trace: str = ""


@final
class Reason(Struct, frozen=True):
    """Why a decision is what it is.

    ``code`` is stable and specific (``path_encoded_slash``); ``category`` is the bounded family used by metrics and by
    policy tests (``bad_path``); ``status`` is the HTTP status of a denial; ``text`` is for the person denied;
    ``detail`` is for the decision log alone, and holds no value of a credential.
    """

    code: str
    category: str
    status: int
    text: str
    detail: str = ""


class StepUp(Struct, frozen=True):
    """What a stronger login must bring (RFC 9470). ``max_age`` is in seconds."""

    acr_values: str | None = None
    max_age: int | None = None


class Missing(Struct, frozen=True):
    """The feature that the caller's plan lacks, and the plans that have it."""

    feature: str
    plans: tuple[str, ...] = ()


class Duty(Struct, frozen=True):
    """An obligation (the enforcer must do it) or an advice (it may), from a policy that determined the decision."""

    id: str
    type: str
    properties: Mapping[str, str] = {}


PERFORMED = frozenset({"notification"})
"""Obligation types that are carried out: a notification leaves with the decision event and the metadata."""


class Identity(Struct, frozen=True, kw_only=True):
    """A verified caller. ``tokens`` are the assignee tokens it holds; ``attributes`` and ``env`` are not yet typed.

    ``namespace`` is the issuer's, "" for the one whose names need no prefix.
    ``expires`` is POSIX seconds; the identity must not be used from then on. ``bound_key`` and ``bound_certificate``
    are the thumbprints of what its token is bound to (RFC 9449, RFC 8705). ``exchanged`` is the token that the one
    shown was exchanged for, of which all else tells, and ``replaces`` whether the API gets it instead. ``extra``
    characters are remembered of it besides the token. ``typed`` remembers what it is to each application
    (``Program.subject``); it belongs to the snapshot that made the identity.
    """

    issuer: str = ""
    namespace: str = ""
    subject: str = ""
    client: str = ""
    scopes: frozenset[str] = frozenset()
    tokens: frozenset[str] = frozenset({ANYONE})
    attributes: Mapping[str, object] = {}
    env: Mapping[str, object] = {}
    claims: Mapping[str, object] = {}
    auth_time: float | None = None
    expires: float = float("inf")
    bound_key: str = ""
    bound_certificate: str = ""
    exchanged: str = ""
    replaces: bool = False
    extra: int = 0
    typed: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Identity({self.issuer!r}, {self.subject!r})"  # claims are personal, and a token is a secret


ANONYMOUS = Identity()


class Decision(Struct, frozen=True, kw_only=True):
    """The answer. It denies unless ``pdp.decide`` said otherwise.

    INVARIANT: ``allowed=True`` is written in one place of the code, ``pdp.decide.allow``.
    ``policies`` determined it and ``sources`` are their file:line; ``attributes`` are those that policies about the
    right look at, as ``side.field``; ``challenge`` is a WWW-Authenticate value;
    ``upstream`` headers are set and ``remove`` headers taken away on the way to the API; ``response`` headers are set
    on what goes back to the caller. ``numbers`` are headers that will say the id, once there is one: upstream or
    response, and the name. ``body`` is what a denial shows instead of the house's own, ``metadata`` what the gateway's
    other filters are told besides, ``query_set`` and ``query_remove`` change the query on the way to the API where the
    gateway can. ``fleeting``: its headers will hardly be said again.
    """

    reason: Reason
    allowed: bool = False
    id: str = ""
    detail: str = ""
    application: str = ""
    operation: str = ""
    right: str = ""
    subject: str = ""
    client: str = ""
    policies: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    overrode: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    missing: Missing | None = None
    requestable: tuple[str, ...] = ()
    step_up: StepUp | None = None
    obligations: tuple[Duty, ...] = ()
    advice: tuple[Duty, ...] = ()
    challenge: str = ""
    upstream: tuple[tuple[str, str], ...] = ()
    response: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()
    numbers: tuple[tuple[str, str], ...] = ()
    revision: str = ""
    body: str | None = None
    metadata: Mapping[str, Any] = {}
    query_set: tuple[tuple[str, str], ...] = ()
    query_remove: tuple[str, ...] = ()
    fleeting: bool = False


PathKind = Literal["exact", "prefix", "segments", "regex", "template", "any"]


class ApiRoute(Struct, frozen=True, kw_only=True):
    """One way into an API, as a gateway's configuration tells it. ``methods`` empty means every method.

    ``seen`` is what the API sees in the place of ``path``; None: the path itself, or with the flag ``rewrite`` unknown.
    """

    path: str
    kind: PathKind
    methods: tuple[str, ...] = ()
    cluster: str = ""
    flags: tuple[str, ...] = ()
    seen: str | None = None


class ApiOperation(Struct, frozen=True, kw_only=True):
    """What an API says that it can do. ``path`` is what clients ask the gateway for: ``{name}`` takes one segment.

    ``id`` is how its description calls it, "" for no name. ``flags`` are words like those of a route.
    """

    method: str
    path: str
    id: str = ""
    flags: tuple[str, ...] = ()


Asking = Literal["asks", "does_not", "unknown"]
"""Whether a gateway asks the authorizer about each request to an API."""

UNASKED = frozenset({"asks_another", "ext_authz_absent", "ext_authz_disabled", "ext_authz_shadow", "not_http"})
"""Flags of an API or a route that say that requests pass without the authorizer's consent."""

ASKING_UNKNOWN = frozenset({"ask_unknown", "ext_authz_conditional", "ext_authz_unread", "listener_unknown"})
"""Flags that say that requests may pass so."""


class Api(Struct, frozen=True, kw_only=True):
    """An API behind a gateway. ``flags`` are stable words such as ``ext_authz_disabled``; ``sources`` name who told.

    ``bound`` is what its owner bound it to: pairs of ``workspace``, ``application`` or ``policy_set`` and a name.
    ``operations`` are those that a description of the API names, if there is one.
    """

    id: str
    name: str
    hosts: tuple[str, ...]
    routes: tuple[ApiRoute, ...]
    sources: tuple[str, ...]
    flags: tuple[str, ...] = ()
    bound: tuple[tuple[str, str], ...] = ()
    operations: tuple[ApiOperation, ...] = ()

    @property
    def asking(self) -> Asking:
        """The worst that is known of any of its routes."""
        flags = set(self.flags).union(*(route.flags for route in self.routes))
        return "does_not" if flags & UNASKED else "unknown" if flags & ASKING_UNKNOWN else "asks"
