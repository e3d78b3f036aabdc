"""The one layout of documents: what fits stands on a line, what does not has a line for each of its parts.

Comments stay with what they belong to. Keys of documents, policies, rules and cases come in one order; what authors
name themselves stays in the order written. Scalars stay as they are, plain or quoted: that can make a difference.
"""

import json
import re
from collections.abc import Iterator, Sequence

from authorizer.errors import DocumentError, Place, Problem
from authorizer.policy.authoring.comments import Comments, Spot, read_comments, spots
from authorizer.policy.documents import Entry, ListNode, MapNode, Node, Scalar, load, plain

WIDTH = 120
_LINE_EACH = frozenset({"policies", "rules", "cases", "routes"})
_DOCUMENT = (
    "kind", "id", "suite", "now", "model", "system", "acr", "env", "types", "tree", "plans", "fields", "collections",
    "conditions", "resourceTypes", "appResources", "rights", "roles", "scopes", "claims", "emit", "http", "policies",
    "rules", "subjects", "cases",
)  # fmt: skip
_ITEM = {
    "policies": (
        "id", "for each", "effect", "right", "role", "on", "to", "at", "from", "until", "where", "require",
        "require_feature", "reason", "overridable", "overrides", "obligations", "advice", "emit",
    ),
    "rules": ("id", "for each", "type", "right", "role", "to", "at"),
    "cases": ("name", "as", "now", "attrs", "env", "http", "headers", "data", "body", "expect"),
}  # fmt: skip
_FLOW_UNSAFE = re.compile(r"[,\[\]{}]|^[?:-]($| )")


def laid_out(text: str, file: str) -> str:
    """Return the text of a file in the one layout; the same documents, and the same comments.

    Raises DocumentError for what cannot be read, and AZ212 for a text whose layout would change what it says.
    """
    documents = load(text, file)
    comments = read_comments(text, documents)
    writer = _Writer(comments)
    parts = ["\n".join(writer.document(document, number)) for number, document in enumerate(documents)]
    if not documents:
        parts = ["\n".join(comments.after.get(0, ()))]
    result = "".join(f"{part}\n" for part in _separated(parts)) if any(parts) else ""
    if not _same(documents, result, file, comments):
        hint = "write it in a simpler way, with comments on lines of their own"
        raise DocumentError([Problem("AZ212", "this file cannot be laid out without changing it", Place(file), hint)])
    return result


def _separated(parts: Sequence[str]) -> Iterator[str]:
    for number, part in enumerate(parts):
        if number:
            yield "---"
        yield part


def _same(documents: Sequence[Node], result: str, file: str, comments: Comments) -> bool:
    try:
        again = load(result, file)
    except DocumentError:
        return False
    kept = read_comments(result, again)
    return list(map(_meaning, documents)) == list(map(_meaning, again)) and _all(comments) == _all(kept)


def _meaning(node: Node) -> object:
    if isinstance(node, Scalar):
        return node.text, node.quoted
    if isinstance(node, ListNode):
        return [_meaning(item) for item in node.items]
    return {key: (entry.key.quoted, _meaning(entry.value)) for key, entry in node.entries.items()}


def _all(comments: Comments) -> list[str]:
    above = [line for lines in (*comments.above.values(), *comments.after.values()) for line in lines if line]
    return sorted([*above, *comments.beside.values()])


class _Writer:
    def __init__(self, comments: Comments) -> None:
        self.comments = comments

    def document(self, node: Node, number: int) -> Iterator[str]:
        if isinstance(node, MapNode):
            first = True
            for entry in _in_order(node, _DOCUMENT):
                yield from self.entry(entry, 0, first=first)
                first = False
        else:
            yield _flow(node) or json.dumps(plain(node))
        yield from self.comments.after.get(number, ())

    def entry(self, entry: Entry, indent: int, *, first: bool = False, lead: bool = True) -> Iterator[str]:
        """Yield the lines of one entry; ``first`` has no blank line above it, without ``lead`` nothing stands above."""
        spot = _spot(entry.key)
        if lead:
            yield from self.above(spot, indent, first=first)
        head = " " * indent + _scalar(entry.key) + ":"
        yield from self.value(head, entry.value, indent, spot, entry.key.text)

    def value(self, head: str, value: Node, indent: int, spot: Spot, key: str) -> Iterator[str]:
        beside = self.beside(spot)
        if isinstance(value, Scalar):
            yield f"{head} {_scalar(value)}".rstrip() + beside
            return
        flow = _flow(value)
        empty = not (value.entries if isinstance(value, MapNode) else value.items)
        fits = flow is not None and len(head) + 1 + len(flow) <= WIDTH
        if empty or (fits and key not in _LINE_EACH and not self.comments.within(value)):
            yield f"{head} {flow}{beside}"
            return
        yield head + beside
        if isinstance(value, MapNode):
            yield from self.entries(value, indent + 2)
        else:
            for number, item in enumerate(value.items):
                yield from self.item(item, indent + 2, _ITEM.get(key, ()), first=number == 0)

    def entries(self, node: MapNode, indent: int) -> Iterator[str]:
        for number, entry in enumerate(node.entries.values()):
            yield from self.entry(entry, indent, first=number == 0)

    def item(self, item: Node, indent: int, order: Sequence[str], *, first: bool) -> Iterator[str]:
        spot = (item.place.line, item.place.column)
        yield from self.above(spot, indent, first=first)
        pad = " " * indent + "- "
        if isinstance(item, Scalar):
            yield pad + _scalar(item) + self.beside(spot)
            return
        ordered = (
            MapNode({one.key.text: one for one in _in_order(item, order)}, item.place)
            if isinstance(item, MapNode)
            else item
        )
        flow = _flow(ordered)
        # What stands beside the item's first key is beside the item.
        inner = [one for one, _ in spots(item) if one != spot]
        commented = any(any(self.comments.above.get(one, ())) or one in self.comments.beside for one in inner)
        if flow is not None and len(pad) + len(flow) <= WIDTH and not commented:
            yield pad + flow + self.beside(spot)
            return
        if isinstance(ordered, ListNode):
            yield pad.rstrip() + self.beside(spot)
            for number, one in enumerate(ordered.items):
                yield from self.item(one, indent + 2, (), first=number == 0)
            return
        for number, entry in enumerate(ordered.entries.values()):
            here = _spot(entry.key)
            if number == 0 and here != spot:
                yield from self.above(here, indent, first=True)
            lines = list(self.entry(entry, indent + 2, first=number == 0, lead=number > 0 and here != spot))
            if number == 0:
                lines[0] = pad + lines[0][indent + 2 :]
            yield from lines

    def above(self, spot: Spot, indent: int, *, first: bool) -> Iterator[str]:
        lines = self.comments.above.get(spot, [])
        if first:
            lines = lines[next((at for at, line in enumerate(lines) if line), len(lines)) :]
        for line in lines:
            yield " " * indent + line if line else ""

    def beside(self, spot: Spot) -> str:
        found = self.comments.beside.get(spot)
        return f"  {found}" if found else ""


def _spot(key: Scalar) -> Spot:
    return key.place.line, key.place.column


def _in_order(node: MapNode, order: Sequence[str]) -> list[Entry]:
    known = {key: at for at, key in enumerate(order)}
    ranked: list[tuple[int, Entry]] = []
    for entry in node.entries.values():
        rank = known.get(entry.key.text, len(order))
        # A key with nothing after it belongs to the one before: {name: senior, otp, as: sen}.
        alone = isinstance(entry.value, Scalar) and entry.value.absent
        ranked.append((ranked[-1][0] if alone and ranked and entry.key.text not in known else rank, entry))
    return [entry for _, entry in sorted(ranked, key=lambda one: one[0])]


def _scalar(scalar: Scalar) -> str:
    return json.dumps(scalar.text, ensure_ascii=False) if scalar.quoted else scalar.text


def _flow(node: Node) -> str | None:
    """Write a node on one line, or return None when a plain text in it would mean something else there."""
    if isinstance(node, Scalar):
        if not node.quoted and _FLOW_UNSAFE.search(node.text):
            return None
        return _scalar(node)
    if isinstance(node, ListNode):
        items = [_flow(item) for item in node.items]
        whole = [item for item in items if item is not None]
        return f"[{', '.join(whole)}]" if len(whole) == len(items) else None
    members = []
    for entry in node.entries.values():
        key, value = _flow(entry.key), _flow(entry.value)
        if key is None or value is None:
            return None
        members.append(f"{key}: {value}" if value else key)
    return "{" + ", ".join(members) + "}"
