"""Requests that no route is for, to hosts of applications that let such pass or want to know of them.

INVARIANT: what a lenient API could serve as a guarded operation is not let pass as nobody's. APIs differ in what they
overlook: capital letters, other forms of a letter, slashes at the end or twice, dots and blanks at the end of a
segment, what names a format (``.json``), escapes, the case of a method, HEAD for GET. A request is near a route when
one of them could take it for the route's. Some go by another path than that of the request line, if a header has one.
"""

from collections.abc import Iterator, Mapping
from unicodedata import normalize
from urllib.parse import unquote

from msgspec import Struct

from authorizer.model import Headers
from authorizer.pdp.attributes import make_extractor
from authorizer.pdp.canonical import Canonical
from authorizer.pdp.guards import Guard
from authorizer.policy.pbac import Program, Route
from authorizer.policy.templates import parse_host, parse_template

_STRICT = ("deny", "observe", "allow")
_OTHER_PATHS = frozenset({"x-original-url", "x-rewrite-url"})


class Unmapped(Struct, frozen=True):
    """What becomes of them at one host: ``word`` is observe (they are denied, and the log says why) or allow."""

    word: str
    guard: Guard
    routes: "Place"

    def lets_pass(self, request: Canonical, headers: Headers) -> bool:
        """Tell whether a request without a route may pass: it is no route's twin, and names no other path."""
        if self.word != "allow" or self.routes.is_near(request):
            return False
        return _OTHER_PATHS.isdisjoint(name.replace("_", "-") for name in headers)


class Place:
    """A place in the trie of all routes of a host, as a lenient API reads them."""

    __slots__ = ("literals", "methods", "parameter", "tails")

    def __init__(self) -> None:
        self.literals: dict[str, Place] = {}
        self.parameter: Place | None = None
        self.methods: set[str] = set()
        self.tails: set[str] = set()

    def add(self, method: str, template: str) -> None:
        """Add a route."""
        place = self
        for segment in parse_template(template):
            if segment.kind == "tail":
                place.tails.add(method)
                return
            text = _overlooked(segment.text)
            if segment.kind == "parameter":
                place.parameter = place.parameter or Place()
                place = place.parameter
            elif text:
                place = place.literals.setdefault(text, Place())
        place.methods.add(method)

    def following(self, text: str) -> Iterator["Place"]:
        """Yield the places where a segment may lead: each is another one."""
        for name in {text, text.rpartition(".")[0]}:
            if name in self.literals:
                yield self.literals[name]
        if self.parameter is not None:
            yield self.parameter

    def is_near(self, request: Canonical) -> bool:
        """Tell whether a request is some route's twin."""
        method = request.method.upper()
        methods = {method, "*"} | ({"GET"} if method == "HEAD" else set())
        return any(self._leads(segments, methods) for segments in (request.segments, *request.readings))

    def _leads(self, segments: tuple[str, ...], methods: set[str]) -> bool:
        here = [self]
        for text in filter(None, map(_overlooked, segments)):
            if any(place.tails & methods for place in here):
                return True
            here = [following for place in here for following in place.following(text)]
        return any((place.methods | place.tails) & methods for place in here)


def _overlooked(segment: str) -> str:
    """Return a segment without what lenient APIs overlook in it."""
    text = unquote(segment, errors="replace")
    return (text if text.isascii() else normalize("NFKC", text)).casefold().strip(" \t.")


def unmapped_hosts(program: Program) -> Mapping[str, Unmapped]:
    """Return by host pattern what is not plainly denied. Of applications that share one the strictest word counts."""
    words: dict[str, tuple[str, str]] = {}
    for route in program.routes:
        word = program.unmapped[route.application]
        for host in map(parse_host, route.hosts):
            known = words.setdefault(host, (word, route.application))
            if _STRICT.index(word) < _STRICT.index(known[0]):
                words[host] = word, route.application
    found = {
        host: Unmapped(word, _guard(application, host), Place())
        for host, (word, application) in words.items()
        if word != "deny"
    }
    for route in program.routes:
        for host in map(parse_host, route.hosts):
            if host in found and found[host].word == "allow":
                found[host].routes.add(route.method, route.template)
    return found


def _guard(application: str, host: str) -> Guard:
    route = Route(
        index=-1,
        application=application,
        hosts=(host,),
        method="*",
        template="*",
        right="",
        feature="",
        sources=(),
        lookup_table="",
        accepts=frozenset(),
        place="",
    )
    return Guard(route, make_extractor(()), "unmapped", None)
