"""Bodies as opa-envoy-plugin parses them for its policies: JSON, forms, and forms in parts (RFC 7578)."""

import re
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from authorizer.grammar import BAD_ESCAPE
from authorizer.model import Reason, Request
from authorizer.pdp.query import decoded_strictly
from authorizer.reasons import reason
from authorizer.strict_json import Refused, reader

MAX_BODY: Final = 1 << 20
"""Bytes of a body that is parsed."""
MAX_DEPTH: Final = 64
MAX_DIGITS: Final = 128
MAX_PARTS: Final = 1000
MAX_VALUES: Final = 50_000
"""Values of a JSON text, pairs of a form: 250,000 in a megabyte would hold all other decisions for 0.3 s."""

MAX_HEAD: Final = 4096
"""Bytes of a part's head."""
_MAX_FIELDS = 16

_read = reader(depth=MAX_DEPTH, digits=MAX_DIGITS, real=float)
_MALFORMED = reason("body_malformed")
_LIMIT = reason("body_limit")
_TYPE = reason("body_type")
_boundary = re.compile(
    r";[ \t]*boundary=(?:\"([^\"\\]{1,70})\"|([!#$%&'*+.^_`|~0-9A-Za-z-]{1,70}))", re.IGNORECASE
).search
_name = re.compile(r"form-data(?:;[^;]*)*?;[ \t]*name=\"([^\"\\\r\n]*)\"", re.IGNORECASE).match


class Parsed(Struct, frozen=True):
    """A body's value, None where there is none to be had, and whether only a part of it came."""

    value: Any = None
    truncated: bool = False


def body_text(request: Request) -> str | None:
    """Return a body that is UTF-8 as text, else None."""
    try:
        return request.body.decode() if request.body else None
    except UnicodeDecodeError:
        return None


def parsed_body(request: Request) -> Parsed | Reason:
    """Return the body by its content type, or why it is refused: what is JSON or a form by its type must be one."""
    sent = request.headers.get("content-type", ())
    kind = ",".join(sent)
    parse: Callable[[bytes, str], Any]
    if "application/json" in kind:
        parse = _json
    elif "application/x-www-form-urlencoded" in kind:
        parse = _form
    elif "multipart/form-data" in kind:
        parse = _parts
    else:
        return Parsed()
    if not request.body:
        return Parsed(truncated=request.body_state == "partial")
    if request.body_state == "partial":
        return Parsed(truncated=True)
    if len(request.body) > MAX_BODY:
        return _LIMIT
    found = parse(request.body, kind)
    return found if isinstance(found, Reason) else Parsed(found)


def _json(body: bytes, _kind: str) -> Any:
    if sum(map(body.count, (b",", b"{", b"["))) > MAX_VALUES:  # those within texts count too
        return _LIMIT
    try:
        return _read(body)
    except Refused as refused:
        return _LIMIT if refused.kind == "limit" else _MALFORMED


def _form(body: bytes, _kind: str) -> dict[str, list[str]] | Reason:
    found: dict[str, list[str]] = {}
    if body.count(b"&") > MAX_VALUES:
        return _LIMIT
    try:
        text = body.decode()
        if BAD_ESCAPE.search(text) or ";" in text:
            return _MALFORMED
        pairs = [pair.partition("=") for pair in text.split("&") if pair]
        names = decoded_strictly([name for name, _, _ in pairs])
        for name, value in zip(names, decoded_strictly([value for _, _, value in pairs]), strict=True):
            found.setdefault(name, []).append(value)
    except UnicodeDecodeError:
        return _TYPE
    except UnicodeError:
        return _LIMIT
    return found


def _parts(body: bytes, kind: str) -> dict[str, list[Any]] | Reason:
    """Read parts strictly: each has a name; one that says it is JSON is."""
    asked = _boundary(kind)
    if asked is None:
        return _MALFORMED
    mark = b"--" + (asked[1] or asked[2]).encode("latin-1", "replace")
    # Lines may end in LF alone, as some programs write them; a body that mixes both is refused.
    line = b"\r\n" if b"\r\n" in body else b"\n"
    pieces = (line + body).split(line + mark)
    if len(pieces) < 2 or len(pieces) > MAX_PARTS or pieces[0].strip() or not pieces[-1].startswith(b"--"):
        return _MALFORMED
    found: dict[str, list[Any]] = {}
    for piece in pieces[1:-1]:
        head, gap, content = piece.removeprefix(line).partition(line + line)
        if not piece.startswith(line) or not gap:
            return _MALFORMED
        if len(head) > MAX_HEAD or head.count(line) >= _MAX_FIELDS:
            return _LIMIT
        try:
            fields = _fields(head.decode(), line.decode())
            named = _name(fields.get("content-disposition", ""))
            if named is None:
                return _MALFORMED
            value: Any = content.decode()
        except UnicodeDecodeError:
            return _TYPE
        if "application/json" in fields.get("content-type", ""):
            value = _json(content, "")
            if isinstance(value, Reason):
                return value
        found.setdefault(named[1], []).append(value)
    return found


def _fields(head: str, line: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for row in head.split(line):
        name, _, value = row.partition(":")
        fields[name.strip().lower()] = value.strip()
    return fields
