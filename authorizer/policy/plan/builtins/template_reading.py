"""Templates in Go's language read into nodes: text, actions and blocks (Go's ``text/template/parse``)."""

import re
from typing import Final, NamedTuple

from msgspec import Struct

from authorizer.policy.plan.context import BudgetError
from authorizer.policy.plan.values import BuiltinError, Value

_MAX_DEPTH: Final = 32
_ACTION = re.compile(r"\{\{(?P<left>- )?(?P<comment>/\*.*?\*/)?", re.DOTALL)
_COMMENT_END = re.compile(r"( -)?\}\}")
_SPACE: Final = " \t\r\n"
_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]*)(?:"
    r'(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<raw>`[^`]*`)|(?P<character>\'(?:[^\'\\\n]|\\[^\n])+\')'
    r"|(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?))"
    r"|(?P<variable>\$[A-Za-z0-9_]*)|(?P<field>\.[A-Za-z_][A-Za-z0-9_]*)|(?P<dot>\.)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<mark>:=|[=|(),])|(?P<end>(?: -)?\}\}))"
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
_ESCAPED: Final = dict(zip("abfnrtv\\'\"", "\a\b\f\n\r\t\v\\'\"", strict=True))


class Operand(Struct):
    """A ``constant``, ``nil``, ``dot``, ``variable``, ``function`` or ``pipeline``, and the fields taken of it."""

    kind: str
    value: Value = None
    fields: list[str] = []


class Pipeline(Struct):
    """Commands, each of operands; what the last one gives is put into the variables."""

    variables: list[str]
    declares: bool
    commands: list[list[Operand]]


class Node(Struct):
    """``text``, ``action``, ``if``, ``range``, ``with``, ``template``, ``break`` or ``continue``."""

    kind: str
    text: str = ""
    pipeline: Pipeline | None = None
    body: list["Node"] = []
    other: list["Node"] = []


class _Token(NamedTuple):
    kind: str
    text: str
    spaced: bool


def malformed(why: str) -> BuiltinError:
    """Return the error that a template cannot be read or filled in."""
    return BuiltinError(f"template: {why}")


def _unescaped(match: re.Match[str]) -> str:
    for group, base in ((1, 16), (2, 16), (3, 16), (4, 8)):
        if match[group]:
            point = int(match[group], base)
            if point > 0x10FFFF:
                raise malformed("a character that there is not")
            return chr(point)
    if match[5] not in _ESCAPED:
        raise malformed("an unknown escape")
    return _ESCAPED[match[5]]


class Reader:
    """A template that is read; ``templates`` are those that it defines, by name."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.position = 0
        self.token = _Token("", "", spaced=False)
        self.templates: dict[str, list[Node]] = {}
        self.variables = ["$"]
        self.depth = 0
        self.trim = False

    def read(self) -> list[Node]:
        """Return the nodes of the whole template."""
        nodes, end = self.block(())
        if end:
            raise malformed(f"unexpected {end}")
        return nodes

    def next(self) -> _Token:
        """Go to the next token of an action."""
        match = _TOKEN.match(self.source, self.position)
        if match is None or match.lastgroup is None:
            raise malformed("an action that does not end, or has a character that it may not")
        self.position = match.end()
        kind = match.lastgroup
        self.token = _Token(kind, match[kind], bool(match["space"]))
        return self.token

    def text(self) -> tuple[str, bool]:
        """Read text up to the next action; return it, and whether there is one, whose first token is then current."""
        made = ""
        while True:
            action = _ACTION.search(self.source, self.position)
            part = self.source[self.position : action.start() if action else len(self.source)]
            part = part.lstrip(_SPACE) if self.trim else part
            self.position = action.end() if action else len(self.source)
            if action is None:
                return made + part, False
            made += part.rstrip(_SPACE) if action["left"] else part
            if not action["comment"]:
                self.trim = False
                self.next()
                return made, True
            end = _COMMENT_END.match(self.source, self.position)
            if end is None:
                raise malformed("a comment ends before its action does")
            self.position, self.trim = end.end(), bool(end[1])

    def end(self) -> None:
        """Finish an action."""
        if self.token.kind != "end":
            raise malformed(f"unexpected {self.token.text}")
        self.trim = self.token.text.startswith(" -")

    def block(self, ends: tuple[str, ...]) -> tuple[list[Node], str]:
        """Read nodes up to one of the words that end a block; return them and the word."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise BudgetError
        nodes: list[Node] = []
        scope = len(self.variables)
        while True:
            text, opened = self.text()
            if text:
                nodes.append(Node("text", text))
            word = self.token.text if opened and self.token.kind == "name" else ""
            if word in {"end", "else"} and word not in ends:
                raise malformed(f"unexpected {word}")
            if not opened or word in {"end", "else"}:
                break
            nodes += self.action(word)
        if ends and not word:
            raise malformed("unexpected end of the template")
        del self.variables[scope:]
        self.depth -= 1
        return nodes, word

    def action(self, word: str) -> list[Node]:
        """Read one action from its first token on."""
        if word in {"if", "with", "range"}:
            self.next()
            return [self.control(word)]
        if word in {"break", "continue"}:
            self.next()
            self.end()
            return [Node(word)]
        if word in {"define", "block", "template"}:
            return self.named(word)
        pipeline = self.pipeline("end")
        self.end()
        return [Node("action", pipeline=pipeline)]

    def control(self, word: str) -> Node:
        """Read a block from behind its word."""
        scope = len(self.variables)
        pipeline = self.pipeline("end", several=word == "range")
        self.end()
        body, end = self.block(("end", "else"))
        other: list[Node] = []
        if end == "else":
            self.next()
            if self.token.kind == "name" and self.token.text == word and word != "range":
                self.next()
                other = [self.control(word)]
                del self.variables[scope:]
                return Node(word, pipeline=pipeline, body=body, other=other)
            self.end()
            other, _ = self.block(("end",))
        self.next()
        self.end()
        del self.variables[scope:]
        return Node(word, pipeline=pipeline, body=body, other=other)

    def named(self, word: str) -> list[Node]:
        """Read the definition or the use of a template with a name."""
        if self.next().kind not in {"string", "raw"}:
            raise malformed("a template's name is a string")
        name = str(self.operand().value)
        pipeline = None
        if word == "template" and self.token.kind == "end":
            self.end()
            return [Node("template", name)]
        if word != "define":
            pipeline = self.pipeline("end")
        self.end()
        if word == "template":
            return [Node("template", name, pipeline)]
        outer, self.variables = self.variables, ["$"]
        self.templates[name], _ = self.block(("end",))
        self.variables = outer
        self.next()
        self.end()
        return [] if word == "define" else [Node("template", name, pipeline)]

    def pipeline(self, end: str, *, several: bool = False) -> Pipeline:
        """Read a pipeline up to its end, the current token being its first."""
        found = Pipeline([], declares=False, commands=[])
        if self.token.kind == "variable":
            self.declare(found, several=several)
        while True:
            command: list[Operand] = []
            while self.token.kind != end and self.token.text != "|":
                if command and not self.token.spaced:
                    raise malformed(f"unexpected {self.token.text}")
                command.append(self.operand())
            if not command:
                raise malformed("a command is missing")
            found.commands.append(command)
            if self.token.kind == end:
                break
            self.next()
        if found.declares:
            self.variables += found.variables
        return found

    def declare(self, pipeline: Pipeline, *, several: bool) -> None:
        """Read the variables that a pipeline is put into, if it is."""
        position, token = self.position, self.token
        names = [token.text]
        mark = self.next()
        if several and mark.text == ",":
            names.append(self.next().text)
            mark = self.next()
        if mark.text in {":=", "="} and all(name.startswith("$") for name in names):
            if mark.text == "=" and not set(names) <= set(self.variables):
                raise malformed("an undefined variable")
            pipeline.variables, pipeline.declares = names, mark.text == ":="
            self.next()
        else:
            self.position, self.token = position, token

    def operand(self) -> Operand:
        """Read an operand and the fields that are taken of it."""
        token = self.token
        match token.kind:
            case "string":
                found = Operand("constant", _ESCAPE.sub(_unescaped, token.text[1:-1]))
            case "raw":
                found = Operand("constant", token.text[1:-1])
            case "character":
                shown = _ESCAPE.sub(_unescaped, token.text[1:-1])
                if len(shown) != 1:
                    raise malformed("a character is one")
                found = Operand("constant", ord(shown))
            case "number":
                found = Operand("constant", _number(token.text))
            case "variable":
                if token.text not in self.variables:
                    raise malformed(f"undefined variable {token.text}")
                found = Operand("variable", token.text)
            case "dot":
                found = Operand("dot")
            case "field":
                found = Operand("dot", None, [token.text[1:]])
            case "name" if token.text in {"true", "false", "nil"}:
                found = Operand("nil") if token.text == "nil" else Operand("constant", token.text == "true")
            case "name":
                found = Operand("function", token.text)
            case "mark" if token.text == "(":
                self.depth += 1
                if self.depth > _MAX_DEPTH:
                    raise BudgetError
                self.next()
                found = Operand("pipeline", self.parenthesis())
                self.depth -= 1
            case _:
                raise malformed(f"unexpected {token.text}")
        self.next()
        while self.token.kind == "field" and not self.token.spaced:
            if found.kind in {"constant", "nil", "function"}:
                raise malformed("a field of what has none")
            found.fields = [*found.fields, self.token.text[1:]]
            self.next()
        return found

    def parenthesis(self) -> Pipeline:
        """Read a pipeline in parentheses, whose end stays the current token."""
        commands: list[list[Operand]] = [[]]
        while self.token.text != ")":
            if self.token.text == "|":
                commands.append([])
                self.next()
            else:
                commands[-1].append(self.operand())
        if not all(commands):
            raise malformed("a command is missing")
        return Pipeline([], declares=False, commands=commands)


def _number(source: str) -> int | float:
    if len(source) > 40:
        raise malformed("a number that is too long")
    if source.lstrip("+-")[:2].lower() == "0x":
        return int(source, 16)
    return float(source) if set(source) & set(".eE") else int(source)
