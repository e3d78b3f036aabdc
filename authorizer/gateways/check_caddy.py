"""What is unsafe in a Caddyfile that asks by ``forward_auth``."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from authorizer.errors import GatewayError, Problem
from authorizer.gateways.blocks import Directive
from authorizer.gateways.check_manifests import seconds
from authorizer.gateways.findings import LONG_TIMEOUT, Expected, finding
from authorizer.gateways.site import is_local

MAX_DEPTH = 10
MAX_DIRECTIVES = 100_000

_SERVES = frozenset({"reverse_proxy", "php_fastcgi", "file_server"})
_GROUPS = frozenset({"route", "handle", "handle_path"})
_MOVES = frozenset({"rewrite", "uri"})


def check(directives: Sequence[Directive], expected: Expected) -> list[Problem]:
    """Return what is unsafe in a Caddyfile."""
    snippets = {each.name: each.children for each in directives if each.name.startswith("(")}
    found: dict[Problem, None] = {}
    sites = [each for each in directives if each.name and not each.name.startswith("(")]
    if sites and not sites[0].children:
        # Without braces the first line is an address, and all the rest is of this one site.
        sites = [Directive(sites[0].name, sites[0].arguments, tuple(sites[1:]), sites[0].place)]
    for block in directives:
        if not block.name:
            found.update(dict.fromkeys(_options(block)))
    for block in sites:
        inside = _imported(block.children, snippets, itertools.count())
        site = Directive(block.name, block.arguments, tuple(inside), block.place)
        found.update(dict.fromkeys(_site(site, expected)))
    return list(found)


def _imported(
    children: Sequence[Directive],
    snippets: Mapping[str, tuple[Directive, ...]],
    counter: Iterator[int],
    depth: int = 0,
) -> Iterator[Directive]:
    """Yield directives with snippets in the place of their ``import``. Raises GatewayError AZ901 for too many."""
    for child in children:
        if next(counter) > MAX_DIRECTIVES:
            raise GatewayError("AZ901", f"{child.place}: snippets import too much")
        snippet = snippets.get(f"({child.arguments[0]})") if child.name == "import" and child.arguments else None
        if snippet is not None and depth < MAX_DEPTH:
            yield from _imported(snippet, snippets, counter, depth + 1)
        else:
            yield Directive(
                child.name, child.arguments, tuple(_imported(child.children, snippets, counter, depth)), child.place
            )


def _options(block: Directive) -> Iterator[Problem]:
    for admin in block.find("admin"):
        address = admin.arguments[0] if admin.arguments else "off"
        if address != "off" and not address.startswith("unix/") and not is_local(address):
            yield finding("AZ931", f"admin {address}: whoever reaches it can change everything", admin.place)
    for servers in block.find("servers"):
        for trusted in servers.find("trusted_proxies"):
            if {"0.0.0.0/0", "::/0"}.intersection(trusted.arguments):
                yield finding("AZ918", "trusted_proxies: every client's X-Forwarded-* are believed", trusted.place)


def _site(site: Directive, expected: Expected) -> Iterator[Problem]:
    for left in _deep(site, "import"):
        said = f"{site.name}: what is imported is not read ({' '.join(left.arguments)})"
        yield finding("AZ932", said, left.place)
    guards = list(_deep(site, "forward_auth"))
    if not guards:
        if any(_deep(site, name) for name in _SERVES):
            yield finding("AZ910", f"{site.name}: it asks nobody (forward_auth)", site.place)
        return
    yield from _unguarded(site, site, guarded=False)
    for guard in guards:
        yield from _guard(guard, expected)
    # Caddy runs request_header after forward_auth, unless a route block keeps the written order.
    cleaned = {
        each.arguments[-1].removeprefix("-").lower()
        for each in _before_guard(site)
        if each.name == "request_header" and each.arguments and each.arguments[-1].startswith("-")
    }
    if "connection" not in cleaned:
        said = f"{site.name}: a client takes headers away by naming them in Connection, who it is too"
        yield finding("AZ934", said, site.place)
    for name in expected.certificates:
        if name not in cleaned:
            said = f"{site.name}: a client's own {name} reaches the authorizer and the API"
            yield finding("AZ920", said, site.place)
    for handled in site.find("handle_errors"):
        for name in _SERVES - {"file_server"}:
            for each in _deep(handled, name):
                said = f"{site.name}: requests pass when no answer comes ({name} in handle_errors)"
                yield finding("AZ911", said, each.place)


def _deep(block: Directive, name: str) -> list[Directive]:
    found = []
    for child in block.children:
        found += [child] if child.name == name else _deep(child, name)
    return found


def _before_guard(block: Directive) -> Iterator[Directive]:
    """Yield what a ``route`` block runs before its ``forward_auth``."""
    for child in block.children:
        if child.name == "route" and _deep(child, "forward_auth"):
            for inner in child.children:
                if inner.name == "forward_auth":
                    break
                yield inner
        if child.name in _GROUPS:
            yield from _before_guard(child)


def _unguarded(site: Directive, block: Directive, *, guarded: bool) -> Iterator[Problem]:
    """Find what serves without having asked: outside of ``route`` the order is Caddy's, where asking comes first."""
    ordered = block.name == "route"
    asked = guarded or (not ordered and any(_always(each) for each in block.find("forward_auth")))
    for child in block.children:
        if child.name == "forward_auth":
            if not _always(child):
                said = f"{site.name}: it asks about some requests only ({child.arguments[0]})"
                yield finding("AZ914", said, child.place)
            asked = asked or _always(child)
        elif child.name in _SERVES:
            if not asked:
                yield finding("AZ913", f"{site.name}: {child.name} serves requests unasked", child.place)
            elif any(child.find("rewrite")):
                yield finding("AZ930", f"{site.name}: the API sees another path than the one decided", child.place)
        elif child.name in _MOVES and ordered and asked:
            yield finding("AZ930", f"{site.name}: the API sees another path than the one decided", child.place)
        elif child.name in _GROUPS:
            if child.name == "handle_path" and asked:
                yield finding("AZ930", f"{site.name}: the API sees another path than the one decided", child.place)
            yield from _unguarded(site, child, guarded=asked)


def _always(guard: Directive) -> bool:
    return bool(guard.arguments) and not guard.arguments[0].startswith(("@", "/"))


def _guard(guard: Directive, expected: Expected) -> Iterator[Problem]:
    where, place = "forward_auth", guard.place
    uri = next((each.arguments[0] for each in guard.find("uri") if each.arguments), "")
    if uri != "/authz/caddy":
        yield finding("AZ929", f"{where}: it does not ask /authz/caddy", place)
    copied = {name.lower() for each in _deep(guard, "copy_headers") for name in each.arguments}
    copied |= {inner.name.lower() for each in guard.find("copy_headers") for inner in each.children}
    if lacking := [name for name in expected.identity if name not in copied]:
        yield finding("AZ921", f"{where}: copy_headers lacks {', '.join(lacking)}", place)
    for each in guard.find("header_up"):
        told = " ".join(each.arguments)
        if "x-forwarded-" in told.lower() and "{http.request.header" in told:
            yield finding("AZ929", f"{where}: a client's own word is what is decided ({told})", each.place)
    for each in guard.find("handle_response"):
        yield finding("AZ915", f"{where}: a denial gets another answer (handle_response)", each.place)
    transports = list(guard.find("transport"))
    waits = [each.arguments[0] for t in transports for each in t.find("response_header_timeout") if each.arguments]
    waited = seconds(waits[0]) if waits else None
    if waited is None or not 0 < waited <= LONG_TIMEOUT:
        yield finding(
            "AZ912", f"{where}: waits {waits[0] if waits else 'without limit'} (response_header_timeout)", place
        )
    tls = [each.name for t in transports for each in t.children if each.name.startswith("tls")]
    if "tls_insecure_skip_verify" in tls:
        yield finding("AZ924", f"{where}: any certificate is taken for the authorizer's", place)
    remote = [each for each in guard.arguments if _is_remote(each)]
    if remote and not tls:
        yield finding("AZ923", f"{where}: plain text to {', '.join(remote)}", place)


def _is_remote(upstream: str) -> bool:
    if upstream.startswith(("unix/", "https://", "@", "/", "*")):
        return False
    return not is_local(upstream.removeprefix("http://"))
