"""Traefik's routers as APIs, from a dynamic configuration file or what ``traefik_api`` makes of Traefik's answers.

Source: traefik/traefik ``pkg/config/dynamic``.
"""

from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from authorizer.discovery.kubernetes.reading import Reading
from authorizer.discovery.proto_json import Json, message, text, texts
from authorizer.discovery.traefik_middlewares import flags_of, seen_by
from authorizer.discovery.traefik_rules import alternatives, ways
from authorizer.errors import DiscoveryError
from authorizer.model import Api, ApiRoute


def read(config: Json, providers: Sequence[str]) -> Reading:
    """Return the APIs of a configuration: one for each router. Raises DiscoveryError AZ602."""
    notes: dict[str, None] = {}
    http = message(config, "http")
    find = partial(_known, message(http, "middlewares"))
    apis: list[Api] = []
    for name in sorted(message(http, "routers")):
        router = message(message(http, "routers"), name)
        place = f"router {name}"
        flags = flags_of(find, texts(router, "middlewares"), frozenset(providers))
        try:
            found = alternatives(text(router, "rule"))
        except DiscoveryError as error:
            notes[f"traefik {place}: {error.message}"] = None
            found = [(("?", ()),)]
        by_hosts: dict[tuple[str, ...], list[ApiRoute]] = {}
        for matchers in found:
            for hosts, route in ways(matchers, text(router, "service"), flags):
                seen = seen_by(find, texts(router, "middlewares"), route)
                by_hosts.setdefault(hosts, []).append(replace(route, seen=seen))
        for hosts, routes in by_hosts.items():
            apis.append(
                Api(
                    id="/".join(("traefik", name, ",".join(hosts))),
                    name=text(router, "service") or name,
                    hosts=hosts,
                    routes=tuple(dict.fromkeys(routes)),
                    sources=(f"traefik {place}",),
                )
            )
    for other in ("tcp", "udp"):
        for name in sorted(message(message(config, other), "routers")):
            notes[f"traefik {other} router {name}: connections are routed, nothing can be decided by request"] = None
    return Reading(tuple(sorted(apis, key=lambda api: api.id)), tuple(notes))


def _known(middlewares: Json, name: str) -> Json:
    """Return a middleware by its full name, or by its bare one in a file; an empty one where it is elsewhere."""
    bare, _, provider = name.partition("@")
    return message(middlewares, name) or (message(middlewares, bare) if provider in {"", "file"} else {})
