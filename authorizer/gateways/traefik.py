"""Traefik with ``ForwardAuth``."""

from collections.abc import Mapping
from typing import Any

from authorizer.errors import GatewayError
from authorizer.gateways import yaml_text
from authorizer.gateways.site import Site, doors, is_local, named

DYNAMIC_FILE = "/etc/traefik/authorizer.yaml"


def files(site: Site) -> Mapping[str, str]:
    """Return the dynamic and a static configuration. Raises GatewayError; AZ904 where a secret is wanted."""
    address, *others = doors(site, "http", "Traefik", sockets=False)
    if others:
        raise GatewayError("AZ903", "Traefik asks one address only", hint="let forward_auth.listen be one port")
    if site.secret and not is_local(address):
        raise GatewayError("AZ904", "Traefik cannot send a shared secret", hint="use forward_auth.trusted_peers")
    asked: dict[str, Any] = {
        "address": f"http://{address}/authz/traefik",
        "trustForwardHeader": False,
        "authResponseHeaders": [named(name) for name in (*site.identity, *site.shown)],
    }
    if site.body_bytes:
        asked |= {"forwardBody": True, "maxBodySize": site.body_bytes}
    dynamic = {
        "http": {
            "middlewares": {
                "authorizer": {"forwardAuth": asked},
                "clean": {"headers": {"customRequestHeaders": {named(name): "" for name in site.certificates}}},
            },
            "routers": {"api": {"rule": "PathPrefix(`/`)", "middlewares": ["clean", "authorizer"], "service": "api"}},
            "services": {"api": {"loadBalancer": {"servers": [{"url": f"http://{site.api}"}]}}},
        }
    }
    static = {
        "entryPoints": {"web": {"address": site.listen, "forwardedHeaders": {"insecure": False}}},
        "providers": {"file": {"filename": DYNAMIC_FILE}},
    }
    return {
        "authorizer.yaml": yaml_text.render(dynamic, _COMMENTS, _HEAD),
        "traefik.yaml": yaml_text.render(static, _STATIC_COMMENTS, _STATIC_HEAD),
    }


_HEAD = (
    "Traefik asks the authorizer about each request (ForwardAuth). Made by `authorizer gateway traefik`, for 3.3 and",
    "later. Put the middlewares in this order on every router: one without `authorizer` asks nobody. Traefik answers",
    "500 when the authorizer is gone. It cannot be told how long to wait: 30 s, and then it is a 500.",
)
_COMMENTS = {
    "trustForwardHeader": "With true a client's own X-Forwarded-* would be what is decided.",
    "authResponseHeaders": "Who the caller is, as the authorizer found out; Traefik takes a client's own copies away.",
    "forwardBody": "For policies that read bodies; a longer one is a 401. maxBodySize is unlimited if unset.",
    "clean": "A client's own certificate header never passes; passTLSClientCert has its place between these two.",
}
_STATIC_HEAD = (
    "A whole static configuration around authorizer.yaml, to try it.",
    "A header that `Connection` names is dropped before anything is asked (2.11.9, 3.1.3 and later).",
)
_STATIC_COMMENTS = {"forwardedHeaders": "A client's own X-Forwarded-* are replaced."}
