"""The recommended way to ask the authorizer from Envoy, as a configuration that Envoy runs.

``authorizer demo`` runs it, ``authorizer gateway envoy`` prints it. The gateway and the authorizer must read the same
request: so Envoy normalises paths or refuses them, strips ports and trailing dots of hosts, and refuses header names
with underscores. The authorizer refuses on its own all the same.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct

Json = dict[str, Any]
_TYPE = "type.googleapis.com/envoy."
_HTTP = "extensions.filters.http"
_PROTOCOLS = "extensions.upstreams.http.v3.HttpProtocolOptions"
_PREVIOUS = "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"

CA_FILE = "/etc/authorizer/ca.pem"
CERTIFICATE_FILE = "/etc/authorizer/gateway.pem"
KEY_FILE = "/etc/authorizer/gateway.key"
BUFFER_BYTES = 1 << 20
"""What Envoy keeps of one connection; it can hold back no larger body than that."""

HEALTH: Json = {
    "timeout": "0.5s",
    "interval": "1s",
    "no_traffic_interval": "1s",
    "unhealthy_threshold": 1,
    "healthy_threshold": 1,
    "grpc_health_check": {"service_name": "envoy.service.auth.v3.Authorization"},
}

# By default Envoy gathers what it learns of health for a second before it acts, and makes 3 retries at once.
SPREAD: Json = {
    "common_lb_config": {"update_merge_window": "0s"},
    "circuit_breakers": {"thresholds": [{"max_retries": 1024}]},
}


class Backend(Struct, frozen=True):
    """An API behind the gateway: requests whose path is ``prefix`` or below it go to ``address``."""

    name: str
    prefix: str
    address: str


class Check(Struct, frozen=True, kw_only=True):
    """How Envoy asks. ``address`` is the authorizer's door, ``HOST:PORT`` or ``unix:/PATH``; ``timeout`` is in seconds.

    ``fail_open`` lets requests pass when no answer comes: the authorizer answers every check it gets, so this is about
    a process that is gone, and it is off unless somebody decides otherwise. ``body_bytes`` is how much of a body goes
    along for policies that read one; a longer one is cut there and marked as a part. 0 sends none. ``workers`` are
    the doors of further workers: checks are spread over all, and what reached none of them is asked of another. ``tls``
    and ``client_certificate``: what the gRPC door asks for; the files are those of ``CA_FILE`` and its neighbours.
    """

    address: str
    protocol: Literal["grpc", "http"] = "grpc"
    timeout: float = 0.5
    fail_open: bool = False
    body_bytes: int = 0
    workers: tuple[str, ...] = ()
    tls: bool = False
    client_certificate: bool = False


def bootstrap(
    check: Check, backends: Iterable[Backend], *, listen: str = "127.0.0.1:0", admin: str = "127.0.0.1:0"
) -> Json:
    """Return Envoy's bootstrap: one plain HTTP listener that asks about each request and routes by path."""
    backends = list(backends)
    return {
        "admin": {"address": address_of(admin)},
        "static_resources": {
            "listeners": [_listener(listen, _connection_manager(check, backends), _buffer(check))],
            "clusters": [
                _authorizer(check),
                *(_cluster(backend.name, [backend.address]) for backend in backends),
            ],
        },
    }


def ext_authz(check: Check) -> Json:
    """Return the filter that asks. Header values go as sent, repeats kept, and a faulty answer of ours is a 500."""
    config: Json = {
        "transport_api_version": "V3",
        "failure_mode_allow": check.fail_open,
        "status_on_error": {"code": "ServiceUnavailable"},
        "validate_mutations": True,
    }
    if check.body_bytes:
        config["with_request_body"] = {
            "max_request_bytes": check.body_bytes,
            "allow_partial_message": True,
            "pack_as_bytes": check.protocol == "grpc",
        }
    timeout = f"{check.timeout:.3f}s"
    if check.protocol == "grpc":
        config["encode_raw_headers"] = True
        config["include_peer_certificate"] = True
        service: Json = {"envoy_grpc": {"cluster_name": "authorizer"}, "timeout": timeout}
        if check.workers:
            service["retry_policy"] = retry()
        config["grpc_service"] = service
    else:
        every_header = {"patterns": [{"safe_regex": {"regex": ".*"}}]}
        config["http_service"] = {
            "server_uri": {"uri": "http://authorizer", "cluster": "authorizer", "timeout": timeout},
            "path_prefix": "/authz/envoy",
            "authorization_response": {"allowed_upstream_headers": {"patterns": [{"prefix": "x-auth-"}]}},
        }
        config["allowed_headers"] = every_header
    return {"name": "authorizer", "typed_config": _any(f"{_HTTP}.ext_authz.v3.ExtAuthz", config)}


def retry() -> Json:
    """Return how a check that reached no worker is asked of another. Safe, for a check changes nothing."""
    return {
        "retry_on": "connect-failure,refused-stream",
        "num_retries": 3,
        "retry_host_predicate": [{"name": "others", "typed_config": _any(_PREVIOUS, {})}],
        "host_selection_retry_max_attempts": 5,
    }


def _connection_manager(check: Check, backends: Iterable[Backend]) -> Json:
    host: Json = {"name": "gateway", "domains": ["*"], "routes": [_route(each) for each in backends]}
    if check.body_bytes and check.protocol == "grpc":
        # Without these words a request without a body cannot be told from one whose body was kept back.
        settings = {"context_extensions": {"body": "buffered"}}
        per_route = _any(f"{_HTTP}.ext_authz.v3.ExtAuthzPerRoute", {"check_settings": settings})
        host["typed_per_filter_config"] = {"authorizer": per_route}
    config = {
        "stat_prefix": "gateway",
        "use_remote_address": True,
        "forward_client_cert_details": "SANITIZE",
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "strip_any_host_port": True,
        "strip_trailing_host_dot": True,
        "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST", "idle_timeout": "60s"},
        "route_config": {"name": "gateway", "virtual_hosts": [host]},
        "http_filters": [ext_authz(check), {"name": "router", "typed_config": _any(f"{_HTTP}.router.v3.Router", {})}],
    }
    return _any("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", config)


def _route(backend: Backend) -> Json:
    match = {"prefix": "/"} if backend.prefix == "/" else {"path_separated_prefix": backend.prefix}
    return {"name": backend.name, "match": match, "route": {"cluster": backend.name, "timeout": "15s"}}


def _listener(listen: str, connection_manager: Json, buffer_bytes: int) -> Json:
    filters = [{"name": "http", "typed_config": connection_manager}]
    return {
        "name": "gateway",
        "address": address_of(listen),
        "per_connection_buffer_limit_bytes": buffer_bytes,
        "filter_chains": [{"filters": filters}],
    }


def _buffer(check: Check) -> int:
    """Envoy answers 413 to a body that it should hold back and has no room for."""
    return max(BUFFER_BYTES, check.body_bytes + 64 * 1024)


def _authorizer(check: Check) -> Json:
    cluster = _cluster("authorizer", (check.address, *check.workers))
    if check.protocol == "grpc":
        # Pings tell a connection that a firewall has dropped from one that nobody uses.
        http2 = {"connection_keepalive": {"interval": "30s", "timeout": "5s"}}
        protocol: Json = {"explicit_http_config": {"http2_protocol_options": http2}}
        cluster["typed_extension_protocol_options"] = {f"envoy.{_PROTOCOLS}": _any(_PROTOCOLS, protocol)}
        if check.workers:
            cluster |= {**SPREAD, "health_checks": [dict(HEALTH)]}
    if check.tls:
        cluster["transport_socket"] = _tls(check)
    return cluster


def _tls(check: Check) -> Json:
    name = check.address.rpartition(":")[0].strip("[]") if not check.address.startswith("unix:") else "authorizer"
    kind = "IP_ADDRESS" if _is_ip(name) else "DNS"
    common: Json = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "validation_context": {
            "trusted_ca": {"filename": CA_FILE},
            "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": name}}],
        },
    }
    if check.client_certificate:
        files = {"certificate_chain": {"filename": CERTIFICATE_FILE}, "private_key": {"filename": KEY_FILE}}
        common["tls_certificates"] = [files]
    context = {"common_tls_context": common, **({} if kind == "IP_ADDRESS" else {"sni": name})}
    kind = "extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    return {"name": "tls", "typed_config": _any(kind, context)}


def _cluster(name: str, addresses: Iterable[str]) -> Json:
    addresses = tuple(addresses)
    endpoints = [{"endpoint": {"address": address_of(address)}} for address in addresses]
    return {
        "name": name,
        "type": "STATIC" if all(map(_is_fixed, addresses)) else "STRICT_DNS",
        "connect_timeout": "0.250s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    }


def address_of(address: str) -> Json:
    """Return ``HOST:PORT`` or ``unix:...`` as Envoy's ``config.core.v3.Address``."""
    if address.startswith("unix:"):
        return {"pipe": {"path": address.removeprefix("unix:")}}
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}


def _is_fixed(address: str) -> bool:
    return address.startswith("unix:") or _is_ip(address.rpartition(":")[0].strip("[]"))


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _any(kind: str, config: Mapping[str, Any]) -> Json:
    return {"@type": _TYPE + kind, **config}
