"""How far policies reach: the requests for which each holds, or lets pass, as regions."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from authorizer.model import ANYONE
from authorizer.policy.authoring.access import assignee
from authorizer.policy.authoring.ranges import Values, among, below, between
from authorizer.policy.authoring.regions import (
    NOTHING,
    Axis,
    Box,
    Region,
    false_region,
    joined,
    minus,
    opinion,
    product,
    true_region,
)
from authorizer.policy.authoring.surgery import comparisons
from authorizer.policy.authoring.trials import rights_of
from authorizer.policy.pbac.declared import Estate, Policy
from authorizer.policy.pbac.form import RULE
from authorizer.policy.pbac.types import converter

NOW = Axis("env.now", "timestamp")
ACR = Axis("env.acr", "enum")
AGE = Axis("env.auth_age", "duration")


def holding(token: str, *, truth: bool) -> Box:
    """Return the requests whose caller holds a token, or does not."""
    return opinion(f"holds {assignee(token)}", (), truth=truth)


class Extents:
    """The policies of an estate by the right that they are about, and the requests for which each holds.

    ``below`` leads from a point to itself and all points below it. ``rules`` are the fingerprints of the Rego rules
    that policies ask, by their paths (``acme/ok``).
    """

    def __init__(self, estate: Estate, rules: Mapping[str, str]) -> None:
        self.estate = estate
        self.rules = rules
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

    def same_ground(self, other: "Extents", application: str, right: str) -> bool:
        """Whether equal policies mean the same in both: points, plans, logins, defaults, features, rules are equal."""
        mine, theirs = self.estate.catalog, other.estate.catalog
        shared = ("points", "plans", "acr", "zone")
        return (
            all(getattr(mine, name) == getattr(theirs, name) for name in shared)
            and all(mine.env[name] == theirs.env[name] for name in mine.env.keys() & theirs.env.keys())
            and self.feature(application, right) == other.feature(application, right)
            and all(other.rules.get(name, mark) == mark for name, mark in self._asked(application, right).items())
        )

    def _asked(self, application: str, right: str) -> dict[str, str]:
        """Return the fingerprints of the Rego rules that policies about a right ask, by their paths."""
        rules = self.rights.get((application, right), ())
        fields = {leaf.field for policy in rules for _, leaf in comparisons(policy.condition)}
        return {name: mark for name, mark in self.rules.items() if RULE + name in fields}

    def feature(self, application: str, right: str) -> str:
        """Return the feature that a right belongs to, or ""."""
        declared = self.estate.applications.get(application)
        return declared.rights[right].feature if declared and right in declared.rights else ""

    def box(self, policy: Policy) -> Region:
        """Return the requests for which a policy holds, apart from its assignee. Raises TooComplexError."""
        limits: dict[Axis, Values] = {}
        if policy.point:
            limits[self.tree(policy.point)] = among(self.below[policy.point])
        if policy.start is not None or policy.end is not None:
            limits[NOW] = between(policy.start, None) & below(policy.end)
        require = policy.require
        if require is not None and require.acr is not None:
            ranks = self.estate.catalog.acr
            limits[ACR] = _defaulted(among(ranks[ranks.index(require.acr) :]), self._default("acr"))
        if require is not None and require.max_age is not None:
            limits[AGE] = between(None, float(require.max_age))
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
            name = read.removeprefix("env.")
            field = catalog.env.get(name) if read.startswith("env.") else None
            known = self.rules.get(name.removeprefix(RULE)) if name.startswith(RULE) else None
            marks.append(known or str(field.default if field is not None else None))
        return replace(axis, variant=", ".join(marks))

    def tree(self, point: str) -> Axis:
        """Return the axis of the tree that a point stands in: a request has a point in each."""
        kind = point.partition(":")[0]
        trees = self.estate.catalog.trees
        name = next((name for name, types in trees.items() if kind in types), "")
        return Axis(f"resource.point:{name}" if name else "resource.point")

    def _plan(self, application: str) -> Axis:
        field = self.estate.applications[application].fields.get("plan") or self.estate.catalog.fields["plan"]
        return Axis("assignee.plan", field.type.base)

    def passing(self, rule: Policy, application: str, right: str) -> Region:
        """Return the requests that a denial or gate lets pass. Raises TooComplexError."""
        outside: Region = NOTHING
        if rule.start is not None or rule.end is not None:
            outside = minus([{}], [{NOW: between(rule.start, None) & below(rule.end)}])
        if rule.effect == "gate":
            inside = self.moments(true_region(rule.condition))
            feature = self.feature(application, right) if rule.feature_gate else ""
            if feature:
                plans = among(name for name, has in self.estate.catalog.plans.items() if feature in has)
                inside = product(inside, [{self._plan(application): plans}]) if plans else NOTHING
            return joined(outside, inside)
        elsewhere = minus([{}], [{self.tree(rule.point): among(self.below[rule.point])}]) if rule.point else NOTHING
        others = [holding(rule.token, truth=False)] if rule.token not in {"", ANYONE} else NOTHING
        return joined(outside, elsewhere, others, self.moments(false_region(rule.condition)))


def _defaulted(values: Values, default: Any) -> Values:
    """Return the set with the absent field in it where its default belongs to it; None is no default."""
    if default is None:
        return values
    return Values(values.intervals, missing=bool(values & among([default])))
