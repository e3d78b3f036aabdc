"""Text in other clothes: base64 (RFC 4648), hexadecimal, URL queries (as Go's ``net/url``), and JSON.

A limit that is passed raises BudgetError, not BuiltinError: what OPA answers is never told as undefined.
"""

import binascii
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote_plus

from authorizer.policy.plan.builtins.calling import (
    DEEP,
    Builtin,
    as_bytes,
    as_text,
    contextual,
    encoded,
    mapping,
    spend,
    text,
    wrong_operand,
)
from authorizer.policy.plan.builtins.numbers import read_number
from authorizer.policy.plan.builtins.rendering import MAX_DEPTH
from authorizer.policy.plan.context import BudgetError, Context
from authorizer.policy.plan.values import BuiltinError, Set, Value, to_json

_ESCAPES: Final = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}
_WRITING: Final = 50
_FOREIGN = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]").search
_STANDARD = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_URL_SAFE = re.compile(rb"(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")


def measure(context: Context, value: Value) -> None:
    """Charge for every value within ``value``; raise BudgetError if it is nested deeper than MAX_DEPTH."""
    level, depth = [value], 0
    while level:
        context.budget.charge(8 * len(level))
        depth += 1
        if depth > MAX_DEPTH:
            raise BudgetError
        below: list[Value] = []
        for each in level:
            kind = type(each)
            if kind is str:
                spend(context, len(each))
            elif kind is int:
                context.budget.charge(each.bit_length() >> 5)
            elif kind is list:
                below += each
            elif kind is dict:
                below += each
                below += each.values()
            elif kind is Set:
                below += each.items.values()
        level = below


def _measure_indents(context: Context, value: Value, width: int) -> None:
    """Charge for what stands before each line. INVARIANT: before it is made, for an indent may be of any length."""
    level, depth = [value], 0
    while level:
        spend(context, len(level) * depth * width)
        depth += 1
        below: list[Value] = []
        for each in level:
            kind = type(each)
            if kind in DEEP:
                below += each.values() if kind is dict else each
        level = below


def decode_base64(data: bytes, *, url: bool = False) -> bytes:
    """Return what base64 text encodes: padding is needed, line ends are skipped. Raises BuiltinError."""
    plain = data.replace(b"\r", b"").replace(b"\n", b"")
    if not (_URL_SAFE if url else _STANDARD).fullmatch(plain):
        raise BuiltinError("illegal base64 data")
    return binascii.a2b_base64(plain.replace(b"-", b"+").replace(b"_", b"/"))


def decode_base64url(data: bytes) -> bytes:
    """Return what base64url text encodes, with its padding or without. Raises BuiltinError."""
    if not data.endswith(b"="):
        if len(data) % 4 == 1:
            raise BuiltinError("illegal base64url string")
        data += b"=" * (-len(data) % 4)
    return decode_base64(data, url=True)


def _coder(code: Callable[[bytes], bytes], *, weight: int = 2) -> Callable[[Context, Value], str]:
    def apply(context: Context, value: Value) -> str:
        data = encoded(value, 1)
        spend(context, weight * len(data))
        return as_text(code(data))

    return apply


def _decode_hex(data: bytes) -> bytes:
    try:
        return binascii.unhexlify(data)
    except ValueError:
        raise BuiltinError("not hexadecimal") from None


def _base64_is_valid(context: Context, value: Value) -> bool:
    if type(value) is not str:
        return False
    spend(context, 4 * len(value))
    try:
        decode_base64(as_bytes(value))
    except BuiltinError:
        return False
    return True


def query_escape(data: bytes) -> str:
    """Return bytes as they stand in a query (Go's ``url.QueryEscape``): blank is ``+``, ``-_.~`` stay."""
    return quote_plus(data)


def unescape(data: bytes, *, plus: bool) -> bytes:
    """Return bytes without their percent-encoding; with ``plus``, ``+`` is a blank. Raises BuiltinError."""

    def byte(match: re.Match[bytes]) -> bytes:
        if match[1] is None:
            raise BuiltinError("invalid URL escape")
        return bytes((int(match[1], 16),))

    return _ESCAPE.sub(byte, data.replace(b"+", b" ") if plus else data)


def _encode_object(context: Context, value: Value) -> str:
    found = mapping(value, 1)
    measure(context, found)
    context.budget.charge(20 * len(found))
    pairs: list[str] = []
    for name, each in sorted(to_json(found).items()):
        values = [each] if type(each) is str else each
        if type(values) is not list or not all(type(one) is str for one in values):
            raise wrong_operand(1, "values must be string, array[string], or set[string]")
        pairs += (f"{query_escape(as_bytes(name))}={query_escape(as_bytes(one))}" for one in values)
    return "&".join(pairs)


def _decode_object(context: Context, value: Value) -> dict[str, list[str]]:
    query = encoded(value, 1)
    spend(context, 48 * len(query))
    if b";" in query:
        raise BuiltinError("invalid semicolon separator in query")
    found: dict[str, list[str]] = {}
    parts = query.split(b"&")
    context.budget.charge(10 * len(parts))
    for part in parts:
        if part:
            name, _, told = part.partition(b"=")
            found.setdefault(as_text(unescape(name, plus=True)), []).append(as_text(unescape(told, plus=True)))
    return found


def json_text(context: Context, value: Value, *, indent: str | None = None) -> str:
    """Return the JSON text of a value as Go writes it: keys sorted, ``<``, ``>`` and ``&`` escaped."""
    context.budget.charge(_WRITING)
    measure(context, value)
    if indent:
        _measure_indents(context, value, len(indent))
    separators = (",", ":") if indent is None else (",", ": ")
    try:
        made = json.dumps(
            to_json(value), separators=separators, ensure_ascii=False, sort_keys=True, allow_nan=False, indent=indent
        )
    except (ValueError, RecursionError):  # an integer of more digits than Python writes, or too many levels
        raise BudgetError from None
    spend(context, len(made))
    made = made.translate(_ESCAPES)
    return made if made.isascii() else _FOREIGN.sub("\\\\ufffd", made)


def _marshal_with_options(context: Context, value: Value, options: Value) -> str:
    told: dict[str, Any] = {"prefix": "", "indent": "\t"}
    for name, each in mapping(options, 2).items():
        if name not in {"prefix", "indent", "pretty"}:
            raise wrong_operand(2, "object contained unknown key")
        if type(each) is not (bool if name == "pretty" else str):
            raise wrong_operand(2, f"key {name} has the wrong type")
        told[name] = each
    if not told.get("pretty", bool(options)):
        return json_text(context, value)
    prefix: str = told["prefix"]
    lines = json_text(context, value, indent=told["indent"]).split("\n")
    spend(context, len(lines) * len(prefix))
    return prefix + f"\n{prefix}".join(lines)


def _real(literal: str) -> int | float:
    found = read_number(literal)
    if found is None:
        raise BudgetError
    return found


def _constant(_name: str) -> Value:
    raise BuiltinError("not JSON")


_decode = json.JSONDecoder(parse_int=_real, parse_float=_real, parse_constant=_constant).decode
_outline = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_constant).decode


def _charge_reading(context: Context, source: str) -> None:
    """Charge for reading JSON, whether or not it turns out to be JSON: each value in it takes its time."""
    spend(context, 4 * len(source))
    context.budget.charge(16 + 2 * sum(map(source.count, ",:[{")))


def read_json(context: Context, source: str) -> Value:
    """Return the value of a JSON text; of equal members the last wins, lone surrogates become U+FFFD.

    Raises BuiltinError.
    """
    _charge_reading(context, source)
    try:
        value = _decode(source)
    except ValueError:
        raise BuiltinError("not JSON") from None
    except RecursionError:
        raise BudgetError from None
    measure(context, value)
    return _mended(value) if _ESCAPED_SURROGATE(source) else value


def _mended(value: Value) -> Value:
    kind = type(value)
    if kind is str:
        return _FOREIGN.sub("\ufffd", value)
    if kind is list:
        return [_mended(each) for each in value]
    if kind is dict:
        return {_mended(name): _mended(each) for name, each in value.items()}
    return value


def _json_is_valid(context: Context, value: Value) -> bool:
    if type(value) is not str:
        return False
    _charge_reading(context, value)
    try:
        measure(context, _outline(value))
    except (BuiltinError, ValueError):
        return False
    except RecursionError:
        raise BudgetError from None
    return True


BUILTINS: Final[Mapping[str, Builtin]] = {
    "base64.decode": contextual(_coder(decode_base64)),
    "base64.encode": contextual(_coder(b64encode)),
    "base64.is_valid": contextual(_base64_is_valid),
    "base64url.decode": contextual(_coder(decode_base64url)),
    "base64url.encode": contextual(_coder(urlsafe_b64encode)),
    "base64url.encode_no_pad": contextual(_coder(lambda data: urlsafe_b64encode(data).rstrip(b"="))),
    "hex.decode": contextual(_coder(_decode_hex)),
    "hex.encode": contextual(_coder(binascii.hexlify)),
    "json.is_valid": contextual(_json_is_valid),
    "json.marshal": contextual(json_text),
    "json.marshal_with_options": contextual(_marshal_with_options),
    "json.unmarshal": contextual(lambda context, value: read_json(context, text(value, 1))),
    "urlquery.decode": contextual(_coder(lambda data: unescape(data, plus=True), weight=48)),
    "urlquery.decode_object": contextual(_decode_object),
    "urlquery.encode": contextual(_coder(lambda data: query_escape(data).encode(), weight=16)),
    "urlquery.encode_object": contextual(_encode_object),
}
