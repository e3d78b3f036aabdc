"""Which APIs manifests describe, worked out anew and by other means than the project's: hosts by trying names.

Nothing here uses the project. An expectation is a set of plain tuples, so that a difference is readable.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]
Way = tuple[str, str, str, str]
"""Path, kind of match, method ("" for all), where requests go."""

HTTP = {"http", "https", "http2", "h2c", "grpc", "grpc-web", "ws", "wss"}
KINDS = {
    *(("", "Namespace"), ("", "Service"), ("discovery.k8s.io", "EndpointSlice"), ("networking.k8s.io", "Ingress")),
    *(
        ("gateway.networking.k8s.io", kind)
        for kind in ("Gateway", "ListenerSet", "HTTPRoute", "GRPCRoute", "ReferenceGrant")
    ),
    *(("networking.istio.io", kind) for kind in ("Gateway", "VirtualService", "ServiceEntry")),
    *(("security.istio.io", "AuthorizationPolicy"), ("gateway.envoyproxy.io", "SecurityPolicy")),
    *(("traefik.io", "IngressRoute"), ("traefik.io", "Middleware")),
}


def group(value: Object) -> str:
    return value["apiVersion"].rpartition("/")[0]


def key(value: Object) -> tuple[str, str]:
    return value["metadata"].get("namespace", "default"), value["metadata"]["name"]


def source(value: Object) -> str:
    return f"kubernetes {value['kind']} {'/'.join(key(value))}"


def covers(pattern: str, name: str) -> bool:
    return pattern in {"*", name} or (pattern.startswith("*.") and name.endswith(pattern[1:]))


class World:
    """All objects of some manifests, and the names that are tried as hosts."""

    def __init__(self, objects: Sequence[Object]) -> None:
        self.objects = objects
        self.tried = {"elsewhere.invalid", *(name for pattern in _patterns(objects) for name in _tried(pattern))}

    def of(self, kind: str, in_group: str) -> Iterator[Object]:
        return (each for each in self.objects if (group(each), each["kind"]) == (in_group, kind))

    def named(self, patterns: Iterable[str]) -> frozenset[str]:
        """Return those of the tried names that patterns name."""
        held = list(patterns)
        return frozenset(name for name in self.tried if any(covers(each, name) for each in held))

    def ways(self) -> dict[str, set[Way]]:
        """Return the ways into each object that routes HTTP."""
        gateway = "gateway.networking.k8s.io"
        return {
            **{source(each): set(_http_ways(each)) for each in self.of("HTTPRoute", gateway)},
            **{source(each): set(_grpc_ways(each)) for each in self.of("GRPCRoute", gateway)},
            **{source(each): set(_ingress_ways(each)) for each in self.of("Ingress", "networking.k8s.io")},
            **{source(each): set(_istio_ways(each)) for each in self.of("VirtualService", "networking.istio.io")},
            **{source(each): set(_traefik_ways(each)) for each in self.of("IngressRoute", "traefik.io")},
        }

    def hosts(self) -> dict[str, frozenset[str]]:
        """Return which of the tried names lead to each route of the Gateway API."""
        found = {}
        for kind in ("HTTPRoute", "GRPCRoute"):
            for route in self.of(kind, "gateway.networking.k8s.io"):
                own = self.named(route["spec"].get("hostnames") or ["*"])
                parents = route["spec"].get("parentRefs", [])
                taken: set[str] = set()
                mesh = False
                for ref in parents:
                    if ref.get("kind") == "Service":
                        mesh = True
                        name, space = ref["name"], ref.get("namespace", key(route)[0])
                        taken |= {f"{name}.{space}{end}" for end in ("", ".svc", ".svc.cluster.local")}
                    else:
                        taken |= {
                            name for name in own if any(covers(each, name) for each in self._listening(route, ref))
                        }
                # What nobody takes keeps its own hosts, so that nothing is lost.
                found[source(route)] = frozenset(taken) if taken or mesh else own
        return found

    def _listening(self, route: Object, ref: Object) -> Iterator[str]:
        """Yield the hosts of the listeners that take a route by one of its references."""
        at = (ref.get("namespace", key(route)[0]), ref["name"])
        for parent in self.of(ref.get("kind", "Gateway"), "gateway.networking.k8s.io"):
            if key(parent) != at:
                continue
            for listener in parent["spec"]["listeners"]:
                rules = listener.get("allowedRoutes", {})
                kinds = [each["kind"] for each in rules.get("kinds", [])]
                fitting = (
                    ref.get("sectionName", listener["name"]) == listener["name"]
                    and ref.get("port", listener["port"]) == listener["port"]
                    and listener["protocol"] in {"HTTP", "HTTPS"}
                    and (not kinds or route["kind"] in kinds)
                )
                if fitting and self._lets_in(rules.get("namespaces", {}), key(route)[0], at[0]):
                    yield listener.get("hostname", "*")

    def _lets_in(self, rule: Object, asking: str, own: str) -> bool:
        if rule.get("from", "Same") == "Selector":
            wanted = rule["selector"]["matchLabels"].items()
            return any(
                each["metadata"]["name"] == asking and wanted <= each["metadata"].get("labels", {}).items()
                for each in self.of("Namespace", "")
            )
        return rule.get("from", "Same") == "All" or asking == own

    def alone(self) -> set[str]:
        """Return the services that speak HTTP and that no route sends requests to."""
        used = {
            part.rpartition(":")[0] if part.rpartition(":")[2].isdigit() or part.count(":") else part
            for ways in self.ways().values()
            for _, _, _, where in ways
            for part in where.split(",")
        }
        return {
            source(each)
            for each in self.of("Service", "")
            if "/".join(key(each)) not in {name.partition(":")[0] for name in used}
            and any(_protocol(port) in HTTP for port in each["spec"].get("ports", []))
        }


def _protocol(port: Object) -> str:
    return (port.get("appProtocol", "").removeprefix("kubernetes.io/") or port.get("name", "").split("-")[0]).lower()


def _patterns(objects: Iterable[Object]) -> Iterator[str]:
    for each in objects:
        spec = each.get("spec") or {}
        yield from spec.get("hostnames", [])
        for listener in spec.get("listeners", []):
            if "hostname" in listener:
                yield listener["hostname"]


def _tried(pattern: str) -> Iterator[str]:
    bare = pattern.removeprefix("*.")
    yield from (bare, f"one.{bare}", f"one.two.{bare}")


def _targets(namespace: str, refs: Iterable[Object]) -> str:
    names = {}
    for ref in refs:
        kind, space = ref.get("kind", "Service"), ref.get("namespace", namespace)
        if kind == "Service" and not ref.get("group"):
            names[f"{space}/{ref['name']}" + (f":{ref['port']}" if "port" in ref else "")] = None
        else:
            names[f"{kind} {space}/{ref['name']}"] = None
    return ",".join(names)


def _http_ways(route: Object) -> Iterator[Way]:
    kinds = {"Exact": "exact", "PathPrefix": "segments", "RegularExpression": "regex"}
    for rule in route["spec"].get("rules", [{}]):
        redirected = any(each["type"] == "RequestRedirect" for each in rule.get("filters", []))
        where = "" if redirected else _targets(key(route)[0], rule.get("backendRefs", []))
        for match in rule.get("matches", [{}]):
            path = match.get("path", {}).get("value", "/")
            kind = kinds[match.get("path", {}).get("type", "PathPrefix")]
            yield path, "prefix" if (path, kind) == ("/", "segments") else kind, match.get("method", ""), where


def _grpc_ways(route: Object) -> Iterator[Way]:
    for rule in route["spec"].get("rules", []):
        where = _targets(key(route)[0], rule.get("backendRefs", []))
        for match in rule.get("matches", [{}]):
            said = match.get("method", {})
            path = "/" + "/".join(filter(None, [said.get("service"), said.get("method")]))
            kind = "exact" if len(said.keys() - {"type"}) == 2 else "prefix"
            yield path if kind == "exact" or path == "/" else f"{path}/", kind, "POST", where


def _ingress_ways(value: Object) -> Iterator[Way]:
    kinds = {"Exact": "exact", "Prefix": "segments", "ImplementationSpecific": "prefix"}
    spec = value["spec"]
    for rule in spec.get("rules", []):
        for path in rule.get("http", {}).get("paths", []) or [{"backend": spec.get("defaultBackend", {})}]:
            said = path.get("path", "") or "/"
            kind = kinds[path.get("pathType", "ImplementationSpecific")]
            where = _ingress_target(key(value)[0], path["backend"])
            yield said, "prefix" if (said, kind) == ("/", "segments") else kind, "", where
    if "defaultBackend" in spec:
        yield "/", "prefix", "", _ingress_target(key(value)[0], spec["defaultBackend"])


def _ingress_target(namespace: str, backend: Object) -> str:
    if "service" in backend:
        port = backend["service"].get("port", {})
        name = f"{namespace}/{backend['service']['name']}"
        return ":".join([name, *(str(port[each]) for each in ("number", "name") if port.get(each))])
    if "resource" in backend:
        return f"{backend['resource']['kind']} {namespace}/{backend['resource']['name']}"
    return ""


def _istio_ways(value: Object) -> Iterator[Way]:
    for rule in value["spec"].get("http", []):
        names = {}
        for each in rule.get("route", []):
            host, port = each["destination"]["host"], each["destination"].get("port", {}).get("number")
            short = "." not in host
            names[(f"{key(value)[0]}/{host}" + (f":{port}" if port else "")) if short else host] = None
        for match in rule.get("match", [{}]):
            ((kind, path),) = match.get("uri", {"prefix": "/"}).items()
            yield path, kind, match.get("method", {}).get("exact", ""), ",".join(names)


def _traefik_ways(value: Object) -> Iterator[Way]:
    for rule in value["spec"]["routes"]:
        path = re.fullmatch(r"Host\(`[^`]+`\)(?: && PathPrefix\(`([^`]+)`\))?", rule["match"])
        assert path is not None, rule["match"]
        yield path[1] or "/", "prefix", "", _targets(key(value)[0], rule.get("services", []))
