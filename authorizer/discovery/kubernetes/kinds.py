"""The kinds of object that say how requests reach APIs, and what of an object is kept in memory."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from authorizer.discovery.traefik_middlewares import READ


class Kind(Struct, frozen=True):
    """A kind of object. ``versions`` that are read, the best first: their fields that are read here are the same."""

    group: str
    name: str
    plural: str
    versions: tuple[str, ...] = ("v1",)
    namespaced: bool = True


SERVICE = Kind("", "Service", "services")
NAMESPACE = Kind("", "Namespace", "namespaces", namespaced=False)
ENDPOINT_SLICE = Kind("discovery.k8s.io", "EndpointSlice", "endpointslices")
INGRESS = Kind("networking.k8s.io", "Ingress", "ingresses")
GATEWAY_CLASS = Kind("gateway.networking.k8s.io", "GatewayClass", "gatewayclasses", ("v1", "v1beta1"), namespaced=False)
GATEWAY = Kind("gateway.networking.k8s.io", "Gateway", "gateways", ("v1", "v1beta1"))
LISTENER_SET = Kind("gateway.networking.k8s.io", "ListenerSet", "listenersets")
HTTP_ROUTE = Kind("gateway.networking.k8s.io", "HTTPRoute", "httproutes", ("v1", "v1beta1"))
GRPC_ROUTE = Kind("gateway.networking.k8s.io", "GRPCRoute", "grpcroutes")
REFERENCE_GRANT = Kind("gateway.networking.k8s.io", "ReferenceGrant", "referencegrants", ("v1", "v1beta1"))
SECURITY_POLICY = Kind("gateway.envoyproxy.io", "SecurityPolicy", "securitypolicies", ("v1alpha1",))
VIRTUAL_SERVICE = Kind("networking.istio.io", "VirtualService", "virtualservices", ("v1", "v1beta1", "v1alpha3"))
ISTIO_GATEWAY = Kind("networking.istio.io", "Gateway", "gateways", ("v1", "v1beta1", "v1alpha3"))
SERVICE_ENTRY = Kind("networking.istio.io", "ServiceEntry", "serviceentries", ("v1", "v1beta1", "v1alpha3"))
AUTHORIZATION_POLICY = Kind("security.istio.io", "AuthorizationPolicy", "authorizationpolicies", ("v1", "v1beta1"))
INGRESS_ROUTE = Kind("traefik.io", "IngressRoute", "ingressroutes", ("v1alpha1",))
MIDDLEWARE = Kind("traefik.io", "Middleware", "middlewares", ("v1alpha1",))

KINDS = (
    SERVICE,
    NAMESPACE,
    ENDPOINT_SLICE,
    INGRESS,
    GATEWAY_CLASS,
    GATEWAY,
    LISTENER_SET,
    HTTP_ROUTE,
    GRPC_ROUTE,
    REFERENCE_GRANT,
    SECURITY_POLICY,
    VIRTUAL_SERVICE,
    ISTIO_GATEWAY,
    SERVICE_ENTRY,
    AUTHORIZATION_POLICY,
    INGRESS_ROUTE,
    MIDDLEWARE,
)
BY_NAME: Mapping[tuple[str, str], Kind] = {(kind.group, kind.name): kind for kind in KINDS}

_STATUSES = frozenset({GATEWAY, LISTENER_SET, HTTP_ROUTE, GRPC_ROUTE, SECURITY_POLICY})
_METADATA = ("name", "namespace", "labels", "annotations")
_PREFIXES = ("authorizer/", "nginx.ingress.kubernetes.io/", "traefik.ingress.kubernetes.io/", "istio.io/")


def kind_of(value: Mapping[str, Any]) -> Kind | None:
    """Return the kind of an object as it is written in a file, None for one that says nothing of requests."""
    version, name = value.get("apiVersion"), value.get("kind")
    if not isinstance(version, str) or not isinstance(name, str):
        return None
    group, slash, _ = version.rpartition("/")
    return BY_NAME.get((group if slash else "", name))


def kept(kind: Kind, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of an object is needed: who changed it when, and annotations of others, can be most of it.

    Of an EndpointSlice only its service and whether something answers is left: it changes with each pod; of a
    Middleware what is read of it: headers that it sets, and what its plugins are told, may be secret.
    """
    metadata = value.get("metadata")
    named: dict[str, Any] = (
        {name: metadata[name] for name in _METADATA if name in metadata} if isinstance(metadata, dict) else {}
    )
    if isinstance(annotations := named.get("annotations"), dict):
        named["annotations"] = {name: said for name, said in annotations.items() if name.startswith(_PREFIXES)}
    if kind is ENDPOINT_SLICE:
        return {"metadata": named, "ready": _ready(value)}
    left: dict[str, Any] = {"metadata": named}
    if kind is not NAMESPACE:
        left["spec"] = value.get("spec")
    if kind in _STATUSES:
        left["status"] = value.get("status")
    if kind is MIDDLEWARE and isinstance(spec := left["spec"], dict):
        left["spec"] = {name: said if name in READ else {} for name, said in spec.items()}
    return left


def _ready(value: Mapping[str, Any]) -> bool:
    endpoints = value.get("endpoints")
    for endpoint in endpoints if isinstance(endpoints, list) else []:
        conditions = endpoint.get("conditions") if isinstance(endpoint, dict) else None
        # Unset counts as ready (discovery.k8s.io/v1 EndpointConditions).
        if not isinstance(conditions, dict) or conditions.get("ready") is not False:
            return True
    return False
