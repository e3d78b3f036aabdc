"""The gateways that configuration can be made for."""

from collections.abc import Callable, Mapping
from typing import Final

from authorizer.gateways import apisix, caddy, envoy_text, haproxy, kong, mesh, nginx, traefik
from authorizer.gateways.site import Site

KINDS: Final[Mapping[str, Callable[[Site], Mapping[str, str]]]] = {
    "envoy": envoy_text.files,
    "istio": mesh.istio,
    "envoy-gateway": mesh.envoy_gateway,
    "nginx": nginx.files,
    "caddy": caddy.files,
    "haproxy": haproxy.files,
    "traefik": traefik.files,
    "kong": kong.files,
    "apisix": apisix.files,
}
"""Kind -> what makes its files: name -> text. Each raises GatewayError for a door that the gateway cannot use."""
