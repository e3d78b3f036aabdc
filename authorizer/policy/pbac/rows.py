"""The policies of a program: columns, of which one policy is read when it is a candidate.

INVARIANT: no object stands for each policy. What a case says, and a policy's names, are made when they are first wanted
and kept in bounded memos.
"""

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from authorizer.errors import Place
from authorizer.model import Duty, StepUp
from authorizer.policy.pbac import columns, emitting, form
from authorizer.policy.pbac.columns import Texts
from authorizer.policy.pbac.index import MAX_COPIES
from authorizer.policy.pbac.templates import (
    LITERALS,
    SIDE_INDEX,
    BadTemplateError,
    Field,
    Params,
    Template,
    Test,
    build,
    literal_reader,
)
from authorizer.policy.pbac.types import MAX_TEXT, FieldType
from authorizer.reasons import TAKEN

MEMO = 32_768
"""How many cases, and names of policies, are kept once they were read; then they are all forgotten."""

_DENIALS = frozenset({"deny", "gate"})
_EVER = float("-inf"), float("inf")


class Extras(Struct, frozen=True):
    """What only some policies have. ``acr`` is the least rank of the login required, ``step_up`` what to ask for."""

    reason: str = ""
    feature_gate: bool = False
    overridable: bool = False
    overrides: frozenset[str] = frozenset()
    acr: int | None = None
    max_age: int | None = None
    step_up: StepUp | None = None
    obligations: tuple[Duty, ...] = ()
    advice: tuple[Duty, ...] = ()
    emit: tuple[form.EmitForm, ...] = ()


PLAIN = Extras()


class Case(Struct, frozen=True, eq=False):
    """What a policy says apart from whom, where and about what. ``test`` is None without a condition."""

    test: Test | None
    params: Params
    start: float
    end: float
    extras: Extras
    template: Template | None

    def holds(self, sides: Any) -> bool | None:
        """Evaluate the condition; None when it cannot be told."""
        if self.test is None:
            return True
        try:
            return self.test(sides, self.params)
        except Exception:  # noqa: BLE001 - INVARIANT: what raises is unknown: as a denial it denies, as an allow it grants nothing
            return None


class Section:
    """The literals of one kind. ``bad`` are those that are no value of the type."""

    def __init__(self, one: form.SectionForm, types: tuple[FieldType, ...]) -> None:
        """Read and check all literals. Raises ValueError."""
        if one.how not in LITERALS or not 0 <= one.type < len(types):
            raise ValueError("a section of literals is of no known kind")
        kind = types[one.type]
        self._texts = Texts(one.texts)
        self._starts = columns.running(columns.unpack(one.counts)) if one.counts else None
        if self._starts is not None and self._starts[-1] != len(self._texts):
            raise ValueError("a section of literals has other texts than it counts")
        self._read = literal_reader(one.how, kind)
        self._values: Texts | list[Any] | None = None
        self.bad: frozenset[int] = frozenset()
        if one.how == "one" and kind.base == "string" and self._starts is None and self._texts.longest <= MAX_TEXT:
            self._values = self._texts  # each text is its own value
            return
        values = [self.value(number) for number in range(len(self))] if one.how == "one" else None
        found = values if values is not None else map(self.value, range(len(self)))
        self.bad = frozenset(number for number, value in enumerate(found) if value is None)
        self._values = values  # one value each is kept; sets of values are made again when they are wanted

    def __len__(self) -> int:
        """Return how many literals there are."""
        return len(self._texts) if self._starts is None else len(self._starts) - 1

    def value(self, number: int) -> Any:
        """Return a literal as a value, None when it is bad."""
        if self._values is not None:
            return self._values[number]
        if self._starts is None:
            return self._read((self._texts[number],))
        return self._read([self._texts[at] for at in range(self._starts[number], self._starts[number + 1])])


class Body(Struct, frozen=True):
    """What many cases have in common; ``broken`` when it is not what the compiler makes.

    The arguments of its case ``n`` (counted in the program) begin at ``base + n * width``; the first of them are the
    beginning and the end, if it has them; ``sections`` are where the others stand.
    """

    broken: bool
    template: Template | None
    starts: bool
    ends: bool
    extras: Extras
    base: int
    width: int
    first: int
    cases: int
    sections: tuple[Section, ...]


class About(Struct, frozen=True):
    """A bucket: its rows and groups, from the first to before the second number, and the bodies of the rows."""

    effect: str
    application: str
    kind: str
    target: str
    groups: tuple[int, int]
    rows: tuple[int, int]
    bodies: frozenset[int]


class Rows:
    """All policies and eligibility rules by number.

    ``case_of`` leads from a row to its case; ``cases`` are the cases that were made, of which ``case`` makes more.
    """

    def __init__(self, one: form.Form, types: tuple[FieldType, ...]) -> None:
        """Read and check the columns. Raises ValueError when they do not fit together."""
        table = one.policies
        acr = {name: position for position, name in enumerate(one.acr)}
        self._moments = columns.unpack_moments(table.moments)
        if not all(map(math.isfinite, self._moments)):  # INVARIANT: every moment is before, at or after now
            raise ValueError("a moment is no time")
        self._sections = {(section.how, section.type): Section(section, types) for section in table.sections}
        self._extras = [_extras(raw, acr) for raw in table.extras]
        self._arguments = columns.unpack(table.arguments)
        self._bodies = list(self._read_bodies(table.bodies, [_template(node, types) for node in one.templates]))
        self._body_of = array("H" if len(self._bodies) <= 0xFFFF else "I")
        for number, body in enumerate(self._bodies):
            self._body_of.extend(array(self._body_of.typecode, [number]) * body.cases)
        self._bad = frozenset(self._find_bad())
        self.tokens = Texts(table.tokens)
        self.points = table.points
        if not all(side in SIDE_INDEX for by in table.splits for side, _ in by):
            raise ValueError("a split is by no field")
        self.splits = [tuple((SIDE_INDEX[side], field) for side, field in by) for by in table.splits]
        self.group_assignee = _column(table.group_assignee, len(self.tokens))
        self.group_point = _column(table.group_point, len(table.points))
        self.group_split = _column(table.group_split, len(table.splits) + 1)
        self.group_start = columns.running(columns.unpack(table.group_size))
        self._ids = Texts(table.ids)
        self._files = table.files
        self._file = _column(table.row_file, len(table.files))
        self._line = columns.unpack(table.row_line)
        self._column = columns.unpack(table.row_column)
        self.case_of = _column(table.row_case, len(self._body_of))
        self.cases: dict[int, Case] = {}
        self._names: dict[int, tuple[str, str]] = {}
        groups = {len(self.group_start) - 1, *map(len, (self.group_assignee, self.group_point, self.group_split))}
        rows = {self.group_start[-1], len(self._ids)}
        rows.update(map(len, (self._file, self._line, self._column, self.case_of)))
        if len(groups) != 1 or len(rows) != 1:
            raise ValueError("columns have different lengths")
        if self.points[:1] != [""] or "" in map(self.tokens.__getitem__, range(len(self.tokens))):
            raise ValueError("the first point is not anywhere, or an assignee has no name")
        self.buckets = tuple(self._read_buckets(table.buckets))

    def _read_bodies(self, bodies: Sequence[form.BodyForm], templates: Sequence[Template | None]) -> Iterator[Body]:
        place = first = 0
        for body in bodies:
            if min(body.width, body.cases) < 0 or place + body.cases * body.width > len(self._arguments):
                raise ValueError("there are fewer arguments than parameters")
            if not body.width and body.cases > 1:  # they would be one: else a number alone could ask for any memory
                raise ValueError("cases without parameters are many")
            template = templates[body.template] if 0 <= body.template < len(templates) else None
            extras = PLAIN if body.extras == -1 else None
            if 0 <= body.extras < len(self._extras):
                extras = self._extras[body.extras]
            wants = template.wants if template is not None else ()
            sections = tuple(self._sections[wanted] for wanted in wants if wanted in self._sections)
            whole = len(sections) == len(wants) and body.width == body.starts + body.ends + len(wants)
            yield Body(
                broken=not whole or extras is None or (template is None and body.template != -1),
                template=template,
                starts=body.starts,
                ends=body.ends,
                extras=extras or PLAIN,
                base=place - first * body.width,
                width=body.width,
                first=first,
                cases=body.cases,
                sections=sections,
            )
            first += body.cases
            place += body.cases * body.width
        if place != len(self._arguments):
            raise ValueError("there are more arguments than parameters")

    def _find_bad(self) -> Iterator[int]:
        """Yield the cases that cannot be made."""
        for body in self._bodies:
            if body.broken:
                yield from range(body.first, body.first + body.cases)
                continue
            at = body.base + body.first * body.width
            end = at + body.cases * body.width
            windows = body.starts + body.ends
            for position in range(body.width):
                section = body.sections[position - windows] if position >= windows else None
                known = len(self._moments) if section is None else len(section)
                bad = section.bad if section is not None else frozenset[int]()
                column = self._arguments[at + position : end : body.width]
                if bad or max(column, default=-1) >= known:
                    yield from (body.first + n for n, value in enumerate(column) if value >= known or value in bad)

    def _read_buckets(self, buckets: Sequence[form.BucketForm]) -> Iterator[About]:
        first = 0
        for one in buckets:
            last = first + one.groups
            if one.groups < 0 or last >= len(self.group_start):
                raise ValueError("a bucket has more groups than there are")
            rows = self.group_start[first], self.group_start[last]
            cases = columns.chunks(self.case_of[slice(*rows)])
            bodies = frozenset(self._body_of[case] for part in cases for case in part)
            yield About(one.effect, one.application, one.kind, one.target, (first, last), rows, bodies)
            first = last
        if first != len(self.group_start) - 1:
            raise ValueError("a group is of no bucket")

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.case_of)

    def broken(self, about: About, kinds: emitting.Kinds) -> Iterator[int]:
        """Yield the rows of a bucket that cannot be decided by, and perhaps some twice.

        They have a bad condition, no reason to deny, or headers of fields that ``kinds`` does not know.
        """
        start, end = about.rows
        if about.effect in _DENIALS:
            mute = {number for number in about.bodies if not self._bodies[number].extras.reason}
            if mute:
                yield from (row for row in range(start, end) if self._body_of[self.case_of[row]] in mute)
        odd = {
            number
            for number in about.bodies
            if not all(emitting.is_sound(emit, kinds) for emit in self._bodies[number].extras.emit)
        }
        if odd:
            yield from (row for row in range(start, end) if self._body_of[self.case_of[row]] in odd)
        if self._bad:
            yield from (row for row in range(start, end) if self.case_of[row] in self._bad)

    def reads(self, about: About) -> Iterator[Field]:
        """Yield the fields that the conditions of a bucket's rows look at."""
        for body in map(self._bodies.__getitem__, about.bodies):
            if body.template is not None:
                yield from body.template.reads
            yield from emitting.reads(body.extras.emit)

    def requires(self, about: About) -> Iterator[Field]:
        """Yield the fields that a bucket's rows need beside their conditions: the login, and the plan."""
        for body in map(self._bodies.__getitem__, about.bodies):
            if body.extras.acr is not None:
                yield SIDE_INDEX["env"], "acr"
            if body.extras.max_age is not None:
                yield SIDE_INDEX["env"], "auth_age"
            if body.extras.feature_gate:
                yield SIDE_INDEX["assignee"], "plan"

    def emits(self, about: About) -> Iterator[form.EmitForm]:
        """Yield the headers that a bucket's rows may set."""
        for number in about.bodies:
            yield from self._bodies[number].extras.emit

    def momentary(self, about: About) -> bool:
        """Tell whether a bucket's rows have a beginning, an end or a login that they ask for."""
        for body in map(self._bodies.__getitem__, about.bodies):
            login = body.extras.acr is not None or body.extras.max_age is not None
            if body.starts or body.ends or login:
                return True
        return False

    def dutiful(self, about: About) -> bool:
        """Tell whether some of a bucket's rows have obligations, advice or headers."""
        some = (self._bodies[number].extras for number in about.bodies)
        return any(extras.obligations or extras.advice or extras.emit for extras in some)

    def case(self, number: int) -> Case:
        """Make a case, and keep it. It must not be bad."""
        body = self._bodies[self._body_of[number]]
        at = body.base + number * body.width
        start, end = _EVER
        if body.starts:
            start = self._moments[self._arguments[at]]
            at += 1
        if body.ends:
            end = self._moments[self._arguments[at]]
            at += 1
        params = tuple(section.value(self._arguments[at + n]) for n, section in enumerate(body.sections))
        made = Case(body.template.test if body.template else None, params, start, end, body.extras, body.template)
        if len(self.cases) >= MEMO:
            self.cases.clear()
        self.cases[number] = made
        return made

    def case_at(self, row: int) -> Case:
        """Return the case of a row."""
        number = self.case_of[row]
        return self.cases.get(number) or self.case(number)

    def name(self, row: int) -> tuple[str, str]:
        """Return the id and the place of a row."""
        known = self._names.get(row)
        if known is None:
            place = Place(self._files[self._file[row]], self._line[row], self._column[row])
            known = self._ids[row], str(place)
            if len(self._names) >= MEMO:
                self._names.clear()
            self._names[row] = known
        return known

    def id(self, row: int) -> str:
        """Return the id of a row."""
        return self._ids[row]

    def keys(self, row: int, field: Field) -> tuple[Any, ...]:
        """Return the values that a row asks a field to have one of; () when it asks for none, or for too many."""
        number = self.case_of[row]
        body = self._bodies[self._body_of[number]]
        for key in body.template.keys if body.template is not None else ():
            if key.side == field[0] and key.field == field[1]:
                at = body.base + number * body.width + body.starts + body.ends + key.param
                value = body.sections[key.param].value(self._arguments[at])
                several = tuple(value) if key.several else (value,)
                return several if len(several) <= MAX_COPIES else ()
        return ()


def _column(text: str, below: int) -> "array[int]":
    """Read a column whose numbers are positions."""
    column = columns.unpack(text)
    if max(column, default=-1) >= below:
        raise ValueError("a column points beyond what there is")
    return column


def _template(node: Any, types: tuple[FieldType, ...]) -> Template | None:
    try:
        return build(node, types)
    except (BadTemplateError, KeyError, TypeError, ValueError):
        return None


def _extras(raw: Any, acr: Mapping[str, int]) -> Extras | None:
    try:
        extras = msgspec.convert(raw, form.ExtrasForm)
        if extras.reason in TAKEN:
            return None
        return Extras(
            reason=extras.reason,
            feature_gate=extras.feature_gate,
            overridable=extras.overridable,
            overrides=frozenset(extras.overrides),
            acr=None if extras.acr is None else acr[extras.acr],
            max_age=extras.max_age,
            step_up=StepUp(extras.acr, extras.max_age) if (extras.acr, extras.max_age) != (None, None) else None,
            obligations=tuple(Duty(duty.id, duty.type, duty.properties) for duty in extras.obligations),
            advice=tuple(Duty(duty.id, duty.type, duty.properties) for duty in extras.advice),
            emit=tuple(extras.emit),
        )
    except (msgspec.ValidationError, LookupError):
        return None
