"""Who may do what: the grants about a right, or of a subject, with all that stands in their way."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct

from authorizer.model import ANYONE, ASSIGNEE_KINDS, AUTHENTICATED, assignee_token
from authorizer.policy.authoring.surgery import written
from authorizer.policy.authoring.trials import rights_of
from authorizer.policy.pbac.declared import Estate, Policy
from authorizer.timestamps import rfc3339

Memberships = Mapping[str, Mapping[str, Iterable[str | Iterable[str]]]]
"""Subject -> assignee kind -> names, or pairs of names, as the facts say them."""


class Access(Struct, frozen=True):
    """A grant of one right: the allow, and the denials and gates that a request must pass besides."""

    right: str
    allow: Policy
    denials: tuple[Policy, ...]
    gates: tuple[Policy, ...]


def who_can(estate: Estate, application: str, right: str, point: str = "") -> tuple[Access, ...]:
    """Return the grants of a right, by assignee; with ``point`` (``type:name``) those that can hold there.

    A request has a point in each tree: what is limited to one in another tree can hold at all points of this one.
    """
    here = chain(estate, point) if point else ()
    tree = _tree(estate, point)
    about = [
        one
        for one in _about(estate, application, right)
        if not point or not one.point or one.point in here or _tree(estate, one.point) != tree
    ]
    allows = sorted((one for one in about if one.effect == "allow"), key=lambda one: (one.token, one.id))
    return tuple(_access(right, allow, about) for allow in allows)


def _tree(estate: Estate, point: str) -> str:
    kind = point.partition(":")[0]
    return next((name for name, types in estate.catalog.trees.items() if kind in types), "")


def what_can(estate: Estate, tokens: frozenset[str]) -> tuple[Access, ...]:
    """Return the grants of whoever holds all of ``tokens``, by application and right."""
    held = tokens | {ANYONE}
    about: dict[tuple[str, str], list[Policy]] = defaultdict(list)
    for policy in estate.policies:
        if policy.effect != "allow" or policy.token in held:
            for right in rights_of(policy, estate.applications[policy.application]):
                about[policy.application, right].append(policy)
    found = []
    for (_, right), rules in sorted(about.items()):
        mine = [one for one in rules if one.effect == "allow"]
        found += [_access(right, allow, rules) for allow in sorted(mine, key=lambda one: one.id)]
    return tuple(found)


def _about(estate: Estate, application: str, right: str) -> list[Policy]:
    declared = estate.applications[application]
    mine = (one for one in estate.policies if one.application == application)
    return [one for one in mine if right in rights_of(one, declared)]


def _access(right: str, allow: Policy, about: Iterable[Policy]) -> Access:
    against = [one for one in about if one.effect != "allow" and one.id not in allow.overrides]
    denials = sorted((one for one in against if one.effect == "deny"), key=lambda one: one.id)
    gates = sorted((one for one in against if one.effect == "gate"), key=lambda one: one.id)
    return Access(right, allow, tuple(denials), tuple(gates))


def chain(estate: Estate, point: str) -> tuple[str, ...]:
    """Return a point and all above it; empty for one that is not in the tree."""
    found = []
    while point in estate.catalog.points and point not in found:
        found.append(point)
        point = estate.catalog.points[point]
    return tuple(found)


def tokens_of(subject: str, memberships: Memberships) -> frozenset[str]:
    """Return what a subject is: ``kind:name`` alone, or a name with all that the facts say of it.

    A pair is written ``business_role_location:ROLE,LOCATION``. Somebody without a kind is taken for a person who has
    logged in.
    """
    kind, colon, name = subject.partition(":")
    if colon and kind in ASSIGNEE_KINDS:
        parts = name.split(",", 1) if ASSIGNEE_KINDS[kind] == "pairs" else [name]
        return frozenset({assignee_token(kind, *parts), AUTHENTICATED})
    tokens = {assignee_token("person", subject), AUTHENTICATED}
    for listed, names in memberships.get(subject, {}).items():
        tokens.update(assignee_token(listed, *((one,) if isinstance(one, str) else one)) for one in names)
    return frozenset(tokens)


def members(token: str, memberships: Memberships) -> tuple[str, ...]:
    """Return the subjects of whom the facts say that they hold a token."""
    return tuple(sorted(subject for subject in memberships if token in tokens_of(subject, memberships)))


def assignee(token: str) -> str:
    """Write an assignee token as a person would."""
    if token in {"", ANYONE}:
        return "anyone"
    kind, _, name = token.partition(":")
    return f"{kind} {' at '.join(name.split(chr(0x1F)))}" if name else kind


def terms(policy: Policy) -> str:
    """Write what a policy says besides its right and its assignee: place, time, login, condition."""
    words = []
    if policy.point:
        words.append(f"at {policy.point}")
    if policy.start is not None:
        words.append(f"from {rfc3339(policy.start)}")
    if policy.end is not None:
        words.append(f"until {rfc3339(policy.end)}")
    if policy.require is not None:
        if policy.require.acr is not None:
            words.append(f"with a login of {policy.require.acr}")
        if policy.require.max_age is not None:
            words.append(f"with a login at most {policy.require.max_age} s old")
    if policy.feature_gate:
        words.append("when the plan has the right's feature")
    if policy.condition is not None:
        words.append(f"where {written(policy.condition)}")
    return ", ".join(words)
