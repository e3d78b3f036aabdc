"""YAML documents as trees that remember where every node stands.

A narrow, strict reading of YAML 1.1. Every scalar is text, so ``NO``, ``21:00``, ``0755`` and ``1e3`` stay what the
author wrote and whoever reads a field converts it. What could make a text mean something other than it seems to mean
is refused: a key written twice, tags, anchors and aliases, merge keys, directives, tabs, byte-order marks, keys that
are not scalars.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml
from msgspec import Struct

from authorizer.errors import DocumentError, Place, Problem
from authorizer.grammar import UNSAFE

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 40
MAX_NODES = 2_000_000
MAX_PROBLEMS = 100
_MAX_EXCERPT = 200
_MAX_MESSAGE = 1000
_SUGGESTED = 20  # unknown keys of one mapping that get a suggestion: each costs a comparison with all known ones
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # the line breaks that the parser counts
_CONTROL = re.compile(rf"{UNSAFE}(?<!\n)")

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Scalar(Struct, frozen=True):
    """Text as written. ``quoted`` tells ``""`` from nothing at all."""

    text: str
    place: Place
    quoted: bool = False

    @property
    def absent(self) -> bool:
        """Whether nothing was written, as in ``key:``."""
        return not self.text and not self.quoted


class ListNode(Struct, frozen=True):
    """A list, in order."""

    items: tuple["Node", ...]
    place: Place


class Entry(Struct, frozen=True):
    """One key of a mapping with its value."""

    key: Scalar
    value: "Node"


class MapNode(Struct, frozen=True):
    """A mapping; keys are unique texts, in the order written. ``place`` is where its first key stands."""

    entries: dict[str, Entry]
    place: Place

    def get(self, key: str) -> "Node | None":
        """Return the value of ``key``, or None."""
        entry = self.entries.get(key)
        return entry.value if entry else None


Node = Scalar | ListNode | MapNode


def load_bytes(data: bytes, file: str, most: int = MAX_NODES) -> list[Node]:
    """Read the documents of one file, of at most so many nodes. ``file`` is the name that problems show.

    Raises DocumentError.
    """
    return load(decoded(data, file), file, most)


def decoded(data: bytes, file: str) -> str:
    """Return the text of one file. Raises DocumentError."""
    if len(data) > MAX_BYTES:
        raise DocumentError([Problem("AZ205", f"larger than {MAX_BYTES} bytes", Place(file), "split the file")])
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        problem = Problem("AZ207", "not UTF-8", Place(file, line, column), "save the file as UTF-8")
        raise DocumentError([problem]) from None


def load(text: str, file: str, most: int = MAX_NODES) -> list[Node]:
    """Read the documents of one text; empty documents are left out. Raises DocumentError with all problems."""
    problems = _text_problems(text, file)
    if problems:
        raise DocumentError(excerpted(problems, {file: text}))
    reader = _Reader(file, most)
    reader.read(text)
    if reader.problems:
        raise DocumentError(excerpted(reader.problems, {file: text}))
    return [node for node in reader.documents if not (isinstance(node, Scalar) and node.absent)]


def plain(node: Node) -> Any:
    """Return the tree as dict, list and str."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return {key: plain(entry.value) for key, entry in node.entries.items()}


def locate(root: Node, path: Sequence[str | int], *, key: bool = False) -> Place:
    """Return where the node at ``path`` stands, or the nearest one above it that exists; ``key`` asks for its key."""
    place = root.place
    node: Node = root
    for step in path:
        if isinstance(node, MapNode) and isinstance(step, str) and step in node.entries:
            entry = node.entries[step]
            node = entry.value
            place = entry.key.place if key else node.place
        elif isinstance(node, ListNode) and isinstance(step, int) and 0 <= step < len(node.items):
            node = node.items[step]
            place = node.place
        else:
            break
    return place


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the nearest known word, or nothing when none is near."""
    near = difflib.get_close_matches(word[:64], list(known)[:10_000], n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""


def unknown_keys(node: MapNode, known: Iterable[str], what: str) -> list[Problem]:
    """Return one AZ204 for each key of ``node`` that is not known, at the key; ``what`` names the mapping."""
    names = list(known)
    unknown = [entry.key for key, entry in node.entries.items() if key not in names]
    return [
        Problem(
            "AZ204",
            shortened(f"unknown field {key.text!r} in {what}"),
            key.place,
            (suggestion(key.text, names) if number < _SUGGESTED else "") or "known: " + ", ".join(names),
        )
        for number, key in enumerate(unknown)
    ]


def shortened(message: str) -> str:
    """Return a message that repeats what was written, cut where that has no end."""
    return message if len(message) <= _MAX_MESSAGE else f"{message[: _MAX_MESSAGE - 200]} ... {message[-150:]}"


def excerpted(problems: Iterable[Problem], texts: Mapping[str, str]) -> list[Problem]:
    """Give each problem the source line it stands on; ``texts`` maps file names to their texts."""
    lines: dict[str, list[str]] = {}
    done = []
    for problem in problems:
        place = problem.place
        if not problem.excerpt and place.line and place.file in texts:
            if place.file not in lines:
                lines[place.file] = _BREAK.split(texts[place.file])
            rows = lines[place.file]
            row = rows[place.line - 1] if place.line <= len(rows) else ""
            if place.column <= _MAX_EXCERPT:
                excerpt = "".join(c if c.isprintable() else " " for c in row[:_MAX_EXCERPT]).rstrip()
                problem = Problem(  # noqa: PLW2901 - the same problem, completed
                    problem.code, problem.message, place, problem.hint, problem.severity, excerpt
                )
        done.append(problem)
    return done


def _text_problems(text: str, file: str) -> list[Problem]:
    if len(text) > MAX_BYTES:
        return [Problem("AZ205", f"larger than {MAX_BYTES} characters", Place(file), "split the file")]
    if text.startswith("\ufeff"):
        return [Problem("AZ207", "starts with a byte-order mark", Place(file, 1, 1), "save the file without it")]
    problems: list[Problem] = []
    if "\t" in text:
        for number, row in enumerate(text.split("\n"), 1):
            if "\t" in row:
                problems.append(Problem("AZ206", "a tab", Place(file, number, row.index("\t") + 1), "use spaces"))
                if len(problems) >= MAX_PROBLEMS:
                    break
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        place = _place_of(text, error.start, file)
        problems.append(Problem("AZ207", "not UTF-8", place, "save the file as UTF-8"))
    return problems


def _place_of(text: str, offset: int, file: str) -> Place:
    return Place(file, text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1)


class _Open:
    """A collection whose end has not been seen; ``key`` is the key that waits for its value."""

    __slots__ = ("entries", "items", "key", "place")

    def __init__(self, place: Place, *, mapping: bool) -> None:
        self.place = place
        self.entries: dict[str, Entry] | None = {} if mapping else None
        self.items: list[Node] = []
        self.key: Scalar | None = None


class _Stop(Exception):  # noqa: N818 - ends the reading; the problem is already noted
    pass


class _Reader:
    """Builds trees from parser events, without recursion, so that depth costs nothing but its limit."""

    def __init__(self, file: str, most: int) -> None:
        self.file = file
        self.most = most
        self.problems: list[Problem] = []
        self.documents: list[Node] = []
        self.stack: list[_Open] = []
        self.nodes = 0

    def read(self, text: str) -> None:
        loader: Any = None
        try:
            loader = _Loader(text)
            # Not yaml.parse, which asks the parser twice for each event: large estates have millions.
            while not isinstance(event := loader.get_event(), yaml.StreamEndEvent):
                self._take(event)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Place(self.file, mark.line + 1, mark.column + 1) if mark else Place(self.file)
            words = " ".join(part for part in (error.context, error.problem) if part)
            self.problems.append(Problem("AZ201", f"not YAML: {words}", place))
        except yaml.reader.ReaderError as error:
            place = _place_of(text, error.position, self.file) if isinstance(error.position, int) else Place(self.file)
            self.problems.append(Problem("AZ207", "a character that YAML does not allow", place))
        except _Stop:
            pass
        finally:
            if loader is not None:
                loader.dispose()

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            place = self._start(event)
            if _CONTROL.search(event.value):
                self._fail("AZ207", "a control character in a value", place, "remove it")
            self._put(Scalar(event.value, place, quoted=bool(event.style)))
        elif isinstance(event, yaml.CollectionStartEvent):
            place = self._start(event)
            if len(self.stack) >= MAX_DEPTH:
                self._fail("AZ205", f"nested deeper than {MAX_DEPTH} levels", place)
                raise _Stop
            self.stack.append(_Open(place, mapping=isinstance(event, yaml.MappingStartEvent)))
        elif isinstance(event, yaml.CollectionEndEvent):
            done = self.stack.pop()
            if done.entries is None:
                self._put(ListNode(tuple(done.items), done.place))
            else:
                self._put(MapNode(done.entries, done.place))
        elif isinstance(event, yaml.AliasEvent):
            self._fail("AZ203", "an alias (*)", self._at(event), "write the value out")
            self._put(Scalar("", self._at(event)))
        elif isinstance(event, yaml.DocumentStartEvent) and (event.version or event.tags):
            self._fail("AZ203", "a YAML directive (%)", self._at(event), "remove it")

    def _start(self, event: "yaml.NodeEvent") -> Place:
        place = self._at(event)
        self.nodes += 1
        if self.nodes > self.most:
            self._fail("AZ205", f"more than {self.most} nodes", place, "split the file")
            raise _Stop
        if event.anchor is not None:
            self._fail("AZ203", "an anchor (&)", place, "write the value out where it is used")
        if getattr(event, "tag", None) is not None:
            self._fail("AZ203", "a tag (!)", place, "remove it: the field's type decides")
        return place

    def _put(self, node: Node) -> None:
        if not self.stack:
            self.documents.append(node)
            return
        top = self.stack[-1]
        if top.entries is None:
            top.items.append(node)
        elif top.key is None:
            if not isinstance(node, Scalar):
                self._fail("AZ208", "a key that is not text", node.place)
                node = Scalar("", node.place)
            elif node.text == "<<" and not node.quoted:
                self._fail("AZ203", "a merge key (<<)", node.place, "write the fields out")
            elif node.text in top.entries:
                first = top.entries[node.text].key.place
                self._fail("AZ202", f"key {node.text!r} is already at line {first.line}", node.place, "keep one")
            top.key = node
        else:
            if top.key.text not in top.entries:
                top.entries[top.key.text] = Entry(top.key, node)
            top.key = None

    def _at(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        assert mark is not None
        return Place(self.file, mark.line + 1, mark.column + 1)

    def _fail(self, code: str, message: str, place: Place, hint: str = "") -> None:
        self.problems.append(Problem(code, shortened(message), place, hint))
        if len(self.problems) >= MAX_PROBLEMS:
            raise _Stop
