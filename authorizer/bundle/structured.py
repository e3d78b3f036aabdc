"""The JSON that OPA hashes by meaning instead of by bytes: strict reading, and the canonical text that is hashed.

Canonical form (OPA ``v1/bundle/hash.go``): members sorted by name, no spaces, strings as Go's ``encoding/json`` writes
them without HTML escaping, numbers exactly as written.
"""

import json
from typing import NoReturn

STRUCTURED = frozenset({"data.json", "data.yaml", "data.yml", ".manifest", ".signatures.json"})
"""Base names of the files that are hashed by meaning; every other file is hashed as its bytes."""

MAX_DEPTH = 64


class Number(str):
    """A JSON number as written: 1.0 and 1 are different texts, and no digit is ever rounded away."""

    __slots__ = ()


def is_structured(name: str) -> bool:
    """Say whether the file of this name is hashed by meaning."""
    return name.rpartition("/")[2] in STRUCTURED


def parse(text: bytes) -> object:
    """Parse one JSON text (RFC 8259), numbers kept as Number.

    Raises ValueError if it is not UTF-8, has a byte order mark, a repeated member, NaN or Infinity, a lone surrogate or
    more than MAX_DEPTH levels, or a backspace or form feed in a string: versions of Go write those two differently, so
    that their digest is not one.
    """
    try:
        value: object = json.loads(
            text.decode(),
            parse_int=Number,
            parse_float=Number,
            parse_constant=_constant,
            object_pairs_hook=_members,
        )
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON (line {error.lineno}, column {error.colno})") from None
    _check(value, MAX_DEPTH)
    return value


def canonical(value: object) -> bytes:
    """Return the text of a value of ``parse`` that OPA hashes."""
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts).encode()


def _write(value: object, parts: list[str]) -> None:
    match value:
        case dict():
            parts.append("{")
            for index, key in enumerate(sorted(value)):  # by code point, which is also Go's order of UTF-8 bytes
                parts.append(f"{',' if index else ''}{_string(key)}:")
                _write(value[key], parts)
            parts.append("}")
        case list():
            parts.append("[")
            for index, item in enumerate(value):
                if index:
                    parts.append(",")
                _write(item, parts)
            parts.append("]")
        case Number():
            parts.append(value)
        case str():
            parts.append(_string(value))
        case _:
            parts.append(json.dumps(value))


def _string(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _check(value: object, depth: int) -> None:
    if isinstance(value, str):
        if "\b" in value or "\f" in value:
            raise ValueError("a string has a backspace or form feed")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("a string has a lone surrogate") from None
    elif isinstance(value, dict | list):
        if not depth:
            raise ValueError("it is nested too deep")
        for item in value:
            _check(item, depth - 1)
        if isinstance(value, dict):
            for item in value.values():
                _check(item, depth - 1)


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has a member twice")
    return members
