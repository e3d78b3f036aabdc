"""The APIs that gateways serve, each route with what guards it."""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from authorizer.control_plane.server.answers import RefusalError
from authorizer.control_plane.server.binding import Binding, Comparison, Guard, Tables
from authorizer.control_plane.server.bodies import parse_as
from authorizer.control_plane.server.store import Catalogue
from authorizer.model import Api, ApiRoute

MAX_APIS = 20_000
MAX_ROUTES = 100_000
MAX_HOSTS = 100_000
"""Routes and hosts in one report."""

MAX_SHOWN = 20
"""Guards that are listed for a route; ``bound`` counts all."""


class _Found(Struct):
    """An API as it was found, and by whom. ``heard`` is POSIX seconds."""

    api: Api
    reporters: list[str]
    heard: float


def read_apis(body: bytes) -> list[Api]:
    """Read a report, a JSON array of ``model.Api``. Raises RefusalError."""
    apis = parse_as(body, list[Api])
    routes, hosts = sum(len(api.routes) for api in apis), sum(len(api.hosts) for api in apis)
    if len(apis) > MAX_APIS or routes > MAX_ROUTES or hosts > MAX_HOSTS:
        most = f"{MAX_APIS} APIs, {MAX_ROUTES} routes or {MAX_HOSTS} hosts"
        raise RefusalError("bad_json", f"there are more than {most}")
    return apis


def unguarded(apis: Iterable[Api], known: Tables) -> int:
    """Return how many APIs have a route that nothing is known to guard, or no route that is known at all."""
    comparison = Comparison(known)
    return sum(not api.routes or _open(api, comparison) for api in apis)


def _open(api: Api, comparison: Comparison) -> bool:
    return any(binding.guard == "unguarded" for _, binding in comparison.of(api))


def show(catalogues: Iterable[Catalogue], known: Tables, now: float) -> dict[str, object]:
    """Return all APIs once each, however many reported them, and how many routes are guarded how far. Blocks."""
    counts = {"whole": 0, "partial": 0, "unguarded": 0}
    comparison = Comparison(known)
    apis = [_api(found, comparison, counts, now) for found in _together(catalogues)]
    return {"apis": apis, "routes": counts}


def _together(catalogues: Iterable[Catalogue]) -> Iterable[_Found]:
    together: dict[Api, _Found] = {}
    for catalogue in catalogues:
        for api in msgspec.json.decode(catalogue.apis, type=list[Api]):
            found = together.setdefault(api, _Found(api, [], catalogue.heard))
            found.heard = max(found.heard, catalogue.heard)
            found.reporters += [catalogue.reporter] if catalogue.reporter else []
    return sorted(together.values(), key=lambda found: (found.api.id, found.api.sources))


def _api(found: _Found, comparison: Comparison, counts: dict[str, int], now: float) -> Mapping[str, object]:
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
        "routes": [_route(route, binding, counts) for route, binding in comparison.of(api)],
    }


def _route(route: ApiRoute, binding: Binding, counts: dict[str, int]) -> Mapping[str, object]:
    counts[binding.guard] += 1
    return {
        "path": route.path,
        "kind": route.kind,
        "methods": route.methods,
        "cluster": route.cluster,
        "flags": route.flags,
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
