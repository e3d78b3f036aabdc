"""One API seen from several sides is one API, with all its sources named."""

import re
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from authorizer.model import UNASKED, Api, ApiRoute

_ISTIO = re.compile(r"(?:out|in)bound\|(\d+)\|[^|]*\|([a-z0-9-]+)\.([a-z0-9-]+)\.svc\.[a-z0-9.-]+", re.ASCII)
_ENVOY_GATEWAY = re.compile(r"(httproute|grpcroute)/([a-z0-9-]+)/([a-z0-9.-]+)/rule/\d+(?:/.*)?", re.ASCII)
_TRAEFIK = re.compile(r"traefik router (.+)-[0-9a-f]{20}@kubernetescrd", re.ASCII)
"""The router that Traefik makes of a route of an IngressRoute: namespace, name, and a hash of the rule."""

_OBJECTS = {"httproute": "HTTPRoute", "grpcroute": "GRPCRoute"}


def join(declared: Sequence[Api], served: Sequence[Api]) -> tuple[Api, ...]:
    """Put together what objects declare and what a gateway serves of it; ordered by id, nothing is lost.

    The two are one when they share a host and the gateway's cluster means the object or a service behind it. Of who is
    asked the gateway knows better than an object that could not tell; otherwise the worse counts. Traefik knows better
    in any case: only its API tells what an entry point asks.
    """
    by_place: dict[tuple[str, str], list[int]] = {}
    joined = list(declared)
    for index, api in enumerate(declared):
        for place in {(host, meant) for host in _hosts(api) for meant in _means(api)}:
            by_place.setdefault(place, []).append(index)
    alone: list[Api] = []
    for api in served:
        hosts, meant = _hosts(api), _served(api)
        same = sorted({index for host in hosts for one in meant for index in by_place.get((host, one), ())})
        for index in same:
            joined[index] = _both(joined[index], api)
        if not same:
            alone.append(api)
    return tuple(sorted([*joined, *alone], key=lambda api: api.id))


def _hosts(api: Api) -> frozenset[str]:
    return frozenset(re.sub(r":(?:\d+|\*)$", "", host.lower()) for host in api.hosts)


def _means(api: Api) -> Iterable[str]:
    for source in api.sources:
        yield (named := source.removeprefix("kubernetes "))
        if named.startswith("IngressRoute "):
            yield "traefik router " + "-".join(re.findall(r"[A-Za-z0-9]+", named.removeprefix("IngressRoute ")))
    for route in api.routes:
        yield from (name for name in route.cluster.split(",") if "/" in name)


def _served(api: Api) -> frozenset[str]:
    found = {f"traefik router {router[1]}" for source in api.sources if (router := _TRAEFIK.fullmatch(source))}
    for name in {name for route in api.routes for name in route.cluster.split(",")}:
        if service := _ISTIO.fullmatch(name):
            found |= {f"{service[3]}/{service[2]}:{service[1]}", f"{service[3]}/{service[2]}"}
        elif route := _ENVOY_GATEWAY.fullmatch(name):
            found.add(f"{_OBJECTS[route[1]]} {route[2]}/{route[3]}")
    return frozenset(found)


def _both(declared: Api, served: Api) -> Api:
    if any(_TRAEFIK.fullmatch(source) for source in served.sources):
        declared = replace(
            declared, routes=tuple(replace(each, flags=_without(each.flags)) for each in declared.routes)
        )
    routes: dict[tuple[str, str, tuple[str, ...]], ApiRoute] = {}
    for route in (*declared.routes, *served.routes):
        key = (route.path.rstrip("/") if route.kind == "segments" else route.path, route.kind, route.methods)
        routes[key] = _one(routes[key], route) if key in routes else route
    flags = {*declared.flags, *served.flags}
    if "listener_unknown" not in served.flags:
        flags -= {"ask_unknown"}
    if "ask_unknown" in flags and UNASKED & flags:
        flags -= {"ask_unknown"}
    return replace(
        declared,
        routes=tuple(routes.values()),
        sources=tuple(sorted({*declared.sources, *served.sources})),
        flags=tuple(sorted(flags)),
    )


def _without(flags: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in flags if name not in {"ask_unknown", "ext_authz_absent"})


def _one(known: ApiRoute, other: ApiRoute) -> ApiRoute:
    seen = other.seen if known.seen is None else known.seen
    return replace(known, flags=tuple(sorted({*known.flags, *other.flags})), seen=seen)
