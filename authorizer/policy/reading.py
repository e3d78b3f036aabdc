"""Reads nodes as the shapes that a kind of document expects, and gathers all that is wrong, not only the first."""

import re
from collections.abc import Iterable, Iterator

from authorizer.errors import Place, Problem
from authorizer.policy.documents import ListNode, MapNode, Node, Scalar, shortened, suggestion, unknown_keys

MAX_NAME = 256
_SUGGESTED = 200  # problems that get a suggestion: each costs a comparison with all known names
_FEW = 12
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
_FIELD = re.compile(r"[a-z_][a-z0-9_]*", re.ASCII)

_PLAIN = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_.:/-]*", re.ASCII)  # needs no quotes in a list

NAME = "a name: letters, digits, '_', '.', '-', starting with a letter"
FIELD = "a field name: lower-case letters, digits, '_', starting with a letter"


def few(names: Iterable[str]) -> str:
    """Return a hint that lists all names where there are few, else nothing."""
    listed = sorted(names)
    return "known: " + ", ".join(listed) if 0 < len(listed) <= _FEW else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint that tells the nearest known name, or all where none is near and there are few."""
    names = list(known)
    return suggestion(word, names) or few(names)


class Findings:
    """Collects problems. A reader notes what is wrong, answers with something harmless, and goes on."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def error(self, code: str, place: Place, message: str, hint: str = "") -> None:
        """Note an error: nothing is compiled."""
        self.problems.append(Problem(code, shortened(message), place, shortened(hint)))

    def warn(self, code: str, place: Place, message: str, hint: str = "") -> None:
        """Note a warning."""
        self.problems.append(Problem(code, shortened(message), place, shortened(hint), "warning"))

    @property
    def failed(self) -> bool:
        """Whether an error was noted."""
        return any(problem.severity == "error" for problem in self.problems)

    def unknown(self, code: str, place: Place, what: str, word: str, known: Iterable[str], where: str = "") -> None:
        """Note an unknown name, with the nearest known one, or all where none is near and there are few."""
        names = sorted(known)
        near = suggestion(word, names) if len(self.problems) < _SUGGESTED else ""
        self.error(
            code, place, f"unknown {what} {word!r}{where}" + (f"; {near}" if near else ""), "" if near else few(names)
        )

    def mapping(self, node: Node | None, what: str, hint: str = "") -> MapNode | None:
        """Return ``node`` as a mapping; nothing at all is None without a problem."""
        if node is None or isinstance(node, MapNode):
            return node
        self.error("AZ209", node.place, f"{what} must be a mapping", hint)
        return None

    def fields(self, node: Node | None, what: str, known: Iterable[str], hint: str = "") -> MapNode | None:
        """Return ``node`` as a mapping with known keys only."""
        found = self.mapping(node, what, hint)
        if found is not None:
            self.problems += unknown_keys(found, known, what)
        return found

    def items(self, node: Node | None, what: str) -> tuple[Node, ...]:
        """Return the items of a list. What stands there alone is an error, and read as the one item that was meant."""
        if isinstance(node, ListNode):
            return node.items
        if node is None:
            return ()
        self.error("AZ209", node.place, f"{what} must be a list", _as_list(node))
        return () if isinstance(node, Scalar) and node.absent else (node,)

    def named(self, node: Node | None, what: str) -> Iterator[tuple[str, Scalar, Node]]:
        """Yield name, key and value of each entry of a mapping."""
        found = self.mapping(node, what)
        for name, entry in found.entries.items() if found else ():
            yield name, entry.key, entry.value

    def text(self, node: Node | None, what: str, *, empty: bool = False) -> str:
        """Return the text of a scalar, which must not be empty; with ``empty`` a quoted empty text is one too."""
        if isinstance(node, Scalar) and (node.text or (empty and node.quoted)):
            return node.text
        if node is not None:
            one = node.items[0] if isinstance(node, ListNode) and len(node.items) == 1 else None
            hint = f"write {one.text}, without [ ]" if isinstance(one, Scalar) and _PLAIN.fullmatch(one.text) else ""
            self.error("AZ209", node.place, f"{what} must be text", hint)
        return ""

    def words(self, node: Node | None, what: str, *, empty: bool = False) -> tuple[Scalar, ...]:
        """Return the scalars of a list, without repeats; with ``empty`` a quoted empty text may be one of them."""
        found: dict[str, Scalar] = {}
        for item in self.items(node, what):
            word = self.text(item, f"an item of {what}", empty=empty)
            if word in found:
                self.error("AZ202", item.place, f"{word!r} stands in {what} twice", "keep one")
            elif isinstance(item, Scalar) and (word or (empty and item.quoted)):
                found[word] = item
        return tuple(found.values())

    def texts(self, node: Node | None, what: str, *, empty: bool = False) -> tuple[str, ...]:
        """Return the texts of a list of scalars, without repeats."""
        return tuple(item.text for item in self.words(node, what, empty=empty))

    def text_or_texts(self, node: Node, what: str) -> str | tuple[str, ...]:
        """Return an attribute's raw value, a text or a list of texts, any of which may be quoted and empty."""
        if isinstance(node, ListNode):
            return self.texts(node, what, empty=True)
        return self.text(node, what, empty=True)

    def required(self, node: MapNode, key: str, what: str) -> Node | None:
        """Return the value of a key that must be there."""
        found = node.get(key)
        if found is None:
            self.error("AZ210", node.place, f"{what} has no {key!r}")
        return found

    def flag(self, node: Node | None, what: str) -> bool:
        """Return true or false; nothing at all is false."""
        if node is None:
            return False
        if isinstance(node, Scalar) and node.text in {"true", "false"}:
            return node.text == "true"
        self.error("AZ209", node.place, f"{what} must be true or false")
        return False

    def choice(self, node: Node | None, what: str, known: Iterable[str], code: str) -> str:
        """Return one of the known words."""
        word = self.text(node, what)
        known = tuple(known)
        if node is not None and word and word not in known:
            near = suggestion(word, known) or "known: " + ", ".join(known)
            self.error(code, node.place, f"unknown {what} {word!r}", near)
            return ""
        return word

    def name(self, key: Scalar, *, field: bool = False) -> bool:
        """Whether a key may name something; ``field`` asks for the narrower form of fields."""
        if len(key.text) <= MAX_NAME and (_FIELD if field else _NAME).fullmatch(key.text):
            return True
        self.error("A005", key.place, f"{key.text[:80]!r} is not {FIELD if field else NAME}")
        return False

    def subject_name(self, node: Node | None, what: str) -> str:
        """Return a name that comes from outside (a person, a group, a point): any text of one line."""
        word = self.text(node, what)
        if node is not None and ("\n" in word or len(word) > MAX_NAME):
            self.error("A005", node.place, f"{what} must be one line of at most {MAX_NAME} characters")
            return ""
        if node is not None and word != word.strip():
            self.error("A005", node.place, f"{what} {word!r} begins or ends with white space", "no name does")
            return ""
        return word


def _as_list(node: Node) -> str:
    """Return how one value is written where a list belongs."""
    if isinstance(node, Scalar):
        words = [word.strip() for word in node.text.split(",")]
        if all(_PLAIN.fullmatch(word) for word in words):
            return f"write [{', '.join(words)}]"
    return "put it in [ ]"
