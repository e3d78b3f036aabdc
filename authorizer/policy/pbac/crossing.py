"""Finds routes that fit one request and of which neither is the more exact: ``/a/{y}`` and ``/{x}/b`` for ``/a/b``.

The leftmost literal decides here (``pdp.routes``), but the API's own router may read it the other way, and then another
right was asked than the one that is used. A route for just that path settles it.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from msgspec import Struct

from authorizer.policy.pbac.declared import Application, Route
from authorizer.policy.reading import Findings
from authorizer.policy.templates import parse_host, parse_template, shape

MAX_STEPS = 100_000
"""Pairs of places in the routes of one host that are looked at: what is found beyond is not told."""
MAX_TOLD = 50

_LITERAL, _PARAMETER, _TAIL = range(3)
_ORDER = {"literal": _LITERAL, "parameter": _PARAMETER, "tail": _TAIL}
_Step = tuple[int, str]
"""How exactly a segment is named (a smaller number is more exact), and the literal."""

_ANY: _Step = (_PARAMETER, "")
_REST: _Step = (_TAIL, "")
_NEVER: set[_Step] = {(_LITERAL, ""), _ANY}
"""A parameter takes no empty segment, the one after a trailing slash."""


class _Node:
    """A place in the routes of a host: what may follow, and the routes that end here."""

    __slots__ = ("ends", "next")

    def __init__(self) -> None:
        self.next: dict[_Step, _Node] = {}
        self.ends: list[Route] = []


class _Pair(Struct, frozen=True):
    """Two places that one path leads to. ``more`` says for either whether it was the more exact somewhere."""

    one: _Node
    other: _Node
    more: tuple[bool, bool]
    path: tuple[_Step, ...]


def crossing_routes(applications: Mapping[str, Application], findings: Findings) -> None:
    """Warn of routes of one host that cross, unless the path where they do has a route of its own."""
    routes = sorted(
        (parse_host(host), application.id, number, route)
        for application in applications.values()
        for host in application.hosts
        for number, route in enumerate(application.routes)
    )
    told = 0
    for host, of_host in groupby(routes, key=lambda one: one[0]):
        for one, other, path in _crossings([route for *_, route in of_host]):
            if told == MAX_TOLD:
                return
            told += 1
            method = other.method if one.method == "*" else one.method
            message = f"{method} {_written(path)} on {host!r} fits {other.method} {other.template} too"
            findings.warn("L005", one.place, message, f"if the API reads it so, give it a route: {_written(path)}")


def _crossings(routes: Iterable[Route]) -> Iterator[tuple[Route, Route, tuple[_Step, ...]]]:
    """Yield pairs of routes, the one that decides first, with the path where they cross."""
    root = _Node()
    known: set[tuple[str, tuple[_Step, ...]]] = set()
    for route in routes:
        node = root
        steps = tuple((_ORDER[kind], text) for kind, text in shape(parse_template(route.template)))
        known.add((route.method, steps))
        for step in steps:
            node = node.next.setdefault(step, _Node())
        node.ends.append(route)
    waiting = [_Pair(root, root, (False, False), ())]
    left = MAX_STEPS
    while waiting and left:
        left -= 1
        pair = waiting.pop()
        if all(pair.more):
            for one in pair.one.ends:
                for other in pair.other.ends:
                    settled = {(method, pair.path) for method in (one.method, other.method, "*")} & known
                    if not settled and (one.method == other.method or "*" in {one.method, other.method}):
                        yield one, other, pair.path
        waiting += _following(pair)


def _following(pair: _Pair) -> Iterator[_Pair]:
    same = pair.one is pair.other
    for step, node in pair.one.next.items():
        literal = step[0] == _LITERAL
        for other_step in (step, _ANY, _REST) if literal else pair.other.next:
            other = pair.other.next.get(other_step)
            # From one place two ways are taken once, the more exact first: that is the one that decides.
            if other is None or (same and step > other_step) or {step, other_step} == _NEVER:
                continue
            more = pair.more[0] or step[0] < other_step[0], pair.more[1] or other_step[0] < step[0]
            longer = step[0] == _TAIL != other_step[0], other_step[0] == _TAIL != step[0]
            path = (*pair.path, min(step, other_step))
            yield _Pair(_longer(node) if longer[0] else node, _longer(other) if longer[1] else other, more, path)


def _longer(tail: _Node) -> _Node:
    """Return a place like that after a tail, which takes another segment as well."""
    more = _Node()
    more.ends = tail.ends
    more.next = {_REST: more}
    return more


def _written(path: Iterable[_Step]) -> str:
    words = {_PARAMETER: "{..}", _TAIL: "{..=**}"}
    return "".join(f"/{words.get(kind, text)}" for kind, text in path)
