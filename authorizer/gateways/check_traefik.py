"""What is unsafe in a Traefik that asks by ForwardAuth: its dynamic and static configuration as files."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from authorizer.errors import Place, Problem
from authorizer.gateways.findings import Expected, finding
from authorizer.gateways.manifests import Document, flag, item, text
from authorizer.gateways.site import is_local

_MAX_CHAIN = 10
_MAX_MIDDLEWARES = 1000
_MOVES = ("stripPrefix", "stripPrefixRegex", "replacePath", "replacePathRegex", "addPrefix")
_ANYBODY = frozenset({"0.0.0.0/0", "::/0"})
_WIDE = frozenset({"", ".*", ".+", "^.*$", "^.+$", "^.*", ".*$"})

Told = Iterator[tuple[str, str]]


def check(documents: Sequence[Document], expected: Expected) -> list[Problem]:
    """Return what is unsafe; the files are read as one configuration."""
    routers: dict[str, tuple[Mapping[str, Any], Place]] = {}
    middlewares: dict[str, Mapping[str, Any]] = {}
    found: list[Problem] = []
    for document in documents:
        http = item(document.value, "http")
        routers |= {name: (item(item(http, "routers"), name), document.place) for name in item(http, "routers")}
        middlewares |= {name: item(item(http, "middlewares"), name) for name in item(http, "middlewares")}
        for name in item(http, "middlewares"):
            asked = item(item(item(http, "middlewares"), name), "forwardAuth")
            if asked:
                found += [finding(code, said, document.place) for code, said in _asked(name, asked, expected)]
        found += [finding(code, said, document.place) for code, said in _static(document.value, expected)]
    guards = {name for name, each in middlewares.items() if item(each, "forwardAuth")}
    where = documents[0].place if documents else Place("-")
    if not guards:
        found.append(finding("AZ910", "no middleware has forwardAuth", where))
        return found
    for name, (router, place) in routers.items():
        chain = list(itertools.islice(_chain(router.get("middlewares"), middlewares), _MAX_MIDDLEWARES))
        found += [finding(code, said, place) for code, said in _router(name, chain, guards, middlewares, expected)]
    if not routers:
        found.append(finding("AZ932", "no router is among the files: which routes ask cannot be told", where))
    return found


def _chain(names: Any, middlewares: Mapping[str, Mapping[str, Any]], depth: int = 0) -> Iterator[str]:
    """Yield the names of middlewares in their order; those of a ``chain`` in its place."""
    for name in names if isinstance(names, list) and depth < _MAX_CHAIN else ():
        plain = str(name).removesuffix("@file")
        inner = item(middlewares.get(plain, {}), "chain").get("middlewares")
        if inner is None:
            yield plain
        else:
            yield from _chain(inner, middlewares, depth + 1)


def _router(
    name: str,
    chain: Sequence[str],
    guards: set[str],
    middlewares: Mapping[str, Mapping[str, Any]],
    expected: Expected,
) -> Told:
    at = next((number for number, each in enumerate(chain) if each in guards), None)
    if at is None:
        yield "AZ913", f"router {name}: requests pass unasked"
        return
    for each in chain[at + 1 :]:
        if any(item(middlewares.get(each, {}), kind) for kind in _MOVES):
            yield "AZ930", f"router {name}: the API sees another path than the one that is decided ({each})"
    before = (item(item(middlewares.get(each, {}), "headers"), "customRequestHeaders") for each in chain[:at])
    cleaned = {key.lower() for each in before for key in each}
    for header in expected.certificates:
        if header not in cleaned:
            yield "AZ920", f"router {name}: a client's own {header} reaches the authorizer and the API"


def _asked(name: str, asked: Mapping[str, Any], expected: Expected) -> Told:
    where = f"middleware {name}"
    try:
        address = urlsplit(text(asked, "address"))
    except ValueError:  # brackets that hold no address
        address = urlsplit("")
    if address.path.rstrip("/") != "/authz/traefik":
        yield "AZ929", f"{where}: it does not ask /authz/traefik"
    if address.scheme != "https" and not is_local(f"{address.hostname or ''}:0"):
        yield "AZ923", f"{where}: plain text to {address.hostname or '-'}"
    if flag(item(asked, "tls"), "insecureSkipVerify"):
        yield "AZ924", f"{where}: any certificate is taken for the authorizer's (insecureSkipVerify)"
    if flag(asked, "trustForwardHeader"):
        yield "AZ918", f"{where}: a client's own X-Forwarded-* are what is decided (trustForwardHeader)"
    listed = {str(each).lower() for each in asked.get("authResponseHeaders") or []}
    if lacking := [each for each in expected.identity if each not in listed]:
        yield "AZ921", f"{where}: authResponseHeaders lacks {', '.join(lacking)}"
    if "authResponseHeadersRegex" in asked and str(asked["authResponseHeadersRegex"]) in _WIDE:
        yield "AZ922", f"{where}: authResponseHeadersRegex takes every header"
    sent = [str(each).lower() for each in asked.get("authRequestHeaders") or []]
    if sent and "authorization" not in sent:
        yield "AZ933", f"{where}: authRequestHeaders lacks Authorization"
    if expected.bodies and not flag(asked, "forwardBody"):
        yield "AZ927", f"{where}: policies read bodies, and none is sent (forwardBody)"
    size = asked.get("maxBodySize")
    if flag(asked, "forwardBody") and (not isinstance(size, int) or size < 0 or not expected.fits(size)):
        yield (
            "AZ928",
            f"{where}: bodies of any size are sent (maxBodySize)"
            if size in (None, -1)
            else (f"{where}: a check with {size} bytes of a body is larger than {expected.message_bytes}"),
        )


def _static(value: Mapping[str, Any], expected: Expected) -> Told:
    for name in item(value, "entryPoints"):
        point = item(item(value, "entryPoints"), name)
        forwarded = item(point, "forwardedHeaders")
        trusted = {str(each) for each in forwarded.get("trustedIPs") or []}
        if flag(forwarded, "insecure") or trusted & _ANYBODY:
            yield "AZ918", f"entry point {name}: every client's X-Forwarded-* are believed"
        kept = {str(each).lower() for each in forwarded.get("connection") or []}
        if named := [each for each in (*expected.identity, "authorization") if each in kept]:
            yield "AZ934", f"entry point {name}: Connection takes {', '.join(named)} away after the check"
        if item(point, "http").get("sanitizePath") is False:
            yield "AZ916", f"entry point {name}: dot segments and empty ones reach the API (sanitizePath)"
    if flag(item(value, "api"), "insecure"):
        yield "AZ931", "api.insecure: the dashboard and all of the configuration are open to whoever reaches the port"
