"""What is unsafe in an Envoy: read from ``/config_dump`` of a running one, or from its bootstrap file."""

import re
from collections.abc import Iterator, Mapping

from authorizer.discovery import envoy
from authorizer.discovery.envoy_filters import HCM
from authorizer.discovery.flags import MEANING
from authorizer.discovery.proto_json import Json, field, flag, message, messages, text, typed
from authorizer.errors import Place, Problem
from authorizer.gateways.findings import Expected, finding
from authorizer.gateways.site import is_local

_CODES: Mapping[str, str] = {
    "ext_authz_absent": "AZ910",
    "failure_mode_allow": "AZ911",
    "no_timeout": "AZ912",
    "timeout_long": "AZ912",
    "ext_authz_disabled": "AZ913",
    "ext_authz_conditional": "AZ914",
    "ext_authz_shadow": "AZ915",
    "normalisation_off": "AZ916",
    "merge_slashes_off": "AZ916",
    "escaped_slashes_kept": "AZ916",
    "underscores_kept": "AZ917",
    "remote_address_unset": "AZ918",
    "raw_headers_off": "AZ925",
    "mutations_unvalidated": "AZ926",
    "rewrite": "AZ930",
    "ext_authz_unread": "AZ932",
    "routes_missing": "AZ932",
    "virtual_hosts_on_demand": "AZ932",
}
"""What discovery says of an API or a route -> what it means here."""

_BELIEVED = frozenset({"FORWARD_ONLY", "APPEND_FORWARD", "ALWAYS_FORWARD_ONLY"})
_EXT_AUTHZ = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
_PER_ROUTE = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"
_PROBES = ("authorization", "cookie", "host", ":path", "x-forwarded-for")
"""Headers that nobody means when patterns name headers of the authorizer."""

_MAX_REGEX = 200


def check(config: Json, file: str, expected: Expected) -> list[Problem]:
    """Return what is unsafe. ``config`` is a dump or a bootstrap. Raises DiscoveryError AZ602 or AZ603."""
    dump = config if field(config, "configs") is not None else _as_dump(config)
    found: dict[Problem, None] = {}
    place = Place(file)
    for api in envoy.read(dump):
        for name in api.flags:
            if name in _CODES:
                found[finding(_CODES[name], f"{api.sources[0]}: {MEANING[name]}", place)] = None
        for route in api.routes:
            for name in route.flags:
                if name in _CODES:
                    where = f"{', '.join(api.hosts) or '-'} {route.path or route.kind}"
                    found[finding(_CODES[name], f"{api.sources[0]}, {where}: {MEANING[name]}", place)] = None
    clusters = {text(cluster, "name"): cluster for cluster in _clusters(dump)}
    parts = list(_typed_parts(dump))
    for kind, part in parts:
        if kind == HCM:
            told = _manager(part)
        elif kind == _EXT_AUTHZ:
            told = _filter(part, clusters, expected)
        elif kind == _PER_ROUTE:
            told = _per_route(part, expected, sends=any(message(each, "with_request_body") for _, each in parts))
        else:
            continue
        found.update({finding(code, said, place): None for code, said in told})
    found.update({finding(code, said, place): None for code, said in _admin(dump)})
    return list(found)


def _as_dump(bootstrap: Json) -> Json:
    static = message(bootstrap, "static_resources")
    listeners = [{"listener": each} for each in messages(static, "listeners")]
    clusters = [{"cluster": each} for each in messages(static, "clusters")]
    return {
        "configs": [{"bootstrap": bootstrap}, {"static_listeners": listeners}, {"static_clusters": clusters}],
    }


def _clusters(dump: Json) -> Iterator[Json]:
    for part in messages(dump, "configs"):
        for group in ("static_clusters", "dynamic_active_clusters"):
            for entry in messages(part, group):
                yield typed(message(entry, "cluster"))[1]


def _typed_parts(dump: Json) -> Iterator[tuple[str, Json]]:
    """Yield each typed configuration, however deep it lies, of what is active."""
    pending = [part for part in messages(dump, "configs") if "bootstrap" not in part]
    seen: set[int] = set()  # aliases of YAML may show one part in many places, or inside of itself
    while pending:
        part = pending.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if "@type" in part:
            yield typed(part)
        for key, value in part.items():
            if key in {"warming_state", "draining_state", "error_state"}:
                continue
            inside = value if isinstance(value, list) else [value]
            pending += [each for each in inside if isinstance(each, dict)]


def _admin(dump: Json) -> Iterator[tuple[str, str]]:
    for part in messages(dump, "configs"):
        address = message(message(message(message(part, "bootstrap"), "admin"), "address"), "socket_address")
        host = text(address, "address")
        if host and not is_local(f"{host}:0"):
            yield "AZ931", f"the admin interface is open on {host}; it has no login and can stop the gateway"


def _manager(manager: Json) -> Iterator[tuple[str, str]]:
    where = f"connection manager {text(manager, 'stat_prefix') or '-'}"
    mode = text(manager, "forward_client_cert_details")
    if mode in _BELIEVED:
        yield "AZ920", f"{where}: a client's own x-forwarded-client-cert reaches the authorizer and the API ({mode})"
    hops = field(manager, "xff_num_trusted_hops")
    if isinstance(hops, int) and hops > 0:
        yield "AZ919", f"{where}: the client's address is {hops} from the right of x-forwarded-for"


def _filter(config: Json, clusters: Mapping[str, Json], expected: Expected) -> Iterator[tuple[str, str]]:
    grpc, http = message(config, "grpc_service"), message(config, "http_service")
    body = message(config, "with_request_body")
    if expected.bodies and not body:
        yield "AZ927", "ext_authz: policies read bodies, and none is sent (with_request_body)"
    size = field(body, "max_request_bytes")
    if isinstance(size, int) and not expected.fits(size):
        yield "AZ928", f"ext_authz: a check with {size} bytes of a body is larger than {expected.message_bytes}"
    if body and grpc and not flag(body, "pack_as_bytes"):
        yield "AZ925", "ext_authz: bytes of a body that are not UTF-8 are replaced (pack_as_bytes)"
    if http:
        yield from _http_service(config, http, expected)
    name = text(message(grpc, "envoy_grpc"), "cluster_name") or text(message(http, "server_uri"), "cluster")
    if name in clusters:
        yield from _cluster(clusters[name])
    elif name:
        yield "AZ932", f"ext_authz: the cluster {name} is not in the configuration"


def _http_service(config: Json, http: Json, expected: Expected) -> Iterator[tuple[str, str]]:
    if not text(http, "path_prefix").rstrip("/").endswith("/authz/envoy") or text(http, "path_override"):
        yield "AZ929", "ext_authz over HTTP: the original path has to follow path_prefix /authz/envoy"
    if not message(config, "allowed_headers"):
        yield "AZ933", "ext_authz over HTTP: no header but Authorization is sent (allowed_headers)"
    response = message(http, "authorization_response")
    upstream = message(response, "allowed_upstream_headers")
    lacking = [name for name in expected.identity if not _matches(upstream, name)]
    if lacking:
        yield "AZ921", f"ext_authz over HTTP: allowed_upstream_headers lacks {', '.join(lacking)}"
    if wide := [name for name in _PROBES if name not in expected.identity and _matches(upstream, name)]:
        yield "AZ922", f"ext_authz over HTTP: allowed_upstream_headers takes {', '.join(wide)} too"
    shown = message(response, "allowed_client_headers_on_success")
    if leaked := [name for name in expected.identity if _matches(shown, name)]:
        yield "AZ922", f"ext_authz over HTTP: allowed_client_headers_on_success shows clients {', '.join(leaked)}"


def _matches(patterns: Json, name: str) -> bool:
    return any(_matches_one(pattern, name) for pattern in messages(patterns, "patterns"))


def _matches_one(pattern: Json, name: str) -> bool:
    if field(pattern, "exact") is not None:
        return text(pattern, "exact").lower() == name
    for kind, test in (("prefix", str.startswith), ("suffix", str.endswith), ("contains", str.__contains__)):
        if field(pattern, kind) is not None:
            return bool(test(name, text(pattern, kind).lower()))
    regex = text(message(pattern, "safe_regex"), "regex")
    try:
        return len(regex) > _MAX_REGEX or re.fullmatch(regex, name) is not None
    except re.error:
        return True  # one that cannot be read may be any


def _per_route(config: Json, expected: Expected, *, sends: bool) -> Iterator[tuple[str, str]]:
    settings = message(config, "check_settings")
    unbuffered = bool(flag(settings, "disable_request_body_buffering"))
    vouched = message(settings, "context_extensions").get("body") == "buffered"
    if vouched and (unbuffered or not sends):
        yield "AZ927", "a route vouches that bodies are held back for the check (body: buffered), and they are not"
    if expected.bodies and unbuffered:
        yield "AZ927", "a route sends no body to the check (disable_request_body_buffering), and policies read bodies"


def _cluster(cluster: Json) -> Iterator[tuple[str, str]]:
    name = text(cluster, "name")
    socket = message(cluster, "transport_socket")
    if socket:
        common = message(message(socket, "typed_config"), "common_tls_context")
        yield from _validation(name, common) if common else ()
        return
    if messages(cluster, "transport_socket_matches"):
        return
    hosts = list(_hosts(cluster))
    remote = [host for host in hosts if not is_local(f"{host}:0")]
    if remote:
        yield "AZ923", f"cluster {name}: plain text to {', '.join(remote)}"
    elif not hosts and text(cluster, "type") == "EDS":
        yield "AZ932", f"cluster {name}: plain text, and its endpoints are not in the configuration"


def _validation(name: str, common: Json) -> Iterator[tuple[str, str]]:
    combined = message(common, "combined_validation_context")
    if message(common, "validation_context_sds_secret_config"):
        return
    known = message(common, "validation_context") or message(combined, "default_validation_context")
    if not message(known, "trusted_ca") and not message(combined, "validation_context_sds_secret_config"):
        yield "AZ924", f"cluster {name}: any certificate is taken for the authorizer's (trusted_ca)"
    elif not any(field(known, each) for each in ("match_typed_subject_alt_names", "match_subject_alt_names")):
        yield "AZ924", f"cluster {name}: every certificate of the authority will do (match_typed_subject_alt_names)"


def _hosts(cluster: Json) -> Iterator[str]:
    for group in messages(message(cluster, "load_assignment"), "endpoints"):
        for entry in messages(group, "lb_endpoints"):
            address = message(message(message(entry, "endpoint"), "address"), "socket_address")
            if host := text(address, "address"):
                yield host
