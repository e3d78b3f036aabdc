"""YAML for people: block style, short values on one line, a comment above the key that it explains."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

_WIDTH = 100
_PLAIN = re.compile(
    r"[A-Za-z_/][A-Za-z0-9_./*%-]*(?::[A-Za-z0-9_./*%-]+)*(?: [A-Za-z0-9_./*%-]+)*"
    r"|\d+(?:\.\d+)?(?:ms|s|m)|\d+(?:\.\d+){3}",
    re.ASCII,
)
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
"""What some reader of YAML takes for something else than a text."""


def render(document: Any, comments: Mapping[str, str] | None = None, head: Iterable[str] = ()) -> str:
    """Return one document of JSON values. ``comments`` maps keys to what is written above their first appearance."""
    left = dict(comments or {})
    lines = [f"# {line}" for line in head]
    lines += _block(document, left)
    return "\n".join(lines) + "\n"


def _block(value: Any, comments: dict[str, str]) -> list[str]:
    if isinstance(value, Mapping):
        return [line for key, item in value.items() for line in _entry(key, item, comments)]
    lines = []
    for item in value:
        first, *rest = [_flow(item)] if _is_short(item, comments) else _block(item, comments)
        if first.startswith("#"):  # what explains the first key stands above the item
            lines.append(first)
            first, *rest = rest
        lines += [f"- {first}", *(f"  {line}" for line in rest)]
    return lines


def _entry(key: str, value: Any, comments: dict[str, str]) -> list[str]:
    told = comments.pop(key, None)
    lines = [] if told is None else [f"# {told}"]
    name = _scalar(key)
    if isinstance(value, str) and "\n" in value:
        return [*lines, f"{name}: |", *(f"  {line}" if line else "" for line in value.rstrip("\n").split("\n"))]
    if _is_short(value, comments):
        return [*lines, f"{name}: {_flow(value)}"]
    return [*lines, f"{name}:", *(f"  {line}" for line in _block(value, comments))]


def _is_short(value: Any, comments: Mapping[str, str]) -> bool:
    """Tell whether a value stands on one line: nothing in it is to be explained, and it is not deep."""
    if not isinstance(value, Mapping | list):
        return True
    return not value or (_depth(value) <= 3 and not _keys(value) & comments.keys() and len(_flow(value)) <= _WIDTH)


def _keys(value: Any) -> set[str]:
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    found = set(value) if isinstance(value, Mapping) else set()
    return found.union(*map(_keys, items))


def _depth(value: Any) -> int:
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else None
    return 0 if items is None else 1 + max(map(_depth, items), default=0)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str) and (not _PLAIN.fullmatch(value) or value.lower() in _WORDS):
        return json.dumps(value, ensure_ascii=False)
    return value if isinstance(value, str) else json.dumps(value)
