"""What is unsafe in a Caddy, read from its JSON: that of ``GET /config/``, of ``caddy adapt``, or a file.

Handlers run in the order of the routes. A route that matches some requests only says nothing about those after it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from authorizer.errors import Place, Problem
from authorizer.gateways.check_manifests import seconds
from authorizer.gateways.findings import LONG_TIMEOUT, Expected, finding
from authorizer.gateways.manifests import item, items, text
from authorizer.gateways.site import is_local

_TOLD = {"x-forwarded-method": "{http.request.method}", "x-forwarded-uri": "{http.request.uri}"}
_SERVES = frozenset({"reverse_proxy", "file_server"})
_MAX_DEPTH = 50

Json = Mapping[str, Any]
Told = Iterator[tuple[str, str]]


def check(config: Json, file: str, expected: Expected) -> list[Problem]:
    """Return what is unsafe."""
    found: dict[tuple[str, str], None] = {}
    listen = text(item(config, "admin"), "listen")
    if listen and not listen.startswith("unix/") and not is_local(listen.removeprefix("tcp/")):
        found["AZ931", f"admin {listen}: whoever reaches it can change everything"] = None
    servers = item(item(item(config, "apps"), "http"), "servers")
    for name in servers:
        found |= dict.fromkeys(_Server(name, item(servers, name), expected).told())
    return [finding(code, said, Place(file)) for code, said in found]


class _Server:
    """One server, walked in the order in which its handlers run."""

    def __init__(self, name: str, server: Json, expected: Expected) -> None:
        self._where = f"server {name}"
        self._server = server
        self._expected = expected
        self._guards = 0
        self._serving = False
        self._removed: set[str] = set()

    def told(self) -> Told:
        walked = list(self._routes(items(self._server, "routes"), asked=False, depth=0))
        if not self._guards:
            if self._serving:
                yield "AZ910", f"{self._where}: it asks nobody (forward_auth)"
            return
        yield from walked
        ranges = item(self._server, "trusted_proxies").get("ranges")
        if isinstance(ranges, list) and {"0.0.0.0/0", "::/0"}.intersection(map(str, ranges)):
            yield "AZ918", f"{self._where}: every client's X-Forwarded-* are believed (trusted_proxies)"
        for route in _handlers(items(item(self._server, "errors"), "routes")):
            if text(route, "handler") == "reverse_proxy":
                yield "AZ911", f"{self._where}: requests pass when no answer comes (reverse_proxy in errors)"

    def _routes(self, routes: Sequence[Json], *, asked: bool, depth: int) -> Told:
        """Go through routes; what one of them without a condition has asked holds for those after it."""
        for route in routes if depth < _MAX_DEPTH else ():
            here = asked
            for handler in items(route, "handle"):
                kind = text(handler, "handler")
                if kind == "subroute":
                    before = self._guards
                    yield from self._routes(items(handler, "routes"), asked=here, depth=depth + 1)
                    here = here or (self._guards > before and _unconditional(handler))
                elif _is_guard(handler):
                    self._guards += 1
                    yield from self._guard(handler)
                    here = True
                elif kind == "headers" and not self._guards:
                    deleted = item(handler, "request").get("delete")
                    self._removed |= {str(name).lower() for name in (deleted if isinstance(deleted, list) else ())}
                elif kind in _SERVES:
                    self._serving = True
                    if not here:
                        yield "AZ913", f"{self._where}: {kind} serves requests unasked"
                    elif handler.get("rewrite"):
                        yield "AZ930", f"{self._where}: the API sees another path than the one that is decided"
                elif kind == "rewrite" and here:
                    yield "AZ930", f"{self._where}: the API sees another path than the one that is decided"
            if not route.get("match"):
                asked = here

    def _guard(self, guard: Json) -> Told:
        where = f"{self._where}, forward_auth"
        if text(item(guard, "rewrite"), "uri") != "/authz/caddy":
            yield "AZ929", f"{where}: it does not ask /authz/caddy"
        sent = {name.lower(): value for name, value in item(item(item(guard, "headers"), "request"), "set").items()}
        for name, value in _TOLD.items():
            if sent.get(name) != [value]:
                yield "AZ929", f"{where}: {name} is not {value}"
        copied: set[str] = set()
        for answer in items(guard, "handle_response"):
            if item(answer, "match").get("status_code") != [2]:
                yield "AZ915", f"{where}: a denial gets another answer (handle_response)"
                continue
            for handler in _handlers(items(answer, "routes")):
                copied |= {name.lower() for name in item(item(handler, "request"), "set")}
        if lacking := [name for name in self._expected.identity if name not in copied]:
            yield "AZ921", f"{where}: copy_headers lacks {', '.join(lacking)}"
        transport = item(guard, "transport")
        waited = transport.get("response_header_timeout")
        limit = waited / 1e9 if isinstance(waited, int) else seconds(waited)
        if limit is None or not 0 < limit <= LONG_TIMEOUT:
            yield "AZ912", f"{where}: waits {'without limit' if limit is None else f'{limit:g} s'}"
        if item(transport, "tls").get("insecure_skip_verify") is True:
            yield "AZ924", f"{where}: any certificate is taken for the authorizer's"
        dialled = [text(each, "dial") for each in items(guard, "upstreams")]
        remote = [each for each in dialled if not each.startswith("unix/") and not is_local(each)]
        if remote and "tls" not in transport:
            yield "AZ923", f"{where}: plain text to {', '.join(remote)}"
        if "connection" not in self._removed:
            yield "AZ934", f"{self._where}: a client takes headers away by naming them in Connection, who it is too"
        for name in self._expected.certificates:
            if name not in self._removed:
                yield "AZ920", f"{self._where}: a client's own {name} reaches the authorizer and the API"


def _is_guard(handler: Json) -> bool:
    """Tell whether a proxy asks: it goes on after a good answer instead of passing it on."""
    answers = items(handler, "handle_response")
    return text(handler, "handler") == "reverse_proxy" and bool(answers) and "rewrite" in handler


def _unconditional(handler: Json, depth: int = 0) -> bool:
    """Tell whether every request meets a guard in a subroute."""
    return depth < _MAX_DEPTH and any(
        not route.get("match")
        and any(_is_guard(each) or _unconditional(each, depth + 1) for each in items(route, "handle"))
        for route in items(handler, "routes")
    )


def _handlers(routes: Sequence[Json], depth: int = 0) -> Iterator[Json]:
    for route in routes if depth < _MAX_DEPTH else ():
        for handler in items(route, "handle"):
            yield handler
            yield from _handlers(items(handler, "routes"), depth + 1)
