"""Operations that descriptions name, put where they belong: on the APIs that were found. Pure.

Policies see the path before a gateway rewrites it, a description knows the one after: each operation is told as
clients ask for it. What a description says that no gateway serves is told too, with a flag.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from authorizer.discovery.kubernetes.objects import common_host
from authorizer.model import ASKING_UNKNOWN, UNASKED, Api, ApiOperation, ApiRoute

MAX_OPERATIONS = 50_000
"""Operations of all descriptions together."""

MAX_PAIRS = 5_000_000
"""Operations times routes that are compared; of those left over it is not known what clients ask for."""

_SAID_BY_ROUTES = UNASKED | ASKING_UNKNOWN


class Work:
    """How much may still be compared."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, steps: int) -> bool:
        """Take steps away, and tell whether there were so many."""
        self.left -= steps
        return self.left >= 0


class Operation(Struct, frozen=True):
    """An operation as the API sees requests for it; ``hosts`` are those that its description names for it."""

    method: str
    path: str
    id: str = ""
    hosts: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


class Described(Struct, frozen=True):
    """What one source says of an API. ``api`` is the id, the name, a host or the service of the one that is meant.

    With ``api`` empty the hosts that operations name tell. ``notes`` say what is not among the operations.
    """

    source: str
    api: str
    operations: tuple[Operation, ...]
    notes: tuple[str, ...] = ()


class Refined(Struct, frozen=True):
    """APIs by id, with their operations, and the notes of all descriptions."""

    apis: tuple[Api, ...]
    notes: tuple[str, ...]


def refine(apis: Sequence[Api], described: Iterable[Described]) -> Refined:
    """Put operations on the APIs that are meant; what belongs to none of them becomes an API of its own."""
    refined = {api.id: api for api in apis}
    named = _by_name(apis)
    work, looks = Work(MAX_PAIRS), Work(MAX_PAIRS)
    notes: dict[str, None] = {}
    room = MAX_OPERATIONS
    for each in described:
        notes |= dict.fromkeys(f"{each.source}: {note}" for note in each.notes)
        room -= len(each.operations)
        if room < 0:
            notes[f"{each.source}: left out: there are more than {MAX_OPERATIONS} operations"] = None
            continue
        for hosts, operations in _groups(each).items():
            if each.api:
                meant = [refined[key] for key in named.get(each.api.lower(), ())]
            elif not hosts or "*" in hosts:
                notes[f"{each.source}: {len(operations)} operations name no host: say which API is meant"] = None
                meant = []
            elif looks.spend(len(refined) * len(hosts)):
                meant = [api for api in refined.values() if _on(api, hosts)]
            else:
                notes[f"{each.source}: too many hosts to find out which API is meant: say it"] = None
                meant = []
            for api in _shared(meant, each.source, operations, work) if meant else [_alone(each, hosts, operations)]:
                refined[api.id] = api
    return Refined(tuple(refined[key] for key in sorted(refined)), tuple(notes))


def _by_name(apis: Iterable[Api]) -> Mapping[str, Sequence[str]]:
    """Return the ids of the APIs by all that they may be called, in lower case."""
    found: dict[str, list[str]] = {}
    for api in apis:
        clusters = {one for route in api.routes for one in route.cluster.split(",") if one}
        services = {one.partition(":")[0] for one in clusters if "/" in one}
        for name in {name.lower() for name in (api.id, api.name, *api.hosts, *clusters, *services)}:
            found.setdefault(name, []).append(api.id)
    return found


def _groups(described: Described) -> Mapping[tuple[str, ...], Sequence[Operation]]:
    found: dict[tuple[str, ...], list[Operation]] = {}
    for operation in described.operations:
        found.setdefault(() if described.api else operation.hosts, []).append(operation)
    return found


def _on(api: Api, hosts: Sequence[str]) -> bool:
    # A gateway's host without a name takes every host: that is no sign that this API is meant.
    return any(
        own != "*" and common_host(own.partition(":")[0], host) is not None for own in api.hosts for host in hosts
    )


def _alone(described: Described, hosts: tuple[str, ...], operations: Sequence[Operation]) -> Api:
    name = described.api or next(iter(hosts), "") or described.source
    return Api(
        id="/".join(("described", described.source, *(hosts[:1] or (name,)))),
        name=name,
        hosts=hosts,
        routes=(),
        sources=(described.source,),
        flags=("ask_unknown", "only_described"),
        operations=_distinct(
            ApiOperation(method=one.method, path=one.path, id=one.id, flags=one.flags) for one in operations
        ),
    )


def _shared(meant: Sequence[Api], source: str, operations: Sequence[Operation], work: Work) -> Iterator[Api]:
    """Yield the APIs with the operations that their routes lead to; the first has those too that none leads to."""
    told: dict[str, list[ApiOperation]] = {api.id: list(api.operations) for api in meant}
    for operation in operations:
        led = False
        for api in meant:
            done = work.spend(len(api.routes))
            ways = list(_ways(api.routes, operation)) if done else [_as(operation, operation.path, {"path_unknown"})]
            told[api.id] += ways
            led = led or bool(ways)
        if not led:
            told[meant[0].id].append(_as(operation, operation.path, {"unreached"}))
    for api in meant:
        sources = tuple(sorted({*api.sources, source}))
        yield replace(api, operations=_distinct(told[api.id]), sources=sources)


def _ways(routes: Sequence[ApiRoute], operation: Operation) -> Iterator[ApiOperation]:
    unknown: set[str] = set()
    found = False
    for route in routes:
        if route.methods and operation.method not in route.methods:
            continue
        said = _SAID_BY_ROUTES.intersection(route.flags)
        if "rewrite" in route.flags and route.seen is None:
            unknown |= {"path_unknown", *said}
        elif (path := asked_for(route, operation.path)) is not None:
            found = True
            yield _as(operation, path, said)
    if unknown and not found:
        yield _as(operation, operation.path, unknown)


def _as(operation: Operation, path: str, flags: Iterable[str]) -> ApiOperation:
    more = tuple(sorted({*operation.flags, *flags}))
    return ApiOperation(method=operation.method, path=path, id=operation.id, flags=more)


def asked_for(route: ApiRoute, path: str) -> str | None:
    """Return what clients ask for to get to ``path`` of the API by a route; None if the route does not lead there.

    A route that says more than a plain path may lead anywhere, so nothing is taken away from what it could lead to.
    """
    if route.kind not in {"exact", "prefix", "segments"}:
        return path
    if route.seen is None:
        return path if _leads(route, path) else None
    if route.kind == "exact":
        return route.path if path == route.seen else None
    seen, own = route.seen.rstrip("/"), route.path.rstrip("/")
    if path.rstrip("/") == seen:
        return own or "/"
    return own + path.removeprefix(seen) if path.startswith(f"{seen}/") else None


def _leads(route: ApiRoute, path: str) -> bool:
    own = route.path
    if "case_insensitive" in route.flags:
        own, path = own.lower(), path.lower()
    head, brace, _ = path.partition("{")
    if brace and own.startswith(head):
        return True  # the parameter may be what the route spells out
    if route.kind == "exact":
        return path == own
    if route.kind == "prefix":
        return head.startswith(own)
    bare = own.rstrip("/")
    return path == bare or path.startswith(f"{bare}/")


def _distinct(operations: Iterable[ApiOperation]) -> tuple[ApiOperation, ...]:
    """Return operations once each, in their order; of two for one request the first counts, with the flags of both."""
    found: dict[tuple[str, str], ApiOperation] = {}
    for one in operations:
        key = (one.method, one.path)
        known = found.get(key)
        if known is None:
            found[key] = one
        elif known != one:
            more = {"described_twice"} if known.id != one.id else set()
            found[key] = replace(known, flags=tuple(sorted({*known.flags, *one.flags, *more})))
    return tuple(found.values())
