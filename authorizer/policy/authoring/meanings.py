"""What policies say, apart from where it stands and what it is called: equal meanings decide alike."""

from collections.abc import Iterable
from typing import Any

from authorizer.policy.authoring.surgery import in_one_order
from authorizer.policy.pbac.declared import AllOf, AnyOf, Condition, Leaf, Negation, Policy


def meanings(rules: Iterable[Policy]) -> set[Any]:
    """Return what several policies say."""
    return {meaning(one) for one in rules}


def meaning(policy: Policy) -> Any:
    """Return what a policy says, without where it stands and, for an allow, what it is called."""
    require = policy.require
    return (
        policy.effect,
        policy.id if policy.overridable else "",
        policy.token,
        policy.point,
        policy.start,
        policy.end,
        policy.feature_gate,
        tuple(sorted(policy.overrides)),
        None if require is None else (require.acr, require.max_age),
        _shape(policy.condition),
    )


def _shape(condition: Condition | None) -> Any:
    match condition:
        case None:
            return None
        case Leaf():
            kind = (condition.type.base, condition.type.values, condition.type.ordered, condition.type.many)
            texts = in_one_order(condition).texts
            return condition.side, condition.field, condition.operator, kind, texts, condition.reference
        case Negation():
            return "not", _shape(condition.part)
        case AllOf() | AnyOf():
            return type(condition).__name__, tuple(_shape(part) for part in condition.parts)
