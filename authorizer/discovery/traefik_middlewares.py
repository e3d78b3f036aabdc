"""Traefik's middlewares: whether they ask the authorizer, and what they change of a request on the way.

Source: traefik/traefik ``pkg/config/dynamic`` (middlewares.go).
"""

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from authorizer.discovery.proto_json import Json, message, text, texts
from authorizer.model import ApiRoute

READ = frozenset({"forwardAuth", "chain", "addPrefix", "stripPrefix"})
"""The middlewares of which more is read than that they are there."""

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

Find = Callable[[str], Json]
"""Finds a middleware by the name under which routers use it; an empty one where it cannot be seen."""


def flags_of(find: Find, names: Sequence[str], providers: frozenset[str]) -> set[str]:
    """Return the flags of requests that pass middlewares. ``providers`` are the names under which we are asked."""
    flags = _passing(find, names, providers, {}, 0)
    if "ext_authz_http" in flags:
        return flags - {"ask_unknown", "asks_another"}
    return flags if flags & {"ask_unknown", "asks_another"} else flags | {"ext_authz_absent"}


def _passing(
    find: Find, names: Sequence[str], providers: frozenset[str], known: dict[str, set[str]], depth: int
) -> set[str]:
    flags: set[str] = set()
    for name in names:
        if name not in known:
            # INVARIANT: each is read once, however often chains name it; one that leads back to itself tells nothing.
            known[name] = {"ask_unknown"}
            known[name] = _one(find, find(name), providers, known, depth)
        flags |= known[name]
    return flags


def _one(find: Find, held: Json, providers: frozenset[str], known: dict[str, set[str]], depth: int) -> set[str]:
    if not held or depth > _MAX_CHAIN:
        return {"ask_unknown"}
    flags = {_CHANGES[kind] for kind in held if kind in _CHANGES}
    if "plugin" in held:
        flags.add("ask_unknown")
    if forward := message(held, "forwardAuth"):
        flags.add("ext_authz_http" if _host(text(forward, "address")) & providers else "asks_another")
    return flags | _passing(find, texts(message(held, "chain"), "middlewares"), providers, known, depth + 1)


def seen_by(find: Find, names: Sequence[str], route: ApiRoute) -> str | None:
    """Return what the API sees in the place of a plain path, if one middleware of the router's own changes it."""
    held = [find(name) for name in names]
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
