"""Istio and Envoy Gateway: Kubernetes objects that make their Envoys ask.

Sources: istio.io/api ``mesh/v1alpha1``, ``security/v1``, ``networking/v1``; gateway.envoyproxy.io ``v1alpha1``. No test
runs either; what their Envoys do then is tested with Envoy.
"""

from collections.abc import Mapping
from typing import Any

from authorizer.errors import GatewayError
from authorizer.gateways import yaml_text
from authorizer.gateways.site import Site, doors, is_local

_HOST = "authorizer.internal"
_PORT = 9191
_HCM = "envoy.filters.network.http_connection_manager"
_HCM_TYPE = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_EXT_AUTHZ = "envoy.filters.http.ext_authz"
_EXT_AUTHZ_TYPE = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
_GATEWAY = {"istio": "ingressgateway"}


def istio(site: Site) -> Mapping[str, str]:
    """Return the mesh settings and the objects. Raises GatewayError."""
    addresses = doors(site, "grpc", "Istio")
    asked: dict[str, Any] = {
        "service": _HOST,
        "port": _PORT,
        "timeout": f"{site.timeout:.3f}s",
        "failOpen": False,
        "statusOnError": "503",
    }
    if site.body_bytes:
        asked["includeRequestBodyInCheck"] = {
            "maxRequestBytes": site.body_bytes,
            "allowPartialMessage": True,
            "packAsBytes": True,
        }
    topology = {"numTrustedProxies": 0, "forwardClientCertDetails": "SANITIZE_SET"}
    settings = {
        "meshConfig": {
            "extensionProviders": [{"name": "authorizer", "envoyExtAuthzGrpc": asked}],
            "pathNormalization": {"normalization": "MERGE_SLASHES"},
            "defaultConfig": {"gatewayTopology": topology},
        }
    }
    policy = {
        "selector": {"matchLabels": _GATEWAY},
        "action": "CUSTOM",
        "provider": {"name": "authorizer"},
        "rules": [{}],
    }
    objects = [
        _object("networking.istio.io/v1", "ServiceEntry", _entry(addresses)),
        _object("security.istio.io/v1", "AuthorizationPolicy", policy),
        _object("networking.istio.io/v1alpha3", "EnvoyFilter", _filter()),
    ]
    if site.tls:
        objects.append(
            _object("networking.istio.io/v1", "DestinationRule", _destination(client=site.client_certificate))
        )
    return {
        "mesh.yaml": yaml_text.render(settings, _ISTIO, _MESH_HEAD),
        "authorizer.yaml": _documents(objects, _ISTIO, _ISTIO_HEAD + _remote(site, addresses)),
    }


def envoy_gateway(site: Site) -> Mapping[str, str]:
    """Return the objects. Raises GatewayError AZ903 for a loopback address, which Envoy Gateway refuses."""
    addresses = doors(site, "grpc", "Envoy Gateway")
    for address in addresses:
        if not address.startswith("unix:") and is_local(address):
            hint = "use a Unix socket that both containers mount, or a Service: --host authorizer.NAMESPACE.svc"
            raise GatewayError("AZ903", f"Envoy Gateway refuses the loopback address {address}", hint=hint)
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gateway"}
    asked: dict[str, Any] = {
        "grpc": {"backendRefs": [{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "authorizer"}]},
        "failOpen": False,
        "timeout": f"{round(site.timeout * 1000)}ms",
    }
    if site.body_bytes:
        asked["bodyToExtAuth"] = {"maxRequestBytes": site.body_bytes}
    backend: dict[str, Any] = {
        "endpoints": [_endpoint(address) for address in addresses],
        "appProtocols": ["gateway.envoyproxy.io/h2c"],
    }
    if site.tls:
        reference = {"group": "", "kind": "ConfigMap", "name": "authorizer-ca"}
        backend["tls"] = {"caCertificateRefs": [reference]}
        del backend["appProtocols"]
    headers: dict[str, Any] = {
        "withUnderscoresAction": "RejectRequest",
        "xForwardedClientCert": {"mode": "Sanitize"},
    }
    if site.identity:  # an empty list is refused
        headers["earlyRequestHeaders"] = {"remove": list(site.identity)}
    traffic = {
        "targetRefs": [target],
        "path": {"escapedSlashesAction": "RejectRequest", "disableMergeSlashes": False},
        "headers": headers,
    }
    version = "gateway.envoyproxy.io/v1alpha1"
    objects = [
        _object(version, "Backend", backend, "default"),
        _object(version, "SecurityPolicy", {"targetRefs": [target], "extAuth": asked}, "default"),
        _object(version, "ClientTrafficPolicy", traffic, "default"),
    ]
    return {"authorizer.yaml": _documents(objects, _ENVOY_GATEWAY, _ENVOY_GATEWAY_HEAD + _remote(site, addresses))}


def _object(version: str, kind: str, spec: Mapping[str, Any], namespace: str = "istio-system") -> dict[str, Any]:
    metadata = {"name": "authorizer", "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _documents(objects: list[dict[str, Any]], comments: Mapping[str, str], head: tuple[str, ...]) -> str:
    first, *rest = objects
    return "---\n".join([yaml_text.render(first, comments, head), *(yaml_text.render(each, comments) for each in rest)])


def _remote(site: Site, addresses: tuple[str, ...]) -> tuple[str, ...]:
    if site.tls or all(map(is_local, addresses)):
        return ()
    return ("The authorizer speaks plain text over the network: set ext_authz.tls, or let the mesh encrypt it.",)


def _entry(addresses: tuple[str, ...]) -> dict[str, Any]:
    endpoints: list[dict[str, Any]] = []
    named = False
    for address in addresses:
        if address.startswith("unix:"):
            endpoints.append({"address": f"unix://{address.removeprefix('unix:')}"})
            continue
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        named = named or not host.replace(".", "").isdigit()
        endpoints.append({"address": host, "ports": {"grpc": int(port)}})
    return {
        "hosts": [_HOST],
        "location": "MESH_INTERNAL",
        "ports": [{"number": _PORT, "name": "grpc", "protocol": "GRPC"}],
        "resolution": "DNS" if named else "STATIC",
        "endpoints": endpoints,
    }


def _destination(*, client: bool) -> dict[str, Any]:
    tls: dict[str, Any] = {"mode": "MUTUAL" if client else "SIMPLE", "caCertificates": "/etc/authorizer/ca.pem"}
    if client:
        tls |= {"clientCertificate": "/etc/authorizer/gateway.pem", "privateKey": "/etc/authorizer/gateway.key"}
    tls["subjectAltNames"] = ["authorizer"]
    return {"host": _HOST, "trafficPolicy": {"tls": tls}}


def _filter() -> dict[str, Any]:
    manager = {
        "@type": _HCM_TYPE,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "strip_any_host_port": True,
        "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
    }
    asking = {
        "@type": _EXT_AUTHZ_TYPE,
        "encode_raw_headers": True,
        "validate_mutations": True,
        "include_peer_certificate": True,
    }
    chain = {"filterChain": {"filter": {"name": _HCM}}}
    inside = {"filterChain": {"filter": {"name": _HCM, "subFilter": {"name": _EXT_AUTHZ}}}}
    return {
        "workloadSelector": {"labels": _GATEWAY},
        "configPatches": [
            {
                "applyTo": "NETWORK_FILTER",
                "match": {"context": "GATEWAY", "listener": chain},
                "patch": {"operation": "MERGE", "value": {"typed_config": manager}},
            },
            {
                "applyTo": "HTTP_FILTER",
                "match": {"context": "GATEWAY", "listener": inside},
                "patch": {"operation": "MERGE", "value": {"typed_config": asking}},
            },
        ],
    }


def _endpoint(address: str) -> dict[str, Any]:
    if address.startswith("unix:"):
        return {"unix": {"path": address.removeprefix("unix:")}}
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if host.replace(".", "").isdigit() or ":" in host:
        return {"ip": {"address": host, "port": int(port)}}
    return {"fqdn": {"hostname": host, "port": int(port)}}


_MESH_HEAD = (
    "Istio asks the authorizer about each request to its ingress gateway. Made by `authorizer gateway istio`.",
    "Merge this into the values of istiod (or the spec of an IstioOperator); then apply authorizer.yaml.",
)
_ISTIO_HEAD = (
    "The other half of mesh.yaml. A ServiceEntry names the authorizer's doors, one endpoint a worker; loopback",
    "addresses and Unix sockets are those of the gateway's own pod. Adapt selectors and namespace to your gateway.",
)
_ISTIO = {
    "timeout": "600 s if unset.",
    "failOpen": "No answer means no.",
    "normalization": "DECODE_AND_MERGE_SLASHES would let the API see another path than was sent.",
    "gatewayTopology": "No proxy in front is believed, nor a client's own x-forwarded-client-cert.",
    "action": "CUSTOM asks the provider. One rule without conditions: every request.",
    "configPatches": "What Istio has no setting for: without these, repeated headers arrive joined by commas.",
    "strip_any_host_port": "The host that is decided is the one that routes are found by.",
}
_ENVOY_GATEWAY_HEAD = (
    "Envoy Gateway asks the authorizer about each request. Made by `authorizer gateway envoy-gateway`, for 1.6 and",
    "later with its Backend API switched on (extensionApis.enableBackend). Adapt the Gateway's name and the namespace.",
    "What it cannot do: send headers as they are (repeated ones arrive joined by commas); tell an authorizer that is",
    "gone from a denial (both are 403).",
)
_ENVOY_GATEWAY = {
    "endpoints": "One a worker.",
    "failOpen": "No answer means no.",
    "timeout": "10 s if unset.",
    "earlyRequestHeaders": "Who the caller is says the authorizer alone.",
    "escapedSlashesAction": "Envoy, the authorizer and the API must read one request in one way.",
    "xForwardedClientCert": "A client's own never passes.",
    "bodyToExtAuth": "For policies that read bodies. A longer one is a 413.",
}
