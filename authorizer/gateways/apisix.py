"""Apache APISIX with the plugin ``forward-auth``. Written after the plugin's source; no test runs APISIX."""

from collections.abc import Mapping
from typing import Any

from authorizer.errors import GatewayError
from authorizer.gateways import yaml_text
from authorizer.gateways.site import Site, doors, named


def files(site: Site) -> Mapping[str, str]:
    """Return a standalone configuration. Raises GatewayError."""
    address, *others = doors(site, "http", "APISIX", sockets=False)
    if others:
        raise GatewayError("AZ903", "APISIX asks one address only", hint="let forward_auth.listen be one port")
    asked: dict[str, Any] = {
        "uri": f"http://{address}/authz/apisix",
        "request_method": "POST" if site.body_bytes else "GET",
        "request_headers": [
            *("Authorization", "Cookie", "DPoP", "X-HTTP-Method-Override", "Content-Type"),
            *map(named, filter(None, (site.api_key,))),
        ],
        "upstream_headers": [named(name) for name in (*site.identity, *site.shown)],
        "client_headers": ["Content-Type", "WWW-Authenticate", "DPoP-Nonce"],
        "timeout": round(site.timeout * 1000),
        "keepalive": True,
        "allow_degradation": False,
        "status_on_error": 503,
    }
    if site.secret:
        asked["extra_headers"] = {"X-Authorizer-Secret": "$env://AUTHORIZER_SECRET"}
    cleaned = {"headers": {"remove": [named(name) for name in site.certificates]}}
    api_host, _, api_port = site.api.rpartition(":")
    plugins = {
        "client-control": {"max_body_size": 1 << 20},
        "forward-auth": asked,
        "proxy-rewrite": cleaned,
    }
    upstream = {"type": "roundrobin", "nodes": [{"host": api_host, "port": int(api_port), "weight": 1}]}
    document = {"routes": [{"id": "api", "uri": "/*", "plugins": plugins, "upstream": upstream}]}
    return {"apisix.yaml": yaml_text.render(document, _COMMENTS, _HEAD) + "#END\n"}


_HEAD = (
    "APISIX asks the authorizer about each request (forward-auth). Made by `authorizer gateway apisix` for standalone",
    "mode. The plugin is on this route: a route without it asks nobody. No test of ours runs APISIX.",
    "APISIX cannot send all headers: a policy that reads another one finds it absent until it is listed.",
)
_COMMENTS = {
    "request_method": "GET sends no body: routes of policies that read one are then denied. POST sends the whole.",
    "request_headers": "Credentials, and every header that a policy reads.",
    "upstream_headers": "Who the caller is, as the authorizer found out; a client's own copies are removed.",
    "allow_degradation": "No answer means no.",
    "client-control": "The largest request body, in bytes.",
}
