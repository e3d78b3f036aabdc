"""Which rights guard a discovered API. What is not proven is not claimed: in doubt a route is ``unguarded``."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Literal
from urllib.parse import unquote

from msgspec import Struct

from authorizer.control_plane.server.path_patterns import Bounds, Part, Steps, Template, bounds, covered, meets
from authorizer.model import ASKING_UNKNOWN, UNASKED, Api, ApiRoute

EVERY = "*"

MAX_STEPS = 2_000_000
"""How much of one report is compared, each step a look at one guard. The routes left over are in doubt."""

_MAX_HOST = 260
_IN_DOUBT = "in_doubt"

# With one of these flags the gateway does not ask, may not ask, or does not obey, whatever the policies are.
_UNASKED = UNASKED | ASKING_UNKNOWN


class Guard(Struct, frozen=True, eq=False):
    """A compiled route on one host pattern, with the right that it asks for and the policies that speak of it.

    Two guards are equal when they are the same one: their policies may be many.
    """

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
        self.size = 0
        for guard in guards:
            self.size += 1
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


class Comparison:
    """Compares the routes of one report with all guards: each pair of hosts and route once, and within bounded steps.

    INVARIANT: a report is what another machine says. How long it takes to compare depends on its length only.
    """

    def __init__(self, known: Tables, steps: int = MAX_STEPS) -> None:
        self._known = known
        self._steps = Steps(steps)
        self._hosts: dict[str, tuple[tuple[str, ...], bool]] = {}
        self._bound: dict[tuple[tuple[str, ...], bool, str, ApiRoute], Binding] = {}

    def of(self, api: Api) -> Iterator[tuple[ApiRoute, Binding]]:
        """Yield the routes of an API, each with what guards it.

        A gateway tries its routes in an order that is not known here, so a request that fits two of them counts for
        both.
        """
        answers = [self._answering(host) for host in dict.fromkeys(api.hosts or (EVERY,))]
        patterns = tuple(dict.fromkeys(pattern for answering, _ in answers for pattern in answering))
        sure = all(sure for _, sure in answers)
        flags = _UNASKED.intersection(api.flags)
        for route in api.routes:
            unasked = min(flags | _UNASKED.intersection(route.flags), default="")
            key = (patterns, sure, unasked, route)
            if key not in self._bound:
                self._bound[key] = self._bind(patterns, sure, unasked, route)
            yield route, self._bound[key]

    def _answering(self, host: str) -> tuple[tuple[str, ...], bool]:
        if host not in self._hosts:
            name = normalised_host(host)
            asked = self._steps.spend(len(self._known) if EVERY in name else 1)
            self._hosts[host] = answering_hosts(name, self._known) if asked else ((), False)
        return self._hosts[host]

    def _bind(self, patterns: tuple[str, ...], sure: bool, unasked: str, route: ApiRoute) -> Binding:
        doubt = Binding("unguarded", (), (), unasked or _IN_DOUBT)
        if not self._steps.spend(1 + route.path.count("/") + len(patterns)):
            return doubt
        limits = bounds(route)
        methods = frozenset(route.methods)
        whole = sure
        guards: list[Guard] = []
        possible: list[Guard] = []
        for pattern in patterns:
            table = self._known[pattern]
            near = table.starting(limits.outer.parts[0])
            looks = len(near) if limits.outer.parts[0].kind == "literal" else table.size
            if not self._steps.spend(looks):
                return doubt
            whole = whole and _all_methods_covered(methods, limits, near, self._steps)
            for guard in _of_methods(methods, near):
                if limits.inner is not None and meets(limits.inner, guard.segments):
                    guards.append(guard)
                elif limits.outer is not limits.inner and meets(limits.outer, guard.segments):
                    possible.append(guard)
        if unasked:
            return Binding("unguarded", (), (*guards, *possible), unasked)
        if not guards:
            return Binding("unguarded", (), tuple(possible), _IN_DOUBT if possible else "")
        bound = guards if route.kind != "exact" else _first_choices(methods, guards)
        return Binding("whole" if whole else "partial", tuple(bound), tuple(possible))


def normalised_host(host: str) -> str:
    """Return a gateway's host as patterns are written: lower case, no port, no trailing dot."""
    return _without_port(host.lower()).removesuffix(".")


def answering_hosts(name: str, known: Collection[str]) -> tuple[tuple[str, ...], bool]:
    """Return the host patterns of ``known`` that answer for a gateway's host, and whether they answer for all of it.

    The most specific pattern answers alone: the exact name, else the longest ``*.name``, else ``*``. A gateway's host
    may be a name or start or end with ``*``. What is too long to be a name is answered for by none.
    """
    if len(name) > _MAX_HOST:
        return (), False
    if EVERY not in name:
        found = next((pattern for pattern in _patterns_over(name) if pattern in known), None)
        return ((), False) if found is None else ((found,), True)
    covering = [pattern for pattern in known if _covers(pattern, name)]
    base = max(covering, key=len, default=None) if name not in covering else name
    narrower = [p for p in known if p != base and p not in covering and _inside(p, name)]
    return tuple([base, *narrower] if base is not None else narrower), base is not None


def _patterns_over(name: str) -> Iterator[str]:
    """Yield the patterns that a name fits, the most specific first."""
    yield name
    dot = name.find(".")
    while dot >= 0:
        yield EVERY + name[dot:]
        dot = name.find(".", dot + 1)
    yield EVERY


def _covers(pattern: str, name: str) -> bool:
    """Tell whether every host that fits ``name``, which has a ``*``, fits ``pattern``."""
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


def _of_methods(methods: frozenset[str], guards: Iterable[Guard]) -> Iterator[Guard]:
    for guard in guards:
        if not methods or guard.method in methods or (guard.method == EVERY and methods != {"CONNECT"}):
            yield guard


def _all_methods_covered(methods: frozenset[str], limits: Bounds, guards: list[Guard], steps: Steps) -> bool:
    """Tell whether the guards answer for every path, with each method that the route takes."""
    spelled = {guard.method for guard in guards}
    # Methods that no guard spells out fare alike, however many there are.
    for fits in {_fitting(method) & spelled for method in methods or (EVERY,)}:
        if not covered(limits.outer, [guard.segments for guard in guards if guard.method in fits], steps):
            return False
    return True


def _fitting(method: str) -> frozenset[str]:
    return frozenset({method} if method == "CONNECT" else {method, EVERY})


def _first_choices(methods: frozenset[str], guards: Iterable[Guard]) -> dict[Guard, None]:
    """Of guards that all answer for one path, return those that are chosen: literals go before parameters and tails."""
    chosen: dict[Guard, None] = {}
    by_host: dict[str, list[Guard]] = {}
    for guard in guards:
        by_host.setdefault(guard.host, []).append(guard)
    for held in by_host.values():
        spelled = {guard.method for guard in held}
        others = [EVERY] if methods - spelled - {"CONNECT"} else []
        for method in [*sorted(spelled & methods), *others] if methods else sorted(spelled):
            fits = [guard for guard in held if guard.method in _fitting(method)]
            if fits:
                chosen[min(fits, key=_rank)] = None
    return chosen


def _rank(guard: Guard) -> tuple[tuple[int, ...], bool]:
    order = ("literal", "parameter", "tail")
    return tuple(order.index(segment.kind) for segment in guard.segments), guard.method == EVERY
