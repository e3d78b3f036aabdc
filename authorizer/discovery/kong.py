"""Kong's services and routes as APIs, from a declarative file (decK) or its Admin API's ``/config``.

Source: Kong/kong ``kong/db/schema/entities/routes.lua``. A path that begins with ``~`` is a regular expression that
matches the beginning of a path; any other is a plain prefix.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from authorizer.discovery.kubernetes.reading import Reading
from authorizer.discovery.proto_json import Json, flag, message, messages, text, texts
from authorizer.errors import DiscoveryError
from authorizer.model import Api, ApiRoute

_ASKING = frozenset({"opa", "forward-auth", "authorizer"})
"""Plugins that may ask somebody else."""

_KNOWN = frozenset(
    {
        *("name", "id", "paths", "methods", "hosts", "headers", "protocols", "strip_path", "preserve_host", "tags"),
        *("regex_priority", "path_handling", "https_redirect_status_code", "request_buffering", "response_buffering"),
        *("snis", "sources", "destinations", "plugins", "service", "expression", "priority", "created_at"),
        *("updated_at", "ws_id"),
    }
)
_LAYER4 = frozenset({"tcp", "tls", "udp", "tls_passthrough"})


def read(config: Json) -> Reading:
    """Return the APIs of a configuration: one for each service, and one for each route without one.

    Raises DiscoveryError AZ602 for what is not in Kong's shape.
    """
    notes: dict[str, None] = {}
    apis: dict[str, Api] = {}
    loose = messages(config, "routes")
    asked = _plugins(config)
    for index, service in enumerate(messages(config, "services")):
        name = _name(service, f"service {index}")
        own = [*messages(service, "routes"), *(each for each in loose if _meant(each) in _names(service))]
        for api in _apis(f"service {name}", name, own, asked | _plugins(service), notes, _path(service)):
            apis.setdefault(api.id, api)
    known = {name for service in messages(config, "services") for name in _names(service)}
    for index, route in enumerate(loose):
        if _meant(route) not in known:
            name = _name(route, f"route {index}")
            for api in _apis(f"route {name}", name, [route], asked, notes):
                apis.setdefault(api.id, api)
    return Reading(tuple(apis[key] for key in sorted(apis)), tuple(notes))


def _apis(
    place: str, name: str, routes: list[Json], asked: set[str], notes: dict[str, None], base: str = ""
) -> Iterator[Api]:
    """Yield an API for each set of hosts; a service that no route leads to serves nothing and is none.

    ``base`` is the path of the service, which Kong puts before the path that it sends.
    """
    by_hosts: dict[tuple[str, ...], list[ApiRoute]] = {}
    for route in routes:
        label = f"{place}, route {_name(route, '-')}"
        for unknown in sorted(route.keys() - _KNOWN):
            notes[f"kong {label}: the field {unknown!r} is not known"] = None
        hosts = tuple(sorted(texts(route, "hosts"))) or ("*",)
        by_hosts.setdefault(hosts, []).extend(_routes(name, route, asked, base))
    for hosts, ways in by_hosts.items():
        yield Api(
            id="/".join(("kong", place.replace(" ", "/"), ",".join(hosts))),
            name=name,
            hosts=hosts,
            routes=tuple(dict.fromkeys(ways)),
            sources=(f"kong {place}",),
            flags=("not_http",) if all("not_http" in way.flags for way in ways) else (),
        )


def _routes(cluster: str, route: Json, asked: set[str], base: str) -> Iterator[ApiRoute]:
    strips = flag(route, "strip_path") is not False and bool(route.get("paths"))
    flags = {"rewrite"} if strips or base else set()
    plugins = asked | _plugins(route)
    # Which authorizer a plugin asks is in a configuration of its own kind.
    flags.add("ext_authz_unread" if plugins & _ASKING else "ask_unknown" if plugins else "ext_authz_absent")
    for name, said in (("header_match", "headers"), ("client_match", "sources"), ("host_match", "snis")):
        if route.get(said):
            flags.add(name)
    protocols = set(texts(route, "protocols"))
    if protocols and protocols <= _LAYER4:
        flags.add("not_http")
    if protocols & {"grpc", "grpcs"} and not protocols & {"http", "https"}:
        flags.add("grpc_only")
    methods = tuple(texts(route, "methods"))
    if route.get("expression"):
        yield ApiRoute(path="", kind="any", methods=methods, cluster=cluster, flags=_sorted(flags, "match_unread"))
        return
    for path in texts(route, "paths") or ("/",):
        if path.startswith("~"):
            # Kong anchors at the beginning only: whatever follows is taken too.
            yield ApiRoute(path=f"{path[1:]}.*", kind="regex", methods=methods, cluster=cluster, flags=_sorted(flags))
        else:
            seen = (base or "/") if strips else f"{base}{path}" if base else None
            more = _sorted(flags)
            yield ApiRoute(path=path, kind="prefix", methods=methods, cluster=cluster, flags=more, seen=seen)


def _sorted(flags: set[str], *more: str) -> tuple[str, ...]:
    return tuple(sorted({*flags, *more}))


def _plugins(holder: Json) -> set[str]:
    return {
        text(each, "name")
        for each in messages(holder, "plugins")
        if flag(each, "enabled") is not False and not any(each.get(owner) for owner in ("service", "route", "consumer"))
    }


def _path(service: Json) -> str:
    """Return the path of a service without its last slash: as ``path``, or a part of ``url``."""
    try:
        return (text(service, "path") or urlsplit(text(service, "url")).path).rstrip("/")
    except ValueError:
        raise DiscoveryError("AZ602", "the url of a service is no address") from None


def _name(holder: Json, otherwise: str) -> str:
    return text(holder, "name") or text(holder, "id") or otherwise


def _names(service: Json) -> set[str]:
    return {text(service, "name"), text(service, "id")} - {""}


def _meant(route: Json) -> str:
    """Return the service that a route names: by a text, or by an object with its name or number."""
    said = route.get("service")
    if said is None or isinstance(said, str):
        return said or ""
    if not isinstance(said, dict):
        raise DiscoveryError("AZ602", "the service of a route is neither a name nor an object")
    named = message(route, "service")
    return text(named, "name") or text(named, "id")
