"""Small faults that an author could have written: each is one policy or rule changed in one way.

A set of test cases is good when it tells every mutant from the original. The kinds are those that lines of policy are
got wrong in: a condition dropped, a boundary moved by the smallest step, an operator turned round, a grant for anybody,
a limit of time, login or place taken away.
"""

from collections.abc import Iterator
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from authorizer.errors import Place
from authorizer.model import ANYONE
from authorizer.policy.authoring.surgery import Path, always, comparisons, conjunct, replaced, written
from authorizer.policy.pbac.declared import Catalog, Condition, Eligibility, Estate, Leaf, Negation, Policy
from authorizer.policy.pbac.types import converter, show

MAX_VALUES = 16
"""Values of one list of which each is taken out in turn."""

_OPPOSITE = {
    "eq": "ne", "ne": "eq", "in": "not_in", "not_in": "in", "gt": "lte", "lte": "gt", "gte": "lt", "lt": "gte",
    "between": "outside", "outside": "between",
}  # fmt: skip
_NEIGHBOUR = {"gt": "gte", "gte": "gt", "lt": "lte", "lte": "lt"}
_LISTS = frozenset({"in", "not_in", "has_any", "has_all"})
_DAY = 86400


class Mutant(Struct, frozen=True):
    """One fault. ``name`` is stable as long as the policy is; ``instead`` is None where the policy is gone."""

    name: str
    of: Policy | Eligibility
    instead: Policy | Eligibility | None
    place: Place


def mutants(estate: Estate) -> Iterator[Mutant]:
    """Yield all mutants, by the ids of what they change."""
    for policy in sorted(estate.policies, key=lambda one: one.id):
        for what, instead, place in _of_policy(policy, estate.catalog):
            yield Mutant(f"{policy.id}: {what}", policy, instead, place)
    for rule in sorted(estate.eligibility, key=lambda one: one.id):
        if rule.type in {"eligible", "exclusion"}:
            yield Mutant(f"{rule.id}: deleted", rule, None, rule.place)
            if rule.token != ANYONE:
                yield Mutant(f"{rule.id}: for anyone", rule, replace(rule, token=ANYONE), rule.place)


def mutated(estate: Estate, mutant: Mutant) -> Estate:
    """Return the estate with the fault in it."""
    if isinstance(mutant.of, Policy):
        kept = [one for one in estate.policies if one is not mutant.of]
        added = [mutant.instead] if isinstance(mutant.instead, Policy) else []
        return replace(estate, policies=tuple(kept + added))
    rules = [one for one in estate.eligibility if one is not mutant.of]
    more = [mutant.instead] if isinstance(mutant.instead, Eligibility) else []
    return replace(estate, eligibility=tuple(rules + more))


_Change = tuple[str, Policy | None, Place]


def _of_policy(policy: Policy, catalog: Catalog) -> Iterator[_Change]:
    place = policy.place
    yield "deleted", None, place
    if policy.effect != "gate":
        yield "effect turned round", _flipped(policy), place
    if policy.token not in {"", ANYONE}:
        yield "for anyone", replace(policy, token=ANYONE), place
    if policy.point:
        yield "anywhere", replace(policy, point=""), place
        above = catalog.points.get(policy.point, "")
        if above:
            yield "at the point above", replace(policy, point=above), place
    if policy.start is not None:
        yield "without 'from'", replace(policy, start=None), place
        yield "'from' a second later", replace(policy, start=policy.start + 1), place
    if policy.end is not None:
        yield "without 'until'", replace(policy, end=None), place
        yield "'until' a second later", replace(policy, end=policy.end + 1), place
    yield from _of_require(policy, catalog)
    yield from _of_extras(policy)
    if policy.condition is not None:
        for number, (path, leaf) in enumerate(comparisons(policy.condition)):
            for what, condition in _of_leaf(policy.condition, path, leaf):
                title = f"condition {number} ({written(leaf)}) {what}"
                yield title, replace(policy, condition=condition), leaf.place


def _flipped(policy: Policy) -> Policy:
    if policy.effect == "allow":
        return replace(policy, effect="deny", reason="turned_round", require=None, overrides=(), obligations=())
    return replace(policy, effect="allow", token=policy.token or ANYONE, reason="", overridable=False)


def _of_require(policy: Policy, catalog: Catalog) -> Iterator[_Change]:
    require = policy.require
    if require is None:
        return
    if require.acr is not None:
        without = replace(require, acr=None)
        yield "without acr", replace(policy, require=without if without.max_age is not None else None), policy.place
        rank = catalog.acr.index(require.acr)
        if rank > 0:
            weaker = replace(require, acr=catalog.acr[rank - 1])
            yield "with the acr below", replace(policy, require=weaker), policy.place
    if require.max_age is not None:
        without = replace(require, max_age=None)
        yield "without max_age", replace(policy, require=without if without.acr is not None else None), policy.place
        older = replace(require, max_age=require.max_age + 1)
        yield "max_age a second longer", replace(policy, require=older), policy.place


def _of_extras(policy: Policy) -> Iterator[_Change]:
    place = policy.place
    if policy.feature_gate:
        yield "without require_feature", replace(policy, feature_gate=False), place
    if policy.overridable:
        yield "not overridable", replace(policy, overridable=False), place
    for name in policy.overrides:
        rest = tuple(one for one in policy.overrides if one != name)
        yield f"without the override of {name}", replace(policy, overrides=rest), place
    for duty in policy.obligations:
        left = tuple(one for one in policy.obligations if one is not duty)
        yield f"without obligation {duty.id}", replace(policy, obligations=left), duty.place
    for duty in policy.advice:
        left = tuple(one for one in policy.advice if one is not duty)
        yield f"without advice {duty.id}", replace(policy, advice=left), duty.place


def _of_leaf(whole: Condition, path: Path, leaf: Leaf) -> Iterator[tuple[str, Condition]]:
    yield "dropped", replaced(whole, path, always(truth=True, place=leaf.place))
    if not conjunct(whole, path):  # else nothing could match: the same as the policy deleted
        yield "never true", replaced(whole, path, always(truth=False, place=leaf.place))
    yield "turned round", replaced(whole, path, _opposite(leaf))
    if leaf.operator in _NEIGHBOUR:
        yield "at its boundary", replaced(whole, path, replace(leaf, operator=_NEIGHBOUR[leaf.operator]))
    if leaf.reference is None:
        for what, instead in _of_literals(leaf):
            yield what, replaced(whole, path, instead)


def _opposite(leaf: Leaf) -> Condition:
    if leaf.operator == "exists":
        return replace(leaf, texts=("false" if leaf.texts == ("true",) else "true",))
    opposite = _OPPOSITE.get(leaf.operator)
    return replace(leaf, operator=opposite) if opposite else Negation(leaf)


def _of_literals(leaf: Leaf) -> Iterator[tuple[str, Leaf]]:
    if leaf.operator in _LISTS and 1 < len(leaf.texts) <= MAX_VALUES:
        for text in leaf.texts:
            yield f"without {text}", replace(leaf, texts=tuple(one for one in leaf.texts if one != text))
    elif leaf.operator in {"between", "outside"}:
        low, high = leaf.texts
        later = _second_later(leaf, low), _second_later(leaf, high)
        if later[0] != high:
            yield "beginning a second later", replace(leaf, texts=(later[0], high))
        if later[1] != low:
            yield "ending a second later", replace(leaf, texts=(low, later[1]))
    elif leaf.operator in _NEIGHBOUR and leaf.type.base in {"int", "decimal"}:
        value = converter(leaf.type)(leaf.texts[0])
        if isinstance(value, (int, Decimal)):
            step = 1 if leaf.operator in {"gt", "gte"} else -1
            yield "a whole further", replace(leaf, texts=(format(Decimal(value) + step, "f"),))


def _second_later(leaf: Leaf, text: str) -> str:
    value = converter(leaf.type)(text)
    assert isinstance(value, int)  # only times of day have two bounds
    return show(leaf.type, (value + 1) % _DAY)
