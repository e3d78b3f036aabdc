"""Documents made of what others wrote: API descriptions, role assignments of a cloud, tables of who may do what.

Each importer returns the text of documents and notes: what was left out and why, in words. INVARIANT: nothing that an
importer leaves out is allowed; what cannot be expressed is denied until somebody writes it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from authorizer.errors import Place
from authorizer.policy.authoring.layout import laid_out
from authorizer.policy.authoring.writing import write
from authorizer.policy.documents import Entry, ListNode, MapNode, Node, Scalar

Tree = str | Sequence["Tree"] | Mapping[str, "Tree"]
_NOWHERE = Place("")
_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./@*+{}=:-]*( [A-Za-z0-9_./@*+{}=-]+)*")
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


class Imported(Struct, frozen=True):
    """What was made: the text of documents, and a note for each thing that is not in them."""

    text: str
    notes: tuple[str, ...]


def made(documents: Iterable[Tree], notes: Iterable[str]) -> Imported:
    """Lay documents out. Raises DocumentError."""
    return Imported(laid_out(write(map(_node, documents)), "imported"), tuple(dict.fromkeys(notes)))


def _node(tree: Tree) -> Node:
    if isinstance(tree, str):
        plain = _PLAIN.fullmatch(tree) is not None and not tree.endswith(":")
        return Scalar(tree, _NOWHERE, quoted=not plain)
    if isinstance(tree, Mapping):
        members = ((_key(key), _node(value)) for key, value in tree.items())
        return MapNode({key.text: Entry(key, value) for key, value in members}, _NOWHERE)
    return ListNode(tuple(_node(item) for item in tree), _NOWHERE)


def _key(text: str) -> Scalar:
    node = _node(text)
    assert isinstance(node, Scalar)
    return node


class Names:
    """Makes names of the language out of others' names, each of them once."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}
        self._of: dict[str, str] = {}

    def name(self, text: str) -> str:
        """Return the name for a text, the same for the same text."""
        known = self._of.get(text)
        if known is not None:
            return known
        base = _NO_NAME.sub("_", text.replace("/", ".")).strip("_.-")[:200]
        if not base or not (base[0].isalpha() or base[0] == "_"):
            base = f"_{base}"
        name, number = base, 2
        while name in self._taken:
            name, number = f"{base}-{number}", number + 1
        self._taken[name] = text
        self._of[text] = name
        return name
