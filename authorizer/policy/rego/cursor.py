"""A place in a list of tokens, and the limits of what may be read from there."""

from typing import NoReturn

from authorizer.policy.rego.lexer import Token
from authorizer.policy.rego.problems import Refusal

MAX_DEPTH = 128
"""How deep terms, bodies and chains of operators nest. INVARIANT: later passes recurse, and rely on this bound."""


class Cursor:
    """A place in a list of tokens. ``words`` are the keywords in force: imports add to them."""

    def __init__(self, tokens: list[Token], words: frozenset[str]) -> None:
        self.tokens = tokens
        self.index = 0
        self.token = tokens[0]
        self.words = words
        self.depth = 0

    def advance(self) -> Token:
        """Step over a token and return it."""
        token = self.token
        self.go(self.index + 1)
        return token

    def go(self, index: int) -> None:
        """Stand at a token."""
        self.index = min(index, len(self.tokens) - 1)
        self.token = self.tokens[self.index]

    def after(self) -> Token:
        """Return the token after this one."""
        return self.tokens[min(self.index + 1, len(self.tokens) - 1)]

    def is_word(self, word: str) -> bool:
        """Tell whether the keyword stands here, is in force, and does not begin a reference on a line of its own."""
        token = self.token
        if token.text != word or token.kind != "name" or word not in self.words:
            return False
        return not (token.fresh and self.is_reference())

    def expect(self, kind: str, what: str = "") -> Token:
        """Step over a token of this kind. Raises Refusal."""
        if self.token.kind != kind:
            self.unexpected(f"expected {what or kind}")
        return self.advance()

    def unexpected(self, wanted: str = "") -> NoReturn:
        """Raise the Refusal of the token that stands here."""
        token = self.token
        shown = "end of file" if token.kind == "end" else f"`{token.text}`" if token.kind != "string" else "string"
        raise Refusal("G102", f"unexpected {shown}" + (f": {wanted}" if wanted else ""), token.at)

    def enter(self) -> None:
        """Go one level deeper. Raises Refusal."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Refusal("G103", f"nested deeper than {MAX_DEPTH}", self.token.at, "give parts names of their own")

    def is_reference(self) -> bool:
        """Tell whether a keyword here is the head of a reference: ``if.x``."""
        return self.after().kind in {".", "["} and self.after().glued
