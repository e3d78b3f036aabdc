"""The gateways whose configuration can be read, and how."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from authorizer.discovery.admin import parse
from authorizer.discovery.proto_json import Json
from authorizer.errors import DiscoveryError, GatewayError, Problem
from authorizer.gateways import (
    blocks,
    check_caddy,
    check_caddy_json,
    check_envoy,
    check_envoy_gateway,
    check_istio,
    check_nginx,
    check_traefik,
    manifests,
)
from authorizer.gateways.findings import Expected

Sources = Sequence[tuple[str, str]]
"""Name and text of each file."""


def _envoy(sources: Sources, expected: Expected) -> list[Problem]:
    return [problem for name, text in sources for problem in check_envoy.check(_config(text, name), name, expected)]


def _config(text: str, name: str) -> Json:
    """Read a dump (JSON) or a bootstrap (YAML or JSON)."""
    if text.lstrip()[:1] == "{":
        try:
            return parse(text.encode())
        except DiscoveryError:
            pass  # YAML may begin like that too
    documents = manifests.read(text, name)
    if len(documents) != 1:
        raise GatewayError("AZ901", f"{name} is not one configuration of Envoy")
    return documents[0].value


def _caddy(text: str, name: str, expected: Expected) -> list[Problem]:
    """Read JSON or a Caddyfile, which may begin with a brace too: of its global options."""
    try:
        config = parse(text.encode("utf-8", "surrogateescape"))
    except DiscoveryError:
        return check_caddy.check(blocks.read_caddy(text, name), expected)
    return check_caddy_json.check(config, name, expected)


def _documents(sources: Sources) -> list[manifests.Document]:
    return [document for name, text in sources for document in manifests.read(text, name)]


def _traefik(sources: Sources, expected: Expected) -> list[Problem]:
    return check_traefik.check(
        [
            document
            for name, text in sources
            for document in (manifests.read_toml if name.endswith(".toml") else manifests.read)(text, name)
        ],
        expected,
    )


CHECKS: Final[Mapping[str, Callable[[Sources, Expected], list[Problem]]]] = {
    "envoy": _envoy,
    "istio": lambda sources, expected: check_istio.check(_documents(sources), expected),
    "envoy-gateway": lambda sources, expected: check_envoy_gateway.check(_documents(sources), expected),
    "nginx": lambda sources, expected: [
        problem for name, text in sources for problem in check_nginx.check(blocks.read_nginx(text, name), expected)
    ],
    "caddy": lambda sources, expected: [problem for name, text in sources for problem in _caddy(text, name, expected)],
    "traefik": _traefik,
}
"""Kind -> what is unsafe in these files. Each raises GatewayError AZ901, or DiscoveryError, for what it cannot read."""
