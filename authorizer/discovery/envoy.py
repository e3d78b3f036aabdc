"""Envoy's ``/config_dump`` (``envoy.admin.v3.ConfigDump``) as a catalogue of APIs."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from authorizer.discovery.envoy_filters import HCM, read_chain
from authorizer.discovery.envoy_routes import read_route_config
from authorizer.discovery.proto_json import Json, field, message, messages, text, typed
from authorizer.errors import DiscoveryError
from authorizer.model import Api

MAX_ROUTES = 100_000


def read(config_dump: Json) -> tuple[Api, ...]:
    """Return the APIs behind an Envoy, ordered by id. Routes stay in the gateway's order: there the first match wins.

    What cannot be read is kept and flagged (``match_unread``, ``routes_missing``, ``not_http`` ...).
    Raises DiscoveryError AZ602 for a dump that is not in Envoy's shape, AZ603 for one with more than MAX_ROUTES routes.
    """
    dump = [typed(config)[1] for config in messages(config_dump, "configs")]
    configs = {text(config, "name"): config for config in _route_configs(dump)}
    apis: dict[str, Api] = {}
    routes = 0
    for api in _apis(dump, configs):
        routes += len(api.routes)
        if routes > MAX_ROUTES:
            raise DiscoveryError("AZ603", f"the gateway has more than {MAX_ROUTES} routes")
        _join(apis, api)
    return tuple(apis[key] for key in sorted(apis))


def _join(apis: dict[str, Api], api: Api) -> None:
    """Add an API. Several filter chains may lead to the same one: then the flags of the weakest chain count too."""
    key, copies = api.id, 1
    while key in apis and (apis[key].routes, apis[key].hosts) != (api.routes, api.hosts):
        copies += 1
        key = f"{api.id}#{copies}"
    flags = {*api.flags, *(apis[key].flags if key in apis else ())}
    apis[key] = replace(api, id=key, flags=tuple(sorted(flags)))


def _apis(dump: Iterable[Json], configs: Mapping[str, Json]) -> Iterator[Api]:
    discovered = dict(_discovered_filters(dump))
    used: set[str] = set()
    for listener in _listeners(dump):
        name = text(listener, "name")
        managers = list(_connection_managers(listener))
        if not managers:
            source = f"envoy listener {name}"
            yield Api(id=f"envoy/{name}", name=name, hosts=(), routes=(), sources=(source,), flags=("not_http",))
        for manager in managers:
            chain = read_chain(manager, discovered)
            inline = message(manager, "route_config")
            asked = text(inline, "name") or text(message(manager, "rds"), "route_config_name")
            used.add(asked)
            if inline or asked in configs:
                yield from read_route_config(inline or configs[asked], name, chain)
            else:
                flags = tuple(sorted({*chain.flags, "routes_missing"}))
                source = f"envoy listener {name} routes {asked or '-'}"
                yield Api(
                    id=f"envoy/{name}/{asked}", name=asked or name, hosts=(), routes=(), sources=(source,), flags=flags
                )
    for name, config in configs.items():
        if name not in used:
            yield from read_route_config(config, "", None)


def _listeners(dump: Iterable[Json]) -> Iterator[Json]:
    for part in dump:
        for static in messages(part, "static_listeners"):
            yield typed(message(static, "listener"))[1]
        for dynamic in messages(part, "dynamic_listeners"):
            # Only the active state serves; a warming listener shows up when it does.
            if active := message(dynamic, "active_state"):
                yield typed(message(active, "listener"))[1]


def _connection_managers(listener: Json) -> Iterator[Json]:
    chains = [*messages(listener, "filter_chains"), message(listener, "default_filter_chain")]
    configs = [message(entry, "typed_config") for chain in chains for entry in messages(chain, "filters")]
    configs.append(message(message(listener, "api_listener"), "api_listener"))
    for config in configs:
        kind, manager = typed(config)
        if kind == HCM:
            yield manager


def _route_configs(dump: Iterable[Json]) -> Iterator[Json]:
    for part in dump:
        for group in ("static_route_configs", "dynamic_route_configs"):
            for entry in messages(part, group):
                yield typed(message(entry, "route_config"))[1]


def _discovered_filters(dump: Iterable[Json]) -> Iterator[tuple[str, Json]]:
    for part in dump:
        for entry in messages(part, "ecds_filters"):
            extension = typed(message(entry, "ecds_filter"))[1]
            if field(extension, "typed_config") is not None:
                yield text(extension, "name"), message(extension, "typed_config")
