"""Envoy's route configurations as APIs: one API for each virtual host and cluster, its ways in the gateway's order."""

import re
from collections.abc import Iterable, Mapping

from authorizer.discovery.envoy_filters import Chain, Switch, guarded, override
from authorizer.discovery.proto_json import Json, field, flag, message, messages, text, texts, typed
from authorizer.model import Api, ApiRoute, PathKind

_URI_TEMPLATE = "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig"
_LITERAL: tuple[PathKind, ...] = ("exact", "prefix", "segments")
_METHODS = re.compile(r"\^?\(?([A-Za-z-]{1,32}(?:\|[A-Za-z-]{1,32}){0,31})\)?\$?", re.ASCII)
_REWRITES = ("prefix_rewrite", "regex_rewrite", "path_rewrite_policy", "path_rewrite")


def read_route_config(config: Json, listener: str, chain: Chain | None) -> Iterable[Api]:
    """Yield the APIs of one RouteConfiguration; ``chain`` None means that no listener is known to use it."""
    name = text(config, "name")
    flags = {"listener_unknown"} if chain is None else set(chain.flags)
    guards = override(config, {} if chain is None else chain.guards)
    if message(config, "vhds"):
        flags.add("virtual_hosts_on_demand")
    for host in messages(config, "virtual_hosts"):
        label = text(host, "name")
        for cluster, routes in _by_cluster(host, override(host, guards)).items():
            yield Api(
                id="/".join(("envoy", listener or "-", name, label, cluster or "-")),
                name=cluster or label,
                hosts=texts(host, "domains"),
                routes=tuple(routes),
                sources=(f"envoy listener {listener or '-'} routes {name or '-'}",),
                flags=tuple(sorted(flags)),
            )


def _by_cluster(host: Json, guards: Mapping[str, Switch]) -> dict[str, list[ApiRoute]]:
    found: dict[str, list[ApiRoute]] = {}
    for entry in messages(host, "routes"):
        route = _route(entry, guards)
        found.setdefault(route.cluster, []).append(route)
    if field(host, "matcher") is not None:
        # A matcher tree may send anything anywhere; it is shown as open on every path rather than left out.
        found.setdefault("", []).append(ApiRoute(path="", kind="any", flags=("matcher_unread",)))
    return found


def _route(entry: Json, guards: Mapping[str, Switch]) -> ApiRoute:
    match = message(entry, "match")
    path, kind, flags = _path(match)
    methods, narrowed = _methods(match)
    cluster, weights, target_flags = _target(entry)
    local = override(entry, guards)
    if guards and not all(guarded(override(weight, local)) for weight in (weights or [{}])):
        flags.add("ext_authz_disabled")
    if messages(match, "query_parameters"):
        flags.add("query_match")
    if message(match, "runtime_fraction"):
        flags.add("runtime_fraction")
    if field(match, "grpc") is not None:
        flags.add("grpc_only")
    if flag(match, "case_sensitive") is False:
        flags.add("case_insensitive")
    literal = kind in _LITERAL
    return ApiRoute(
        path=path,
        kind=kind,
        methods=methods,
        cluster=cluster,
        flags=tuple(sorted(flags | narrowed | target_flags)),
        seen=(text(message(entry, "route"), "prefix_rewrite") or None) if literal else None,
    )


def _path(match: Json) -> tuple[str, PathKind, set[str]]:
    if field(match, "path") is not None:
        return text(match, "path"), "exact", set()
    if field(match, "path_separated_prefix") is not None:
        return text(match, "path_separated_prefix"), "segments", set()
    if field(match, "prefix") is not None:
        return text(match, "prefix"), "prefix", set()
    if field(match, "safe_regex") is not None:
        return text(message(match, "safe_regex"), "regex"), "regex", set()
    if field(match, "path_match_policy") is not None:
        kind, config = typed(message(message(match, "path_match_policy"), "typed_config"))
        if kind == _URI_TEMPLATE:
            return text(config, "path_template"), "template", set()
        return "", "any", {"match_unread"}
    if field(match, "connect_matcher") is not None:
        return "", "any", {"connect"}
    return "", "any", {"match_unread"}


def _methods(match: Json) -> tuple[tuple[str, ...], set[str]]:
    """Return the methods that ``:method`` matchers allow; what cannot be read counts as every method."""
    methods: tuple[str, ...] = ()
    flags: set[str] = set()
    for header in messages(match, "headers"):
        if text(header, "name") != ":method":
            flags.add("header_match")
            continue
        string = message(header, "string_match")
        exact = text(string, "exact") or text(header, "exact_match")
        regex = text(message(string, "safe_regex") or message(header, "safe_regex_match"), "regex")
        found = _METHODS.fullmatch(regex)
        if methods or flag(header, "invert_match") or flag(string, "ignore_case") or not (exact or found):
            return (), flags | {"method_unread"}
        methods = (exact,) if exact else tuple(found[1].split("|")) if found else ()
    return methods, flags


def _target(entry: Json) -> tuple[str, list[Json], set[str]]:
    """Return the cluster (several are joined by ``,``), the weights and what else is known of the action."""
    if field(entry, "direct_response") is not None:
        return "", [], {"direct_response"}
    if field(entry, "redirect") is not None:
        return "", [], {"redirect"}
    if field(entry, "non_forwarding_action") is not None:
        return "", [], {"non_forwarding"}
    if field(entry, "route") is None:
        return "", [], {"action_unread"}
    action = message(entry, "route")
    flags = {"rewrite"} if any(field(action, name) is not None for name in _REWRITES) else set()
    if weights := messages(message(action, "weighted_clusters"), "clusters"):
        names = (text(weight, "name") or text(weight, "cluster_header") for weight in weights)
        return ",".join(dict.fromkeys(names)), weights, flags | {"weighted"}
    if cluster := text(action, "cluster"):
        return cluster, [], flags
    return text(action, "cluster_header"), [], flags | {"cluster_chosen_at_runtime"}
