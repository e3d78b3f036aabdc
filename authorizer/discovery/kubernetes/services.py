"""Services: what they are called inside the cluster, and those that no route leads to."""

from collections.abc import Iterator

from authorizer.discovery.kubernetes import asking
from authorizer.discovery.kubernetes.kinds import SERVICE
from authorizer.discovery.kubernetes.objects import (
    PREFIX,
    Cluster,
    Key,
    annotations,
    bound,
    service_flags,
    where,
)
from authorizer.discovery.proto_json import message, messages, text
from authorizer.model import Api, ApiRoute

_HTTP = ("http", "https", "http2", "h2c", "grpc", "grpc-web", "ws", "wss")
"""Protocols, as ``appProtocol`` says them or the name of a port begins (Istio's rule for names)."""


def hosts_of(service: Key) -> tuple[str, ...]:
    """Return the names of a service that clients in the cluster use."""
    namespace, name = service
    return (f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local")


def name_of(service: Key, port: object = None) -> str:
    """Return ``namespace/name:port``: how routes name what they send requests to."""
    return f"{service[0]}/{service[1]}" + (f":{port}" if isinstance(port, int) else "")


def service_of(host: str, namespace: str) -> Key | None:
    """Return the service that a host in the cluster means; None for a name from outside."""
    name, *rest = host.lower().removesuffix(".").split(".")
    if not rest:
        return namespace, name
    if len(rest) == 1 or rest[1:] in (["svc"], ["svc", "cluster", "local"]):
        return rest[0], name
    return None


def apis(seen: Cluster, routed: frozenset[Key]) -> Iterator[Api]:
    """Yield the services that speak HTTP and that no route names: the mesh alone leads to them."""
    for key, service in seen.of(SERVICE):
        spec = message(service, "spec")
        named = any(name.startswith(PREFIX) for name in annotations(service))
        if key in routed or not (named or any(_speaks_http(port) for port in messages(spec, "ports"))):
            continue
        pods = {name: str(said) for name, said in message(spec, "selector").items()}
        flags = {"in_cluster"} | service_flags(seen, key) | asking.of_pods(seen, pods, frozenset({key[0]}))
        yield Api(
            id="/".join(("kubernetes", SERVICE.name, *key)),
            name=key[1],
            hosts=hosts_of(key),
            routes=(ApiRoute(path="/", kind="prefix", cluster=name_of(key)),),
            sources=(f"kubernetes {where(SERVICE, key)}",),
            flags=tuple(sorted(flags)),
            bound=bound(seen, [(where(SERVICE, key), service)], key[0]),
        )


def _speaks_http(port: object) -> bool:
    if not isinstance(port, dict):
        return False
    protocol = text(port, "appProtocol").removeprefix("kubernetes.io/") or text(port, "name").partition("-")[0]
    return protocol.lower() in _HTTP
