"""Finds the comments of a YAML text, and which part of the documents each belongs to."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from msgspec import Struct

from authorizer.policy.documents import ListNode, MapNode, Node

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Spot = tuple[int, int]
"""Line and column, both from 1: where an entry's key or a list's item stands."""


class Comments(Struct):
    """The comments of a text: ``above`` and ``beside`` an entry or item by its spot, ``after`` a document by number.

    An empty text above stands for a blank line.
    """

    above: dict[Spot, list[str]]
    beside: dict[Spot, str]
    after: dict[int, list[str]]

    def within(self, node: Node) -> bool:
        """Whether a comment stands inside of a collection."""
        return any(any(self.above.get(spot, ())) or spot in self.beside for spot, _ in spots(node))


def spots(node: Node) -> Iterator[tuple[Spot, int]]:
    """Yield the spot of every entry and item below a node, with its depth, in the order written."""
    waiting: list[tuple[Node, int]] = [(node, 0)]
    while waiting:
        one, depth = waiting.pop()
        below: list[tuple[Node, int]] = []
        if isinstance(one, MapNode):
            for entry in one.entries.values():
                yield (entry.key.place.line, entry.key.place.column), depth
                below.append((entry.value, depth + 1))
        elif isinstance(one, ListNode):
            for item in one.items:
                yield (item.place.line, item.place.column), depth
                below.append((item, depth + 1))
        waiting += reversed(below)


def read_comments(text: str, documents: Sequence[Node]) -> Comments:
    """Return the comments of a text that reads as these documents.

    A comment on a line of its own belongs to the next entry or item of its document, one behind something to the first
    entry or item of that line.
    """
    lines = text.split("\n")
    begins, values = _tokens(text)
    placed: dict[Spot, int] = {}
    for document in documents:
        for spot, depth in spots(document):
            placed[spot] = min(depth, placed.get(spot, depth))
    by_line: dict[int, list[Spot]] = {}
    for spot in sorted(placed):
        by_line.setdefault(spot[0], []).append(spot)
    last: list[Spot] = []
    ends = [max((spot for spot, _ in spots(document)), default=(0, 0)) for document in documents]
    found = Comments({}, {}, {})
    blank = False
    waiting: list[str] = []
    for number, line in enumerate(lines, 1):
        column = _comment(line, number, values)
        alone = column is not None and not line[:column].strip()
        here = by_line.get(number, [])
        if here:
            last = here[-1:]
            lead = waiting
            if lead or blank:
                found.above[here[0]] = ([""] if blank and not lead else []) + lead
            waiting, blank = [], False
        if column is not None and not alone:
            before = here[:1] or last
            if before and before[0] not in found.beside:
                found.beside[before[0]] = line[column:].rstrip()
            else:
                waiting.append(line[column:].rstrip())
        elif alone and column is not None:
            if blank:
                waiting.append("")
            waiting.append(line[column:].rstrip())
            blank = False
        elif not line.strip() and not _inside(number, 0, values):
            blank = True
        if number + 1 in begins and waiting:
            ended = max((at for at, end in enumerate(ends) if end[0] <= number), default=-1)
            if ended >= 0:  # what stands before the first document leads it
                found.after.setdefault(ended, []).extend(waiting)
                waiting, blank = [], False
    if waiting:
        found.after.setdefault(max(len(documents) - 1, 0), []).extend(waiting)
    return found


_Span = tuple[Spot, Spot]


def _tokens(text: str) -> tuple[set[int], list[_Span]]:
    """Return the lines of document starts, and where scalars begin and end (lines from 1, columns from 0)."""
    begins: set[int] = set()
    values: list[_Span] = []
    for token in yaml.scan(text, Loader=_Loader):
        start, end = token.start_mark, token.end_mark
        if isinstance(token, yaml.DocumentStartToken):
            begins.add(start.line + 1)
        elif isinstance(token, yaml.ScalarToken):
            values.append(((start.line + 1, start.column), (end.line + 1, end.column)))
    return begins, values


def _comment(line: str, number: int, values: Sequence[_Span]) -> int | None:
    """Return the column, from 0, at which the comment of a line begins."""
    at = line.find("#")
    while at >= 0:
        if (at == 0 or line[at - 1] in " \t") and not _inside(number, at, values):
            return at
        at = line.find("#", at + 1)
    return None


def _inside(line: int, column: int, values: Sequence[_Span]) -> bool:
    """Whether a position lies in one of the spans, which are sorted and do not overlap."""
    at = bisect_right(values, (line, column), key=lambda span: span[0]) - 1
    return at >= 0 and (line, column) < values[at][1]
