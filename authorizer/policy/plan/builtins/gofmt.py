"""Formatting with Go's verbs, as ``sprintf`` does it.

Arguments are integers (``int64``, or ``*big.Int`` beyond it), floats (``float64``) and strings; values of any other
type arrive as strings. A verb that does not fit its argument shows both: ``%!d(string=x)``. Source: Go's ``fmt``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from authorizer.policy.plan.builtins.calling import as_bytes, spend
from authorizer.policy.plan.builtins.rendering import quoted
from authorizer.policy.plan.context import BudgetError, Context

Argument = int | float | str

_MAX_WIDTH: Final = 1_000_000
_DIRECTIVE_COST: Final = 40
_DIRECTIVE = re.compile(
    r"%(?P<flags>[-+# 0]*)(?P<width>(?:\[[^\]]*\])?\*|[0-9]+)?(?P<precision>\.(?:(?:\[[^\]]*\])?\*|[0-9]+)?)?"
    r"(?P<index>\[[^\]]*\])?(?P<verb>.)?",
    re.ASCII | re.DOTALL,
)


@dataclass
class _Directive:
    """One ``%``: its flags, width and precision (None when not given)."""

    flags: frozenset[str]
    width: int
    precision: int | None
    left: bool

    def padded(self, body: str, *, zeros: bool = False) -> str:
        """Return ``body`` in its width, with zeros behind the sign if they are asked for."""
        missing = self.width - len(body)
        if missing <= 0:
            return body
        if self.left:
            return body + " " * missing
        if zeros and "0" in self.flags:
            sign = body[:1] if body[:1] in {"+", "-", " "} else ""
            return sign + "0" * missing + body[len(sign) :]
        return " " * missing + body

    def signed(self, body: str, *, negative: bool) -> str:
        """Return a number's digits with the sign that its flags ask for."""
        return ("-" if negative else "+" if "+" in self.flags else " " if " " in self.flags else "") + body


class _Arguments:
    """The arguments, taken in order or by the number in brackets."""

    def __init__(self, context: Context, values: Sequence[Argument]) -> None:
        self.context = context
        self.values = values
        self.next = 0
        self.reordered = False
        self.good = True

    def index(self, text: str | None) -> None:
        """Obey an explicit index such as ``[2]``."""
        if text is None:
            return
        self.reordered = True
        inside = text[1:-1]
        if inside.isascii() and inside.isdigit() and len(inside) < 7 and 0 < int(inside) <= len(self.values):
            self.next = int(inside) - 1
        else:
            self.good = False

    def take(self) -> Argument | None:
        """Return the next argument, None when there is none."""
        if self.next >= len(self.values):
            return None
        self.next += 1
        value = self.values[self.next - 1]
        _charge(self.context, value)
        return value


def sprintf(context: Context, layout: str, values: Sequence[Argument]) -> str:
    """Return ``layout`` with its verbs replaced by ``values``."""
    arguments = _Arguments(context, values)
    made: list[str] = []
    position = 0
    while (start := layout.find("%", position)) >= 0:
        made.append(layout[position:start])
        found = _DIRECTIVE.match(layout, start)
        assert found
        position = found.end()
        context.budget.charge(_DIRECTIVE_COST)
        one = _formatted(found, arguments)
        spend(context, len(one))
        made.append(one)
    made.append(layout[position:])
    spend(context, len(layout))
    if not arguments.reordered and arguments.next < len(values):
        for each in values[arguments.next :]:
            context.budget.charge(_DIRECTIVE_COST)
            _charge(context, each)
        extra = ", ".join(f"{_type(each)}={_default(each)}" for each in values[arguments.next :])
        made.append(f"%!(EXTRA {extra})")
    return "".join(made)


def _charge(context: Context, value: Argument) -> None:
    """Charge for writing an argument before that is done: a long text may be quoted, a large number made decimal."""
    if type(value) is int:
        context.budget.charge(value.bit_length() >> 5)
    elif type(value) is str:
        spend(context, 8 * len(value) if value.isascii() and value.isprintable() else 80 * len(value))


def _formatted(found: re.Match[str], arguments: _Arguments) -> str:
    arguments.good = True
    flags = set(found["flags"])
    width, bad_width = _size(found["width"], arguments)
    left = "-" in flags or width < 0
    precision, bad_precision = None, ""
    if found["precision"] is not None:
        amount, bad_precision = _size(found["precision"][1:] or "0", arguments)
        precision = amount if amount >= 0 and not bad_precision else None
        bad_precision = bad_precision or ("bad" if amount < 0 else "")
    arguments.index(found["index"])
    before = ("%!(BADWIDTH)" if bad_width else "") + ("%!(BADPREC)" if bad_precision else "")
    verb = found["verb"]
    if verb is None:
        return before + "%!(NOVERB)"
    if verb == "%":
        return before + "%"
    if not arguments.good:
        return f"{before}%!{verb}(BADINDEX)"
    value = arguments.take()
    if value is None:
        return f"{before}%!{verb}(MISSING)"
    ignored = ({"0"} if left else set()) | ({"+"} if verb == "v" and type(value) is not str else set())
    directive = _Directive(frozenset(flags - ignored), abs(width), precision, left)
    return before + _verb(directive, verb, value)


def _size(text: str | None, arguments: _Arguments) -> tuple[int, str]:
    """Return a width or precision, and what is wrong with it."""
    if text is None:
        return 0, ""
    if not text.endswith("*"):
        if len(text) > 7 or int(text) > _MAX_WIDTH:
            raise BudgetError
        return int(text), ""
    arguments.index(text[:-1] or None)
    value = arguments.take() if arguments.good else None
    if type(value) is not int or abs(value) > _MAX_WIDTH:
        return 0, "bad"
    return value, ""


def _type(value: Argument) -> str:
    if type(value) is int:
        return "int64" if _small(value) else "*big.Int"
    return "float64" if type(value) is float else "string"


def _default(value: Argument) -> str:
    return _verb(_Directive(frozenset(), 0, None, left=False), "v", value)


def _verb(directive: _Directive, verb: str, value: Argument) -> str:
    if verb == "T":
        return directive.padded(_type(value))
    if type(value) is str:
        made = _text(directive, verb, value)
    elif type(value) is float:
        made = _real(directive, verb, value)
    else:
        made = _integer(directive, verb, int(value))
    if made is not None:
        return made
    if type(value) is int and not _small(value):
        return f"%!{verb}(big.Int={value})"
    letter = {int: "d", float: "g"}.get(type(value), "s")
    return f"%!{verb}({_type(value)}={_verb(directive, letter, value)})"


def _small(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _text(directive: _Directive, verb: str, value: str) -> str | None:
    if directive.precision is not None and verb in "svqxX":
        value = value[: directive.precision]
    if verb == "s" or (verb == "v" and "#" not in directive.flags):
        missing = directive.width - len(value)
        return "0" * missing + value if missing > 0 and "0" in directive.flags else directive.padded(value)
    if verb in "qv":
        if "#" in directive.flags and verb == "q" and "`" not in value and value.isprintable():
            return directive.padded(f"`{value}`", zeros=True)
        return directive.padded(quoted(value, ascii_only="+" in directive.flags), zeros=True)
    if verb in "xX":
        spaced = " " in directive.flags
        data = as_bytes(value)
        body = data.hex(" ") if spaced else data.hex()
        if "#" in directive.flags and body:
            body = "0x" + (body.replace(" ", " 0x") if spaced else body)
        return directive.padded(body.upper() if verb == "X" else body, zeros=True)
    return None


_BASES: Final = {"d": ("d", ""), "v": ("d", ""), "b": ("b", "0b"), "o": ("o", "0"), "O": ("o", "0o")}
_HEX: Final = {"x": ("x", "0x"), "X": ("X", "0X")}


def _integer(directive: _Directive, verb: str, value: int) -> str | None:
    large = not _small(value)
    if verb == "s" and large:
        verb = "d"
    if verb in _BASES or verb in _HEX:
        letter, prefix = (_BASES | _HEX)[verb]
        digits = format(abs(value), letter)
        if directive.precision is not None:
            digits = "" if directive.precision == 0 and not value else digits.rjust(directive.precision, "0")
        zeros = directive.precision is None and "0" in directive.flags
        shown = prefix if verb == "O" or ("#" in directive.flags and not (verb == "o" and digits[:1] == "0")) else ""
        if zeros:
            digits = digits.rjust(directive.width - (value < 0 or bool(directive.flags & {"+", " "})), "0")
        return directive.padded(directive.signed(shown + digits, negative=value < 0))
    if large:
        return None
    character = chr(value) if 0 <= value < 0x110000 and not 0xD800 <= value < 0xE000 else "\ufffd"
    if verb == "c":
        return directive.padded(character, zeros=True)
    if verb == "q":
        return directive.padded(quoted(character, "'", ascii_only="+" in directive.flags), zeros=True)
    if verb == "U":
        point = f"U+{value % 2**64:0{max(directive.precision or 4, 4)}X}"
        shown = f"{point} '{character}'" if "#" in directive.flags and character.isprintable() else point
        return directive.padded(shown)
    return None


def _real(directive: _Directive, verb: str, value: float) -> str | None:
    size = abs(value)
    negative = value < 0 or str(value).startswith("-")
    if verb in "vgG":
        alternate = "#" if "#" in directive.flags and verb != "v" else ""
        if directive.precision is not None:
            body = f"{size:{alternate}.{directive.precision or 1}g}"
        elif alternate and len(Decimal(repr(size)).normalize().as_tuple().digits) < 6:
            body = f"{size:#.6g}"
        else:
            body = _shortest(size)
    elif verb in "eEfF":
        body = f"{size:.{6 if directive.precision is None else directive.precision}{verb}}"
    elif verb in "xX":
        body = _hexadecimal(size)
    elif verb == "b":
        mantissa, exponent = _binary(size)
        body = f"{mantissa}p{exponent:+d}"
    else:
        return None
    if verb in "GXE":
        body = body.upper()
    return directive.padded(directive.signed(body, negative=negative), zeros=True)


def _shortest(size: float) -> str:
    """Return the fewest digits that read back the same, with an exponent below 1e-4 and from 1e6."""
    parts = Decimal(repr(size)).normalize().as_tuple()
    digits = "".join(map(str, parts.digits))
    exponent = len(digits) - 1 + int(parts.exponent) if size else 0
    if size and not -4 <= exponent < 6:
        fraction = "." + digits[1:] if len(digits) > 1 else ""
        return f"{digits[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return format(Decimal(repr(size)).normalize(), "f")


def _binary(size: float) -> tuple[int, int]:
    mantissa, exponent = size.hex().split("p")
    whole = int(mantissa[2] + mantissa[4:].ljust(13, "0"), 16)
    return (whole, int(exponent) - 52) if size else (0, -1074)


def _hexadecimal(size: float) -> str:
    mantissa, exponent = size.hex().split("p")
    digits = mantissa[2:].rstrip("0").rstrip(".") or "0"
    return f"0x{digits}p{'-' if int(exponent) < 0 else '+'}{abs(int(exponent)):02d}"
