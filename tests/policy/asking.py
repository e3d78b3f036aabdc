"""Asks policies directly: a plain route match and the fields that a case gives, without canonical paths or tokens."""

import json
from decimal import Decimal as Number
from pathlib import Path

from authorizer.model import ANYONE, Decision
from authorizer.policy import pbac
from authorizer.policy.documents import load
from authorizer.policy.templates import parse_template
from authorizer.policy.testing import Case
from authorizer.reasons import ALLOWED, authored, reason

EXAMPLES = Path(__file__).parents[3] / "shared" / "design" / "examples"


def compiled(*texts: str) -> dict:
    """Compile documents that have no errors."""
    found = pbac.check_and_compile(nodes(*texts))
    assert found.data is not None, "\n".join(map(str, found.problems))
    return found.data


def nodes(*texts: str) -> list:
    return [node for number, text in enumerate(texts, 1) for node in load(text, f"{number}.yaml")]


def program(*texts: str) -> pbac.Program:
    # Through JSON, as a bundle would carry it.
    return pbac.load(json.loads(json.dumps(compiled(*texts))))


def verdict(
    program: pbac.Program,
    operation: str,
    *tokens: str,
    assignee: dict | None = None,
    resource: dict | None = None,
    env: dict | None = None,
    now: float = 1_800_000_000.0,
) -> pbac.Verdict:
    """Ask about the route that is written ``METHOD /template``."""
    route = next(route for route in program.routes if f"{route.method} {route.template}" == operation)
    typed = program.assignee(route.application, assignee or {})
    if isinstance(typed, pbac.BadAttribute):
        return pbac.Verdict(False, "bad_attribute", detail=str(typed))
    question = pbac.Question(route, frozenset({ANYONE, *tokens}), typed, resource or {}, env or {}, now)
    return program.decide(question)


def ask(program: pbac.Program):
    """Return the function that answers the cases of Tests documents."""

    def answer(case: Case) -> Decision:
        path, _, _query = case.target.partition("?")
        if "%2f" in path.lower():
            return Decision(reason=reason("path_encoded_slash"))
        for route in program.routes:
            params = match(route.template, path)
            if case.method == route.method and case.host in route.hosts and params is not None:
                return decided(program, case, route, params)
        return Decision(reason=reason("no_route"))

    return answer


def match(template: str, path: str) -> dict[str, str] | None:
    segments, parts = parse_template(template), path[1:].split("/")
    if len(segments) != len(parts):
        return None
    pairs = list(zip(segments, parts, strict=True))
    if any(segment.kind == "literal" and segment.text != part for segment, part in pairs):
        return None
    return {segment.text: part for segment, part in pairs if segment.kind == "parameter"}


def decided(program: pbac.Program, case: Case, route: pbac.Route, params: dict[str, str]) -> Decision:
    body = json.loads(case.body, parse_float=Number) if case.body else {}
    resource = {}
    for source in route.sources:
        given = {"path": params, "body": body, "lookup": case.data}.get(source.kind, {})
        if source.key in given:
            resource[source.field] = given[source.key]
    typed = program.assignee(route.application, case.attributes)
    if isinstance(typed, pbac.BadAttribute):
        return Decision(reason=reason("bad_attribute"))
    found = program.decide(pbac.Question(route, case.tokens, typed, resource, case.env, case.now))
    return Decision(
        reason=ALLOWED if found.allow else (authored if found.authored else reason)(found.reason),
        allowed=found.allow,
        detail=found.detail,
        policies=found.by,
        sources=found.sources,
        overrode=found.overrode,
        missing=found.missing,
        requestable=found.requestable,
        step_up=found.step_up,
        obligations=found.obligations,
        advice=found.advice,
    )
