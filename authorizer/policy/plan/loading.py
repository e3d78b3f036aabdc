"""Reads data of any size in small steps, so that a thread that does so never holds the interpreter for long.

``json`` makes an object of all its members in one step, and other steps take a whole text: with 50 MB that is 0.3 s in
which no other thread runs. Here the text is cut at commas into pieces of some 64 KB, which the strict reader reads.
"""

import re
from itertools import pairwise
from typing import Any, Final

from msgspec import Struct, field

from authorizer.strict_json import Refused, reader

PIECE: Final = 1 << 16
MAX_DEPTH: Final = 200
MAX_DIGITS: Final = 400

_read = reader(depth=MAX_DEPTH, digits=MAX_DIGITS, real=float)
# INVARIANT: up to the next bracket or comma, or the end; a string is taken whole, a broken one to the end of the text.
_steps = re.compile(rb'(?:[^"\[\]{},]++|"(?:[^"\\]++|\\.?)*+"?+)*+([\[\]{},]|\Z)', re.DOTALL).finditer
_key = re.compile(rb'[ \t\r\n]*("(?:[^"\\]++|\\.)*+")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL).fullmatch
_blank = re.compile(rb"[ \t\r\n]*").fullmatch
_CLOSING: Final = {ord("{"): ord("}"), ord("["): ord("]")}


class _Container(Struct):
    """An object or array: where it begins and ends (at brackets), its cuts (at commas), and the large ones in it."""

    start: int
    comma: int
    end: int = -1
    cuts: list[int] = field(default_factory=list)
    large: dict[int, "_Container"] = field(default_factory=dict)
    cut_next: bool = False


def read_data(data: bytes) -> Any:
    """Read a JSON text, strictly. Raises strict_json.Refused."""
    if len(data) <= 2 * PIECE:
        return _read(data)
    top = _outline(data)
    if top is None:
        return _read(data)
    if not _blank(data, 0, top.start) or not _blank(data, top.end + 1):
        raise Refused("malformed", "there is more than one value")
    return _value(data, top)


def _outline(data: bytes) -> _Container | None:
    """Find the containers that are larger than a piece, and where to cut them; None if there is none."""
    stack: list[_Container] = []
    top: _Container | None = None
    for found in _steps(data):
        if not found[1]:
            break
        at = found.end() - 1
        mark = data[at]
        if mark in _CLOSING:
            if not stack and top is not None:
                raise Refused("malformed", "there is more than one value")
            if len(stack) >= MAX_DEPTH:
                raise Refused("limit", f"the text is nested deeper than {MAX_DEPTH}")
            stack.append(_Container(at, at))
        elif not stack:
            raise Refused("malformed", "the text is not JSON")
        elif mark == 0x2C:
            inner = stack[-1]
            if inner.cut_next or at - (inner.cuts[-1] if inner.cuts else inner.start) > PIECE:
                inner.cuts.append(at)
                inner.cut_next = False
            inner.comma = at
        else:
            inner = stack.pop()
            if mark != _CLOSING[data[inner.start]]:
                raise Refused("malformed", "brackets do not match")
            inner.end = at
            if not stack:
                top = inner
            elif inner.cuts:
                outer = stack[-1]
                if outer.comma > (outer.cuts[-1] if outer.cuts else outer.start):
                    outer.cuts.append(outer.comma)
                outer.large[outer.comma] = inner
                outer.cut_next = True
    if stack:
        raise Refused("malformed", "the text ends too early")
    return top


def _value(data: bytes, container: _Container) -> Any:
    members = data[container.start] == ord("{")
    found: Any = {} if members else []
    bounds = [container.start, *container.cuts, container.end]
    for before, after in pairwise(bounds):
        large = container.large.get(before)
        piece = data[before + 1 : large.start if large else after]
        if large is not None:
            if not _blank(data, large.end + 1, after):
                raise Refused("malformed", "a comma is missing")
            value = _value(data, large)
            if members:
                name = _key(piece)
                if name is None:
                    raise Refused("malformed", "a member has no name")
                _add(found, {_read(name[1]): value})
            elif _blank(piece):
                found.append(value)
            else:
                raise Refused("malformed", "a comma is missing")
            continue
        value = _read(b"{" + piece + b"}" if members else b"[" + piece + b"]")
        if not value and len(bounds) > 2:
            raise Refused("malformed", "a comma too many")
        if members:
            _add(found, value)
        else:
            found += value
    return found


def _add(found: dict[str, Any], members: dict[str, Any]) -> None:
    if not found.keys().isdisjoint(members):
        raise Refused("duplicate", "an object has a member twice")
    found.update(members)
