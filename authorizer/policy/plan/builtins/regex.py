r"""Regular expressions in linear time, by RE2, whose syntax and choice of matches are Go's.

Without the package ``google-re2`` there are none of these functions, and a plan that names one is refused.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

from authorizer.policy.plan.builtins.calling import (
    Builtin,
    as_bytes,
    as_text,
    contextual,
    encoded,
    spend,
    text,
    word,
)
from authorizer.policy.plan.builtins.globs import intersect
from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import BuiltinError, Value

try:
    re2: Any = import_module("re2")
except ImportError:
    re2 = None

_MAX_MEMORY: Final = 1024 * 1024
_CACHED: Final = 256
_COMPILING: Final = 500
_MATCHING: Final = 40
_SEARCHING: Final = 8
_AHEAD: Final = 8
"""A search may read all that follows to find a short match: a unit for each 2**8 bytes."""
_INSTRUCTIONS: Final = 32
"""A program of more instructions may be run state by state, when its automaton outgrows the memory it has."""
MISSING: Final = "regular expressions need the package google-re2 (authorizer[rego])"
_EXPANSION = re.compile(r"\$(?:\$|(?P<bare>\w+)|\{(?P<braced>\w+)\})")

_ANY_BYTE = re.compile(r"(?:^|[^\\])(?:\\\\)*\\C")
"""What RE2 has and Go has not."""

Spans = list[tuple[int, int]]
"""Where a match and its groups begin and end, in bytes; -1 for a group that takes no part."""


class _Expression:
    """A compiled expression, or why there is none; ``charged`` once an evaluation has paid for compiling it."""

    __slots__ = ("charged", "compiled", "error")

    def __init__(self) -> None:
        self.charged = False
        self.compiled: Any = None
        self.error = ""

    def compile(self, pattern: str) -> None:
        """Compile ``pattern``."""
        self.charged = True
        if _ANY_BYTE.search(pattern):
            self.error = "invalid escape sequence: `\\C`"
            return
        options = re2.Options()
        options.max_mem = _MAX_MEMORY
        options.log_errors = False
        try:
            self.compiled = re2.compile(pattern, options)
        except (re2.error, UnicodeEncodeError) as problem:
            told = problem.args[0]
            self.error = as_text(told) if isinstance(told, bytes) else str(told)
            return
        if not all(map(str.isascii, self.compiled.groupindex)):
            self.compiled, self.error = None, "invalid named capture"


@lru_cache(maxsize=_CACHED)
def _remembered(_pattern: str) -> _Expression:
    return _Expression()


def expression(context: Context, pattern: str) -> Any:
    """Return the compiled expression. Raises BuiltinError."""
    found = _remembered(pattern)
    if not found.charged:
        context.budget.charge(_COMPILING + 8 * len(pattern))
        found.compile(pattern)
    if found.compiled is None:
        raise BuiltinError(f"error parsing regexp: {found.error}")
    return found.compiled


def _searching(compiled: Any) -> int:
    return int(_SEARCHING * (1 + compiled.programsize // _INSTRUCTIONS))


def _matches(context: Context, compiled: Any, data: bytes, limit: int) -> Iterator[Spans]:
    """Yield the matches from left to right that do not overlap; no empty one stands right behind another."""
    position, last_end, count = 0, -1, 0
    groups = range(compiled.groups + 1)
    searching = _searching(compiled)
    spend(context, searching * len(data))
    while position <= len(data) and count != limit:
        context.budget.charge(_MATCHING + 8 * len(groups) + ((len(data) - position) >> _AHEAD))
        found = compiled.search(data, position)
        if found is None:
            return
        spans = [found.span(group) for group in groups]
        start, end = spans[0]
        spend(context, searching * (end - position))
        accepted = end != position or start != last_end
        position = end if end != position else position + _width(data, position)
        last_end = end
        if accepted:
            count += 1
            yield spans


def _width(data: bytes, position: int) -> int:
    """Return the bytes of the character that begins at ``position``."""
    end = position + 1
    while end < len(data) and data[end] & 0xC0 == 0x80 and data[position] >= 0xC0:
        end += 1
    return end - position


def _is_valid(context: Context, pattern: Value) -> bool:
    if type(pattern) is not str:
        return False
    try:
        expression(context, pattern)
    except BuiltinError:
        return False
    return True


def _match(context: Context, pattern: Value, value: Value) -> bool:
    source = text(pattern, 1)
    data = encoded(value, 2)
    compiled = expression(context, source)
    context.budget.charge(_MATCHING)
    spend(context, _searching(compiled) * len(data))
    return compiled.search(data) is not None


def _split(context: Context, pattern: Value, value: Value) -> list[str]:
    source, data = text(pattern, 1), encoded(value, 2)
    compiled = expression(context, source)
    if source and not data:
        return [""]
    parts: list[bytes] = []
    begin = end = 0
    for spans in _matches(context, compiled, data, -1):
        end, following = spans[0]
        if following:
            parts.append(data[begin:end])
        begin = following
    if end != len(data):
        parts.append(data[begin:])
    return [as_text(part) for part in parts]


def _find(context: Context, pattern: Value, value: Value, limit: Value) -> list[str]:
    source, data, count = text(pattern, 1), encoded(value, 2), word(limit, 3)
    compiled = expression(context, source)
    return [as_text(data[slice(*spans[0])]) for spans in _matches(context, compiled, data, max(count, -1))]


def _find_groups(context: Context, pattern: Value, value: Value, limit: Value) -> list[list[str]]:
    source, data, count = text(pattern, 1), encoded(value, 2), word(limit, 3)
    compiled = expression(context, source)
    return [
        [as_text(data[start:end]) if start >= 0 else "" for start, end in spans]
        for spans in _matches(context, compiled, data, max(count, -1))
    ]


def _replace(context: Context, value: Value, pattern: Value, replacement: Value) -> str:
    data, source, template = encoded(value, 1), text(pattern, 2), text(replacement, 3)
    compiled = expression(context, source)
    made: list[bytes] = []
    last = 0
    for spans in _matches(context, compiled, data, -1):
        start, end = spans[0]
        context.budget.charge(_MATCHING)
        spend(context, len(template) + start - last)
        new = _expanded(context, template, compiled.groupindex, data, spans)
        made += (data[last:start], new)
        last = end
    return as_text(b"".join([*made, data[last:]]))


def _expanded(context: Context, template: str, names: Mapping[str, int], data: bytes, spans: Spans) -> bytes:
    """Return a replacement with ``$1``, ``${name}`` and ``$$`` filled in; a group that is not there is empty."""

    def value(match: re.Match[str]) -> str:
        shown = match["bare"] or match["braced"]
        if shown is None:
            return "$"
        plain = shown.isdigit() and (shown == "0" or shown[0] != "0") and len(shown) < 9
        group = int(shown) if plain else names.get(shown, -1)
        if not 0 <= group < len(spans) or spans[group][0] < 0:
            return ""
        begin, end = spans[group]
        context.budget.charge(4)
        spend(context, end - begin)  # INVARIANT: before it is made; a template may name a long group many times
        return as_text(data[begin:end])

    return as_bytes(_EXPANSION.sub(value, template) if "$" in template else template)


def _template_match(context: Context, template: Value, value: Value, start: Value, end: Value) -> bool:
    source, data = text(template, 1), encoded(value, 2)
    opening, closing = text(start, 3), text(end, 4)
    if len(as_bytes(opening)) != 1 or len(as_bytes(closing)) != 1:
        raise BuiltinError("a delimiter has to be exactly one character long")
    spend(context, len(source) + len(data))
    pattern = ""
    literal_from, level, group_from = 0, 0, 0
    for position, character in enumerate(source):
        if character == opening:
            level += 1
            if level == 1:
                group_from = position
        elif character == closing:
            level -= 1
            if level == 0:
                inner = source[group_from + 1 : position]
                expression(context, f"^{inner}$")
                pattern += f"{re2.escape(source[literal_from:group_from])}({inner})"
                literal_from = position + 1
        if level < 0:
            break
    if level:
        raise BuiltinError("unbalanced braces")
    compiled = expression(context, f"^{pattern}{re2.escape(source[literal_from:])}$")
    spend(context, _searching(compiled) * len(data))
    return compiled.search(data) is not None


_FUNCTIONS: Final[Mapping[str, Builtin]] = {
    "re_match": contextual(_match),
    "regex.find_all_string_submatch_n": contextual(_find_groups),
    "regex.find_n": contextual(_find),
    "regex.is_valid": contextual(_is_valid),
    "regex.match": contextual(_match),
    "regex.replace": contextual(_replace),
    "regex.split": contextual(_split),
    "regex.template_match": contextual(_template_match),
}
_GLOBS: Final[Mapping[str, Builtin]] = {"regex.globs_match": contextual(intersect)}
BUILTINS: Final[Mapping[str, Builtin]] = _GLOBS if re2 is None else {**_FUNCTIONS, **_GLOBS}
REFUSED: Final[Mapping[str, str]] = dict.fromkeys(_FUNCTIONS if re2 is None else (), MISSING)
