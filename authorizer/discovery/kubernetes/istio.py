"""Istio's VirtualService and ServiceEntry as APIs, with the Gateways that take their requests.

Source: istio.io/api ``networking/v1alpha3`` (virtual_service.proto, gateway.proto, service_entry.proto).
"""

from collections.abc import Iterator, Mapping, Sequence

from authorizer.discovery.kubernetes import asking
from authorizer.discovery.kubernetes.kinds import ISTIO_GATEWAY, SERVICE, SERVICE_ENTRY, VIRTUAL_SERVICE
from authorizer.discovery.kubernetes.objects import (
    Cluster,
    Key,
    bound,
    common_host,
    host_name,
    service_flags,
    strange,
    where,
)
from authorizer.discovery.kubernetes.services import name_of, service_of
from authorizer.discovery.proto_json import Json, flag, message, messages, text, texts
from authorizer.model import Api, ApiRoute, PathKind

_SPEC = frozenset({"hosts", "gateways", "http", "tls", "tcp", "exportTo"})
_HTTP = frozenset(
    {
        *("name", "match", "route", "redirect", "directResponse", "delegate", "rewrite", "timeout", "retries"),
        *("fault", "mirror", "mirrors", "mirrorPercent", "mirrorPercentage", "corsPolicy", "headers"),
    }
)
_MATCH: Mapping[str, str] = {
    "name": "",
    "uri": "",
    "method": "",
    "ignoreUriCase": "",
    "statPrefix": "",
    "headers": "header_match",
    "withoutHeaders": "header_match",
    "queryParams": "query_match",
    "authority": "host_match",
    "scheme": "scheme_match",
    "port": "port_match",
    "sourceLabels": "client_match",
    "sourceNamespace": "client_match",
    "gateways": "gateway_match",
}
"""What a match may look at -> the flag of it."""

_MESH = "mesh"
_LAYER4 = frozenset({"TCP", "TLS", "MONGO", "MYSQL", "REDIS"})


def read(seen: Cluster, key: Key, value: Json) -> Iterator[Api]:
    """Yield the APIs of one VirtualService. Raises DiscoveryError AZ602 for one that is not as its schema says."""
    place, spec = where(VIRTUAL_SERVICE, key), message(value, "spec")
    hosts, flags = _hosts(seen, key, spec)
    flags |= strange(seen, place, spec, _SPEC)
    found: dict[tuple[str, ...], list[ApiRoute]] = {}
    behind: dict[tuple[str, ...], list[Key]] = {}
    for rule in messages(spec, "http"):
        services, names, rule_flags = _targets(seen, key, rule)
        rule_flags |= strange(seen, place, rule, _HTTP)
        behind.setdefault(names, services)
        rewrite = text(message(rule, "rewrite"), "uri") or None
        for match in messages(rule, "match") or [{}]:
            more = rule_flags | strange(seen, place, match, frozenset(_MATCH))
            found.setdefault(names, []).append(_route(match, ",".join(names), more, rewrite))
    if messages(spec, "tls") or messages(spec, "tcp"):
        seen.note(place, "connections are routed too (tls, tcp): nothing of them can be decided by request")
        flags.add("connections_routed")
    if not found:
        found[()] = []
        flags.add("not_http" if "connections_routed" in flags else "routes_missing")
    for names, routes in found.items():
        owners = [(where(SERVICE, service), seen.find(SERVICE, service)) for service in behind.get(names, ())]
        yield Api(
            id="/".join(("kubernetes", VIRTUAL_SERVICE.name, *key, ",".join(names) or "-")),
            name=names[0].partition("/")[2].partition(":")[0] if len(names) == 1 and "/" in names[0] else key[1],
            hosts=hosts,
            routes=tuple(routes),
            sources=(f"kubernetes {place}",),
            flags=tuple(sorted(flags)),
            bound=bound(seen, [(place, value), *owners], key[0]),
        )


def entry(seen: Cluster, key: Key, value: Json) -> Iterator[Api]:
    """Yield a ServiceEntry as an API: something outside of the mesh, or another part of it."""
    place, spec = where(SERVICE_ENTRY, key), message(value, "spec")
    ports = messages(spec, "ports")
    flags = {"ask_unknown", "in_mesh" if text(spec, "location") == "MESH_INTERNAL" else "outside"}
    if ports and all(text(port, "protocol").upper() in _LAYER4 for port in ports):
        flags.add("not_http")
    yield Api(
        id="/".join(("kubernetes", SERVICE_ENTRY.name, *key)),
        name=key[1],
        hosts=tuple(host.lower() for host in texts(spec, "hosts")),
        routes=() if "not_http" in flags else (ApiRoute(path="/", kind="prefix"),),
        sources=(f"kubernetes {place}",),
        flags=tuple(sorted(flags)),
        bound=bound(seen, [(place, value)], key[0]),
    )


def _route(match: Json, cluster: str, flags: set[str], rewrite: str | None) -> ApiRoute:
    flags = flags | {_MATCH[name] for name in match if _MATCH.get(name) and match[name]}
    if flag(match, "ignoreUriCase"):
        flags.add("case_insensitive")
    path, kind = _path(message(match, "uri"), flags)
    methods: tuple[str, ...] = ()
    if method := message(match, "method"):
        methods = (text(method, "exact"),) if text(method, "exact") else ()
        flags |= set() if methods else {"method_unread"}
    seen = rewrite if kind in {"exact", "prefix"} else None
    return ApiRoute(path=path, kind=kind, methods=methods, cluster=cluster, flags=tuple(sorted(flags)), seen=seen)


def _path(uri: Json, flags: set[str]) -> tuple[str, PathKind]:
    if not uri:
        return "/", "prefix"
    for name, kind in _PATHS.items():
        if name in uri:
            return text(uri, name), kind
    flags.add("match_unread")
    return "", "any"


_PATHS: Mapping[str, PathKind] = {"exact": "exact", "prefix": "prefix", "regex": "regex"}


def _targets(seen: Cluster, key: Key, rule: Json) -> tuple[list[Key], tuple[str, ...], set[str]]:
    flags: set[str] = set()
    for name, said in (
        *(("rewrite", "rewrite"), ("mirrored", "mirror"), ("mirrored", "mirrors"), ("faults_injected", "fault")),
        *(("preflight_answered", "corsPolicy"), ("redirect", "redirect"), ("direct_response", "directResponse")),
    ):
        if rule.get(said):
            flags.add(name)
    if "rewrite" in flags and not message(rule, "rewrite").keys() & {"uri", "uriRegexRewrite"}:
        flags = (flags - {"rewrite"}) | {"host_rewrite"}
    if delegate := message(rule, "delegate"):
        target = (text(delegate, "namespace") or key[0], text(delegate, "name"))
        return [], (where(VIRTUAL_SERVICE, target),), flags | {"delegated"}
    services: list[Key] = []
    names: list[str] = []
    routes = messages(rule, "route")
    for each in routes:
        destination = message(each, "destination")
        host, port = text(destination, "host"), message(destination, "port").get("number")
        service = service_of(host, key[0])
        if service is None:
            names.append(host)
            flags.add("outside")
        else:
            services.append(service)
            names.append(name_of(service, port))
            flags |= service_flags(seen, service)
    if len(routes) > 1:
        flags.add("weighted")
    if not names and not flags & {"redirect", "direct_response"}:
        flags.add("no_backend")
    return services, tuple(dict.fromkeys(names)), flags


# --- who takes it ------------------------------------------------------------


def _hosts(seen: Cluster, key: Key, spec: Json) -> tuple[tuple[str, ...], set[str]]:
    own = [_full(host, key[0]) for host in texts(spec, "hosts")]
    flags: set[str] = set()
    if not own:
        return (), {"delegate", "ask_unknown"}
    if not all(host_name(host) for host in own):
        seen.note(where(VIRTUAL_SERVICE, key), "a host is no name of a host")
        flags.add("host_unread")
    hosts: dict[str, None] = {}
    taken = False
    for name in texts(spec, "gateways") or (_MESH,):
        if name == _MESH:
            taken = True
            hosts |= dict.fromkeys(own)
            flags |= {"in_cluster"} | _asked_in_mesh(seen, own, key[0])
            continue
        namespace, slash, bare = name.rpartition("/")
        gateway = (namespace if slash and namespace != "." else key[0], bare)
        value = seen.find(ISTIO_GATEWAY, gateway)
        if value is None:
            taken = True
            hosts |= dict.fromkeys(own)
            flags |= {"gateway_unknown", "ask_unknown"}
            continue
        held = message(value, "spec")
        common = [host for server in messages(held, "servers") for host in _shared(own, key[0], gateway[0], server)]
        if common:
            taken = True
            hosts |= dict.fromkeys(common)
            pods = {name: str(said) for name, said in message(held, "selector").items()}
            flags |= asking.of_pods(seen, pods, asking.namespaces_of(seen, pods))
    if not taken:
        return tuple(sorted(own)), flags | {"not_attached", "ask_unknown"}
    return tuple(sorted(hosts)), flags


def _asked_in_mesh(seen: Cluster, own: Sequence[str], namespace: str) -> set[str]:
    flags: set[str] = set()
    for host in own:
        service = service_of(host, namespace)
        found = seen.find(SERVICE, service) if service is not None else None
        if service is None or found is None:
            flags.add("ask_unknown")
            continue
        pods = {name: str(said) for name, said in message(message(found, "spec"), "selector").items()}
        flags |= asking.of_pods(seen, pods, frozenset({service[0]}))
    return flags


def _full(host: str, namespace: str) -> str:
    """Return a short name as the service that it means."""
    return host.lower() if "." in host or "*" in host else f"{host.lower()}.{namespace}.svc.cluster.local"


def _shared(own: Sequence[str], namespace: str, held_in: str, server: Json) -> Iterator[str]:
    for said in texts(server, "hosts"):
        space, slash, host = said.rpartition("/")
        if not slash or space in {"*", namespace} or (space == "." and held_in == namespace):
            for each in own:
                common = common_host(each, host)
                if common is not None:
                    yield common
