"""Values as Rego writes them (``{"a": [1, {2}]}``), and strings quoted as Go does."""

from typing import Final

from authorizer.policy.plan.builtins.calling import as_bytes, spend
from authorizer.policy.plan.context import BudgetError, Context
from authorizer.policy.plan.values import Set, Value, sorted_items, sorted_values

MAX_DEPTH: Final = 128
"""Levels of nesting that functions follow; deeper values cannot be evaluated."""
_NAMED: Final = {"\a": "a", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v", "\\": "\\"}


def quoted(value: str, mark: str = '"', *, ascii_only: bool = False) -> str:
    """Return ``value`` between ``mark`` with what cannot be printed escaped (Go's ``strconv.Quote``)."""
    if value.isascii() and value.isprintable() and "\\" not in value and mark not in value:
        return f"{mark}{value}{mark}"
    return mark + "".join(_escaped(character, mark, ascii_only=ascii_only) for character in value) + mark


def _escaped(character: str, mark: str, *, ascii_only: bool) -> str:
    point = ord(character)
    if character in _NAMED:
        return "\\" + _NAMED[character]
    if character == mark:
        return "\\" + mark
    if character.isprintable() and (point < 0x80 or not ascii_only):
        return character
    if 0xDC80 <= point <= 0xDCFF:
        return f"\\x{as_bytes(character)[0]:02x}"
    if point < 0x80:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def number_text(value: float) -> str:
    """Return a number as text, a float with as few digits as read back the same."""
    return repr(value)


def rendered(context: Context, value: Value, depth: int = MAX_DEPTH) -> str:
    """Return a value in Rego's own spelling: keys and elements sorted, sets in braces."""
    kind = type(value)
    if kind is str:
        spend(context, len(value))
        return quoted(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is int or kind is float:
        context.budget.charge(value.bit_length() >> 5 if kind is int else 1)
        return number_text(value)
    if not depth:
        raise BudgetError
    context.budget.charge(10 + 6 * len(value))
    if kind is list:
        return f"[{', '.join(rendered(context, each, depth - 1) for each in value)}]"
    if kind is dict:
        pairs = (
            f"{rendered(context, name, depth - 1)}: {rendered(context, each, depth - 1)}"
            for name, each in sorted_items(value)
        )
        return f"{{{', '.join(pairs)}}}"
    assert kind is Set
    if not value.items:
        return "set()"
    return f"{{{', '.join(rendered(context, each, depth - 1) for each in sorted_values(value))}}}"


def plainly(context: Context, value: Value) -> str:
    """Return a string as it is, any other value as ``rendered``."""
    return value if type(value) is str else rendered(context, value)
