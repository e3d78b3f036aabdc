r"""Patterns of ``like``: texts in which ``*`` stands for any run of characters, none included.

``\*`` is a star and ``\\`` a backslash; all else is itself. Matching takes no more steps than text and pattern have
characters together times the stars, which are few: no pattern is slow.
"""

import re

from msgspec import Struct

MAX_STARS = 8
_PIECE = re.compile(r"\\(.?)|\*", re.DOTALL)


class Pattern(Struct, frozen=True):
    """A pattern, as written, and the literal pieces between its stars."""

    text: str
    pieces: tuple[str, ...]

    def matches(self, value: str) -> bool:
        """Whether the whole of a text fits."""
        first, *rest = self.pieces
        if not rest:
            return value == first
        *middle, last = rest
        if not value.startswith(first) or len(value) < len(first) + len(last):
            return False
        here, end = len(first), len(value) - len(last)
        for piece in middle:
            found = value.find(piece, here, end)
            if found < 0:
                return False
            here = found + len(piece)
        return value.endswith(last)

    def __str__(self) -> str:
        return self.text


def fault(text: str) -> str:
    """Return what is wrong with a pattern, or ""."""
    stars = 0
    for piece in _PIECE.finditer(text):
        if piece[0] == "*":
            stars += 1
        elif piece[1] not in {"*", "\\"}:
            return "a backslash stands before '*' or a backslash only"
    return f"it has more than {MAX_STARS} stars" if stars > MAX_STARS else ""


def parse(text: str) -> Pattern | None:
    """Return the pattern that a text is, or None."""
    if fault(text):
        return None
    pieces = [""]
    position = 0
    for piece in _PIECE.finditer(text):
        pieces[-1] += text[position : piece.start()] + (piece[1] or "")
        if piece[0] == "*":
            pieces.append("")
        position = piece.end()
    pieces[-1] += text[position:]
    return Pattern(text, tuple(pieces))
