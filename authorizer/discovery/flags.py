"""What discovery says of a gateway, one stable word each. A word is never renamed: dashboards and alerts name it."""

from collections.abc import Mapping

ON_APIS: Mapping[str, str] = {
    "ext_authz_absent": "the gateway asks nobody: every request passes",
    "ext_authz_conditional": "the gateway asks about some requests only; the others pass",
    "ext_authz_http": "the gateway asks over HTTP: no context of the route, no raw headers",
    "ext_authz_shadow": "denials are recorded and not obeyed",
    "ext_authz_unread": "the gateway asks, but how is not in its configuration dump",
    "failure_mode_allow": "requests pass when no answer comes",
    "no_timeout": "the gateway waits for an answer without limit",
    "timeout_long": "the gateway waits more than 5 seconds for an answer",
    "raw_headers_off": "headers arrive joined and altered, not as they were sent (encode_raw_headers)",
    "mutations_unvalidated": "the gateway does not check the headers of an answer (validate_mutations)",
    "normalisation_off": "dot segments reach the API (normalize_path)",
    "merge_slashes_off": "empty path segments reach the API (merge_slashes)",
    "escaped_slashes_kept": "encoded slashes reach the API (path_with_escaped_slashes_action)",
    "underscores_kept": "header names with underscores reach the API (headers_with_underscores_action)",
    "remote_address_unset": "a client may claim another address (use_remote_address)",
    "listener_unknown": "no listener is known to use these routes, so not what guards them either",
    "routes_missing": "the listener's routes are not in the configuration dump",
    "virtual_hosts_on_demand": "further virtual hosts are fetched when they are asked for (vhds)",
    "not_http": "the listener is not HTTP: nothing of it can be decided by request",
}

ON_ROUTES: Mapping[str, str] = {
    "ext_authz_disabled": "the gateway does not ask here: every request passes",
    "direct_response": "the gateway answers by itself",
    "redirect": "the gateway redirects",
    "non_forwarding": "the route is for a gateway that is no proxy",
    "action_unread": "what the gateway does is of an unknown kind",
    "weighted": "requests are split among several clusters",
    "cluster_chosen_at_runtime": "a header or a plugin names the cluster",
    "rewrite": "the API sees another path than the one that is decided",
    "case_insensitive": "the path matches in any case; policies match exactly",
    "connect": "the route takes CONNECT, which has no path",
    "grpc_only": "the route takes gRPC calls only",
    "header_match": "headers decide too whether the route is taken",
    "query_match": "the query decides too whether the route is taken",
    "runtime_fraction": "the route takes only a part of the requests",
    "method_unread": "a condition on the method could not be read: every method counts",
    "match_unread": "a condition on the path could not be read: every path counts",
    "matcher_unread": "a matcher tree routes further requests: every path counts",
}

MEANING: Mapping[str, str] = {**ON_APIS, **ON_ROUTES}
