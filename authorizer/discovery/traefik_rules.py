"""Rules of Traefik's routers: alternatives of matchers that hold together, and the ways into an API that they are.

Source: traefik/traefik ``pkg/muxer/http``. What a matcher says beyond host, path and method is flagged.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from authorizer.errors import DiscoveryError
from authorizer.model import ApiRoute, PathKind

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
_MAX_DEPTH = 16

Matcher = tuple[str, tuple[str, ...]]
"""Name and arguments; the name of one that must not hold begins with ``!``."""


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
    if depth > _MAX_DEPTH:
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


def ways(matchers: Sequence[Matcher], cluster: str, flags: set[str]) -> Iterator[tuple[tuple[str, ...], ApiRoute]]:
    """Yield hosts (``*`` for all) and route of one alternative, as what requests go to and flags say."""
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
