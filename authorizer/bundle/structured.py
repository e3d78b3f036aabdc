"""The JSON that OPA hashes by meaning instead of by bytes: strict reading, and the canonical text that is hashed.

Canonical form (OPA ``v1/bundle/hash.go``): members sorted by name, no spaces, strings as Go's ``encoding/json`` writes
them without HTML escaping, numbers exactly as written.
"""

import json

from authorizer.strict_json import reader

STRUCTURED = frozenset({"data.json", "data.yaml", "data.yml", ".manifest", ".signatures.json"})
"""Base names of the files that are hashed by meaning; every other file is hashed as its bytes."""

MAX_DEPTH = 64
MAX_DIGITS = 128


class Number(str):
    """A JSON number as written: 1.0 and 1 are different texts, and no digit is ever rounded away."""

    __slots__ = ()


_read = reader(depth=MAX_DEPTH, digits=MAX_DIGITS, integer=Number, real=Number)


def is_structured(name: str) -> bool:
    """Say whether the file of this name is hashed by meaning."""
    return name.rpartition("/")[2] in STRUCTURED


def parse(text: bytes) -> object:
    """Parse one JSON text (``strict_json``), numbers kept as Number.

    Raises ValueError for what has two readings or too many levels, and for a backspace or form feed in a string:
    versions of Go write those two differently, so that their digest is not one.
    """
    value = _read(text)
    _check(value)
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


def _check(value: object) -> None:
    match value:
        case str():
            if "\b" in value or "\f" in value:
                raise ValueError("a string has a backspace or form feed")
        case list():
            for item in value:
                _check(item)
        case dict():
            for key, item in value.items():
                _check(key)
                _check(item)
