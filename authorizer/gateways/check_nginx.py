"""What is unsafe in an nginx that asks by ``auth_request``."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from authorizer.errors import Problem
from authorizer.gateways.blocks import Directive
from authorizer.gateways.findings import LONG_TIMEOUT, Expected, finding
from authorizer.gateways.site import is_local

_OTHERS = frozenset({"fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass"})
_TOLD = {
    "x-original-method": {"$request_method"},
    "x-original-uri": {"$request_uri"},
    "x-original-host": {"$host", "$http_host"},
    "x-original-proto": {"$scheme"},
}
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DEFAULT_TIMEOUT = 60.0


class Scope(Struct, frozen=True):
    """The blocks around a directive, the innermost last: a directive of an inner one replaces those further out."""

    blocks: tuple[Directive, ...]

    def inside(self, block: Directive) -> "Scope":
        """Return the scope of a block in this one."""
        return Scope((*self.blocks, block))

    def get(self, name: str) -> Directive | None:
        """Return the directive that is in force."""
        found = self.all(name)
        return found[-1] if found else None

    def all(self, name: str) -> list[Directive]:
        """Return the directives of that name on the innermost level that has one."""
        for block in reversed(self.blocks):
            if found := list(block.find(name)):
                return found
        return []

    def headers(self) -> dict[str, str]:
        """Return what ``proxy_set_header`` sends, by name in lower case."""
        lines = (each.arguments for each in self.all("proxy_set_header") if len(each.arguments) == 2)
        return {name.lower(): value for name, value in lines}


def check(directives: Sequence[Directive], expected: Expected) -> list[Problem]:
    """Return what is unsafe in a configuration or a part of one (a file to include in ``http``)."""
    outer = [each for directive in directives if directive.name == "http" for each in directive.children]
    top = Directive("http", (), tuple(outer or directives), directives[0].place) if directives else None
    if top is None:
        return []
    found: dict[Problem, None] = {}
    scope = Scope((top,))
    found.update(dict.fromkeys(_careless(top)))
    servers = list(top.find("server"))
    upstreams = {each.arguments[0]: each for each in top.find("upstream") if each.arguments}
    for server in servers:
        for problem in _Server(scope.inside(server), server, upstreams, expected).problems():
            found[problem] = None
    return list(found)


def _careless(block: Directive) -> Iterator[Problem]:
    for each in block.children:
        match (each.name, *each.arguments):
            case ("underscores_in_headers", "on") | ("ignore_invalid_headers", "off"):
                yield finding("AZ917", f"{each.name} {each.arguments[0]}: x_auth_subject reaches the API", each.place)
            case ("merge_slashes", "off"):
                yield finding("AZ916", "merge_slashes off: empty segments choose another location", each.place)
            case ("set_real_ip_from", ("0.0.0.0/0" | "::/0") as who):
                yield finding("AZ918", f"set_real_ip_from {who}: every client may claim another address", each.place)
        if each.name in {"server", "location"}:
            yield from _careless(each)


class _Server:
    """One server: its locations, which of them ask, and the location that they ask through."""

    def __init__(self, scope: Scope, server: Directive, upstreams: dict[str, Directive], expected: Expected) -> None:
        self._server = server
        self._upstreams = upstreams
        self._expected = expected
        self._locations = list(self._all(scope, server))

    def _all(self, scope: Scope, block: Directive) -> Iterator[tuple[Directive, Scope]]:
        for location in block.find("location"):
            inner = scope.inside(location)
            yield location, inner
            yield from self._all(inner, location)

    def problems(self) -> Iterator[Problem]:
        asking = [(location, scope) for location, scope in self._locations if _asks(scope)]
        serving = [pair for pair in self._locations if _serves(pair[0])]
        if not asking:
            if serving or (not self._locations and _serves(self._server)):
                yield finding("AZ910", "this server asks nobody (auth_request)", self._server.place)
            return
        doors = {_asks(scope) for _, scope in asking}
        for location, scope in serving:
            where = f"location {' '.join(location.arguments)}"
            if not _asks(scope) and location.arguments[:1] and location.arguments[0].startswith("@"):
                said = f"{where}: it asks nobody; were its requests asked about where they came from?"
                yield finding("AZ932", said, location.place)
            elif not _asks(scope):
                yield finding("AZ913", f"{where}: requests pass unasked", location.place)
            else:
                yield from self._guarded(where, location, scope)
        for block in (self._server, *(location for location, _ in self._locations)):
            yield from _overruled(block)
        for location, scope in self._locations:
            if location.arguments[-1:] and location.arguments[-1] in doors:
                doors.discard(location.arguments[-1])
                yield from self._door(location, scope)
        for uri in sorted(doors):
            said = f"auth_request {uri}: there is no such location, so it cannot be told what is asked"
            yield finding("AZ932", said, self._server.place)

    def _guarded(self, where: str, location: Directive, scope: Scope) -> Iterator[Problem]:
        for each in location.children:
            if each.name in _OTHERS:
                said = f"{where}: whether a client's own identity headers are replaced is not read ({each.name})"
                yield finding("AZ932", said, each.place)
            elif each.name == "proxy_pass":
                yield from self._replaced(where, location, scope.headers())
        if (satisfy := scope.get("satisfy")) and satisfy.arguments == ("any",):
            yield finding("AZ914", f"{where}: satisfy any lets pass without a yes", satisfy.place)
        for target in location.find("proxy_pass"):
            if target.arguments and "/" in target.arguments[0].partition("://")[2]:
                said = f"{where}: the API sees another path than the one that is decided (proxy_pass with a path)"
                yield finding("AZ930", said, target.place)
        for rewrite in (*location.find("rewrite"), *self._server.find("rewrite")):
            yield finding("AZ930", f"{where}: the API sees another path than the one that is decided", rewrite.place)

    def _replaced(self, where: str, location: Directive, sent: Mapping[str, str]) -> Iterator[Problem]:
        for name in self._expected.identity:
            if sent.get(name, "$http_").startswith("$http_"):
                said = f"{where}: a client's own {name} reaches the API (proxy_set_header)"
                yield finding("AZ921", said, location.place)
        for name in self._expected.certificates:
            if sent.get(name, "$http_").startswith("$http_"):
                said = f"{where}: a client's own {name} reaches the API (proxy_set_header)"
                yield finding("AZ920", said, location.place)

    def _door(self, location: Directive, scope: Scope) -> Iterator[Problem]:
        where, place, sent = f"location {' '.join(location.arguments)}", location.place, scope.headers()
        target = next(location.find("proxy_pass"), None)
        address = target.arguments[0] if target and target.arguments else ""
        if not address.rstrip("/").endswith("/authz/nginx"):
            yield finding("AZ929", f"{where}: it does not ask /authz/nginx", place)
        for name, values in _TOLD.items():
            if sent.get(name) not in values:
                said = f"{where}: {name} is {sent.get(name) or 'what the client wrote'}, not {min(values)}"
                yield finding("AZ929", said, place)
        if (name := self._expected.certificate) and sent.get(name, "$http_").startswith("$http_"):
            said = f"{where}: a client's own {name} is believed (proxy_set_header)"
            yield finding("AZ920", said, place)
        if name and (verify := scope.get("ssl_verify_client")) and verify.arguments == ("optional_no_ca",):
            said = f"{where}: whoever signed a certificate, it is told: do rules of Certificates believe it?"
            yield finding("AZ932", said, verify.place)
        if "http" in sent.get("x-forwarded-for", "$http_") or "proxy_add" in sent.get("x-forwarded-for", ""):
            yield finding("AZ918", f"{where}: a client may claim another address (X-Forwarded-For)", place)
        if not any(location.find("internal")):
            yield finding("AZ929", f"{where}: clients can ask it themselves (internal)", place)
        if not (off := scope.get("proxy_pass_request_body")) or off.arguments != ("off",):
            yield finding(
                "AZ929", f"{where}: a body is announced that never comes (proxy_pass_request_body off)", place
            )
        for name in ("proxy_connect_timeout", "proxy_read_timeout"):
            given = scope.get(name)
            waits = _seconds(given.arguments[0]) if given and given.arguments else _DEFAULT_TIMEOUT
            if not 0 < waits <= LONG_TIMEOUT:
                yield finding("AZ912", f"{where}: waits {waits:g} s ({name})", given.place if given else place)
        if (cached := scope.get("proxy_cache")) and cached.arguments != ("off",):
            yield finding("AZ915", f"{where}: decisions are taken from a cache", cached.place)
        yield from self._transport(where, address, scope, location)

    def _transport(self, where: str, address: str, scope: Scope, location: Directive) -> Iterator[Problem]:
        scheme, _, rest = address.partition("://")
        host = rest.partition("/")[0]
        named = self._upstreams.get(host)
        servers = [each.arguments[0] for each in named.find("server") if each.arguments] if named else [host]
        remote = [server for server in servers if not is_local(server if ":" in server else f"{server}:80")]
        verifies = scope.get("proxy_ssl_verify")
        if remote and scheme != "https":
            yield finding("AZ923", f"{where}: plain text to {', '.join(remote)}", location.place)
        elif scheme == "https" and (not verifies or verifies.arguments != ("on",)):
            said = f"{where}: any certificate is taken for the authorizer's (proxy_ssl_verify)"
            yield finding("AZ924", said, location.place)


def _asks(scope: Scope) -> str:
    found = scope.get("auth_request")
    return found.arguments[0] if found and found.arguments and found.arguments[0] != "off" else ""


def _serves(block: Directive) -> bool:
    """Tell whether requests get more than an answer of nginx's own: without any directive it is files."""
    closed = any(each.arguments == ("all",) for each in block.find("deny"))
    return not closed and not any(block.find("return")) and not any(block.find("internal"))


def _overruled(block: Directive) -> Iterator[Problem]:
    """Find ``error_page`` that makes something else of a denial or of a fault: with ``=`` the status is replaced."""
    for page in block.find("error_page"):
        *codes, _target = page.arguments or ("",)
        replaced = [code for code in codes if code.startswith("=")]
        if replaced and {"401", "403", "500"}.intersection(codes) and replaced[0][1:2] in {"", "2", "3"}:
            said = f"error_page {' '.join(page.arguments)}: a denial gets another answer"
            yield finding("AZ915", said, page.place)


def _seconds(text: str) -> float:
    for unit in ("ms", "s", "m", "h", "d"):
        if text.endswith(unit) and text.removesuffix(unit).isdigit():
            return int(text.removesuffix(unit)) * _UNITS[unit]
    return float(text) if text.isdigit() else _DEFAULT_TIMEOUT
