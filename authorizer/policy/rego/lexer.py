"""Text to tokens. Template strings are cut here too, so the parser sees one flat list."""

import json
import re

from msgspec import Struct

from authorizer.policy.rego.problems import Findings
from authorizer.policy.rego.syntax import At, Comment

MAX_CHARACTERS = 4 * 1024 * 1024
MAX_TOKENS = 1_000_000
_MAX_TEMPLATES = 16


class Token(Struct, frozen=True, gc=False):
    """``kind`` is ``name``, ``number``, ``string``, ``template``, ``end`` or the mark itself.

    ``glued``: nothing stands before it; ``fresh``: it is the first of its line; ``last``: a template's last text.
    """

    kind: str
    text: str
    at: At
    glued: bool
    fresh: bool
    last: bool = False
    raw: bool = False
    start: int = 0
    stop: int = 0


_PARTS = re.compile(
    r"""
      (?P<space>[ \t\r]+)
    | (?P<line>\n)
    | (?P<comment>\#[^\n]*)
    | (?P<name>[A-Za-z_](?:[A-Za-z_0-9])*)
    | (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
    | (?P<string>"(?:[^"\\\n]|\\.)*")
    | (?P<raw>`[^`]*`)
    | (?P<template>\$["`])
    | (?P<mark>:=|==|!=|<=|>=|[\[\]{}(),:;.+\-*/%&|=<>])
    """,
    re.VERBOSE,
)
_PLAIN = re.compile(r'(?:[^"\\{\n]|\\.)*')
_RAW = re.compile(r"(?:[^`\\{]|\\\{|\\)*")
_ESCAPE = re.compile(r'\\(?!["\\/bfnrtu])')


class _Lexer:
    def __init__(self, text: str, findings: Findings) -> None:
        self.text = text
        self.findings = findings
        self.tokens: list[Token] = []
        self.comments: list[Comment] = []
        self.position = 0
        self.line = 1
        self.line_start = 0
        self.glued = False
        self.fresh = True
        self.templates: list[tuple[bool, int]] = []  # raw?, braces open within
        self.braces = 0

    def run(self) -> None:
        text, size = self.text, len(self.text)
        if text.startswith("\ufeff"):
            self.position = self.line_start = 1
        match = _PARTS.match
        while self.position < size:
            found = match(text, self.position)
            if found is None:
                self._strange()
                continue
            kind = found.lastgroup
            if kind == "space":
                self.position = found.end()
                self.glued = False
            elif kind == "line":
                self._break(found.end())
            elif kind == "comment":
                self.comments.append(Comment(found.group()[1:].rstrip("\r"), self.at()))
                self.position = found.end()
            elif kind == "mark":
                self._mark(found.group())
            elif kind == "template":
                self._open_template(found.group())
            else:
                self._word(kind or "", found)
            if len(self.tokens) > MAX_TOKENS:
                self.findings.add("G103", f"more than {MAX_TOKENS} tokens", self.at(), "split the file")
                break
        if self.templates:
            self.findings.add("G101", "a template string that does not end", self.at())
        self._add("end", "", size)

    def at(self) -> At:
        return (self.line, self.position - self.line_start + 1)

    def _add(self, kind: str, text: str, stop: int, *, last: bool = False, raw: bool = False) -> None:
        self.tokens.append(Token(kind, text, self.at(), self.glued, self.fresh, last, raw, self.position, stop))
        self.position = stop
        self.glued = True
        self.fresh = False

    def _break(self, end: int) -> None:
        self.line += 1
        self.position = self.line_start = end
        self.glued = False
        self.fresh = True

    def _skip_lines(self, start: int, stop: int) -> None:
        """Count the line breaks of a token that spans several."""
        breaks = self.text.count("\n", start, stop)
        if breaks:
            self.line += breaks
            self.line_start = self.text.rindex("\n", start, stop) + 1

    def _strange(self) -> None:
        character = self.text[self.position]
        if character == '"':
            message, skip = "a string that does not end", len(self.text[self.position :].partition("\n")[0])
        elif character == "`":
            message, skip = "a raw string that does not end", len(self.text) - self.position
        else:
            message, skip = f"a character that Rego does not have: {character!a}", 1
        self.findings.add("G101", message, self.at())
        self.position += skip
        self.glued = False

    def _mark(self, mark: str) -> None:
        if self.templates:
            if mark == "{":
                self.braces += 1
            elif mark == "}":
                if self.braces == 0:
                    self._add("}", "}", self.position + 1)
                    raw, self.braces = self.templates.pop()
                    self._template_text(raw, self.position)
                    return
                self.braces -= 1
        self._add(mark, mark, self.position + len(mark))

    def _open_template(self, mark: str) -> None:
        if len(self.templates) >= _MAX_TEMPLATES:
            self.findings.add("G103", f"template strings nest deeper than {_MAX_TEMPLATES}", self.at())
            self.position = len(self.text)
            return
        self._template_text(mark == "$`", self.position + 2)

    def _template_text(self, raw: bool, start: int) -> None:
        """Cut the text up to the next expression, or to the end of the template."""
        found = (_RAW if raw else _PLAIN).match(self.text, start)
        stop = found.end() if found else start
        closing = self.text[stop : stop + 1]
        if closing not in {"{", "`" if raw else '"'} or not closing:
            self.findings.add("G101", "a template string that does not end", self.at())
            self.position = len(self.text) if raw else stop
            return
        inside = self.text[start:stop].replace("\\{", "{")
        if not raw:
            inside = self._unescaped(inside)
        begun = self.position
        self._add("template", inside, stop + 1, last=closing != "{", raw=raw)
        self._skip_lines(begun, stop)
        if closing == "{":
            self.templates.append((raw, self.braces))
            self.braces = 0

    def _unescaped(self, inside: str) -> str:
        if "\\" not in inside:
            return inside
        try:
            return _decoded(inside)
        except ValueError:
            self.findings.add("G101", "an escape that JSON does not have", self.at())
            return ""

    def _word(self, kind: str, found: re.Match[str]) -> None:
        text, end = found.group(), found.end()
        if kind == "number":
            following = self.text[end : end + 1]
            if following == "." or following.isalnum() or following == "_":
                self.findings.add("G101", "not a number", self.at())
            elif len(text) > 1 and text[0] == "0" and text[1] not in ".eE":
                self.findings.add("G101", "a number with a leading zero", self.at())
            elif _too_large(text):
                self.findings.add("G101", "a number that is too large", self.at())
            self._add("number", text, end)
        elif kind == "string":
            inside = text[1:-1]
            self._add("string", self._unescaped(inside), end)
        elif kind == "raw":
            begun = self.position
            self._add("string", text[1:-1], end, raw=True)
            self._skip_lines(begun, end)
        else:
            self._add(kind, text, end)


def _decoded(inside: str) -> str:
    if _ESCAPE.search(re.sub(r"\\\\", "", inside)):
        raise ValueError(inside)
    decoded: str = json.loads(f'"{inside}"', strict=False)
    # A half of a surrogate pair is no character: as Go's decoder does, it becomes the replacement character.
    return decoded.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if "\\u" in inside else decoded


def _too_large(text: str) -> bool:
    exponent = text.lower().partition("e")[2]
    return len(text) > 1000 or (len(exponent) > 6) or (exponent != "" and abs(int(exponent)) > 1000)


def tokens_of(text: str, findings: Findings) -> tuple[list[Token], list[Comment]]:
    """Cut the text of a module; what is wrong goes to ``findings``. The last token is of kind ``end``."""
    if len(text) > MAX_CHARACTERS:
        findings.add("G103", f"larger than {MAX_CHARACTERS} characters", (1, 1), "split the file")
        text = ""
    lexer = _Lexer(text, findings)
    lexer.run()
    return lexer.tokens, lexer.comments
