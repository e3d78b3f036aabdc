"""What an Envoy listener does with a request before it is routed: where ext_authz stands and how paths are read.

Each weakness becomes a stable word (a flag): an operator sees where requests pass unasked or are read in two ways.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from authorizer.discovery.proto_json import Json, field, flag, message, messages, seconds, text, texts, typed

HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_EXT_AUTHZ = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
_PER_ROUTE = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"
_FILTER_CONFIG = "envoy.config.route.v3.FilterConfig"
_WITH_MATCHER = "envoy.extensions.common.matching.v3.ExtensionWithMatcher"

_LONG_TIMEOUT = 5.0  # seconds; Envoy's own default is 0.2, Istio's 600
_ESCAPED_SLASHES_KEPT = frozenset({"", "IMPLEMENTATION_SPECIFIC_DEFAULT", "KEEP_UNCHANGED"})

Switch = Literal["on", "off"]


class Chain(Struct, frozen=True):
    """The HTTP filters of one connection manager: ``guards`` maps each ext_authz filter's name to how it starts."""

    guards: Mapping[str, Switch] = {}
    flags: frozenset[str] = frozenset()


def read_chain(hcm: Json, discovered: Mapping[str, Json]) -> Chain:
    """Read a connection manager. ``discovered`` are the filter configurations that came by ECDS, by name."""
    guards: dict[str, Switch] = {}
    flags = set(_path_flags(hcm))
    for entry in messages(hcm, "http_filters"):
        name = text(entry, "name")
        kind, config, conditional = _unwrap(entry, discovered.get(name))
        if kind != _EXT_AUTHZ:
            continue
        guards[name] = "off" if flag(entry, "disabled") else "on"
        flags |= {"ext_authz_conditional"} if conditional else set()
        flags |= {"ext_authz_unread"} if config is None else set(_guard_flags(config))
    if not guards:
        flags.add("ext_authz_absent")
    return Chain(guards, frozenset(flags))


def _unwrap(entry: Json, discovered: Json | None) -> tuple[str, Json | None, bool]:
    """Return a filter's type, its configuration (None: not in the dump) and whether a matcher decides if it runs."""
    if field(entry, "typed_config") is not None:
        kind, config = typed(message(entry, "typed_config"))
    elif discovered is not None:
        kind, config = typed(discovered)
    else:
        types = [url.rpartition("/")[2] for url in texts(message(entry, "config_discovery"), "type_urls")]
        return (_EXT_AUTHZ if _EXT_AUTHZ in types else ""), None, False
    if kind == _WITH_MATCHER:
        kind, config = typed(message(message(config, "extension_config"), "typed_config"))
        return kind, config, True
    return kind, config, False


def _guard_flags(config: Json) -> Iterable[str]:
    grpc = message(config, "grpc_service")
    http = message(message(config, "http_service"), "server_uri")
    timeout = seconds(grpc, "timeout") if grpc else seconds(http, "timeout")
    if flag(config, "failure_mode_allow"):
        yield "failure_mode_allow"
    if flag(config, "shadow_mode"):
        yield "ext_authz_shadow"
    if field(config, "filter_enabled") is not None or field(config, "filter_enabled_metadata") is not None:
        yield "ext_authz_conditional"
    if timeout is not None and timeout <= 0:
        yield "no_timeout"
    if timeout is not None and timeout > _LONG_TIMEOUT:
        yield "timeout_long"
    if not flag(config, "validate_mutations"):
        yield "mutations_unvalidated"
    if http:
        yield "ext_authz_http"
    elif not flag(config, "encode_raw_headers"):
        yield "raw_headers_off"


def _path_flags(hcm: Json) -> Iterable[str]:
    if not flag(hcm, "normalize_path"):
        yield "normalisation_off"
    if not flag(hcm, "merge_slashes"):
        yield "merge_slashes_off"
    if text(hcm, "path_with_escaped_slashes_action") in _ESCAPED_SLASHES_KEPT:
        yield "escaped_slashes_kept"
    if text(message(hcm, "common_http_protocol_options"), "headers_with_underscores_action") in {"", "ALLOW"}:
        yield "underscores_kept"
    if not flag(hcm, "use_remote_address"):
        yield "remote_address_unset"


def override(holder: Json, guards: Mapping[str, Switch]) -> Mapping[str, Switch]:
    """Apply the ``typed_per_filter_config`` of a route configuration, virtual host, route or cluster weight."""
    configs = message(holder, "typed_per_filter_config")
    if not configs or not guards:
        return guards
    changed = dict(guards)
    for name in guards:
        if name in configs:
            changed[name] = _switch(message(configs, name))
    return changed


def _switch(value: Json) -> Switch:
    kind, config = typed(value)
    if kind == _FILTER_CONFIG:
        if flag(config, "disabled"):
            return "off"
        kind, config = typed(message(config, "config"))
    # Any configuration for the route turns on a filter that starts switched off, unless it says "disabled".
    return "off" if kind == _PER_ROUTE and flag(config, "disabled") else "on"


def guarded(guards: Mapping[str, Switch]) -> bool:
    """Tell whether at least one ext_authz filter asks about the request."""
    return "on" in guards.values()
