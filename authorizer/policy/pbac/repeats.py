"""``for each``: one policy written, many meant. It is written out before anything reads it, one id a row.

``for each: {region: [no, pl]}`` sets ``<region>`` to each value, several variables to each combination;
``for each: [{group: a, agency: x}, ..]`` sets them row by row. A text that is nothing but ``<region>`` becomes the
value itself, which may be a list; inside a longer text it becomes the value's text.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping

from authorizer.policy.documents import Entry, ListNode, MapNode, Node, Scalar
from authorizer.policy.reading import Findings

FOR_EACH = "for each"
MAX_ROWS = 10_000
MAX_TOTAL = 200_000
"""Rows of all ``for each`` of one check: what a few lines can make must have an end."""
MAX_NODES = 5_000_000
"""Scalars, lists and mappings of all those rows, written out: a row may be long."""

_VARIABLE = re.compile(r"<([A-Za-z_][A-Za-z0-9_]*)>")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Row = Mapping[str, Node]


class Repeats:
    """Writes out the ``for each`` of one check, unless those of all ``documents`` make too many rows together."""

    def __init__(self, findings: Findings, documents: Iterable[Node]) -> None:
        self._findings = findings
        self._barred = False
        rows = nodes = 0
        for item, entry in _repeated(documents):
            count = _count(entry.value)
            if count > MAX_ROWS:
                continue  # ``rows`` tells
            rows += count
            nodes += count * (_size(item) - _size(entry.value))
            if rows > MAX_TOTAL or nodes > MAX_NODES:
                what = f"{MAX_TOTAL} rows" if rows > MAX_TOTAL else f"{MAX_NODES} nodes"
                self._error(entry.key, f"all 'for each' together make more than {what}")
                self._barred = True
                return

    def rows(self, node: MapNode) -> Iterator[MapNode]:
        """Yield what is meant: the node itself, or one for each row. After a row with an error there are no others."""
        entry = node.entries.get(FOR_EACH)
        if entry is None:
            yield node
            return
        if self._barred:
            return
        body = MapNode({key: each for key, each in node.entries.items() if key != FOR_EACH}, node.place)
        used: set[str] = set()
        known: set[str] = set()
        for row in self._read(entry):
            known = set(row)
            before = len(self._findings.problems)
            filled = _filled(body, row, used)
            assert isinstance(filled, MapNode)
            unknown = sorted(used - known)
            if unknown:
                self._findings.unknown("R022", entry.key.place, "variable", unknown[0], row, " in 'for each'")
                return
            yield filled
            if any(problem.severity == "error" for problem in self._findings.problems[before:]):
                return
        for name in sorted(known - used):
            self._error(entry.key, f"the variable {name!r} of 'for each' is nowhere: write <{name}> where it belongs")

    def _read(self, entry: Entry) -> Iterator[Row]:
        node = entry.value
        if isinstance(node, MapNode) and node.entries:
            variables = {
                name: self._findings.items(each.value, name)
                for name, each in node.entries.items()
                if self._is_name(each.key)
            }
            for name, values in variables.items():
                if not values:
                    self._error(node.entries[name].key, f"the variable {name!r} has no values")
            if _count(node) > MAX_ROWS:
                self._error(entry.key, f"'for each' makes more than {MAX_ROWS} rows")
            elif len(variables) == len(node.entries) and all(
                self._is_value(one) for v in variables.values() for one in v
            ):
                for chosen in itertools.product(*variables.values()):
                    yield dict(zip(variables, chosen, strict=True))
        elif isinstance(node, ListNode) and node.items:
            yield from self._listed(entry, node)
        else:
            self._error(entry.key, "'for each' takes {NAME: [..]} or a list of {NAME: VALUE}")

    def _listed(self, entry: Entry, node: ListNode) -> Iterator[Row]:
        if len(node.items) > MAX_ROWS:
            self._error(entry.key, f"'for each' makes more than {MAX_ROWS} rows")
            return
        first: set[str] | None = None
        for item in node.items:
            row = self._findings.mapping(item, "a row of 'for each'", "{NAME: VALUE}")
            entries = row.entries.values() if row is not None else ()
            good = all(self._is_name(each.key) and self._is_value(each.value) for each in entries)
            if row is None or not good:
                return
            first = set(row.entries) if first is None else first
            if set(row.entries) != first or not first:
                self._findings.error("R022", row.place, "the rows of 'for each' have different variables")
                return
            yield {name: each.value for name, each in row.entries.items()}

    def _is_name(self, key: Scalar) -> bool:
        if _NAME.fullmatch(key.text):
            return True
        self._error(key, f"{key.text[:80]!r} is not a variable: letters, digits and '_'")
        return False

    def _is_value(self, node: Node) -> bool:
        texts = node.items if isinstance(node, ListNode) else (node,)
        if all(isinstance(one, Scalar) and not one.absent for one in texts):
            return True
        self._findings.error("R022", node.place, "a value of 'for each' is a text, or a list of texts")
        return False

    def _error(self, at: Scalar, message: str) -> None:
        self._findings.error("R022", at.place, message)


def _repeated(documents: Iterable[Node]) -> Iterator[tuple[Node, Entry]]:
    """Yield the policies and the eligibility rules that are meant many times, each with its ``for each``."""
    for document in documents:
        for name in ("policies", "rules"):
            listed = document.get(name) if isinstance(document, MapNode) else None
            for item in listed.items if isinstance(listed, ListNode) else ():
                entry = item.entries.get(FOR_EACH) if isinstance(item, MapNode) else None
                if entry is not None:
                    yield item, entry


def _count(node: Node) -> int:
    """Return how many rows are meant; beyond the bound some number above it, since a product has no end."""
    if isinstance(node, ListNode):
        return len(node.items)
    count = 1
    for each in node.entries.values() if isinstance(node, MapNode) else ():
        count = min(count, MAX_TOTAL + 1) * (len(each.value.items) if isinstance(each.value, ListNode) else 1)
    return count


def _size(node: Node) -> int:
    if isinstance(node, Scalar):
        return 1
    inner = node.items if isinstance(node, ListNode) else [each.value for each in node.entries.values()]
    keys = len(inner) if isinstance(node, MapNode) else 0
    return 1 + keys + sum(map(_size, inner))


def _filled(node: Node, row: Row, used: set[str]) -> Node:
    """Return a copy with the variables of ``row`` filled in; ``used`` gathers all variables that were met."""
    if isinstance(node, Scalar):
        return _filled_text(node, row, used)
    if isinstance(node, ListNode):
        return ListNode(tuple(_filled(item, row, used) for item in node.items), node.place)
    entries: dict[str, Entry] = {}
    for entry in node.entries.values():
        key = _filled_text(entry.key, row, used)
        key = key if isinstance(key, Scalar) else entry.key
        entries[key.text] = Entry(key, _filled(entry.value, row, used))
    return MapNode(entries, node.place)


def _filled_text(scalar: Scalar, row: Row, used: set[str]) -> Node:
    text = scalar.text
    if "<" not in text:
        return scalar
    names = _VARIABLE.findall(text)
    if not names:
        return scalar
    used.update(names)
    whole = row.get(names[0]) if text == f"<{names[0]}>" else None
    if whole is not None:
        return whole

    def fill(found: re.Match[str]) -> str:
        value = row.get(found[1])
        return value.text if isinstance(value, Scalar) else found[0]

    return Scalar(_VARIABLE.sub(fill, text), scalar.place, scalar.quoted)
