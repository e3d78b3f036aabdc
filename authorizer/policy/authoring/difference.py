"""What a change of policies gives and takes: rights gained and lost, assignee by assignee.

Access to a right is what its allows let pass, less what denials and gates hold back. Each is a region of requests; what
remains of the new region without the old one is gained. Where that cannot be told, the access counts as gained, and is
called possible.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from authorizer.errors import Place
from authorizer.model import ANYONE, AUTHENTICATED
from authorizer.policy.authoring.extents import ACR, NOW, Extents, holding
from authorizer.policy.authoring.meanings import meaning, meanings
from authorizer.policy.authoring.ranges import ABSENT, PRESENT, among
from authorizer.policy.authoring.regions import (
    NOTHING,
    Axis,
    Box,
    Region,
    TooComplexError,
    meet,
    minus,
    product,
    sure,
    text,
)
from authorizer.policy.authoring.surgery import comparisons
from authorizer.policy.pbac.declared import Estate, Policy

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


def differences(
    old: Estate, new: Estate, rules: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {})
) -> tuple[Change, ...]:
    """Return what is gained, then what is lost, by application, right and assignee.

    ``rules`` are the fingerprints of the Rego rules that the policies of either ask, by their paths (``acme/ok``).
    """
    before, after = Extents(old, rules[0]), Extents(new, rules[1])
    return (*_gains(before, after, "gained"), *_gains(after, before, "lost"))


def _gains(before: Extents, after: Extents, way: Literal["gained", "lost"]) -> list[Change]:
    found = []
    for application, right in sorted(after.rights):
        rules, earlier = after.rights[application, right], before.rights.get((application, right), ())
        if before.same_ground(after, application, right) and meanings(rules) == meanings(earlier):
            continue
        ground = _Ground(before, after, application, right)
        for allow in (one for one in rules if one.effect == "allow"):
            told = ground.gained(allow)
            if told is not None:
                about = (application, right, allow.token, allow.id, allow.place)
                found.append(Change(way, told[0], *about, told[1]))
    return sorted(found, key=lambda one: (one.application, one.right, one.token, one.policy))


class _Ground:
    """One right before and after, with what is the same for all of its allows."""

    def __init__(self, before: Extents, after: Extents, application: str, right: str) -> None:
        self.before, self.after = before, after
        self.about = application, right
        self.rules = after.rights[self.about]
        earlier = before.rights.get(self.about, [])
        self.allows: dict[str, list[Policy]] = defaultdict(list)
        for one in earlier:
            if one.effect == "allow":
                self.allows[one.token].append(one)
        now = {meaning(one): one for one in self.rules if one.effect != "allow"}
        then = {meaning(one): one for one in earlier if one.effect != "allow"}
        same = before.same_ground(after, application, right)
        self.common = [one for key, one in now.items() if same and key in then]
        self.come = [one for key, one in now.items() if not (same and key in then)]
        self.gone = [one for key, one in then.items() if not (same and key in now)]
        self.whole = self._whole((*earlier, *self.rules))
        self._regions: dict[tuple[bool, str], Region] = {}

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
        mine = [self._passing(one, allow, later=True) for one in _against(allow, self.come)]
        left = product([self.whole], self.after.box(allow), *mine)
        tokens = {allow.token, ANYONE} | ({AUTHENTICATED} if allow.token != ANYONE else set())
        for old in (one for token in sorted(tokens) for one in self.allows.get(token, ())):
            theirs = [*self.gone, *(one for one in self.common if one.id in allow.overrides)]
            held = [self._passing(one, allow, later=False) for one in _against(old, theirs)]
            left = minus(left, product(self.before.box(old), *held))
            if not left:
                return NOTHING
        # What was held back and still is need not be told, but where it holds back all of it, nothing is gained.
        shared = [self._passing(one, allow, later=True) for one in _against(allow, self.common)]
        passing = [box for box in left if product([box], *shared)]
        return [{axis: values for axis, values in box.items() if self.whole.get(axis) != values} for box in passing]

    def _whole(self, rules: Iterable[Policy]) -> Box:
        """Return all that fields with listed values can be, which is less than all texts there are."""
        found = {ACR: among(self.after.estate.catalog.acr) | ABSENT, NOW: PRESENT}
        for point in (*self.before.estate.catalog.points, *self.after.estate.catalog.points):
            axis = self.after.tree(point)
            found[axis] = found.get(axis, ABSENT) | among([point])
        for policy in rules:
            if policy.effect == "deny" and policy.token not in {"", ANYONE}:
                holds = [holding(policy.token, truth=truth) for truth in (True, False)]
                found |= {axis: values | holds[1][axis] for axis, values in holds[0].items()}
            for _, leaf in comparisons(policy.condition):
                if leaf.type.base in _LISTED and not leaf.type.many:
                    values = leaf.type.values if leaf.type.base == "enum" else (False, True)
                    (marked,) = self.after.moments([{Axis(f"{leaf.side}.{leaf.field}", leaf.type.base): among(values)}])
                    for axis, listed in marked.items():
                        found[axis] = found.get(axis, ABSENT) | listed
        return found

    def _passing(self, rule: Policy, allow: Policy, *, later: bool) -> Region:
        """Return the requests of an allow's holders that a denial or gate lets pass, after the change or before."""
        key = later, rule.id
        if key not in self._regions:
            self._regions[key] = (self.after if later else self.before).passing(rule, *self.about)
        region = self._regions[key]
        if rule.effect == "deny" and rule.token and _covers(rule.token, allow.token):
            holds = holding(rule.token, truth=True)
            return [box for box in region if meet(box, holds) is not None]
        return region


def _against(allow: Policy, rules: Iterable[Policy]) -> list[Policy]:
    return [one for one in rules if not (one.overridable and one.id in allow.overrides)]


_LISTED = frozenset({"enum", "bool"})
_SHOWN = 4
"""Boxes that are written out; more say nothing to a person."""


def _covers(token: str, other: str) -> bool:
    """Whether everybody who holds ``other`` holds ``token``."""
    return token in {other, "", ANYONE} or (token == AUTHENTICATED and other != ANYONE)
