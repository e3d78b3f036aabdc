"""HTTPRoute and GRPCRoute as APIs: one for each route object and what it sends requests to.

Source: kubernetes-sigs/gateway-api ``apis/v1`` (httproute_types.go, grpcroute_types.go, gateway_types.go,
shared_types.go). A route that no listener takes, or that its controller refused, is kept and flagged.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from authorizer.discovery.kubernetes import asking
from authorizer.discovery.kubernetes.ingress_route import of_reference
from authorizer.discovery.kubernetes.kinds import (
    GATEWAY,
    HTTP_ROUTE,
    LISTENER_SET,
    NAMESPACE,
    REFERENCE_GRANT,
    SERVICE,
    Kind,
)
from authorizer.discovery.kubernetes.objects import (
    Cluster,
    Key,
    bound,
    common_host,
    fits,
    host_name,
    labels,
    service_flags,
    strange,
    where,
)
from authorizer.discovery.kubernetes.services import hosts_of, name_of
from authorizer.discovery.proto_json import Json, field, message, messages, text, texts
from authorizer.model import Api, ApiRoute, PathKind

GROUP = "gateway.networking.k8s.io"

_SPEC = frozenset({"parentRefs", "hostnames", "rules", "useDefaultGateways"})
_RULE = frozenset({"name", "matches", "filters", "backendRefs", "timeouts", "retry", "sessionPersistence"})
_MATCH = frozenset({"path", "headers", "queryParams", "method"})
_FILTERS: Mapping[str, str] = {
    "RequestHeaderModifier": "",
    "ResponseHeaderModifier": "",
    "RequestMirror": "mirrored",
    "RequestRedirect": "redirect",
    "URLRewrite": "",
    "CORS": "preflight_answered",
    "ExternalAuth": "",
    "ExtensionRef": "extension_unread",
}
"""The type of a filter -> the flag of its routes."""

_LISTENING = {"HTTP", "HTTPS"}
_BY_GATEWAY = "Accepted"


class Attachment(Struct, frozen=True):
    """Where a route is taken: ``hosts`` that listeners leave of its own, flags, and who is asked on the way."""

    hosts: tuple[str, ...]
    flags: frozenset[str]


def read(seen: Cluster, kind: Kind, key: Key, route: Json) -> Iterator[Api]:
    """Yield the APIs of one route. Raises DiscoveryError AZ602 for one that is not as its schema says."""
    place, spec = where(kind, key), message(route, "spec")
    at = _attach(seen, kind, key, spec)
    asked = asking.of_route(seen, kind, key, route)
    flags = {*(at.flags - (_ASKING if asked is not None else set())), *(asked or ()), *_status(route)}
    flags |= strange(seen, place, spec, _SPEC)
    found: dict[tuple[str, ...], list[ApiRoute]] = {}
    behind: dict[tuple[str, ...], list[Key]] = {}
    rules = messages(spec, "rules") or ([{}] if kind is HTTP_ROUTE else [])
    if rules and all(_asks(seen, key, rule) for rule in rules):
        flags -= {"ask_unknown", "ext_authz_absent"}
    for rule in rules:
        services, names, rule_flags = _backends(seen, kind, key, rule)
        rule_flags |= strange(seen, place, rule, _RULE) | _filters(seen, place, key, rule)
        if any(text(each, "type") == "RequestRedirect" for each in messages(rule, "filters")):
            names, rule_flags = (), rule_flags - {"no_backend"}
        behind.setdefault(names, services)
        for match in messages(rule, "matches") or [{}]:
            one = _http(match) if kind is HTTP_ROUTE else _grpc(match)
            more = rule_flags | set(one.flags) | strange(seen, place, match, _MATCH)
            found.setdefault(names, []).append(
                ApiRoute(
                    path=one.path,
                    kind=one.kind,
                    methods=one.methods,
                    cluster=",".join(names),
                    flags=tuple(sorted(more)),
                    seen=_seen(rule, one.kind),
                )
            )
    if not found:
        found[()] = []
        flags.add("routes_missing")
    for names, routes in found.items():
        owners = [(where(SERVICE, service), seen.find(SERVICE, service)) for service in behind.get(names, ())]
        yield Api(
            id="/".join(("kubernetes", kind.name, *key, ",".join(names) or "-")),
            name=names[0].partition("/")[2].partition(":")[0] if len(names) == 1 else key[1],
            hosts=at.hosts,
            routes=tuple(routes),
            sources=(f"kubernetes {place}",),
            flags=tuple(sorted(flags)),
            bound=bound(seen, [(place, route), *owners], key[0]),
        )


# --- what is matched ---------------------------------------------------------


def _http(match: Json) -> ApiRoute:
    flags = {name for name, said in (("header_match", "headers"), ("query_match", "queryParams")) if match.get(said)}
    path = message(match, "path")
    value = text(path, "value") or "/"
    kind: PathKind
    match text(path, "type") or "PathPrefix":
        case "Exact":
            kind = "exact"
        case "PathPrefix":
            kind = "segments" if value != "/" else "prefix"
        case "RegularExpression":
            kind = "regex"
        case _:
            kind, value = "any", ""
            flags.add("match_unread")
    method = text(match, "method")
    return ApiRoute(path=value, kind=kind, methods=(method,) if method else (), flags=tuple(flags))


def _grpc(match: Json) -> ApiRoute:
    flags = {"grpc_only"} | ({"header_match"} if match.get("headers") else set())
    said = message(match, "method")
    service, method = text(said, "service"), text(said, "method")
    kind: PathKind
    if (text(said, "type") or "Exact") == "Exact":
        if service and method:
            path, kind = f"/{service}/{method}", "exact"
        elif service:
            path, kind = f"/{service}/", "prefix"
        elif method:
            path, kind = f"/[^/]+/{re.escape(method)}", "regex"
        else:
            path, kind = "/", "prefix"
    elif text(said, "type") == "RegularExpression":
        path, kind = f"/{service or '[^/]+'}/{method or '[^/]+'}", "regex"
    else:
        path, kind = "", "any"
        flags.add("match_unread")
    return ApiRoute(path=path, kind=kind, methods=("POST",), flags=tuple(flags))


# --- where it goes -----------------------------------------------------------


def _filters(seen: Cluster, place: str, key: Key, rule: Json) -> set[str]:
    flags: set[str] = set()
    holders = [rule, *messages(rule, "backendRefs")]
    for each in (each for holder in holders for each in messages(holder, "filters")):
        kind = text(each, "type")
        if kind not in _FILTERS:
            seen.note(place, f"a filter of the type {kind!r} is not known")
            flags.add("filter_unread")
        elif kind == "ExternalAuth":
            name = text(message(message(each, "externalAuth"), "backendRef"), "name")
            flags |= set() if name in seen.providers else {"asks_another"}
        elif kind == "URLRewrite" and (rewrite := message(each, "urlRewrite")):
            flags |= {"rewrite"} if field(rewrite, "path") is not None else set()
            flags |= {"host_rewrite"} if field(rewrite, "hostname") is not None else set()
        elif kind == "ExtensionRef" and (passed := of_reference(seen, key[0], message(each, "extensionRef"))):
            flags |= passed
        elif _FILTERS[kind]:
            flags.add(_FILTERS[kind])
    return flags


def _asks(seen: Cluster, key: Key, rule: Json) -> bool:
    """Tell whether a filter of a rule itself asks the authorizer, whatever its gateway does."""
    return any(
        text(message(message(each, "externalAuth"), "backendRef"), "name") in seen.providers
        or "ext_authz_http" in of_reference(seen, key[0], message(each, "extensionRef"))
        for each in messages(rule, "filters")
        if text(each, "type") in {"ExternalAuth", "ExtensionRef"}
    )


def _seen(rule: Json, kind: PathKind) -> str | None:
    """Return what the API sees in the place of what matched, if one filter for all its backends says so."""
    said = [message(message(each, "urlRewrite"), "path") for each in messages(rule, "filters")]
    changes = [path for path in said if path]
    if len(changes) != 1:
        return None
    if text(changes[0], "type") == "ReplacePrefixMatch" and kind in {"segments", "prefix"}:
        return text(changes[0], "replacePrefixMatch") or "/"
    return text(changes[0], "replaceFullPath") or None if kind == "exact" else None


def _backends(seen: Cluster, kind: Kind, key: Key, rule: Json) -> tuple[list[Key], tuple[str, ...], set[str]]:
    """Return the services, the names of all backends and what is to be known of them."""
    refs = messages(rule, "backendRefs")
    flags: set[str] = set() if refs else {"no_backend"}
    services: list[Key] = []
    names: list[str] = []
    for ref in refs:
        group, what = text(ref, "group"), text(ref, "kind") or "Service"
        target = (text(ref, "namespace") or key[0], text(ref, "name"))
        port = ref.get("port")
        if (group, what) == ("", "Service"):
            services.append(target)
            names.append(name_of(target, port))
            flags |= service_flags(seen, target)
        else:
            names.append(f"{what} {target[0]}/{target[1]}")
            flags.add("backend_unread")
        if target[0] != key[0] and not _granted(seen, kind, key[0], (group, what), target):
            flags.add("backend_not_granted")
    if len(names) > 1:
        flags.add("weighted")
    return services, tuple(dict.fromkeys(names)), flags


def _granted(seen: Cluster, kind: Kind, namespace: str, what: tuple[str, str], target: Key) -> bool:
    for (held_in, _), grant in seen.of(REFERENCE_GRANT):
        spec = message(grant, "spec")
        given = any(
            (text(each, "group"), text(each, "kind"), text(each, "namespace")) == (kind.group, kind.name, namespace)
            for each in messages(spec, "from")
        )
        taken = any(
            (text(each, "group"), text(each, "kind")) == what and text(each, "name") in {"", target[1]}
            for each in messages(spec, "to")
        )
        if held_in == target[0] and given and taken:
            return True
    return False


# --- who takes it ------------------------------------------------------------

_ASKING = frozenset(
    {
        *("ask_unknown", "asks_another", "ext_authz_absent", "ext_authz_conditional", "ext_authz_shadow"),
        *("ext_authz_http", "ext_authz_unread", "failure_mode_allow"),
    }
)


def _attach(seen: Cluster, kind: Kind, key: Key, spec: Json) -> Attachment:
    own = tuple(host.lower() for host in texts(spec, "hostnames") if host_name(host))
    hosts: dict[str, None] = {}
    flags: set[str] = set()
    taken = False
    if len(own) != len(texts(spec, "hostnames")):
        seen.note(where(kind, key), "a hostname is no name of a host")
        flags.add("host_unread")
    for ref in messages(spec, "parentRefs"):
        parent = (text(ref, "namespace") or key[0], text(ref, "name"))
        what = (text(ref, "group") if "group" in ref else GROUP, text(ref, "kind") or GATEWAY.name)
        if what == ("", SERVICE.name):
            # The mesh takes requests to a service (GAMMA); hostnames are of no account there.
            hosts |= dict.fromkeys(hosts_of(parent))
            flags |= {"in_cluster"} | asking.of_pods(seen, _pods(seen, parent), frozenset({parent[0]}))
            taken = True
            continue
        found = _listeners(seen, what, parent, ref)
        if found is None:
            hosts |= dict.fromkeys(own or ("*",))
            flags |= {"gateway_unknown", "ask_unknown"}
            taken = True
            continue
        gateway, listeners = found
        common = [host for each in listeners if _allowed(seen, kind, key, parent, each) for host in _shared(own, each)]
        if common:
            taken = True
            hosts |= dict.fromkeys(common)
            flags |= asking.of_gateway(seen, gateway)
    if not taken:
        hosts, flags = dict.fromkeys(own or ("*",)), flags | {"not_attached", "ask_unknown"}
    return Attachment(tuple(sorted(hosts)), frozenset(flags))


def _pods(seen: Cluster, service: Key) -> Mapping[str, str]:
    found = seen.find(SERVICE, service)
    selector = message(message(found, "spec"), "selector") if found is not None else {}
    return {name: str(said) for name, said in selector.items()}


def _listeners(seen: Cluster, what: tuple[str, str], parent: Key, ref: Json) -> tuple[Key, list[Json]] | None:
    """Return the gateway and its listeners that a parentRef means; None for a parent that is not known."""
    kind = {(GROUP, GATEWAY.name): GATEWAY, (GROUP, LISTENER_SET.name): LISTENER_SET}.get(what)
    held = seen.find(kind, parent) if kind is not None else None
    if kind is None or held is None:
        return None
    gateway = parent
    if kind is LISTENER_SET:
        above = message(message(held, "spec"), "parentRef")
        gateway = (text(above, "namespace") or parent[0], text(above, "name"))
    name, port = text(ref, "sectionName"), ref.get("port")
    listeners = [
        each
        for each in messages(message(held, "spec"), "listeners")
        if name in {"", text(each, "name")} and port in {None, each.get("port")}
    ]
    return gateway, listeners


def _allowed(seen: Cluster, kind: Kind, route: Key, gateway: Key, listener: Json) -> bool:
    if text(listener, "protocol") not in _LISTENING:
        return False
    allowed = message(listener, "allowedRoutes")
    kinds = messages(allowed, "kinds")
    if kinds and not any(text(each, "kind") == kind.name for each in kinds):
        return False
    namespaces = message(allowed, "namespaces")
    match text(namespaces, "from") or "Same":
        case "All":
            return True
        case "Same":
            return route[0] == gateway[0]
        case "Selector":
            space = seen.find(NAMESPACE, ("", route[0]))
            # A namespace that cannot be seen may well be selected: an API is not lost for that.
            return space is None or fits(message(namespaces, "selector"), {**_own_name(route[0]), **labels(space)})
        case _:
            return False


def _own_name(namespace: str) -> Mapping[str, str]:
    return {"kubernetes.io/metadata.name": namespace}


def _shared(own: Iterable[str], listener: Json) -> Iterator[str]:
    for host in own or ("*",):
        common = common_host(host, text(listener, "hostname"))
        if common is not None:
            yield common


def _status(route: Json) -> set[str]:
    """Return what the controllers of the route's parents say of it."""
    parents = messages(message(route, "status"), "parents")
    said = [(text(c, "type"), text(c, "status")) for parent in parents for c in messages(parent, "conditions")]
    accepted = [status for condition, status in said if condition == _BY_GATEWAY]
    flags = {"backend_unresolved"} if ("ResolvedRefs", "False") in said else set()
    if not accepted:
        return flags | {"acceptance_unknown"}
    return flags | (set() if "True" in accepted else {"not_accepted"})
