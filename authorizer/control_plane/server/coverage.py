"""The APIs that gateways serve, each route with what guards it."""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from authorizer.control_plane.server.answers import RefusalError
from authorizer.control_plane.server.binding import Binding, Comparison, Guard, Tables
from authorizer.control_plane.server.bodies import parse_as
from authorizer.control_plane.server.store import Catalogue
from authorizer.model import Api, ApiOperation, ApiRoute

MAX_APIS = 20_000
MAX_ROUTES = 100_000
MAX_HOSTS = 100_000
MAX_OPERATIONS = 100_000
"""Routes, hosts and operations in one report."""

MAX_SHOWN = 20
"""Guards that are listed for a route; ``bound`` counts all."""

_NOT_AS_ASKED = frozenset({"path_unknown", "unreached", "unwritable"})
"""The path of such an operation is not one that clients are known to ask for."""


class _Found(Struct):
    """An API as it was found, and by whom. ``heard`` is POSIX seconds."""

    api: Api
    reporters: list[str]
    heard: float


def read_apis(body: bytes) -> list[Api]:
    """Read a report, a JSON array of ``model.Api``. Raises RefusalError."""
    apis = parse_as(body, list[Api])
    routes, hosts = sum(len(api.routes) for api in apis), sum(len(api.hosts) for api in apis)
    operations = sum(len(api.operations) for api in apis)
    if len(apis) > MAX_APIS or routes > MAX_ROUTES or hosts > MAX_HOSTS or operations > MAX_OPERATIONS:
        most = f"{MAX_APIS} APIs, {MAX_ROUTES} routes, {MAX_HOSTS} hosts or {MAX_OPERATIONS} operations"
        raise RefusalError("bad_json", f"there are more than {most}")
    return apis


def unguarded(apis: Iterable[Api], known: Tables) -> int:
    """Return how many APIs have a route or an operation that nothing is known to guard, or nothing that is known."""
    comparison = Comparison(known)
    return sum(not (api.routes or api.operations) or _open(api, comparison) for api in apis)


def _open(api: Api, comparison: Comparison) -> bool:
    return any(binding.guard == "unguarded" for _, binding in comparison.of(api)) or any(
        binding.guard == "unguarded" and "unreached" not in operation.flags
        for operation, binding in _operations(api, comparison)
    )


def _operations(api: Api, comparison: Comparison) -> Iterable[tuple[ApiOperation, Binding]]:
    """Compare operations as if each were a route of its own."""
    # In this order and once each: operations are distinct, and so are the routes that are made of them.
    routes = tuple(_as_route(operation) for operation in api.operations)
    compared = comparison.of(replace(api, routes=routes))
    return zip(api.operations, (binding for _, binding in compared), strict=True)


def _as_route(operation: ApiOperation) -> ApiRoute:
    unknown = {"match_unread"} if _NOT_AS_ASKED.intersection(operation.flags) else set()
    flags = tuple(sorted({*operation.flags, *unknown}))
    return ApiRoute(path=operation.path, kind="template", methods=(operation.method,), flags=flags)


def show(catalogues: Iterable[Catalogue], known: Tables, now: float) -> dict[str, object]:
    """Return all APIs once each, however many reported them, and how many routes are guarded how far. Blocks."""
    counts, of_operations = ({"whole": 0, "partial": 0, "unguarded": 0} for _ in range(2))
    comparison = Comparison(known)
    apis = [_api(found, comparison, counts, of_operations, now) for found in _together(catalogues)]
    return {"apis": apis, "routes": counts, "operations": of_operations}


def _together(catalogues: Iterable[Catalogue]) -> Iterable[_Found]:
    together: dict[Api, _Found] = {}
    for catalogue in catalogues:
        for api in msgspec.json.decode(catalogue.apis, type=list[Api]):
            found = together.setdefault(api, _Found(api, [], catalogue.heard))
            found.heard = max(found.heard, catalogue.heard)
            found.reporters += [catalogue.reporter] if catalogue.reporter else []
    return sorted(together.values(), key=lambda found: (found.api.id, found.api.sources))


def _api(
    found: _Found, comparison: Comparison, counts: dict[str, int], of_operations: dict[str, int], now: float
) -> Mapping[str, object]:
    api = found.api
    return {
        "id": api.id,
        "name": api.name,
        "hosts": api.hosts,
        "sources": api.sources,
        "flags": api.flags,
        "asking": api.asking,
        "bound": dict(api.bound),
        "reporters": found.reporters,
        "age_seconds": round(max(0.0, now - found.heard), 3),
        "routes": [
            {
                "path": route.path,
                "kind": route.kind,
                "methods": route.methods,
                "cluster": route.cluster,
                "flags": route.flags,
                **_bound(binding, counts),
            }
            for route, binding in comparison.of(api)
        ],
        "operations": [
            {**msgspec.structs.asdict(operation), **_bound(binding, of_operations)}
            for operation, binding in _operations(api, comparison)
        ],
    }


def _bound(binding: Binding, counts: dict[str, int]) -> Mapping[str, object]:
    counts[binding.guard] += 1
    return {
        "guard": binding.guard,
        "why": binding.why,
        "bound": len(binding.guards),
        "guards": [_guard(guard) for guard in binding.guards[:MAX_SHOWN]],
        "possible": [_guard(guard) for guard in binding.possible[:MAX_SHOWN]],
    }


def _guard(guard: Guard) -> Mapping[str, object]:
    return {
        "application": guard.application,
        "right": guard.right,
        "policies": guard.policies[:MAX_SHOWN],
        "policy_count": len(guard.policies),
        "route": f"{guard.method} {guard.host}{guard.template}",
    }
