"""Configuration in directives and blocks, as nginx and Caddy write it, with the file and line of each directive."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from authorizer.errors import GatewayError, Place

MAX_BYTES = 16 << 20
MAX_DEPTH = 50
MAX_FILES = 500
MAX_DIRECTIVES = 1_000_000

_NGINX = re.compile(
    r"""(?P<space>[ \t\r]+) | (?P<line>\n) | (?P<comment>\#[^\n]*) | (?P<mark>[{};])
    | "(?P<double>(?:[^"\\]|\\.)*)" | '(?P<single>(?:[^'\\]|\\.)*)'
    | (?P<word>(?:\$\{\w{1,100}\}|[^\s;{}"'])(?:\$\{\w{1,100}\}|[^\s;{}])*)""",
    re.VERBOSE | re.DOTALL,
)
_CADDY = re.compile(
    r"""(?P<space>[ \t\r]+|\\\n) | (?P<line>\n) | (?P<comment>\#[^\n]*) | (?P<mark>[{}](?=\s|$))
    | "(?P<double>(?:[^"\\]|\\.)*)" | `(?P<single>[^`]*)` | (?P<word>[^\s"`]\S*)""",
    re.VERBOSE | re.DOTALL,
)
_MARKER = re.compile(r"^# configuration file (\S+):\n", re.ASCII | re.MULTILINE)


class Directive(Struct, frozen=True):
    """``name arguments { children }``."""

    name: str
    arguments: tuple[str, ...]
    children: tuple["Directive", ...]
    place: Place

    def find(self, name: str) -> Iterator["Directive"]:
        """Yield the children of that name."""
        return (child for child in self.children if child.name == name)


Token = tuple[str, str, Place]


def read_nginx(text: str, file: str) -> list[Directive]:
    """Read a configuration or the output of ``nginx -T``; files that it includes are read from where they are.

    Raises GatewayError AZ901 for what is no such text, or too much of it.
    """
    return _Nginx().read(text, file)


class _Nginx:
    """Reads files that include files, MAX_FILES and MAX_DIRECTIVES in all."""

    def __init__(self) -> None:
        self._files = 0
        self._directives = 0

    def read(self, text: str, file: str, depth: int = 0) -> list[Directive]:
        self._files += 1
        if self._files > MAX_FILES or depth > MAX_DEPTH:
            raise GatewayError("AZ901", f"{file}: too many files are included")
        parts = _dumped(text) if depth == 0 else {}
        if parts:
            return self._whole(parts)
        found = _parse(iter(_tokens(_NGINX, text, file)), file, "nginx")
        base = Path(file).parent
        return [each for directive in found for each in self._included(directive, base, depth)]

    def _whole(self, parts: Mapping[str, str]) -> list[Directive]:
        """Join the files of ``nginx -T``: the first is the main one."""
        parsed = {name: _parse(iter(_tokens(_NGINX, text, name)), name, "nginx") for name, text in parts.items()}
        main = next(iter(parsed))
        base = Path(main).parent

        def join(directive: Directive, depth: int) -> list[Directive]:
            self._directives += 1
            if depth > MAX_DEPTH or self._directives > MAX_DIRECTIVES:
                raise GatewayError("AZ901", f"{main}: blocks or files lie too deep in one another, or are too many")
            if directive.name == "include" and directive.arguments:
                pattern = str(base / directive.arguments[0])
                names = [name for name in parsed if Path(name).match(pattern)]
                return [each for name in names for inner in parsed[name] for each in join(inner, depth + 1)]
            inside = tuple(each for child in directive.children for each in join(child, depth + 1))
            return [Directive(directive.name, directive.arguments, inside, directive.place)]

        return [each for directive in parsed[main] for each in join(directive, 0)]

    def _included(self, directive: Directive, base: Path, depth: int) -> list[Directive]:
        if directive.name == "include" and directive.arguments:
            pattern = directive.arguments[0].replace("**", "*")
            paths = sorted(base.glob(pattern)) if not Path(pattern).is_absolute() else _absolute(Path(pattern))
            return [each for path in paths if path.is_file() for each in self.read(_text(path), str(path), depth + 1)]
        inside = tuple(each for child in directive.children for each in self._included(child, base, depth))
        return [Directive(directive.name, directive.arguments, inside, directive.place)]


def _absolute(pattern: Path) -> list[Path]:
    root = Path(pattern.anchor)
    return sorted(root.glob(str(pattern.relative_to(root))))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise GatewayError("AZ901", f"{path} is included and cannot be read") from None


def _dumped(text: str) -> Mapping[str, str]:
    parts = _MARKER.split(text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def read_caddy(text: str, file: str) -> list[Directive]:
    """Read a Caddyfile. Site blocks are directives whose name is their first address. Raises GatewayError AZ901."""
    return _parse(iter(_tokens(_CADDY, text, file)), file, "caddy")


def _tokens(pattern: re.Pattern[str], text: str, file: str) -> Iterator[Token]:
    """Yield ``(kind, text, place)``; kinds are ``word``, ``mark``, ``line`` and, at last, ``end``."""
    if len(text) > MAX_BYTES:
        raise GatewayError("AZ901", f"{file} is larger than {MAX_BYTES} bytes")
    line, at, began = 1, 0, 0
    while at < len(text):
        found = pattern.match(text, at)
        if found is None:
            raise GatewayError("AZ901", f"{file}:{line}: not readable from here on")
        kind = found.lastgroup or ""
        place = Place(file, line, at - began + 1)
        if kind in {"word", "double", "single"}:
            yield "word", found[kind], place
        elif kind in {"mark", "line"}:
            yield kind, found[0], place
        at = found.end()
        if breaks := found[0].count("\n"):
            line += breaks
            began = text.rfind("\n", 0, at) + 1
    yield "end", "", Place(file, line)


def _parse(tokens: Iterator[Token], file: str, style: Literal["nginx", "caddy"]) -> list[Directive]:
    # Block -> the directives in it; the last is the one that is being read.
    stack: list[tuple[list[str], Place, list[Directive]]] = [([], Place(file), [])]
    words: list[str] = []
    place = Place(file)

    def close() -> None:
        if words:
            stack[-1][2].append(Directive(words[0], tuple(words[1:]), (), place))
            words.clear()

    for kind, text, where in tokens:
        if kind == "word":
            place = place if words else where
            words.append(text)
        elif text == "{":
            if len(stack) > MAX_DEPTH:
                raise GatewayError("AZ901", f"{where}: blocks lie too deep in one another")
            stack.append((words.copy(), place if words else where, []))
            words.clear()
        elif text == "}":
            close()
            if len(stack) == 1:
                raise GatewayError("AZ901", f"{where}: a block ends that did not begin")
            head, began, children = stack.pop()
            name, *arguments = head or [""]
            stack[-1][2].append(Directive(name, tuple(arguments), tuple(children), began))
        elif text == ";" or (kind == "line" and style == "caddy") or kind == "end":
            close()
    if len(stack) > 1:
        raise GatewayError("AZ901", f"{stack[-1][1]}: a block does not end")
    return stack[0][2]
