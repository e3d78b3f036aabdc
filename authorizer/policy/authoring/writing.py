"""Documents as YAML text in one form: block style, two spaces, in the order in which they were written.

What is written is read back as the same tree, but for its places. Comments are no part of a tree.
"""

import json
from collections.abc import Iterable, Iterator

from authorizer.policy.documents import ListNode, MapNode, Node, Scalar


def write(documents: Iterable[Node]) -> str:
    """Return documents as one text."""
    return "---\n".join("\n".join(_lines(document, "")) + "\n" for document in documents)


def _lines(node: Node, indent: str) -> Iterator[str]:
    """Yield the lines of a collection that is not empty, or the one line of anything else."""
    if isinstance(node, MapNode) and node.entries:
        for entry in node.entries.values():
            yield from _member(f"{indent}{_text(entry.key)}:", entry.value, indent)
    elif isinstance(node, ListNode) and node.items:
        for item in node.items:
            first, *others = _lines(item, f"{indent}  ")
            yield f"{indent}- {first.removeprefix(f'{indent}  ')}".rstrip()
            yield from others
    else:
        yield f"{indent}{_short(node)}"


def _member(head: str, value: Node, indent: str) -> Iterator[str]:
    if isinstance(value, Scalar) or not _size(value):
        yield f"{head} {_short(value)}".rstrip()
    else:
        yield head
        yield from _lines(value, f"{indent}  ")


def _size(node: MapNode | ListNode) -> int:
    return len(node.entries) if isinstance(node, MapNode) else len(node.items)


def _short(node: Node) -> str:
    if isinstance(node, Scalar):
        return _text(node)
    return "{}" if isinstance(node, MapNode) else "[]"


def _text(scalar: Scalar) -> str:
    """Return a scalar as it was written: plain what was plain, for a quoted text can mean something else."""
    return json.dumps(scalar.text, ensure_ascii=False) if scalar.quoted else scalar.text
