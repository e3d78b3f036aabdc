"""The objects of a cluster as a catalogue. Pure: the same objects give the same, in any order."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from authorizer.discovery.describing import Place
from authorizer.discovery.kubernetes import described, gateway_api, ingress, ingress_route, istio, services
from authorizer.discovery.kubernetes.kinds import (
    GRPC_ROUTE,
    HTTP_ROUTE,
    INGRESS,
    INGRESS_ROUTE,
    SERVICE_ENTRY,
    VIRTUAL_SERVICE,
    Kind,
)
from authorizer.discovery.kubernetes.objects import Cluster, Key, cluster, where
from authorizer.discovery.proto_json import Json
from authorizer.errors import DiscoveryError
from authorizer.model import Api, ApiRoute

MAX_ROUTES = 100_000
MAX_NOTES = 1000

_Reader = Callable[[Cluster, Key, Json], Iterator[Api]]

_READERS: Mapping[Kind, _Reader] = {
    HTTP_ROUTE: lambda seen, key, value: gateway_api.read(seen, HTTP_ROUTE, key, value),
    GRPC_ROUTE: lambda seen, key, value: gateway_api.read(seen, GRPC_ROUTE, key, value),
    INGRESS: ingress.read,
    INGRESS_ROUTE: ingress_route.read,
    VIRTUAL_SERVICE: istio.read,
    SERVICE_ENTRY: istio.entry,
}

_NARROWED = frozenset(
    {
        *("header_match", "query_match", "host_match", "scheme_match", "port_match", "client_match", "gateway_match"),
        *("method_unread", "match_unread", "field_unread"),
    }
)


class Reading(Struct, frozen=True):
    """What was found: APIs by id, and in ``notes`` what could not be told as an API, each said once.

    ``described`` are the places where services say that they describe their operations.
    """

    apis: tuple[Api, ...] = ()
    notes: tuple[str, ...] = ()
    described: tuple[Place, ...] = ()


def read(objects: Mapping[Kind, Mapping[Key, Json]], providers: Iterable[str], *, whole: bool) -> Reading:
    """Return the APIs that objects describe. ``providers`` are the names under which the authorizer is asked.

    ``whole``: there is no other object. An object that is not as its schema says is an API with the flag
    ``object_unread``, and noted. Raises DiscoveryError AZ603 for more than MAX_ROUTES routes.
    """
    seen = cluster(objects, providers, whole=whole)
    found: list[Api] = []
    routes = 0
    for kind, reader in _READERS.items():
        for key, value in seen.of(kind):
            for api in _read(seen, kind, key, value, reader):
                routes += len(api.routes)
                if routes > MAX_ROUTES:
                    raise DiscoveryError("AZ603", f"the cluster has more than {MAX_ROUTES} routes")
                found.append(api)
    routed = frozenset(_routed(found))
    places: tuple[Place, ...] = ()
    try:
        found += services.apis(seen, routed)
        places = described.places(seen)
    except DiscoveryError as error:
        seen.note("Services", error.message)
    notes = sorted(seen.notes)
    if len(notes) > MAX_NOTES:
        notes = [*notes[:MAX_NOTES], f"{len(notes) - MAX_NOTES} more"]
    return Reading(tuple(sorted(_contested(found), key=lambda api: api.id)), tuple(notes), places)


def _read(seen: Cluster, kind: Kind, key: Key, value: Json, reader: _Reader) -> list[Api]:
    try:
        return list(reader(seen, key, value))
    except DiscoveryError as error:
        place = where(kind, key)
        seen.note(place, error.message)
        return [
            Api(
                id="/".join(("kubernetes", kind.name, *key)),
                name=key[1],
                hosts=(),
                routes=(ApiRoute(path="", kind="any", flags=("match_unread",)),),
                sources=(f"kubernetes {place}",),
                flags=("ask_unknown", "object_unread"),
            )
        ]


def _routed(apis: Iterable[Api]) -> Iterator[Key]:
    for api in apis:
        for route in api.routes:
            for name in route.cluster.split(","):
                namespace, slash, rest = name.partition("/")
                if slash and " " not in namespace:
                    yield namespace, rest.partition(":")[0]


def _contested(apis: Iterable[Api]) -> Iterator[Api]:
    """Flag routes that several objects have for one host and path: which of them serves is the gateway's choice."""
    apis = list(apis)
    claims: dict[tuple[str, str, str, str], set[str]] = {}
    for api in apis:
        for host, route, method in _claims(api):
            claims.setdefault((host, route.kind, route.path, method), set()).add(api.sources[0])
    twice = {claim for claim, sources in claims.items() if len(sources) > 1}
    for api in apis:
        lost = {route for host, route, method in _claims(api) if (host, route.kind, route.path, method) in twice}
        if not lost:
            yield api
            continue
        routes = (
            replace(route, flags=tuple(sorted({*route.flags, "contested"}))) if route in lost else route
            for route in api.routes
        )
        yield replace(api, routes=tuple(routes))


def _claims(api: Api) -> Iterator[tuple[str, ApiRoute, str]]:
    for route in api.routes:
        if not _NARROWED.intersection(route.flags):
            for host in api.hosts:
                for method in route.methods or ("*",):
                    yield host, route, method
