"""What a change of policies gives and takes: rights gained and lost, assignee by assignee.

Access to a right is what its allows let pass, less what denials and gates hold back. Each is a region of requests; what
remains of the new region without the old one is gained. Where that cannot be told, the access counts as gained, and is
called possible.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from authorizer.errors import Place
from authorizer.model import ANYONE, AUTHENTICATED
from authorizer.policy.authoring.access import assignee
from authorizer.policy.authoring.ranges import ABSENT, PRESENT, Values, among, below, between
from authorizer.policy.authoring.regions import (
    NOTHING,
    Axis,
    Region,
    TooComplexError,
    false_region,
    joined,
    meet,
    minus,
    opinion,
    product,
    sure,
    text,
    true_region,
)
from authorizer.policy.authoring.surgery import comparisons, in_one_order
from authorizer.policy.authoring.trials import rights_of
from authorizer.policy.pbac.declared import AllOf, AnyOf, Condition, Estate, Leaf, Negation, Policy
from authorizer.policy.pbac.types import converter

Sureness = Literal["sure", "possible"]


class Change(Struct, frozen=True):
    """One right gained or lost by one assignee. ``when`` says for which requests, "" for all or when it is not told."""

    way: Literal["gained", "lost"]
    sureness: Sureness
    application: str
    right: str
    token: str
    policy: str
    place: Place
    when: str


def differences(old: Estate, new: Estate) -> tuple[Change, ...]:
    """Return what is gained, then what is lost, by application, right and assignee."""
    return (*_gains(old, new, "gained"), *_gains(new, old, "lost"))


def _gains(old: Estate, new: Estate, way: Literal["gained", "lost"]) -> list[Change]:
    before, after = _About(old), _About(new)
    found = []
    for application, right in sorted(after.rights):
        rules, earlier = after.rights[application, right], before.rights.get((application, right), ())
        if before.same_ground(after, application, right) and _meanings(rules) == _meanings(earlier):
            continue
        ground = _Ground(before, after, earlier, rules, application, right)
        for allow in (one for one in rules if one.effect == "allow"):
            told = ground.gained(allow)
            if told is not None:
                about = (application, right, allow.token, allow.id, allow.place)
                found.append(Change(way, told[0], *about, told[1]))
    return sorted(found, key=lambda one: (one.application, one.right, one.token, one.policy))


class _About:
    """The policies of an estate by the right that they are about."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.rights: dict[tuple[str, str], list[Policy]] = {
            (name, right): [] for name, application in estate.applications.items() for right in application.rights
        }
        for policy in estate.policies:
            for right in rights_of(policy, estate.applications[policy.application]):
                if (policy.application, right) in self.rights:
                    self.rights[policy.application, right].append(policy)
        below_of: dict[str, set[str]] = defaultdict(set)
        for point in estate.catalog.points:
            above, seen = point, set[str]()
            while above and above not in seen:
                seen.add(above)
                below_of[above].add(point)
                above = estate.catalog.points.get(above, "")
        self.below = below_of

    def same_ground(self, other: "_About", application: str, right: str) -> bool:
        """Whether equal policies mean the same in both: points, plans, logins, defaults and features are equal."""
        mine, theirs = self.estate.catalog, other.estate.catalog
        shared = ("points", "plans", "acr", "zone", "env")
        return all(getattr(mine, name) == getattr(theirs, name) for name in shared) and (
            self.feature(application, right) == other.feature(application, right)
        )

    def feature(self, application: str, right: str) -> str:
        """Return the feature that a right belongs to, or ""."""
        declared = self.estate.applications.get(application)
        return declared.rights[right].feature if declared and right in declared.rights else ""

    def box(self, policy: Policy) -> Region:
        """Return the requests for which a policy holds, apart from its assignee. Raises TooComplexError."""
        limits: dict[Axis, Values] = {}
        if policy.point:
            limits[_POINT] = among(self.below[policy.point])
        if policy.start is not None or policy.end is not None:
            limits[_NOW] = between(policy.start, None) & below(policy.end)
        require = policy.require
        if require is not None and require.acr is not None:
            ranks = self.estate.catalog.acr
            limits[_ACR] = _defaulted(among(ranks[ranks.index(require.acr) :]), self._default("acr"))
        if require is not None and require.max_age is not None:
            limits[_AGE] = between(None, float(require.max_age))
        return product([limits], self.moments(true_region(policy.condition)))

    def moments(self, region: Region) -> Region:
        """Tell what requests a region means where attributes of the moment have defaults or depend on the zone."""
        found = []
        for box in region:
            marked = {}
            for axis, values in box.items():
                name = axis.name.removeprefix("env.")
                default = None if axis.opinion or name == axis.name else self._default(name)
                marked[self._marked(axis)] = _defaulted(values, default)
            if all(marked.values()):
                found.append(marked)
        return found

    def _default(self, name: str) -> Any:
        """Return the typed value that stands in for an attribute of the moment that a request lacks, or None."""
        field = self.estate.catalog.env.get(name)
        return None if field is None or field.default is None else converter(field.type)(field.default)

    def _marked(self, axis: Axis) -> Axis:
        catalog = self.estate.catalog
        marks = [str(catalog.zone)] if "env.time" in (axis.reads or (axis.name,)) else []
        for read in axis.reads:
            field = catalog.env.get(read.removeprefix("env.")) if read.startswith("env.") else None
            marks.append(str(field.default if field is not None else None))
        return replace(axis, variant=", ".join(marks))

    def _plan(self, application: str) -> Axis:
        field = self.estate.applications[application].fields.get("plan") or self.estate.catalog.fields["plan"]
        return Axis("assignee.plan", field.type.base)

    def passing(self, rule: Policy, application: str, right: str) -> Region:
        """Return the requests that a denial or gate lets pass. Raises TooComplexError."""
        outside: Region = NOTHING
        if rule.start is not None or rule.end is not None:
            outside = minus([{}], [{_NOW: between(rule.start, None) & below(rule.end)}])
        if rule.effect == "gate":
            inside = self.moments(true_region(rule.condition))
            feature = self.feature(application, right) if rule.feature_gate else ""
            if feature:
                plans = among(name for name, has in self.estate.catalog.plans.items() if feature in has)
                inside = product(inside, [{self._plan(application): plans}]) if plans else NOTHING
            return joined(outside, inside)
        elsewhere = minus([{}], [{_POINT: among(self.below[rule.point])}]) if rule.point else NOTHING
        others = [opinion(_holds(rule.token), (), truth=False)] if rule.token not in {"", ANYONE} else NOTHING
        return joined(outside, elsewhere, others, self.moments(false_region(rule.condition)))


_POINT = Axis("resource.point")
_NOW = Axis("env.now", "timestamp")
_ACR = Axis("env.acr", "enum")
_AGE = Axis("env.auth_age", "duration")


class _Ground(Struct, frozen=True):
    """One right before and after."""

    before: _About
    after: _About
    earlier: Iterable[Policy]
    rules: Iterable[Policy]
    application: str
    right: str

    def gained(self, allow: Policy) -> tuple[Sureness, str] | None:
        """Return for which requests an allow gives access that was not there, or None when for none."""
        try:
            left = self._left(allow)
        except TooComplexError:
            return "possible", ""
        if not left:
            return None
        certain = [box for box in left if sure(box)]
        shown = [text(box) for box in certain or left]
        return "sure" if certain else "possible", "" if "" in shown or len(shown) > _SHOWN else "; or ".join(shown)

    def _left(self, allow: Policy) -> Region:
        earlier = [one for one in self.earlier if one.effect == "allow" and _covers(one.token, allow.token)]
        now_against = {_meaning(one): one for one in self.rules if one.effect != "allow"}
        then_against = {_meaning(one): one for one in self.earlier if one.effect != "allow"}
        same = self.before.same_ground(self.after, self.application, self.right)
        common = {one for one in now_against if same and one in then_against}
        mine = self._against(allow, (one for key, one in now_against.items() if key not in common))
        whole = self._whole()
        left = product([whole], self.after.box(allow), *(self._passing(self.after, one, allow) for one in mine))
        for old in earlier:
            theirs = [one for key, one in then_against.items() if key not in common]
            theirs += [now_against[key] for key in common if now_against[key].id in allow.overrides]
            against = self._against(old, theirs)
            held = product(self.before.box(old), *(self._passing(self.before, one, allow) for one in against))
            left = minus(left, held)
            if not left:
                return NOTHING
        # What was held back and still is need not be told, but where it holds back all of it, nothing is gained.
        shared = [
            self._passing(self.after, one, allow) for one in self._against(allow, (now_against[key] for key in common))
        ]
        passing = [box for box in left if product([box], *shared)]
        return [{axis: values for axis, values in box.items() if whole.get(axis) != values} for box in passing]

    def _whole(self) -> Mapping[Axis, Values]:
        """Return all that fields with listed values can be, which is less than all texts there are."""
        points = {*self.before.estate.catalog.points, *self.after.estate.catalog.points}
        found = {_POINT: among(points) | ABSENT, _ACR: among(self.after.estate.catalog.acr) | ABSENT, _NOW: PRESENT}
        for policy in (*self.earlier, *self.rules):
            if policy.effect == "deny" and policy.token not in {"", ANYONE}:
                holds = [opinion(_holds(policy.token), (), truth=truth) for truth in (True, False)]
                found |= {axis: values | holds[1][axis] for axis, values in holds[0].items()}
            for _, leaf in comparisons(policy.condition):
                if leaf.type.base in _LISTED and not leaf.type.many:
                    values = leaf.type.values if leaf.type.base == "enum" else (False, True)
                    (marked,) = self.after.moments([{Axis(f"{leaf.side}.{leaf.field}", leaf.type.base): among(values)}])
                    for axis, listed in marked.items():
                        found[axis] = found.get(axis, ABSENT) | listed
        return found

    def _against(self, allow: Policy, rules: Iterable[Policy]) -> list[Policy]:
        return [one for one in rules if not (one.overridable and one.id in allow.overrides)]

    def _passing(self, about: _About, rule: Policy, allow: Policy) -> Region:
        region = about.passing(rule, self.application, self.right)
        if rule.effect == "deny" and rule.token and _covers(rule.token, allow.token):
            holds = opinion(_holds(rule.token), (), truth=True)
            return [box for box in region if meet(box, holds) is not None]
        return region


_LISTED = frozenset({"enum", "bool"})
_SHOWN = 4
"""Boxes that are written out; more say nothing to a person."""


def _covers(token: str, other: str) -> bool:
    """Whether everybody who holds ``other`` holds ``token``."""
    return token in {other, "", ANYONE} or (token == AUTHENTICATED and other != ANYONE)


def _holds(token: str) -> str:
    return f"holds {assignee(token)}"


def _defaulted(values: Values, default: Any) -> Values:
    """Return the set with the absent field in it where its default belongs to it; None is no default."""
    if default is None:
        return values
    return Values(values.intervals, missing=bool(values & among([default])))


def _meanings(rules: Iterable[Policy]) -> set[Any]:
    return {_meaning(one) for one in rules}


def _meaning(policy: Policy) -> Any:
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
