"""Asks policies directly about a route, with the fields that a test gives."""

import json

from authorizer.model import ANYONE, Identity
from authorizer.policy import pbac
from authorizer.policy.documents import load


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
    caller = program.subject(
        route.application, Identity(tokens=frozenset({ANYONE, *tokens}), attributes=assignee or {})
    )
    if isinstance(caller, pbac.BadAttribute):
        return pbac.Verdict(False, "bad_attribute", detail=str(caller))
    question = pbac.Question(route, caller.tokens, caller.fields, resource or {}, env or {}, now)
    return program.decide(question)
