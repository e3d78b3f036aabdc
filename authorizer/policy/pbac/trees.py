"""Walks through conditions."""

from authorizer.policy.pbac.declared import AllOf, Condition, Leaf, Negation


def leaves(condition: Condition | None) -> list[Leaf]:
    """Return every comparison of a condition."""
    found: list[Leaf] = []
    waiting: list[Condition] = [condition] if condition is not None else []
    while waiting:
        part = waiting.pop()
        if isinstance(part, Leaf):
            found.append(part)
        elif isinstance(part, Negation):
            waiting.append(part.part)
        else:
            waiting += part.parts
    return found


def conjuncts(condition: Condition | None) -> tuple[Condition, ...]:
    """Return the parts that must all hold, nested conjunctions opened."""
    if condition is None:
        return ()
    if not isinstance(condition, AllOf):
        return (condition,)
    if not any(isinstance(part, AllOf) for part in condition.parts):
        return condition.parts
    return tuple(inner for part in condition.parts for inner in conjuncts(part))


def constrains(condition: Condition | None, field: str) -> bool:
    """Whether a condition narrows ``resource.field`` to values it names, on every way in which it can hold."""
    if condition is None or isinstance(condition, Negation):
        return False
    if isinstance(condition, Leaf):
        named = condition.operator not in {"ne", "not_in", "exists", "outside"}
        return named and condition.side == "resource" and condition.field == field
    if isinstance(condition, AllOf):
        return any(constrains(part, field) for part in condition.parts)
    return all(constrains(part, field) for part in condition.parts)
