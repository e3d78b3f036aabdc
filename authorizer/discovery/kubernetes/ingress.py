"""Ingress objects as APIs: one for each object and service. Source: Kubernetes ``networking.k8s.io/v1``."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from authorizer.discovery.kubernetes.ingress_route import of_ingress
from authorizer.discovery.kubernetes.kinds import INGRESS, SERVICE
from authorizer.discovery.kubernetes.objects import (
    Cluster,
    Key,
    annotations,
    bound,
    host_name,
    service_flags,
    strange,
    where,
)
from authorizer.discovery.kubernetes.services import name_of
from authorizer.discovery.proto_json import Json, message, messages, text
from authorizer.model import Api, ApiRoute, PathKind

_SPEC = frozenset({"ingressClassName", "defaultBackend", "tls", "rules"})
_NGINX = "nginx.ingress.kubernetes.io/"
_SNIPPETS = ("configuration-snippet", "server-snippet", "auth-snippet")


def read(seen: Cluster, key: Key, value: Json) -> Iterator[Api]:
    """Yield the APIs of one Ingress. Raises DiscoveryError AZ602 for one that is not as its schema says."""
    place, spec, said = where(INGRESS, key), message(value, "spec"), annotations(value)
    passed = of_ingress(seen, said)
    flags = strange(seen, place, spec, _SPEC) | _asking(seen, said, passed)
    found: dict[tuple[str, str, Key | None], list[ApiRoute]] = {}
    for rule in messages(spec, "rules"):
        host = text(rule, "host").lower() or "*"
        if not host_name(host):
            seen.note(place, "a host is no name of a host")
            flags.add("host_unread")
        # Without paths all of a host goes to the default backend.
        paths = messages(message(rule, "http"), "paths") or [{"backend": message(spec, "defaultBackend")}]
        for path in paths:
            service, cluster, more = _backend(seen, key[0], message(path, "backend"))
            found.setdefault((host, cluster, service), []).append(_route(path, cluster, more | passed, said))
    if default := message(spec, "defaultBackend"):
        service, cluster, more = _backend(seen, key[0], default)
        found.setdefault(("*", cluster, service), []).append(
            ApiRoute(path="/", kind="prefix", cluster=cluster, flags=tuple(sorted({*more, *passed, "default_backend"})))
        )
    for (host, cluster, service), routes in found.items():
        owner = [(where(SERVICE, service), seen.find(SERVICE, service))] if service is not None else []
        yield Api(
            id="/".join(("kubernetes", INGRESS.name, *key, host, cluster or "-")),
            name=service[1] if service is not None else key[1],
            hosts=(host,),
            routes=tuple(routes),
            sources=(f"kubernetes {place}",),
            flags=tuple(sorted(flags)),
            bound=bound(seen, [(place, value), *owner], key[0]),
        )


def _route(path: Json, cluster: str, flags: set[str], said: Mapping[str, str]) -> ApiRoute:
    value = text(path, "path") or "/"
    kind: PathKind
    match text(path, "pathType") or "ImplementationSpecific":
        case "Exact":
            kind = "exact"
        case "Prefix":
            kind = "segments" if value != "/" else "prefix"
        case _ if said.get(f"{_NGINX}use-regex") == "true":
            kind = "regex"
        case _:
            kind, flags = "prefix", flags | {"path_by_implementation"}
    if f"{_NGINX}rewrite-target" in said:
        flags = flags | {"rewrite"}
    return ApiRoute(path=value, kind=kind, cluster=cluster, flags=tuple(sorted(flags)))


def _backend(seen: Cluster, namespace: str, backend: Json) -> tuple[Key | None, str, set[str]]:
    if service := message(backend, "service"):
        key = (namespace, text(service, "name"))
        port = message(service, "port")
        cluster = name_of(key, port.get("number"))
        if name := text(port, "name"):
            cluster += f":{name}"
        return key, cluster, service_flags(seen, key)
    if resource := message(backend, "resource"):
        return None, f"{text(resource, 'kind')} {namespace}/{text(resource, 'name')}", {"backend_unread"}
    return None, "", {"no_backend"}


def _asking(seen: Cluster, said: Mapping[str, str], passed: set[str]) -> set[str]:
    """Return what annotations of ingress controllers tell; what a controller does for all is not known here.

    ``passed``: what is known of Traefik's middlewares.
    """
    url = said.get(f"{_NGINX}auth-url")
    if url is None and "ext_authz_http" in passed:
        return set()
    if url is None or any(_NGINX + name in said for name in _SNIPPETS):
        return {"ask_unknown"}
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    asked = bool(seen.providers & {host, host.partition(".")[0]})
    return {"ext_authz_http"} if asked else {"ext_authz_http", "asks_another"}
