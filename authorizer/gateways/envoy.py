"""The recommended way to ask the authorizer from Envoy, as a configuration that Envoy runs.

``deploy/envoy/envoy.yaml`` shows the same to people. The gateway and the authorizer must read the same request: so
Envoy normalises paths or refuses them, strips ports and trailing dots of hosts, and refuses header names with
underscores. The authorizer refuses on its own all the same.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct

Json = dict[str, Any]
_TYPE = "type.googleapis.com/envoy."
_HTTP = "extensions.filters.http"
_PROTOCOLS = "extensions.upstreams.http.v3.HttpProtocolOptions"


class Backend(Struct, frozen=True):
    """An API behind the gateway: requests whose path is ``prefix`` or below it go to ``address``."""

    name: str
    prefix: str
    address: str


class Check(Struct, frozen=True, kw_only=True):
    """How Envoy asks. ``address`` is the authorizer's door, ``HOST:PORT`` or ``unix:/PATH``; ``timeout`` is in seconds.

    ``fail_open`` lets requests pass when no answer comes: the authorizer answers every check it gets, so this is about
    a process that is gone, and it is off unless somebody decides otherwise. ``body_bytes`` is how much of a body goes
    along for policies that read one; a longer one is cut there and marked as a part. 0 sends none.
    """

    address: str
    protocol: Literal["grpc", "http"] = "grpc"
    timeout: float = 0.5
    fail_open: bool = False
    body_bytes: int = 0


def bootstrap(
    check: Check, backends: Iterable[Backend], *, listen: str = "127.0.0.1:0", admin: str = "127.0.0.1:0"
) -> Json:
    """Return Envoy's bootstrap: one plain HTTP listener that asks about each request and routes by path."""
    backends = list(backends)
    return {
        "admin": {"address": _address(admin)},
        "static_resources": {
            "listeners": [_listener(listen, _connection_manager(check, backends))],
            "clusters": [
                _cluster("authorizer", check.address, http2=check.protocol == "grpc"),
                *(_cluster(backend.name, backend.address) for backend in backends),
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
        config["grpc_service"] = {"envoy_grpc": {"cluster_name": "authorizer"}, "timeout": timeout}
    else:
        every_header = {"patterns": [{"safe_regex": {"regex": ".*"}}]}
        config["http_service"] = {
            "server_uri": {"uri": "http://authorizer", "cluster": "authorizer", "timeout": timeout},
            "path_prefix": "/authz/envoy",
            "authorization_response": {"allowed_upstream_headers": {"patterns": [{"prefix": "x-auth-"}]}},
        }
        config["allowed_headers"] = every_header
    return {"name": "authorizer", "typed_config": _any(f"{_HTTP}.ext_authz.v3.ExtAuthz", config)}


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


def _listener(listen: str, connection_manager: Json) -> Json:
    filters = [{"name": "http", "typed_config": connection_manager}]
    return {"name": "gateway", "address": _address(listen), "filter_chains": [{"filters": filters}]}


def _cluster(name: str, address: str, *, http2: bool = False) -> Json:
    endpoint = {"endpoint": {"address": _address(address)}}
    cluster: Json = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.250s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    if http2:
        protocol: Json = {"explicit_http_config": {"http2_protocol_options": {}}}
        cluster["typed_extension_protocol_options"] = {f"envoy.{_PROTOCOLS}": _any(_PROTOCOLS, protocol)}
    return cluster


def _address(address: str) -> Json:
    if address.startswith("unix:"):
        return {"pipe": {"path": address.removeprefix("unix:")}}
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}


def _any(kind: str, config: Mapping[str, Any]) -> Json:
    return {"@type": _TYPE + kind, **config}
