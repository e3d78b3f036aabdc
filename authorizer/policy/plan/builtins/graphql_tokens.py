"""Tokens of GraphQL documents (GraphQL specification, October 2021, section 2.1)."""

import re
from typing import Final, NamedTuple

from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import BuiltinError

_NEXT = re.compile(
    r"[\t ,\r\n\ufeff]+"
    r"|(?P<comment>#[\t\x20-\U0010ffff]*)"
    r"|(?P<name>[_A-Za-z][_0-9A-Za-z]*)"
    r"|(?P<number>-?(?:0|[1-9][0-9]*)(?P<fraction>\.[0-9]+)?(?P<exponent>[eE][+-]?[0-9]+)?)"
    r'|(?P<block>""")'
    r'|"(?P<string>(?:[^"\\\x00-\x08\x0a-\x1f]|\\.)*)"'
    r"|(?P<mark>\.\.\.|[!$&():=@\[\]{}|])"
)
_AFTER_ZERO = re.compile(r"-?0[0-9]")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_ESCAPED: Final = {'"': '"', "/": "/", "\\": "\\", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Token(NamedTuple):
    """A token: what it is (a mark itself, ``name``, ``int``, ``float``, ``string``, ``block``, or empty at the end).

    ``comments`` are those between the token before and this one.
    """

    kind: str
    text: str
    comments: tuple[str, ...]


def tokens(context: Context, source: str) -> list[Token]:
    """Return the tokens of a document, the one that marks its end last. Raises BuiltinError."""
    context.budget.charge(50 + 10 * len(source))
    found: list[Token] = []
    comments: list[str] = []
    position = 0
    while position < len(source):
        match = _NEXT.match(source, position)
        if match is None:
            raise BuiltinError(f"GraphQL: unexpected character at {_place(source, position)}")
        position = match.end()
        kind = match.lastgroup
        if kind is None:
            continue
        if kind == "comment":
            comments.append(match[0])
            continue
        if kind == "block":
            text, position = _block(source, position)
            token = Token("block", text, tuple(comments))
        elif kind == "string":
            token = Token("string", _ESCAPE.sub(_unescaped, match["string"]), tuple(comments))
        elif kind in {"number", "fraction", "exponent"}:
            if _AFTER_ZERO.match(source, match.start()):
                raise BuiltinError(f"GraphQL: unexpected digit after 0 at {_place(source, position)}")
            real = match["fraction"] or match["exponent"]
            token = Token("float" if real else "int", match["number"], tuple(comments))
            if source[position : position + 1] in {".", "e", "E"}:
                raise BuiltinError(f"GraphQL: expected a digit at {_place(source, position)}")
        else:
            token = Token("name" if kind == "name" else match[0], match[0], tuple(comments))
        found.append(token)
        comments = []
    return [*found, Token("", "", tuple(comments))]


def _place(source: str, position: int) -> str:
    line = source.count("\n", 0, position) + 1
    return f"{line}:{position - source.rfind(chr(10), 0, position)}"


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        point = int(match[1], 16)
        return "\ufffd" if 0xD800 <= point < 0xE000 else chr(point)
    if match[2] not in _ESCAPED:
        raise BuiltinError("GraphQL: invalid character escape sequence")
    return _ESCAPED[match[2]]


def _block(source: str, position: int) -> tuple[str, int]:
    """Return the text of a block string that begins at ``position``, and where it ends."""
    parts: list[str] = []
    while True:
        quotes = source.find('"', position)
        if quotes < 0:
            raise BuiltinError("GraphQL: unterminated string")
        if source[quotes - 1] == "\\" and source.startswith('"""', quotes):
            parts.append(source[position : quotes - 1] + '"""')
            position = quotes + 3
            continue
        end = quotes
        while source[end : end + 1] == '"':
            end += 1
        parts.append(source[position:quotes])
        if end - quotes >= 3:
            parts.append('"' * (end - quotes - 3))
            break
        parts.append(source[quotes:end])
        position = end
    text = "".join(parts).replace("\r\n", "\n").replace("\r", "\n")
    if any(character < " " and character not in "\t\n" for character in text):
        raise BuiltinError("GraphQL: invalid character within String")
    return _dedented(text), end


def _dedented(text: str) -> str:
    """Return a block string's value: without common indentation and blank lines at either end (section 2.9.4)."""
    lines = text.split("\n")
    indents = [len(line) - len(line.lstrip(" \t")) for line in lines if line.strip(" \t")]
    if indents:
        lines[1:] = [line[min(indents) :] for line in lines[1:]]
    while lines and not lines[0].strip(" \t"):
        lines.pop(0)
    while lines and not lines[-1].strip(" \t"):
        lines.pop()
    return "\n".join(lines)
