"""Which rights guard a discovered API. What is not proven is not claimed: in doubt a route is ``unguarded``."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal
from urllib.parse import unquote

from msgspec import Struct

from authorizer.control_plane.server.path_patterns import Bounds, Part, Template, bounds, covered, meets
from authorizer.model import Api, ApiRoute

EVERY = "*"

# With one of these flags the gateway does not ask, may not ask, or does not obey, whatever the policies are.
_UNASKED = frozenset(
    {
        "ext_authz_absent",
        "ext_authz_conditional",
        "ext_authz_disabled",
        "ext_authz_shadow",
        "ext_authz_unread",
        "listener_unknown",
        "not_http",
    }
)


class Guard(Struct, frozen=True):
    """A compiled route on one host pattern, with the right that it asks for and the policies that speak of it."""

    application: str
    right: str
    policies: tuple[str, ...]
    host: str
    method: str
    template: str
    segments: Template


class Binding(Struct, frozen=True):
    """How far an API's route is guarded.

    ``whole``: each of its requests is answered by one of ``guards``. ``partial``: some are. ``unguarded``: none is
    known to be; ``why`` says what stands in the way, if anything does. ``possible`` guards could not be ruled out.
    """

    guard: Literal["whole", "partial", "unguarded"]
    guards: tuple[Guard, ...] = ()
    possible: tuple[Guard, ...] = ()
    why: str = ""


class Table:
    """The guards of one host pattern, by what their first segment can be."""

    def __init__(self, guards: Iterable[Guard]) -> None:
        self._open: list[Guard] = []
        self._literal: dict[str, list[Guard]] = {}
        for guard in guards:
            first = guard.segments[0]
            (self._literal.setdefault(unquote(first.text), []) if first.kind == "literal" else self._open).append(guard)

    def starting(self, part: Part) -> list[Guard]:
        """Return the guards whose first segment may be ``part``."""
        if part.kind == "literal":
            return [*self._literal.get(part.text, ()), *self._open]
        near = (held for text, held in self._literal.items() if text.startswith(part.text))
        return [guard for held in near for guard in held] + self._open


Tables = Mapping[str, Table]


def tables(guards: Iterable[Guard]) -> Tables:
    """Sort guards by their host pattern."""
    by_host: dict[str, list[Guard]] = {}
    for guard in guards:
        by_host.setdefault(guard.host, []).append(guard)
    return {host: Table(held) for host, held in by_host.items()}


def bind(api: Api, route: ApiRoute, known: Tables) -> Binding:
    """Compare one route of an API with all guards.

    A gateway tries its routes in an order that is not known here, so a request that fits two of them counts for both.
    """
    limits = bounds(route)
    whole = True
    guards: dict[Guard, None] = {}
    possible: dict[Guard, None] = {}
    for host in api.hosts or (EVERY,):
        answering, sure = answering_hosts(host, known)
        whole = whole and sure
        for pattern in answering:
            near = known[pattern].starting(limits.outer.parts[0])
            whole = whole and _all_methods_covered(route, limits, near)
            for guard in _of_methods(route.methods, near):
                if limits.inner is not None and meets(limits.inner, guard.segments):
                    guards[guard] = None
                elif meets(limits.outer, guard.segments):
                    possible[guard] = None
    unasked = sorted(_UNASKED.intersection((*api.flags, *route.flags)))
    if unasked:
        return Binding("unguarded", (), (*guards, *possible), unasked[0])
    if not guards:
        return Binding("unguarded", (), tuple(possible), "in_doubt" if possible else "")
    bound = tuple(guards) if route.kind != "exact" else tuple(_first_choices(route.methods, guards))
    return Binding("whole" if whole else "partial", bound, tuple(possible))


def answering_hosts(host: str, known: Iterable[str]) -> tuple[tuple[str, ...], bool]:
    """Return the host patterns of ``known`` that answer for a gateway's host, and whether they answer for all of it.

    The most specific pattern answers alone: the exact name, else the longest ``*.name``, else ``*``. A gateway's host
    may be a name or start or end with ``*``.
    """
    name = _without_port(host.lower()).removesuffix(".")
    covering = [pattern for pattern in known if _covers(pattern, name)]
    base = max(covering, key=len, default=None) if name not in covering else name
    narrower = [] if EVERY not in name else [p for p in known if p != base and p not in covering and _inside(p, name)]
    return tuple([base, *narrower] if base is not None else narrower), base is not None


def _covers(pattern: str, name: str) -> bool:
    """Tell whether every host that fits ``name`` fits ``pattern``."""
    if pattern in (EVERY, name):
        return True
    # Of "*-eu.example" only what follows the first dot is settled.
    settled = "." + name.partition(".")[2] if name.startswith(EVERY) else name
    return pattern.startswith("*.") and not name.endswith(EVERY) and settled.endswith(pattern[1:])


def _inside(pattern: str, name: str) -> bool:
    """Tell whether some host that fits ``name``, which has a ``*``, fits ``pattern`` for sure."""
    if name.startswith(EVERY):
        return pattern.removeprefix(EVERY).endswith(name[1:])
    return pattern.startswith((name[:-1], "*."))


def _without_port(host: str) -> str:
    bare, colon, port = host.rpartition(":")
    return bare if colon and (port.isdecimal() or port == EVERY) and not bare.endswith(":") else host


def _of_methods(methods: tuple[str, ...], guards: Iterable[Guard]) -> Iterator[Guard]:
    for guard in guards:
        if not methods or guard.method in methods or (guard.method == EVERY and methods != ("CONNECT",)):
            yield guard


def _all_methods_covered(route: ApiRoute, limits: Bounds, guards: list[Guard]) -> bool:
    """Tell whether the guards answer for every path, with each method that the route takes."""
    for method in route.methods or (EVERY,):
        fits = (method,) if method in (EVERY, "CONNECT") else (method, EVERY)
        if not covered(limits.outer, [guard.segments for guard in guards if guard.method in fits]):
            return False
    return True


def _first_choices(methods: tuple[str, ...], guards: Iterable[Guard]) -> dict[Guard, None]:
    """Of guards that all answer for one path, return those that are chosen: literals go before parameters and tails."""
    chosen: dict[Guard, None] = {}
    by_host: dict[str, list[Guard]] = {}
    for guard in guards:
        by_host.setdefault(guard.host, []).append(guard)
    for held in by_host.values():
        for method in methods or sorted({guard.method for guard in held}):
            fits = [guard for guard in held if guard.method in (method, EVERY)]
            if fits:
                chosen[min(fits, key=_rank)] = None
    return chosen


def _rank(guard: Guard) -> tuple[tuple[int, ...], bool]:
    order = ("literal", "parameter", "tail")
    return tuple(order.index(segment.kind) for segment in guard.segments), guard.method == EVERY
