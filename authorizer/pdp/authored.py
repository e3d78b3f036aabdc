"""Reading authored YAML of our own kinds (Issuers, Facts): each problem is noted at its place, none hides the rest."""

import re
from collections.abc import Iterable

from authorizer.errors import Place, Problem
from authorizer.policy.documents import ListNode, MapNode, Node, Scalar, suggestion, unknown_keys

_DURATION = re.compile(r"([0-9]{1,9})(s|m|h|d)?")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

REQUEST_ENV = frozenset({"acr", "amr", "auth_age", "now", "source_ip", "time"})
"""Environment fields that only the request or the verified login itself can say; no fact or extra claim sets them."""


class Notes:
    """Collects the problems of one compilation."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, code: str, message: str, place: Place, hint: str = "") -> None:
        """Note an error."""
        self.problems.append(Problem(code, message, place, hint))

    def warn(self, code: str, message: str, place: Place, hint: str = "") -> None:
        """Note something that works but is likely not meant."""
        self.problems.append(Problem(code, message, place, hint, "warning"))

    def mapping(self, node: Node | None, what: str, known: Iterable[str] = ()) -> MapNode | None:
        """Return ``node`` if it is a mapping; with ``known``, other keys are errors."""
        if not isinstance(node, MapNode):
            if node is not None:
                self.add("T101", f"{what} must be a mapping", node.place)
            return None
        if known:
            self.problems += unknown_keys(node, known, what)
        return node

    def text(self, node: Node | None, what: str, *, empty: bool = False) -> str | None:
        """Return the text of a scalar; with ``empty`` a quoted empty text is fine."""
        if node is None:
            return None
        if not isinstance(node, Scalar) or node.absent or not (node.text or empty):
            self.add("T101", f"{what} must be a text", node.place)
            return None
        return node.text

    def texts(self, node: Node | None, what: str, *, empty: bool = False) -> list[str] | None:
        """Return a list of different texts; with ``empty`` a quoted empty text may be one of them."""
        if node is None:
            return None
        if not isinstance(node, ListNode):
            self.add("T101", f"{what} must be a list", node.place)
            return None
        found: list[str] = []
        for item in node.items:
            text = self.text(item, f"each of {what}", empty=empty)
            if text is not None and text in found:
                self.add("T102", f"{text!r} is twice in {what}", item.place, "keep one")
            elif text is not None:
                found.append(text)
        return found

    def value(self, node: Node, what: str) -> str | list[str] | None:
        """Return an attribute's value: a text or a list of texts. The field's type in the policies converts it."""
        return self.texts(node, what) if isinstance(node, ListNode) else self.text(node, what, empty=True)

    def seconds(self, node: Node | None, what: str, lowest: int, highest: int, default: int) -> int:
        """Return a duration in seconds: ``90``, ``90s``, ``15m``, ``24h`` or ``7d``, within the bounds."""
        if node is None:
            return default
        text = self.text(node, what)
        match = _DURATION.fullmatch(text) if text is not None else None
        seconds = int(match[1]) * _UNITS[match[2] or "s"] if match else None
        if text is not None and (seconds is None or not lowest <= seconds <= highest):
            self.add("T103", f"{what} must be a duration from {lowest}s to {highest}s", node.place, "for example 30s")
            return default
        return default if seconds is None else seconds

    def one_of(self, word: str, known: Iterable[str], what: str, place: Place, hint: str = "") -> None:
        """Note an error unless ``word`` is known."""
        words = list(known)
        if word not in words:
            near = suggestion(word, words)
            self.add("T104", f"{word!r} is not {what}", place, hint or near or "known: " + ", ".join(words))
