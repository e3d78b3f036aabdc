"""Strings. Positions and lengths count code points."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from authorizer.policy.plan.builtins.calling import (
    Builtin,
    array,
    as_bytes,
    as_text,
    check_texts,
    contextual,
    mapping,
    plain,
    spend,
    text,
    texts,
    word,
    wrong_operand,
    wrong_type,
)
from authorizer.policy.plan.builtins.gofmt import sprintf
from authorizer.policy.plan.builtins.rendering import plainly, rendered
from authorizer.policy.plan.context import Context, charge_order
from authorizer.policy.plan.values import BuiltinError, Set, Value, sorted_values

_SPACE: Final = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""Unicode's white space, which leaves out the separators that ``str.strip`` also takes (U+001C to U+001F)."""


def _startswith(value: Value, prefix: Value) -> bool:
    return text(value, 1).startswith(text(prefix, 2))


def _endswith(value: Value, suffix: Value) -> bool:
    return text(value, 1).endswith(text(suffix, 2))


def _contains(context: Context, value: Value, part: Value) -> bool:
    whole_text = text(value, 1)
    spend(context, len(whole_text))
    return text(part, 2) in whole_text


def _lower(context: Context, value: Value) -> str:
    found = text(value, 1)
    spend(context, len(found) if found.isascii() else 32 * len(found))
    return found.lower() if found.isascii() else "".join(each.lower()[0] for each in found)


def _upper(context: Context, value: Value) -> str:
    found = text(value, 1)
    spend(context, len(found) if found.isascii() else 160 * len(found))
    return found.upper() if found.isascii() else "".join(map(_upper_character, found))


def _upper_character(character: str) -> str:
    """Return Unicode's simple mapping, which is always one character: ``ß`` stays as it is."""
    return next((each for each in (character.upper(), character.title()) if len(each) == 1), character)


def _concat(context: Context, delimiter: Value, value: Value) -> str:
    join = text(delimiter, 1)
    if type(value) is Set:
        charge_order(value.items, context.budget)
        parts = sorted_values(value)
    elif type(value) is list:
        context.budget.charge(len(value))
        parts = value
    else:
        raise wrong_type(2, value, "set", "array")
    check_texts(parts, value, 2)
    spend(context, sum(map(len, parts)) + len(join) * len(parts))
    return join.join(parts)


def _indexof(context: Context, value: Value, part: Value) -> int:
    base, search = text(value, 1), text(part, 2)
    if not search:
        raise BuiltinError("empty search character")
    spend(context, len(base))
    return base.find(search)


def _indexof_n(context: Context, value: Value, part: Value) -> list[int]:
    base, search = text(value, 1), text(part, 2)
    if not search:
        raise BuiltinError("empty search character")
    spend(context, len(base))
    found: list[int] = []
    position = base.find(search)
    while position >= 0:
        context.budget.charge(2)
        spend(context, len(search))  # a search reads all of what it looks for first
        found.append(position)
        position = base.find(search, position + 1)
    return found


def _substring(context: Context, value: Value, start: Value, length: Value) -> str:
    base, first, size = text(value, 1), word(start, 2), word(length, 3)
    if first < 0:
        raise BuiltinError("negative offset")
    spend(context, len(base))
    return base[first:] if size < 0 else base[first : first + size]


def _count(context: Context, value: Value, part: Value) -> int:
    base = text(value, 1)
    spend(context, len(base))
    return base.count(text(part, 2))


def _parts(context: Context, base: str, delimiter: str) -> list[str]:
    spend(context, len(base))
    parts = base.split(delimiter) if delimiter else list(base)
    context.budget.charge(len(parts))
    return parts


def _split(context: Context, value: Value, delimiter: Value) -> list[str]:
    return _parts(context, text(value, 1), text(delimiter, 2))


def _split_n(context: Context, value: Value, delimiter: Value, limit: Value) -> list[str]:
    parts, count = _parts(context, text(value, 1), text(delimiter, 2)), word(limit, 3)
    return parts[:count] if count >= 0 else parts[max(len(parts) + count, 0) :]


def _replace(context: Context, value: Value, old: Value, new: Value) -> str:
    base, search, replacement = text(value, 1), text(old, 2), text(new, 3)
    spend(context, len(base))
    if not search:  # Go puts the new string between the bytes, not the characters
        spend(context, len(base) * (len(replacement) + 1))
        return as_text(as_bytes(base).replace(b"", as_bytes(replacement)))
    spend(context, base.count(search) * len(replacement))
    return base.replace(search, replacement)


def _replace_n(context: Context, patterns: Value, value: Value) -> str:
    pairs = mapping(patterns, 1)
    base = as_bytes(text(value, 2))
    if not all(type(old) is str and type(new) is str for old, new in pairs.items()):
        raise wrong_operand(1, "non-string key or value found in pattern object")
    context.budget.charge(len(pairs))
    # At each place each key is compared, as far as it fits.
    spend(context, len(base) * (len(pairs) + 1 + sum(map(len, pairs)) // 4))
    found = {as_bytes(old): as_bytes(new) for old, new in sorted(pairs.items())}
    between = found.pop(b"", None)
    # INVARIANT: of keys that match at one place the first in order wins, which is always the shortest.
    choices = b"|".join(map(re.escape, found))

    def replacement(match: re.Match[bytes]) -> bytes:
        new = found.get(match[0], match[0])
        context.budget.charge(4)
        spend(context, len(new) + len(between or b""))
        return new if between is None else between + new

    if between is not None:
        every = re.compile(choices + b"|." if choices else b".", re.DOTALL)
        return as_text(every.sub(replacement, base) + between)
    return as_text(re.sub(choices, replacement, base)) if choices else text(value, 2)


def _trimmer(cut: Callable[[str, str], str]) -> Callable[[Context, Value, Value], str]:
    def trim(context: Context, value: Value, part: Value) -> str:
        base, removed = text(value, 1), text(part, 2)
        spend(context, len(base) + len(removed))
        return cut(base, removed) if removed else base

    return trim


def _stripper(strip: Callable[[str, str], str]) -> Callable[[Context, Value, Value], str]:
    def trim(context: Context, value: Value, part: Value) -> str:
        base, removed = text(value, 1), text(part, 2)
        spend(context, 4 * len(removed))
        removed = "".join(dict.fromkeys(removed))
        spend(context, len(base) * (1 + len(removed) // 8))  # each character is looked for in the others
        return strip(base, removed) if removed else base

    return trim


def _trim_space(context: Context, value: Value) -> str:
    base = text(value, 1)
    spend(context, len(base))
    return base.strip(_SPACE)


def _reverse(context: Context, value: Value) -> str:
    base = text(value, 1)
    spend(context, len(base))
    return base[::-1]


def _candidates(context: Context, value: Value, position: int) -> tuple[str, ...]:
    if type(value) is str:
        return (value,)
    if type(value) is not list and type(value) is not Set:
        raise wrong_type(position, value, "string", "set", "array")
    context.budget.charge(len(value))
    return tuple(texts(value, position))


def _any_affix(test: Callable[[str, tuple[str, ...]], bool]) -> Callable[[Context, Value, Value], bool]:
    def match(context: Context, value: Value, base: Value) -> bool:
        searched, affixes = _candidates(context, value, 1), _candidates(context, base, 2)
        context.budget.charge(len(searched) * (2 + len(affixes) // 3))
        return any(test(each, affixes) for each in searched)

    return match


def _sprintf(context: Context, layout: Value, values: Value) -> str:
    shown = text(layout, 1)
    found = array(values, 2)
    context.budget.charge(len(found))
    return sprintf(
        context, shown, [each if type(each) in {int, float, str} else rendered(context, each) for each in found]
    )


def template_string(context: Context, parts: Value) -> str:
    """Return the parts of a template string put together; a set holds the value of an expression, or nothing."""
    made: list[str] = []
    for each in array(parts, 1):
        context.budget.charge(8)
        value = each
        if type(each) is Set:
            if not each.items:
                made.append("<undefined>")
                continue
            if len(each) > 1:
                raise BuiltinError("template-strings must not produce multiple outputs", code="eval_conflict_error")
            value = next(iter(each))
        made.append(plainly(context, value))
        spend(context, len(made[-1]) + 16)
    return "".join(made)


BUILTINS: Final[Mapping[str, Builtin]] = {
    "concat": contextual(_concat),
    "contains": contextual(_contains),
    "endswith": plain(_endswith),
    "indexof": contextual(_indexof),
    "indexof_n": contextual(_indexof_n),
    "internal.template_string": contextual(template_string),
    "lower": contextual(_lower),
    "replace": contextual(_replace),
    "split": contextual(_split),
    "sprintf": contextual(_sprintf),
    "startswith": plain(_startswith),
    "strings.any_prefix_match": contextual(_any_affix(str.startswith)),
    "strings.any_suffix_match": contextual(_any_affix(str.endswith)),
    "strings.count": contextual(_count),
    "strings.replace_n": contextual(_replace_n),
    "strings.reverse": contextual(_reverse),
    "strings.split_n": contextual(_split_n),
    "substring": contextual(_substring),
    "trim": contextual(_stripper(str.strip)),
    "trim_left": contextual(_stripper(str.lstrip)),
    "trim_prefix": contextual(_trimmer(str.removeprefix)),
    "trim_right": contextual(_stripper(str.rstrip)),
    "trim_space": contextual(_trim_space),
    "trim_suffix": contextual(_trimmer(str.removesuffix)),
    "upper": contextual(_upper),
}
