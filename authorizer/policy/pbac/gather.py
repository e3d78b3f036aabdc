"""Gathers the policies of a program by what they are about, and builds the index of each bucket."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from authorizer.policy.pbac.emitting import Kinds, is_sound
from authorizer.policy.pbac.emitting import reads as emitted_fields
from authorizer.policy.pbac.form import ApplicationForm
from authorizer.policy.pbac.index import Bucket, Leaf, build_leaf, run
from authorizer.policy.pbac.rows import About, Rows
from authorizer.policy.pbac.tables import RightTable
from authorizer.policy.pbac.templates import SIDE_INDEX

Target = tuple[str, str, str]
"""Application, kind (right, role, all), name."""

EFFECTS = frozenset({"allow", "deny", "gate"})
RULES = frozenset({"eligible", "pre_approved", "suggested", "exclusion"})
_EVERYTHING = ("all", "")
_ENV = SIDE_INDEX["env"]


class Gathered:
    """The rows of a program by effect and target. A bucket's index is built when the first right needs it."""

    def __init__(
        self,
        rows: Rows,
        applications: Mapping[str, ApplicationForm],
        kinds: Mapping[str, Kinds],
        trees: Mapping[str, str],
        points: Iterable[str],
    ) -> None:
        """Sort the buckets. ``kinds`` are the types of fields by application, ``trees`` the tree of a type of points.

        Raises ValueError when a broken policy does not tell whose it is: then there is nobody to deny.
        """
        self._rows = rows
        self._applications = applications
        self._kinds = kinds
        self._trees = trees
        self._about: dict[Target, dict[str, About]] = defaultdict(dict)
        self._broken: dict[Target, list[int]] = defaultdict(list)
        self._buckets: dict[About, Bucket] = {}
        self._names = [rows.tokens[number] for number in range(len(rows.tokens))]
        known = {"", *points}
        astray = frozenset(number for number, point in enumerate(rows.points) if point not in known)
        for about in rows.buckets:
            declared = applications.get(about.application)
            if declared is None:
                raise ValueError(f"policies are about the unknown application {about.application!r}")
            target = about.application, about.kind, about.target
            if not _is_declared(about, declared):
                self._broken[about.application, *_EVERYTHING] += range(*about.rows)
            elif about.effect not in EFFECTS | RULES:
                self._broken[target] += range(*about.rows)
            elif about.effect in self._about[target]:
                raise ValueError("a bucket stands there twice")
            else:
                self._about[target][about.effect] = about
                self._broken[target] += {*rows.broken(about, kinds[about.application]), *_at(rows, about, astray)}

    def right_table(self, application: str, right: str) -> RightTable:
        """Gather all that is about one right."""
        declared = self._applications[application]
        targets = [(application, "right", right), (application, *_EVERYTHING)]
        targets += [(application, "role", name) for name, held in declared.roles.items() if right in held]
        broken = [row for target in targets for row in self._broken.get(target, ())]
        of: dict[str, list[About]] = defaultdict(list)
        for target in targets:
            for effect, about in self._about.get(target, {}).items():
                of[effect].append(about)
        decisive = [*of["gate"], *of["deny"], *of["allow"]]
        emits = (*declared.emit, *declared.rights[right].emit)
        if not all(is_sound(emit, self._kinds[application]) for emit in emits):
            raise ValueError(f"{application} emits a header that cannot be set")
        reads = frozenset(chain(emitted_fields(emits), chain.from_iterable(map(self._rows.reads, decisive))))
        gates = sorted(
            chain.from_iterable(range(*about.rows) for about in of["gate"]),
            key=lambda row: (not broken and self._rows.case_at(row).extras.feature_gate, self._rows.id(row)),
        )

        def buckets(effect: str) -> tuple[Bucket, ...]:
            # A right with a broken policy is denied whatever the others say.
            return () if broken else tuple(self._bucket(about) for about in of[effect])

        return RightTable(
            name=right,
            feature=declared.rights[right].feature,
            gates=() if broken else tuple(gates),
            denials=buckets("deny"),
            allows=buckets("allow"),
            eligible=buckets("eligible"),
            excluded=buckets("exclusion"),
            broken=tuple(sorted(map(self._rows.id, broken))),
            abouts=tuple(decisive),
            reads=reads,
            requires=frozenset(chain.from_iterable(map(self._rows.requires, decisive))),
            momentary=any(side == _ENV for side, _ in reads) or any(map(self._rows.momentary, decisive)),
            dutiful=any(map(self._rows.dutiful, of["allow"])),
            emits=emits,
            kinds=self._kinds[application],
            denied_in=frozenset(self._trees_of(of["deny"])),
        )

    def upstream(self, application: str) -> frozenset[str]:
        """Return the headers towards the API that an application's allows may set."""
        declared = self._applications[application]
        emits = [*declared.emit, *(emit for right in declared.rights.values() for emit in right.emit)]
        for about in self._rows.buckets:
            if about.application == application:
                emits += self._rows.emits(about)
        return frozenset(emit.header for emit in emits if emit.towards == "upstream")

    def _bucket(self, about: About) -> Bucket:
        if about not in self._buckets:
            self._buckets[about] = self._build(about)
        return self._buckets[about]

    def _build(self, about: About) -> Bucket:
        rows = self._rows
        held: dict[str, dict[str, Leaf]] = defaultdict(dict)
        token, point, split = rows.group_assignee, rows.group_point, rows.group_split
        names = self._names  # one text for all buckets
        start = about.rows[0]
        for group in range(*about.groups):
            end = rows.group_start[group + 1]
            by = split[group]
            leaf = run(start, end - start)
            if by:
                leaf = build_leaf(start, end - start, rows.splits[by - 1], rows.keys, denials=about.effect == "deny")
            held[rows.points[point[group]]][names[token[group]]] = leaf
            start = end
        return dict(held)

    def _trees_of(self, abouts: Iterable[About]) -> Iterator[str]:
        """Yield the trees at whose points something stands."""
        for about in abouts:
            for number in set(self._rows.group_point[slice(*about.groups)]) - {0}:
                yield self._trees.get(self._rows.points[number].partition(":")[0], "")


def _is_declared(about: About, application: ApplicationForm) -> bool:
    names: Mapping[str, Iterable[str]] = {"all": ("",), "right": application.rights, "role": application.roles}
    return about.target in names.get(about.kind, ())


def _at(rows: Rows, about: About, points: frozenset[int]) -> Iterator[int]:
    """Yield the rows of a bucket that stand at some of ``points``."""
    if points:
        for group in range(*about.groups):
            if rows.group_point[group] in points:
                yield from range(rows.group_start[group], rows.group_start[group + 1])
