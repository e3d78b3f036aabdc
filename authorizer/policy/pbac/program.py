"""Makes a program of the compiled form, and answers questions with it."""

from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from authorizer.errors import DocumentError, Place, Problem
from authorizer.model import Identity
from authorizer.policy.pbac.decide import decide, read
from authorizer.policy.pbac.emitting import FILTER, kinds_of
from authorizer.policy.pbac.form import (
    CLIENT_BY,
    CREDENTIALS,
    FORMAT,
    MISSES,
    MODES,
    RULE,
    UNMAPPED,
    ApplicationForm,
    DeciderForm,
    Form,
    RouteForm,
    lookup_table,
)
from authorizer.policy.pbac.gather import Gathered
from authorizer.policy.pbac.index import WIDE, leaves
from authorizer.policy.pbac.lasting import lasts, looks_at
from authorizer.policy.pbac.points import chains, tree_of
from authorizer.policy.pbac.question import BadAttribute, Question, Route, Source, Verdict
from authorizer.policy.pbac.rows import Rows
from authorizer.policy.pbac.subjects import Reader, Subject, make_reader
from authorizer.policy.pbac.tables import EnvReading, RightTable, RouteTable, Shared
from authorizer.policy.pbac.templates import SIDE_INDEX
from authorizer.policy.pbac.types import BASES, FieldType, converter

FILE = "authorizer/policy.json"
_TEXT = FieldType("string")
_ENV = SIDE_INDEX["env"]


class Program:
    """Compiled policies, ready to decide. Immutable; made by ``load``.

    ``zone`` is the time zone in which ``env.time`` is meant; None when none is declared, and the time is unknown.
    ``upstream`` are the headers towards the API that an application may set, ``unmapped`` is what becomes of requests
    to its hosts that have no route: deny, observe or allow. ``issuers`` are the names of those whose tokens count, for
    applications that list some; ``stripped`` are the applications that do not get what callers showed, ``deciders``
    those that a Rego rule decides, ``client_by`` what may come beside a token and says the client, if any.
    """

    def __init__(
        self,
        routes: tuple[Route, ...],
        zone: ZoneInfo | None,
        shared: Shared,
        tables: tuple[RouteTable, ...],
        rights: Mapping[tuple[str, str], RightTable],
        subjects: Mapping[str, Reader],
        upstream: Mapping[str, frozenset[str]],
        unmapped: Mapping[str, str],
        issuers: Mapping[str, frozenset[str]],
        stripped: frozenset[str],
        deciders: Mapping[str, DeciderForm],
        client_by: Mapping[str, str],
    ) -> None:
        self.routes = routes
        self.upstream = upstream
        self.unmapped = unmapped
        self.issuers = issuers
        self.stripped = stripped
        self.deciders = deciders
        self.client_by = client_by
        self.zone = zone
        self._shared = shared
        self._tables = tables
        self._rights = rights
        self._subjects = subjects

    def subject(self, application: str, identity: Identity) -> Subject | BadAttribute:
        """Return what an identity is to one of this program's applications; the same for every request of it."""
        return self._subjects[application](identity)

    def decide(self, question: Question) -> Verdict:
        """Answer a question about one of this program's routes. Never raises for bad data."""
        return decide(self._shared, self._tables[question.route.index], question)

    def looks_at(self, route: Route) -> tuple[str, ...]:
        """Return the attributes that verdicts about a route hang on besides the caller's tokens, as ``side.field``."""
        table = self._tables[route.index]
        return tuple(sorted({*looks_at(table.right), *(f"resource.{field}" for field, _ in table.points)}))

    def lasts(self, question: Question) -> float:
        """Return for how many seconds the verdict on a question holds at least, if nothing but time passes.

        It is 0 where a policy looks at ``env.risk`` or asks a rule, and infinite where nothing hangs on the moment.
        """
        route = self._tables[question.route.index]
        asked = read(route, question)
        if isinstance(asked, Verdict):
            return 0.0
        return lasts(self._shared, route.right, question, *asked, route.open, self.zone)

    def depends(self, route: Route) -> tuple[str, ...] | None:
        """Return the resource fields that a verdict about a route hangs on besides the subject, each a text or unknown.

        None when it hangs on more: on the moment, or on a body.
        """
        table = self._tables[route.index]
        if table.env or table.right.momentary or any(source.kind == "body" for source in route.sources):
            return None
        # What the token and the policies say is the same for each request of a subject. A text of the path that no
        # policy reads cannot even be of a wrong type.
        read = {name for side, name in table.right.reads if side == SIDE_INDEX["resource"]}
        texts = {name for name, kind, _ in table.fields if kind == _TEXT} - read
        varying = {
            source.field
            for source in route.sources
            if source.kind not in {"token", "literal"} and not (source.kind == "path" and source.field in texts)
        }
        return tuple(sorted(varying))

    def asks(self, route: Route) -> tuple[str, ...]:
        """Return the paths of the Rego rules that policies about a route ask."""
        names = (reading.name for reading in self._tables[route.index].env)
        return tuple(name.removeprefix(RULE) for name in names if name.startswith(RULE))

    def policies_about(self, application: str, right: str) -> tuple[str, ...]:
        """Return the ids of the policies about a right, its roles' and the application's own and broken ones included.

        Sorted; empty for a right that is not known.
        """
        table = self._rights.get((application, right))
        if table is None:
            return ()
        ids = {self._shared.rows.id(row) for about in table.abouts for row in range(*about.rows)}
        return tuple(sorted(ids.union(table.broken)))

    def wide_leaves(self) -> Iterator[tuple[str, int]]:
        """Yield (a policy, how many) for each group of policies that the index cannot tell apart."""
        buckets = {id(bucket): bucket for right in self._rights.values() for bucket in right.allows + right.denials}
        for bucket in buckets.values():
            for rows in leaves(bucket):
                if len(rows) > WIDE:
                    yield min(map(self._shared.rows.id, rows)), len(rows)


def refused(message: str) -> DocumentError:
    """Make the error that refuses the whole form."""
    return DocumentError([Problem("AZ220", f"the compiled policies cannot be read: {message}", Place(FILE))])


def load(compiled: Mapping[str, Any]) -> Program:
    """Make a program of the compiled form.

    A policy that cannot be built denies the rights it is about and no others. Raises DocumentError when the form as a
    whole, or whom a broken policy is about, cannot be read, and when this machine does not know the time zone.
    """
    try:
        form = msgspec.convert(compiled, Form)
    except msgspec.ValidationError as error:
        raise refused(str(error)) from None
    if form.format != FORMAT:
        raise refused(f"format {form.format} is not known")
    types = tuple(FieldType(one.base, one.many, tuple(one.values), one.ordered) for one in form.types)
    if any(kind.base not in BASES or (kind.base == "enum") is not bool(kind.values) for kind in types):
        raise refused("a type is not known")
    acr = form.env.get("acr")
    try:
        kinds = {name: kinds_of(one, form.env, types) for name, one in form.applications.items()}
        rows = Rows(form, types)
        gathered = Gathered(rows, form.applications, kinds, tree_of(form.trees), form.points)
        rights = {
            (application, right): gathered.right_table(application, right)
            for application, declared in form.applications.items()
            for right in declared.rights
        }
        points = chains(form.points, form.trees)
    except ValueError as error:
        raise refused(str(error)) from None
    except LookupError:
        raise refused("a type is not known") from None
    shared = Shared(
        rows=rows,
        acr={name: position for position, name in enumerate(form.acr)},
        acr_default=(acr.default if acr else None) or "",
        plans=_plans(form),
        types=types,
    )
    routes = tuple(_route(index, route, form.applications) for index, route in enumerate(form.routes))
    env = _env(form, types)
    tables = tuple(
        _table(route, rights[route.application, route.right], env, points, form.applications, types) for route in routes
    )
    try:
        subjects = {name: make_reader(name, one, types) for name, one in form.applications.items()}
    except LookupError:
        raise refused("a type is not known") from None
    upstream = {name: gathered.upstream(name) for name in form.applications}
    for route in routes:
        if route.mode == "filter":
            upstream[route.application] |= {FILTER}
    unmapped = {name: _one_of(one.unmapped, UNMAPPED) for name, one in form.applications.items()}
    issuers = {name: frozenset(one.issuers) for name, one in form.applications.items() if one.issuers}
    stripped = frozenset(
        name for name, one in form.applications.items() if _one_of(one.credentials, CREDENTIALS) == "strip"
    )
    deciders = {name: one.decider for name, one in form.applications.items() if one.decider is not None}
    client_by = {name: _one_of(one.client_by, CLIENT_BY) for name, one in form.applications.items()}
    return Program(
        routes,
        _zone(form.zone),
        shared,
        tables,
        rights,
        subjects,
        upstream,
        unmapped,
        issuers,
        stripped,
        deciders,
        {name: word for name, word in client_by.items() if word != "token"},
    )


def _env(form: Form, types: tuple[FieldType, ...]) -> dict[str, EnvReading]:
    return {
        name: EnvReading(name, kind, convert, None if field.default is None else convert(field.default))
        for name, field in sorted(form.env.items())
        if name != "now"
        for kind in [_at(types, field.type)]
        for convert in [converter(kind)]
    }


def _table(
    route: Route,
    right: RightTable,
    env: Mapping[str, EnvReading],
    points: Mapping[str, Mapping[str, tuple[str, ...]]],
    applications: Mapping[str, ApplicationForm],
    types: tuple[FieldType, ...],
) -> RouteTable:
    places = {source.field: source.field.partition(":")[2] for source in route.sources if _is_point(source)}
    if not points.keys() >= set(places.values()):
        raise refused(f"route {route.method} {route.template} gives a point in an unknown tree")
    return RouteTable(
        fields=tuple(
            (source.field, kind, converter(kind))
            for source in route.sources
            if not _is_point(source)
            for kind in [_field_type(source.field, route, applications, types)]
        ),
        points=tuple((field, points[tree]) for field, tree in places.items()),
        env=tuple(reading for name, reading in env.items() if (_ENV, name) in right.reads),
        right=right,
        lacks_point=not right.denied_in <= set(places.values()),
        open=_open(route, applications),
    )


def _open(route: Route, applications: Mapping[str, ApplicationForm]) -> frozenset[str]:
    if route.mode != "filter":
        return frozenset()
    fields = applications[route.application].rights[route.right].fields
    return frozenset({*fields, "id"}) - {source.field for source in route.sources}


def _is_point(source: Source) -> bool:
    return source.field == "point" or source.field.startswith("point:")


def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        # Denials by the time of day would all become "cannot be told"; better the policies in force than those.
        raise refused(f"the time zone {name[:80]!r} is not known here") from None


def _at(types: tuple[FieldType, ...], index: int) -> FieldType:
    if not 0 <= index < len(types):
        raise refused("a type is not known")
    return types[index]


def _route(index: int, route: RouteForm, applications: Mapping[str, ApplicationForm]) -> Route:
    application = applications.get(route.application)
    right = application.rights.get(route.right) if application else None
    if right is None:
        raise refused(f"route {route.method} {route.template} leads to an unknown right")
    return Route(
        index=index,
        application=route.application,
        hosts=tuple(route.hosts),
        method=route.method,
        template=route.template,
        right=route.right,
        feature=right.feature,
        sources=tuple(Source(source.field, source.kind, source.key) for source in route.sources),
        lookup_table=lookup_table(route.application, right.on),
        accepts=frozenset(route.accepts),
        place=route.place,
        on_miss=_one_of(route.on_miss, MISSES),
        mode=_one_of(route.mode, MODES),
        scopes=tuple(right.scopes),
    )


def _one_of(word: str, words: tuple[str, ...]) -> str:
    if word not in words:
        raise refused(f"{word[:80]!r} is none of {', '.join(words)}")
    return word


def _field_type(
    name: str, route: Route, applications: Mapping[str, ApplicationForm], types: tuple[FieldType, ...]
) -> FieldType:
    if name == "id":
        return _TEXT
    fields = applications[route.application].rights[route.right].fields
    if name not in fields:
        raise refused(f"route {route.method} {route.template} fills the unknown field {name!r}")
    return _at(types, fields[name])


def _plans(form: Form) -> dict[str, frozenset[str]]:
    """Return plans in the order of an ordered enum of them, when a field ``plan`` has one, else by name."""
    ranks: dict[str, int] = {}
    for application in form.applications.values():
        number = application.assignee.get("plan", -1)
        if 0 <= number < len(form.types) and form.types[number].ordered:
            ranks = {name: position for position, name in enumerate(form.types[number].values)}
    order = sorted(form.plans, key=lambda name: (ranks.get(name, len(ranks)), name))
    return {name: frozenset(form.plans[name]) for name in order}


NOTHING = load(
    {
        "format": FORMAT,
        "acr": [],
        "zone": None,
        "types": [],
        "env": {},
        "applications": {},
        "routes": [],
        "plans": {},
        "points": {},
        "templates": [],
        "policies": {},
    }
)
"""The program of no policies: it has no routes, so there is nothing to ask."""
