"""Takes conditions apart: every comparison has a path, and a condition can be rebuilt with one part replaced."""

from collections.abc import Iterator

from msgspec.structs import replace

from authorizer.errors import Place
from authorizer.policy.pbac.declared import AllOf, AnyOf, Condition, Leaf, Negation
from authorizer.policy.pbac.form import rule_of
from authorizer.policy.pbac.types import FieldType

Path = tuple[int, ...]
"""Positions from the root of a condition to one of its parts; a negation has one part, 0."""

_NOW = FieldType("timestamp")


def comparisons(condition: Condition | None, path: Path = ()) -> Iterator[tuple[Path, Leaf]]:
    """Yield every comparison with its path, in the order written."""
    if isinstance(condition, Leaf):
        yield path, condition
    elif isinstance(condition, Negation):
        yield from comparisons(condition.part, (*path, 0))
    elif condition is not None:
        for position, part in enumerate(condition.parts):
            yield from comparisons(part, (*path, position))


def replaced(condition: Condition, path: Path, part: Condition) -> Condition:
    """Return the condition with the part at ``path`` replaced."""
    if not path:
        return part
    if isinstance(condition, Negation):
        return Negation(replaced(condition.part, path[1:], part))
    assert not isinstance(condition, Leaf)
    parts = list(condition.parts)
    parts[path[0]] = replaced(parts[path[0]], path[1:], part)
    return replace(condition, parts=tuple(parts))


def always(truth: bool, place: Place) -> Leaf:
    """Return a comparison that is always true, or always false: the present moment always exists."""
    return Leaf("env", "now", _NOW, "exists", ("true" if truth else "false",), None, place)


def conjunct(condition: Condition, path: Path) -> bool:
    """Whether the part at ``path`` must hold for the whole to hold: nothing but conjunctions stand above it."""
    for position in path:
        if not isinstance(condition, AllOf):
            return False
        condition = condition.parts[position]
    return True


def in_one_order(leaf: Leaf) -> Leaf:
    """Return a comparison with its literals in the order of the alphabet, where their order means nothing."""
    return leaf if leaf.operator in {"between", "outside"} else replace(leaf, texts=tuple(sorted(leaf.texts)))


def written(condition: Condition) -> str:
    """Write a condition as a person would."""
    if isinstance(condition, AllOf | AnyOf):
        joint = " and " if isinstance(condition, AllOf) else " or "
        return "(" + joint.join(map(written, condition.parts)) + ")"
    if isinstance(condition, Negation):
        return f"not {written(condition.part)}"
    rule = rule_of(condition.field)
    if rule and (condition.operator, condition.texts) == ("eq", ("true",)):
        return f"rego {rule}"
    left = f"{rule or f'{condition.side}.{condition.field}'} {condition.operator}"
    if condition.reference is not None:
        return f"{left} ${'.'.join(condition.reference)}"
    listed = condition.operator in {"in", "not_in", "between", "outside"}
    return f"{left} [{', '.join(condition.texts)}]" if listed else f"{left} {condition.texts[0]}"
