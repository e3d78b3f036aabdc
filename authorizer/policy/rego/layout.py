"""One layout for all Rego: indentation by tabs, one space where one belongs, comments where they stood.

Only white space changes: the result has the tokens of the source, in their order, with their line breaks. So a layout
cannot change what a policy means.
"""

from authorizer.policy.rego.lexer import Token, tokens_of
from authorizer.policy.rego.modules import parse
from authorizer.policy.rego.problems import Findings
from authorizer.policy.rego.syntax import Comment

_OPENING = frozenset({"(", "[", "{"})
_CLOSING = frozenset({")", "]", "}"})
_WORDS = frozenset(
    {"as", "contains", "default", "else", "every", "if", "import", "in", "not", "package", "some", "with"}
)


def layout(text: str, file: str, version: int = 1) -> str:
    """Return the module in the one layout. Raises RegoError for what is no module."""
    parse(text, file, version)
    tokens, comments = tokens_of(text, Findings(file, ()))
    laid = _Layout(text, tokens[:-1], comments).run()
    again, _ = tokens_of(laid, Findings(file, ()))
    # INVARIANT: the tokens stay the same; where a bug here would change them the text stays as it was.
    return laid if _bare(again) == _bare(tokens) else text


def _bare(tokens: list[Token]) -> list[tuple[str, str, bool]]:
    return [(token.kind, token.text, token.fresh) for token in tokens[:-1]]


class _Layout:
    def __init__(self, text: str, tokens: list[Token], comments: list[Comment]) -> None:
        self.text = text
        self.tokens = tokens
        self.notes = {comment.at[0]: comment for comment in comments}
        self.lines: list[str] = []
        self.open: list[tuple[str, bool, int]] = []  # mark, is it a body's, depth of the lines inside
        self.line = ""
        self.row = 0

    def run(self) -> str:
        index = 0
        while index < len(self.tokens):
            index = self._row(index)
        last = max(self.notes, default=0)
        self._notes_until(last + 1)
        while self.lines and not self.lines[-1]:
            self.lines.pop()
        return "\n".join(self.lines) + "\n"

    def _row(self, start: int) -> int:
        """Lay out the tokens of one row; return the index of the first of the next."""
        first = self.tokens[start]
        self._notes_until(first.at[0])
        end = start + 1
        while end < len(self.tokens) and not self.tokens[end].fresh:
            end += 1
        closing = 0
        while start + closing < end and self.tokens[start + closing].kind in _CLOSING:
            closing += 1
        depth = self.open[-closing][2] - 1 if 0 < closing <= len(self.open) else self._depth()
        self._gap(first.at[0])
        base = self._depth()
        parts: list[str] = []
        before: Token | None = self.tokens[start - 1] if start else None
        index = start
        while index < end:
            token = self.tokens[index]
            shown, index = self._shown(index)
            if parts and self._spaced(before, token):
                parts.append(" ")
            parts.append(shown)
            self._count(before, token, depth if closing else base)
            before = self.tokens[index - 1]
        row = self.text.count("\n", 0, self.tokens[end - 1].stop) + 1
        trailing = self.notes.pop(row, None)
        text = "\t" * max(0, depth) + "".join(parts)
        if trailing is not None:
            text += f" #{trailing.text.rstrip()}"
        self.lines.extend(text.split("\n") if "\n" not in text else [text])
        self.row = row
        return end

    def _depth(self) -> int:
        return self.open[-1][2] if self.open else 0

    def _gap(self, row: int) -> None:
        """Keep one empty line where there were any."""
        if self.lines and row > self.row + 1 and self.lines[-1]:
            self.lines.append("")

    def _notes_until(self, row: int) -> None:
        """Write the comments that stand on rows of their own before ``row``."""
        for at in sorted(note for note in self.notes if note < row):
            comment = self.notes.pop(at)
            self._gap(at)
            self.lines.append("\t" * self._depth() + f"#{comment.text.rstrip()}")
            self.row = at

    def _shown(self, index: int) -> tuple[str, int]:
        """Return the text of a token, a whole template string taken as it is, and the index after it."""
        token = self.tokens[index]
        if token.kind != "template" or token.last:
            return self.text[token.start : token.stop], index + 1
        depth, end = 1, index + 1
        while end < len(self.tokens) and depth:
            if self.tokens[end].kind == "template":
                depth += _opens(self.text, self.tokens[end]) - self.tokens[end].last
            end += 1
        return self.text[token.start : self.tokens[end - 1].stop], end

    def _count(self, before: Token | None, token: Token, base: int) -> None:
        """Follow the brackets: lines inside of those that a row opens are one step deeper than the row."""
        if token.kind in _OPENING:
            self.open.append((token.kind, _is_body(before, token), base + 1))
        elif token.kind in _CLOSING and self.open:
            self.open.pop()

    def _spaced(self, before: Token | None, token: Token) -> bool:
        """Tell whether one space stands between two tokens of a row."""
        if before is None:
            return False
        left, right = before.kind, token.kind
        if left == "{" or right == "}":
            body = self.open[-1][1] if self.open else False
            return body and not (left == "{" and right == "}")
        if left in {"(", "[", "."} or right in {")", "]", ",", ";", ":", "."}:
            return False
        if right in {"[", "("} and token.glued and _ends_term(before):
            return False
        return not (left == "-" and token.glued)


def _opens(text: str, token: Token) -> bool:
    """Tell whether a piece of a template begins another template, inside of the first."""
    return text.startswith("$", token.start)


def _ends_term(token: Token) -> bool:
    return token.kind in {")", "]", "}", "string", "number", "template"} or token.kind == "name"


def _is_body(before: Token | None, token: Token) -> bool:
    """Tell whether a brace begins a body: it follows a term, ``if`` or ``else`` on the same row."""
    if before is None or token.fresh:
        return False
    if before.kind == "name":
        return before.text in {"if", "else"} or before.text not in _WORDS
    return _ends_term(before)
