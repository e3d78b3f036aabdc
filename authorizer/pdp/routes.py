"""From host, method and path to the one operation that answers for them: a trie of raw segments a host.

**Hosts.** The most specific pattern that fits the host chooses its table: the exact name, else the longest
``*.suffix``, else ``*``. There is no falling back from one table to a wider one, as in Envoy's choice of a virtual
host: a route that is missing under ``api.example`` is not found under ``*``.

**Paths.** Segment by segment a literal beats a parameter beats a greedy tail, the leftmost segment first. A branch that
leads to no route for the method is left again, so that ``POST /orders/export`` does not hide ``GET /orders/{id}``.

**Trailing slashes.** ``/x/`` is not ``/x``, but many an API serves both alike. A path whose last slash, or lack of one,
is in no template is refused where its twin is another operation, named at least as exactly.

**Methods.** The exact method beats ``*``, which stands for every method but CONNECT.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from msgspec import Struct

from authorizer.model import Reason
from authorizer.pdp.canonical import Canonical, refuse
from authorizer.policy.templates import (
    Key,
    Segment,
    TemplateError,
    keys,
    parameters,
    parse_host,
    parse_method,
    parse_template,
)
from authorizer.reasons import reason


class Entry(Struct, frozen=True):
    """One route to be found. ``accepts`` are the keys of ``canonical.SOFT_REASONS`` that its application declares."""

    hosts: tuple[str, ...]
    method: str
    template: str
    payload: Any
    accepts: frozenset[str] = frozenset()


class Match(Struct, frozen=True):
    """The route found, and the raw segments that its parameters took; a tail's are joined by ``/``.

    ``doubtful`` are the parameters that others might read as another value; only ``resolve`` looks for them.
    """

    payload: Any
    params: dict[str, str]
    accepts: frozenset[str] = frozenset()
    doubtful: frozenset[str] = frozenset()


class _End(Struct, frozen=True):
    """A route, and how exactly it names each of its segments: a smaller number is more exact."""

    entry: Entry
    names: tuple[str, ...]
    order: tuple[int, ...]


_LITERAL, _PARAMETER, _TAIL = range(3)
_ORDER = {"literal": _LITERAL, "parameter": _PARAMETER, "tail": _TAIL}
_Found = tuple[_End, tuple[str, ...]]


class _Node:
    """A place in the trie. Written while it is built, only read afterwards."""

    __slots__ = ("ends", "literals", "parameter", "tail")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.tail: _Node | None = None
        self.ends: dict[str, _End] = {}


class _Table(Struct, frozen=True):
    """The routes of one host pattern, by raw and by decoded literals; one trie twice when no literal has an escape.

    ``slashes``: some template can end in a slash.
    """

    raw: _Node
    decoded: _Node
    slashes: bool


class Routes(Struct, frozen=True):
    """All routes, ready to be looked up. Made by ``build``; never changed."""

    tables: Mapping[str, _Table]

    def find(self, host: str, method: str, segments: tuple[str, ...]) -> Match | None:
        """Return the most specific route, or None. ``host`` is as ``canonical.read_host`` gives it."""
        table = self._table(host)
        found = None if table is None else _search(table.raw, method, segments)
        return None if found is None else _match(*found)

    def resolve(self, request: Canonical) -> Match | Reason | None:
        """Return the route of a request, None when there is none, or the reason why the request may not be asked it.

        A doubtful request needs a route whose application accepts what is doubtful; and where some other reading of the
        path leads to another route, or to none, nobody can tell which will be served.
        """
        method, segments = request.method, request.segments
        table = self._table(request.host)
        found = None if table is None else _search(table.raw, method, segments)
        if request.softs:
            refused = refuse(request.softs, found[0].entry.accepts if found is not None else frozenset())
            if refused is not None:
                return refused
        if table is None:
            return None
        doubtful: set[str] = set()
        for reading in request.readings:
            other = _search(table.decoded, method, reading)
            if not _same(found, other):
                return _AMBIGUOUS
            if found is not None and other is not None:
                if table.slashes and _has_twin(table.decoded, method, reading, other):
                    return _AMBIGUOUS
                values = zip(found[0].names, found[1], other[1], strict=True)
                doubtful.update(name for name, raw, value in values if unquote(raw) != value)
        if found is None:
            return None
        if table.slashes and _has_twin(table.raw, method, segments, found):
            return _AMBIGUOUS
        return _match(*found, frozenset(doubtful))

    def pattern(self, host: str) -> str | None:
        """Return the host pattern whose routes are for this host, or None when there are none."""
        tables = self.tables
        if host in tables:
            return host
        at = host.find(".")
        while at >= 0:
            wider = "*" + host[at:]
            if wider in tables:
                return wider
            at = host.find(".", at + 1)
        return "*" if "*" in tables else None

    def _table(self, host: str) -> _Table | None:
        pattern = self.pattern(host)
        return None if pattern is None else self.tables[pattern]


_AMBIGUOUS = reason("path_ambiguous")


def _match(end: _End, taken: tuple[str, ...], doubtful: frozenset[str] = frozenset()) -> Match:
    return Match(end.entry.payload, dict(zip(end.names, taken, strict=True)), end.entry.accepts, doubtful)


def _same(one: _Found | None, other: _Found | None) -> bool:
    if one is None or other is None:
        return one is other
    return one[0].entry.payload is other[0].entry.payload


def _has_twin(root: _Node, method: str, segments: tuple[str, ...], found: _Found) -> bool:
    """Tell whether the path with one slash more or less at its end is another operation that is as likely meant."""
    order = found[0].order
    if segments[-1]:
        if order[-1] == _LITERAL:
            return False
        twin = _search(root, method, (*segments, ""))
        return twin is not None and not _same(found, twin) and twin[0].order[: len(segments)] < order
    if order[-1] != _TAIL:
        return False
    twin = _search(root, method, segments[:-1])
    return twin is not None and not _same(found, twin) and twin[0].order <= order[: len(segments) - 1]


def build(entries: Iterable[Entry]) -> Routes:
    """Build the tables. Raises TemplateError for a malformed route and for two that match the same."""
    raw: dict[str, _Node] = {}
    decoded: dict[str, _Node] = {}
    escaped: set[str] = set()
    slashes: set[str] = set()
    taken: dict[Key, str] = {}
    for entry in entries:
        segments = parse_template(entry.template)
        method = parse_method(entry.method)
        for key in set(keys(entry.hosts, method, entry.template)):
            if key in taken:
                raise TemplateError(f"{method} {key[0]}{entry.template} and {taken[key]} match the same requests")
            taken[key] = entry.template
        end = _End(entry, parameters(segments), tuple(_ORDER[part.kind] for part in segments))
        plain = tuple(Segment(part.kind, unquote(part.text)) for part in segments)
        for host in sorted({parse_host(host) for host in entry.hosts}):
            _insert(raw.setdefault(host, _Node()), method, segments, end)
            _insert(decoded.setdefault(host, _Node()), method, plain, end)
            if plain != segments:
                escaped.add(host)
            if segments[-1].kind == "tail" or not segments[-1].text:
                slashes.add(host)
    return Routes(
        {host: _Table(node, decoded[host] if host in escaped else node, host in slashes) for host, node in raw.items()}
    )


def _insert(node: _Node, method: str, segments: tuple[Segment, ...], end: _End) -> None:
    for kind, text in segments:
        if kind == "literal":
            node = node.literals.setdefault(text, _Node())
        elif kind == "parameter":
            node.parameter = node.parameter or _Node()
            node = node.parameter
        else:
            node.tail = node.tail or _Node()
            node = node.tail
    node.ends[method] = end


def _search(root: _Node, method: str, segments: tuple[str, ...]) -> _Found | None:
    """Walk the trie depth first, the most specific branch first; return the route and what its parameters took.

    The work is bounded by the routes, not by the request: a node has one parent, and its depth says which segment it
    stands for, so no node is visited twice in one search.
    """
    size = len(segments)
    waiting: list[tuple[_Node, int, tuple[str, ...]]] = []
    node, depth = root, 0
    taken: tuple[str, ...] = ()
    while True:
        if depth == size:
            end = node.ends.get(method)
            if end is None and method != "CONNECT":
                end = node.ends.get("*")
            if end is not None:
                return end, taken
        else:
            segment = segments[depth]
            if node.tail is not None:
                waiting.append((node.tail, size, (*taken, "/".join(segments[depth:]))))
            if node.parameter is not None and segment:
                waiting.append((node.parameter, depth + 1, (*taken, segment)))
            following = node.literals.get(segment)
            if following is not None:
                node, depth = following, depth + 1
                continue
        if not waiting:
            return None
        node, depth, taken = waiting.pop()
