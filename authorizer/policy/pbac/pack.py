"""Sorts policies and eligibility rules into the columns of the compiled form.

Everything is numbered in the order of the rules' ids, or by name, so equal rules give equal bytes.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from authorizer.errors import Place
from authorizer.model import ANYONE
from authorizer.policy.pbac import columns, form
from authorizer.policy.pbac.index import LEAF, MAX_COPIES
from authorizer.policy.pbac.templates import SIDE_INDEX, Template, build
from authorizer.policy.pbac.types import FieldType

Texts = tuple[str, ...]
"""A literal as it is written."""
_Body = tuple[int, bool, bool, int]
_Field = tuple[str, str]
_Named = TypeVar("_Named", str, tuple[str, str, str, str])
_SIDES = {number: side for side, number in SIDE_INDEX.items()}


class Rule(Struct, frozen=True):
    """A policy or an eligibility rule. ``template`` is -1 without a condition, ``params`` are its literals.

    ``effect`` is allow, deny, gate or an eligibility rule's type; ``kind`` is right, role or all; ``token`` "" is
    anyone; ``point`` "" is anywhere; ``start`` and ``end`` are POSIX seconds, the end not included.
    """

    id: str
    effect: str
    application: str
    kind: str
    target: str
    token: str
    point: str
    place: Place
    start: float | None = None
    end: float | None = None
    template: int = -1
    params: Sequence[Texts] = ()
    extras: form.ExtrasForm | None = None


def pack(rules: Iterable[Rule], templates: Sequence[Mapping[str, Any]], types: tuple[FieldType, ...]) -> form.TableForm:
    """Return the columns of rules; policies and eligibility rules may share an id."""
    ordered = sorted(rules, key=lambda rule: (rule.id, rule.effect))
    cases = _Cases([build(template, types) for template in templates])
    case_of = [cases.add(rule) for rule in ordered]
    tokens = _positions(rule.token or ANYONE for rule in ordered)
    points = {"": 0} | {name: at for at, name in enumerate(sorted({rule.point for rule in ordered} - {""}), 1)}
    buckets = _positions((rule.effect, rule.application, rule.kind, rule.target) for rule in ordered)
    keys = [
        (
            buckets[rule.effect, rule.application, rule.kind, rule.target],
            points[rule.point],
            tokens[rule.token or ANYONE],
        )
        for rule in ordered
    ]
    rows: list[int] = []
    group_token, group_point, group_size, group_split = [], [], [], []
    sizes: Counter[int] = Counter()
    splits: dict[tuple[_Field, ...], int] = {(): 0}
    for (bucket, point, token), group in groupby(sorted(range(len(keys)), key=keys.__getitem__), key=keys.__getitem__):
        members = list(group)
        by: tuple[_Field, ...] = ()
        if len(members) > LEAF:
            by, members = _split(members, case_of, cases)
        rows += members
        sizes[bucket] += 1
        group_token.append(token)
        group_point.append(point)
        group_size.append(len(members))
        group_split.append(splits.setdefault(by, len(splits)))
    numbers = cases.numbers()
    files = _positions(rule.place.file for rule in ordered)
    return form.TableForm(
        tokens=columns.pack_texts(tokens),
        points=list(points),
        moments=columns.pack_moments(list(cases.moments)),
        sections=cases.sections(),
        extras=[msgspec.to_builtins(extras) for extras in cases.extras.values()],
        bodies=cases.bodies(),
        arguments=columns.pack(cases.arguments()),
        buckets=[form.BucketForm(*about, sizes[number]) for about, number in buckets.items()],
        splits=[list(by) for by in splits if by],
        group_assignee=columns.pack(group_token),
        group_point=columns.pack(group_point),
        group_size=columns.pack(group_size),
        group_split=columns.pack(group_split),
        ids=columns.pack_texts(ordered[row].id for row in rows),
        files=list(files),
        row_file=columns.pack([files[ordered[row].place.file] for row in rows]),
        row_line=columns.pack([ordered[row].place.line for row in rows]),
        row_column=columns.pack([ordered[row].place.column for row in rows]),
        row_case=columns.pack([numbers[case_of[row]] for row in rows]),
    )


def _positions(items: Iterable[_Named]) -> dict[_Named, int]:
    return {item: position for position, item in enumerate(sorted(set(items)))}


class _Cases:
    """What rules say apart from whom, where and about what: numbered, without repeats."""

    def __init__(self, templates: Sequence[Template]) -> None:
        self.moments: dict[float, int] = {}
        self.extras: dict[bytes, form.ExtrasForm] = {}
        self._templates = templates
        self._extras: dict[bytes, int] = {}
        self._bodies: dict[_Body, dict[tuple[int, ...], int]] = {}
        self._sections: dict[tuple[str, int], dict[Texts, int]] = {}
        self._keys: list[Mapping[_Field, Texts]] = []
        self._all: list[tuple[_Body, tuple[int, ...]]] = []

    def add(self, rule: Rule) -> int:
        """Return the provisional number of a rule's case."""
        extras = -1
        if rule.extras is not None:
            written = msgspec.json.encode(rule.extras)
            self.extras.setdefault(written, rule.extras)
            extras = self._extras.setdefault(written, len(self._extras))
        body = rule.template, rule.start is not None, rule.end is not None, extras
        arguments = [self.moments.setdefault(at, len(self.moments)) for at in (rule.start, rule.end) if at is not None]
        template = self._templates[rule.template] if rule.template >= 0 else None
        for wanted, texts in zip(template.wants if template else (), rule.params, strict=True):
            section = self._sections.setdefault(wanted, {})
            arguments.append(section.setdefault(tuple(texts), len(section)))
        cases = self._bodies.setdefault(body, {})
        found = cases.setdefault(tuple(arguments), len(self._all))
        if found == len(self._all):
            self._all.append((body, tuple(arguments)))
            self._keys.append(
                {
                    (_SIDES[key.side], key.field): tuple(rule.params[key.param])
                    for key in reversed(template.keys if template else ())
                    if len(rule.params[key.param]) <= MAX_COPIES
                }
            )
        return found

    def keys(self, case: int) -> Mapping[_Field, Texts]:
        """Return the fields that a case asks to be equal to something, and to what."""
        return self._keys[case]

    def numbers(self) -> list[int]:
        """Return the final number of each provisional one: the cases of a body follow each other."""
        final = [0] * len(self._all)
        place = 0
        for cases in self._bodies.values():
            for case in cases.values():
                final[case] = place
                place += 1
        return final

    def bodies(self) -> list[form.BodyForm]:
        return [form.BodyForm(*body, len(next(iter(cases))), len(cases)) for body, cases in self._bodies.items()]

    def arguments(self) -> list[int]:
        return [number for cases in self._bodies.values() for arguments in cases for number in arguments]

    def sections(self) -> list[form.SectionForm]:
        """Return the literals by kind."""
        found = []
        for (how, kind), literals in sorted(self._sections.items()):
            counts = columns.pack([len(texts) for texts in literals]) if any(len(one) != 1 for one in literals) else ""
            texts = columns.pack_texts(text for literal in literals for text in literal)
            found.append(form.SectionForm(how, kind, texts, counts))
        return found


def _split(rows: list[int], case_of: Sequence[int], cases: _Cases) -> tuple[tuple[_Field, ...], list[int]]:
    """Return the fields that tell rows apart, the best first, and the rows so that equal values stand together.

    A field is the better, the fewer rows remain when its value is known.
    """
    sizes: dict[_Field, Counter[str]] = {}
    having: Counter[_Field] = Counter()
    for row in rows:
        for field, texts in cases.keys(case_of[row]).items():
            sizes.setdefault(field, Counter()).update(texts)
            having[field] += 1
    costs = {field: len(rows) - having[field] + max(counted.values()) for field, counted in sizes.items()}
    helping = (field for field, cost in costs.items() if cost < len(rows))
    by = tuple(sorted(helping, key=lambda field: (costs[field], field)))

    def place(row: int) -> tuple[tuple[Texts, ...], int]:
        keys = cases.keys(case_of[row])
        return tuple(keys.get(field, ()) for field in by), row

    return by, sorted(rows, key=place)
