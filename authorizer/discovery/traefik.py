"""Traefik's routers as APIs, from a dynamic configuration file or the answer of ``/api/http/routers`` put in its place.

Source: traefik/traefik ``pkg/muxer/http`` (matchers of rules), ``pkg/config/dynamic``. A rule becomes alternatives of
matchers that hold together; what a matcher says beyond host, path and method is flagged.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from msgspec.structs import replace

from authorizer.discovery.kubernetes.reading import Reading
from authorizer.discovery.proto_json import Json, message, text, texts
from authorizer.errors import DiscoveryError
from authorizer.model import Api, ApiRoute, PathKind

MAX_ALTERNATIVES = 256
MAX_RULE = 16_384

_TOKEN = re.compile(r"""\s*(?:(&&|\|\||[!(),])|([A-Za-z]{1,40})|`([^`]*)`|"((?:[^"\\]|\\.)*)")""", re.ASCII)
_PATHS: Mapping[str, PathKind] = {"Path": "exact", "PathPrefix": "prefix", "PathRegexp": "regex"}
_FLAGS = {
    "Header": "header_match",
    "HeaderRegexp": "header_match",
    "Headers": "header_match",
    "HeadersRegexp": "header_match",
    "Query": "query_match",
    "QueryRegexp": "query_match",
    "ClientIP": "client_match",
    "HostRegexp": "host_match",
}
_CHANGES = {
    "stripPrefix": "rewrite",
    "stripPrefixRegex": "rewrite",
    "addPrefix": "rewrite",
    "replacePath": "rewrite",
    "replacePathRegex": "rewrite",
    "redirectScheme": "redirect",
    "redirectRegex": "redirect",
}
_MAX_CHAIN = 16

Matcher = tuple[str, tuple[str, ...]]
"""Name and arguments; the name of one that must not hold begins with ``!``."""


def read(config: Json, providers: Sequence[str]) -> Reading:
    """Return the APIs of a configuration: one for each router. Raises DiscoveryError AZ602."""
    notes: dict[str, None] = {}
    http = message(config, "http")
    middlewares = message(http, "middlewares")
    apis: list[Api] = []
    for name in sorted(message(http, "routers")):
        router = message(message(http, "routers"), name)
        place = f"router {name}"
        flags = _middlewares(middlewares, texts(router, "middlewares"), frozenset(providers))
        try:
            found = alternatives(text(router, "rule"))
        except DiscoveryError as error:
            notes[f"traefik {place}: {error.message}"] = None
            found = [(("?", ()),)]
        by_hosts: dict[tuple[str, ...], list[ApiRoute]] = {}
        for matchers in found:
            for hosts, route in _ways(matchers, text(router, "service"), flags):
                seen = _seen(middlewares, texts(router, "middlewares"), route)
                by_hosts.setdefault(hosts, []).append(replace(route, seen=seen))
        for hosts, routes in by_hosts.items():
            apis.append(
                Api(
                    id="/".join(("traefik", name, ",".join(hosts))),
                    name=text(router, "service") or name,
                    hosts=hosts,
                    routes=tuple(dict.fromkeys(routes)),
                    sources=(f"traefik {place}",),
                )
            )
    for other in ("tcp", "udp"):
        for name in sorted(message(message(config, other), "routers")):
            notes[f"traefik {other} router {name}: connections are routed, nothing can be decided by request"] = None
    return Reading(tuple(sorted(apis, key=lambda api: api.id)), tuple(notes))


def alternatives(rule: str) -> list[tuple[Matcher, ...]]:
    """Return the alternatives of a rule. Raises DiscoveryError AZ602 for one that cannot be read or has too many."""
    if len(rule) > MAX_RULE:
        raise DiscoveryError("AZ602", f"the rule is longer than {MAX_RULE} characters")
    tokens: list[tuple[str, str]] = []
    at = 0
    while rule[at:].strip():
        token = _TOKEN.match(rule, at)
        if token is None:
            raise DiscoveryError("AZ602", f"the rule cannot be read from character {at + 1}")
        sign, word, plain, quoted = token.groups()
        tokens.append(("sign", sign) if sign else ("word", word) if word else ("text", plain or quoted or ""))
        at = token.end()
    try:
        found, rest = _either(tokens, 0, 0)
    except (IndexError, RecursionError):
        raise DiscoveryError("AZ602", "the rule ends too early or is too deep") from None
    if rest != len(tokens):
        raise DiscoveryError("AZ602", "the rule goes on after its end")
    return found


_Tokens = Sequence[tuple[str, str]]
_Alternatives = list[tuple[Matcher, ...]]
_OR, _AND, _NOT, _OPEN, _CLOSE, _COMMA = (("sign", sign) for sign in ("||", "&&", "!", "(", ")", ","))


def _either(tokens: _Tokens, at: int, depth: int) -> tuple[_Alternatives, int]:
    found, at = _both(tokens, at, depth)
    while at < len(tokens) and tokens[at] == _OR:
        more, at = _both(tokens, at + 1, depth)
        found = _bounded([*found, *more])
    return found, at


def _both(tokens: _Tokens, at: int, depth: int) -> tuple[_Alternatives, int]:
    found, at = _one(tokens, at, depth)
    while at < len(tokens) and tokens[at] == _AND:
        more, at = _one(tokens, at + 1, depth)
        if len(found) * len(more) > MAX_ALTERNATIVES:
            raise DiscoveryError("AZ602", f"the rule has more than {MAX_ALTERNATIVES} alternatives")
        found = [first + second for first in found for second in more]
    return found, at


def _one(tokens: _Tokens, at: int, depth: int) -> tuple[_Alternatives, int]:
    if depth > _MAX_CHAIN:
        raise RecursionError
    if tokens[at] == _NOT:
        inner, at = _one(tokens, at + 1, depth + 1)
        return [tuple((f"!{name}", said) for matchers in inner for name, said in matchers)], at
    if tokens[at] == _OPEN:
        found, at = _either(tokens, at + 1, depth + 1)
        if tokens[at] != _CLOSE:
            raise DiscoveryError("AZ602", "the rule has an unexpected word")
        return found, at + 1
    kind, name = tokens[at]
    if kind != "word" or tokens[at + 1] != _OPEN:
        raise DiscoveryError("AZ602", "the rule has an unexpected word")
    said, at = [], at + 2
    while tokens[at] != _CLOSE:
        kind, value = tokens[at]
        if kind == "text":
            said.append(value)
        elif tokens[at] != _COMMA:
            raise DiscoveryError("AZ602", "the rule has an unexpected word")
        at += 1
    return [((name, tuple(said)),)], at + 1


def _bounded(found: _Alternatives) -> _Alternatives:
    if len(found) > MAX_ALTERNATIVES:
        raise DiscoveryError("AZ602", f"the rule has more than {MAX_ALTERNATIVES} alternatives")
    return found


def _ways(matchers: Sequence[Matcher], cluster: str, flags: set[str]) -> Iterator[tuple[tuple[str, ...], ApiRoute]]:
    hosts: tuple[str, ...] = ()
    paths: list[tuple[str, PathKind]] = []
    methods: tuple[str, ...] = ()
    more = set(flags)
    for name, said in matchers:
        if name == "Host" and said and not hosts:
            hosts = tuple(sorted(host.lower() for host in said))
        elif name in _PATHS and not paths:
            paths = [(value, _PATHS[name]) for value in said]
        elif name == "Method" and not methods:
            methods = said
        else:
            # Twice the same, "not", or a matcher of another version: it may take less than it seems to.
            more.add(_FLAGS.get(name.removeprefix("!"), "match_unread"))
    for path, kind in paths or [("/", "prefix")]:
        if kind != "regex" and "{" in path:
            # Templates of version 2 hold expressions.
            yield (
                hosts or ("*",),
                ApiRoute(
                    path="", kind="any", methods=methods, cluster=cluster, flags=tuple(sorted({*more, "match_unread"}))
                ),
            )
        else:
            yield (
                hosts or ("*",),
                ApiRoute(path=path, kind=kind, methods=methods, cluster=cluster, flags=tuple(sorted(more))),
            )


def _middlewares(known: Json, names: Sequence[str], providers: frozenset[str], depth: int = 0) -> set[str]:
    flags: set[str] = set()
    asking: set[str] = set()
    for name in names:
        held = _known(known, name)
        if not held or depth > _MAX_CHAIN:
            asking.add("ask_unknown")
            continue
        flags |= {_CHANGES[kind] for kind in held if kind in _CHANGES}
        if "plugin" in held:
            asking.add("ask_unknown")
        if forward := message(held, "forwardAuth"):
            asking.add("ext_authz_http" if _host(text(forward, "address")) & providers else "asks_another")
        if chained := texts(message(held, "chain"), "middlewares"):
            inner = _middlewares(known, chained, providers, depth + 1)
            asking |= inner & {"ask_unknown", "ext_authz_http", "asks_another"}
            flags |= inner & set(_CHANGES.values())
    if "ext_authz_http" in asking:
        return flags | {"ext_authz_http"}
    return flags | (asking or {"ext_authz_absent"})


def _known(middlewares: Json, name: str) -> Json:
    """Return a middleware by its full name, or by its bare one in a file; an empty one where it is elsewhere."""
    bare, _, provider = name.partition("@")
    return message(middlewares, name) or (message(middlewares, bare) if provider in {"", "file"} else {})


def _seen(known: Json, names: Sequence[str], route: ApiRoute) -> str | None:
    """Return what the API sees in the place of a plain path, if one middleware of the router's own changes it."""
    held = [_known(known, name) for name in names]
    changing = [each for each in held if _CHANGES.keys() & each.keys() or "chain" in each or not each]
    if len(changing) != 1 or route.kind not in {"exact", "prefix"}:
        return None
    if added := text(message(changing[0], "addPrefix"), "prefix"):
        return f"/{added.strip('/')}{route.path}"
    for prefix in texts(message(changing[0], "stripPrefix"), "prefixes"):
        bare = prefix.rstrip("/")
        if route.path.rstrip("/") == bare:
            return "/"
        if route.path.startswith(f"{bare}/"):
            return route.path.removeprefix(bare)
    return None


def _host(address: str) -> set[str]:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        host = ""
    return {host, host.partition(".")[0]}
