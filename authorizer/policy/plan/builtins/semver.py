"""Semantic versions (semver.org 2.0.0); a leading ``v`` is allowed."""

import re
from collections.abc import Mapping
from typing import Final

from authorizer.policy.plan.builtins.calling import Builtin, contextual, spend, text
from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import BuiltinError, Value

_NUMBER = r"(0|[1-9][0-9]{0,18})"
_IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(rf"v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_IDENTIFIERS}))?(?:\+{_IDENTIFIERS})?", re.ASCII)
_LARGEST = 2**63
_READING: Final = 50

# What orders versions: numbers, then whether there is no pre-release, then its identifiers.
_Order = tuple[int, int, int, bool, list[tuple[bool, int, str]]]


def _order(context: Context, version: str) -> _Order | None:
    context.budget.charge(_READING)
    spend(context, 16 * len(version))
    found = _VERSION.fullmatch(version)
    if found is None:
        return None
    major, minor, patch = (int(found[group]) for group in (1, 2, 3))
    if max(major, minor, patch) >= _LARGEST:
        return None
    identifiers = found[4].split(".") if found[4] else []
    if any(len(each) > 1 and each[0] == "0" and each.isdigit() for each in identifiers):
        return None
    ranked = [
        (not each.isdigit(), min(int(each[:20]), _LARGEST - 1) if each.isdigit() else 0, each) for each in identifiers
    ]
    return major, minor, patch, not identifiers, [(word, size, each if word else "") for word, size, each in ranked]


def _compare(context: Context, x: Value, y: Value) -> int:
    first, second = _order(context, text(x, 1)), _order(context, text(y, 2))
    if first is None or second is None:
        raise BuiltinError(f"operand {1 if first is None else 2}: not a valid SemVer")
    return (first > second) - (first < second)


def _is_valid(context: Context, value: Value) -> bool:
    return type(value) is str and _order(context, value) is not None


BUILTINS: Final[Mapping[str, Builtin]] = {
    "semver.compare": contextual(_compare),
    "semver.is_valid": contextual(_is_valid),
}
