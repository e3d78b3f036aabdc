"""Verdicts with all that they say: why, by which policies, what is missing, what must be done."""

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from authorizer.model import Duty, Missing
from authorizer.policy.pbac.emitting import headers
from authorizer.policy.pbac.explain import NEAREST, nearest, why
from authorizer.policy.pbac.form import EmitForm
from authorizer.policy.pbac.index import candidates
from authorizer.policy.pbac.question import Question, Verdict
from authorizer.policy.pbac.rows import Case, Extras
from authorizer.policy.pbac.tables import RightTable, Shared
from authorizer.policy.pbac.templates import Sides
from authorizer.policy.pbac.types import FieldType, converter

_first = itemgetter(0)
_duration = converter(FieldType("duration"))


def login_suffices(extras: Extras, shared: Shared, env: Mapping[str, object]) -> bool:
    """Tell whether the caller's login is as strong and as fresh as a policy requires."""
    if extras.acr is not None:
        acr = env.get("acr", shared.acr_default)
        if not isinstance(acr, str) or shared.acr.get(acr, -1) < extras.acr:
            return False
    if extras.max_age is not None:
        age = _duration(env.get("auth_age"))
        return isinstance(age, float) and age <= extras.max_age
    return True


def gate_verdict(row: int, right: RightTable, shared: Shared, sides: Sides, *, holds: bool | None) -> Verdict | None:
    """Return the denial of a gate whose condition ``holds`` or not, or None when it lets pass."""
    gate = shared.rows.case_at(row)
    missing = None
    if holds is True:
        if not gate.extras.feature_gate or not right.feature:
            return None
        plan = sides[1].get("plan")
        if isinstance(plan, str) and right.feature in shared.plans.get(plan, ()):
            return None
        missing = Missing(right.feature, tuple(name for name, has in shared.plans.items() if right.feature in has))
        detail = f"the plan lacks {right.feature}" if isinstance(plan, str) else "the caller's plan is unknown"
    else:
        detail = why(gate, shared.types, sides)
    name, place = shared.rows.name(row)
    return Verdict(
        False,
        gate.extras.reason,
        by=(name,),
        sources=(place,),
        detail=f"gate {name} ({place}): {detail}",
        missing=missing,
        authored=True,
        obligations=gate.extras.obligations,
        advice=gate.extras.advice,
    )


def denied(standing: Sequence[tuple[int, bool | None]], shared: Shared, sides: Sides) -> Verdict:
    """Return the denial of denials, each with whether it holds; None when that cannot be told."""
    true = [row for row, holds in standing if holds is True]
    named = _named(true or [row for row, _ in standing], shared)
    name, place, first = named[0]
    detail = "holds" if true else why(first, shared.types, sides)
    return Verdict(
        False,
        first.extras.reason if true else "indeterminate",
        authored=bool(true),
        by=tuple(name for name, _, _ in named),
        sources=tuple(place for _, place, _ in named),
        detail=f"denial {name} ({place}): {detail}",
        obligations=_duties(case.extras.obligations for _, _, case in named),
        advice=_duties(case.extras.advice for _, _, case in named),
    )


def allowed(
    right: RightTable,
    holding: list[int],
    overridden: Sequence[tuple[int, bool | None]],
    shared: Shared,
    sides: Sides,
) -> Verdict:
    """Return the allow of policies that hold, and of the denials that they override."""
    name = shared.rows.name
    named = [name(row) for row in holding]
    named.sort()
    duties: list[Extras] = []
    if right.dutiful:
        duties = [case.extras for _, _, case in _named(holding, shared)]
    emits: tuple[EmitForm, ...] = right.emits
    for extras in duties:
        emits += extras.emit
    return Verdict(
        True,
        "allowed",
        by=tuple([name for name, _ in named]),
        sources=tuple([place for _, place in named]),
        obligations=_duties(extras.obligations for extras in duties) if duties else (),
        advice=_duties(extras.advice for extras in duties) if duties else (),
        overrode=tuple(sorted(shared.rows.id(row) for row, _ in overridden)) if overridden else (),
        headers=headers(emits, sides, right.kinds) if emits else (),
    )


def _named(rows: Iterable[int], shared: Shared) -> list[tuple[str, str, Case]]:
    """Return rows with their names and places, in the order of their names."""
    named = [(*shared.rows.name(row), shared.rows.case_at(row)) for row in rows]
    if len(named) > 1:
        named.sort(key=_first)
    return named


def step_up(weak: list[int], shared: Shared, env: Mapping[str, object]) -> Verdict:
    """Return the denial that asks for the least demanding of the logins that would do."""

    def demand(named: tuple[str, str, Case]) -> tuple[int, float, str]:
        extras = named[2].extras
        age = extras.max_age
        return (-1 if extras.acr is None else extras.acr), -(float("inf") if age is None else age), named[0]

    name, place, case = min(_named(weak, shared), key=demand)
    return Verdict(
        False,
        "step_up",
        by=(name,),
        sources=(place,),
        detail=f"{name} ({place}) asks for a stronger or fresher login{_unlike(case.extras, shared, env)}",
        step_up=case.extras.step_up,
    )


def _unlike(extras: Extras, shared: Shared, env: Mapping[str, object]) -> str:
    """Return why no login of this kind will ever do, "" where a better one will: else callers log in for ever."""
    acr = env.get("acr", shared.acr_default)
    if extras.acr is not None and (not isinstance(acr, str) or acr not in shared.acr):
        return f"; the Catalog's acr has no {acr[:80]!r}" if acr and isinstance(acr, str) else "; this one tells no acr"
    if extras.max_age is not None and not isinstance(_duration(env.get("auth_age")), float):
        return "; this one tells no auth_time"
    return ""


def unmatched(
    right: RightTable,
    found: list[int],
    tokens: frozenset[str],
    points: tuple[str, ...],
    shared: Shared,
    question: Question,
    sides: Sides,
) -> Verdict:
    """Return the denial where no policy holds; ``found`` are those that were looked at."""
    now = question.now
    requestable: tuple[str, ...] = ()
    if right.eligible and not candidates(right.excluded, tokens, points, sides):
        requestable = tuple(sorted({shared.rows.id(row) for row in candidates(right.eligible, tokens, points, sides)}))
    live: list[int] = []
    late: list[int] = []
    for row in found:
        case = shared.rows.case_at(row)
        if case.start <= now < case.end:
            live.append(row)
        elif case.holds(sides) is True and login_suffices(case.extras, shared, question.env):
            late.append(row)
    if late:
        named = _named(late, shared)
        ended = [one for one in named if one[2].end <= now]
        word = "has ended" if ended else "has not begun"
        shown = ended or named
        return Verdict(
            False,
            "expired" if ended else "not_yet",
            by=tuple(name for name, _, _ in shown),
            sources=tuple(place for _, place, _ in shown),
            detail=f"{shown[0][0]} ({shown[0][1]}) {word}",
            requestable=requestable,
        )
    detail = f"no policy grants {right.name} to the caller"
    if live:
        detail = nearest(_named(sorted(live)[:NEAREST], shared), shared.types, sides)
    return Verdict(False, "no_matching_policy", detail=detail, requestable=requestable)


def _duties(groups: Iterable[tuple[Duty, ...]]) -> tuple[Duty, ...]:
    some = [group for group in groups if group]
    if len(some) < 2:
        return some[0] if some else ()
    joined = {duty.id: duty for group in some for duty in group}
    return tuple(duty for _, duty in sorted(joined.items()))
