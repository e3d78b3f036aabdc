"""``authorizer policy explain``: why a request is answered as it is, policy by policy."""

import argparse
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from authorizer.cli import policy_rego
from authorizer.cli.policy_documents import add_arguments, estate_of, print_json, read_sources
from authorizer.errors import DocumentError, Place, Problem
from authorizer.model import Decision
from authorizer.pdp import rehearsal, snapshot
from authorizer.pdp.sources import Sources
from authorizer.pdp.standing import standing
from authorizer.policy import testing
from authorizer.policy.authoring import evaluation, explanation, recorded
from authorizer.policy.authoring.access import assignee
from authorizer.policy.authoring.surgery import written
from authorizer.policy.documents import load
from authorizer.policy.pbac import BadAttribute
from authorizer.policy.pbac.declared import Estate
from authorizer.policy.pbac.emitting import FILTER
from authorizer.policy.reading import nearest

SHOWN = 5
"""Allows that did not hold and are told in full; the rest is counted."""


def add_verbs(verbs: Any) -> None:
    """Register the verb."""
    explain = verbs.add_parser("explain", help="tell why a request is answered as it is, policy by policy")
    which = explain.add_mutually_exclusive_group(required=True)
    which.add_argument("--case", metavar="NAME", help="a case of the documents: its name, or SUITE: NAME")
    which.add_argument("--request", metavar="YAML", help="a request written like a case, with 'is'; or - to read it")
    which.add_argument("--event", metavar="FILE", help="the last event of a decision log; or - to read it")
    which.add_argument("--query", metavar="PATH", help="Rego: a document, such as data.acme.allow, with --input")
    explain.add_argument("--input", metavar="FILE", help="Rego: JSON object that is `input`")
    add_arguments(explain)
    policy_rego.add_options(explain, data=True)
    explain.set_defaults(run=_explain)


def _explain(args: argparse.Namespace) -> int:
    if args.query:
        return policy_rego.tell(args)
    sources = read_sources(args.paths)
    estate = estate_of(sources)
    case = _case(args, sources)
    documents = sources.documents()
    found = snapshot.build(documents, {}, snapshot.Options())
    decision = rehearsal.ask(found, case)
    asked = rehearsal.read(found, case)
    told = () if isinstance(asked, Decision) else candidates(found, estate, asked, case.now)
    kept = None
    if not isinstance(asked, Decision):
        kept = standing(found, asked.guard, asked.identity, asked.resource, asked.env, case.now)
    rulings = policy_rego.rulings(args.paths, rehearsal.told(found, case), case.now)
    if args.output == "json":
        lasting = {"ttl": _seconds(kept.seconds), "used_attributes": kept.attributes} if kept is not None else {}
        rules = {"rules": [one.members() for one in rulings]} if rulings else {}
        print_json({**_answer(decision), **lasting, "candidates": [_candidate(one) for one in told], **rules})
        return 0
    by = f" by {', '.join(decision.policies)}" if decision.policies else ""
    print(f"{'allow' if decision.allowed else 'deny'}: {decision.reason.code}{by}")
    if decision.right:
        print(f"{decision.operation} asks for {decision.application}/{decision.right}")
    if decision.detail and not decision.allowed:
        print(decision.detail)
    is_list = not isinstance(asked, Decision) and asked.guard.route.mode == "filter"
    for line in _lines(told, decision, is_list=is_list):
        print(line)
    for line in _besides(decision, estate):
        print(line)
    for line in (line for one in rulings for line in one.lines()):
        print(line)
    if kept is not None:
        seconds = _seconds(kept.seconds)
        until = "does not depend on the time" if seconds is None else f"holds for {seconds} s"
        print(f"{until}; looks at {', '.join(kept.attributes) or 'no attribute'}")
    return 0


def _seconds(seconds: float) -> int | None:
    """Return whole seconds, or None for ever."""
    return None if seconds == float("inf") else int(seconds)


def _case(args: argparse.Namespace, sources: Sources) -> testing.Case:
    if args.case is not None:
        named = [case for case in sources.tests if args.case in {case.name, f"{case.suite}: {case.name}"}]
        if len(named) != 1:
            what = "no case" if not named else f"{len(named)} cases"
            hint = nearest(args.case, [case.name for case in sources.tests]) if not named else "write SUITE: NAME"
            raise DocumentError([Problem("T306", f"{what} {args.case!r}", Place("the command line"), hint)])
        return named[0]
    if args.request is not None:
        nodes = load(sys.stdin.read() if args.request == "-" else args.request, "the request")
        if len(nodes) != 1:
            raise DocumentError([Problem("T301", "not one request", Place("the request"), "{http: GET host/path}")])
        return testing.read_request(nodes[0], time.time())
    lines = sys.stdin.buffer.read() if args.event == "-" else Path(args.event).read_bytes()
    return recorded.cases(lines, args.event, sources.documents()["facts"])[-1]


def candidates(
    found: snapshot.Snapshot, estate: Estate, asked: rehearsal.Asked, now: float
) -> tuple[explanation.Candidate, ...]:
    """Return the policies about what was asked; none where the caller's own attributes are not of their types."""
    route = asked.guard.route
    subject = found.program.subject(route.application, asked.identity)
    if isinstance(subject, BadAttribute):
        return ()
    application = estate.applications[route.application]
    filled = {one.field: asked.resource[one.field] for one in route.sources if one.field in asked.resource}
    resource = evaluation.typed_resource(filled, application, estate.catalog)
    env = evaluation.typed_env(asked.env, estate.catalog, now)
    places = [(name, str(value)) for name, value in filled.items() if name.partition(":")[0] == "point"]
    question = explanation.Question(
        right=route.right,
        sides=(resource, subject.fields, env),
        tokens=subject.tokens,
        points=tuple(point for place in places for point in explanation.chain_of(estate, *place)),
        acr=str(asked.env.get("acr", estate.catalog.env["acr"].default or "")),
        auth_age=asked.env.get("auth_age"),
        now=now,
    )
    return explanation.candidates(estate, route.application, question)


def _besides(decision: Decision, estate: Estate) -> Iterable[str]:
    """Yield what the answer says besides: what may be asked for, and what remains for a list's rows."""
    for rule in estate.eligibility:
        if rule.id in decision.requestable:
            yield f"the caller may ask for it: {rule.id} ({rule.place})"
    for name, value in decision.upstream:
        if name == FILTER:
            yield f"the rows where {value}"


def _lines(told: Iterable[explanation.Candidate], decision: Decision, *, is_list: bool) -> Iterable[str]:
    told = tuple(told)
    open_ones = {one.policy.id for one in told if is_list and one.lacking and _is_open(one)}
    for one in told:
        if one.policy.id in open_ones:
            words = {"gate": "lets only", "deny": "holds back", "allow": "shows"}[one.policy.effect]
            yield f"{one.policy.effect} {one.policy.id} ({one.policy.place}) {words} the rows where"
            assert one.policy.condition is not None  # it lacks nothing else
            yield f"    {written(one.policy.condition)}"
        elif one.policy.effect == "gate":
            yield f"gate {one.policy.id} ({one.policy.place}) {'stops' if one.stands else 'lets pass'}"
        elif one.policy.effect == "deny" and not _is_for_others(one):
            overridden = one.policy.id in decision.overrode
            word = "is overridden" if overridden else "denies" if one.stands else "does not apply"
            yield f"deny {one.policy.id} ({one.policy.place}) {word}"
        else:
            continue
        if one.policy.id not in open_ones:
            yield from map(_lacking_line, one.lacking)
    allows = [one for one in told if one.policy.effect == "allow" and one.policy.id not in open_ones]
    near = [one for one in allows if not one.stands and not _is_for_others(one)]
    others = [one for one in allows if _is_for_others(one) and len(one.lacking) == 1]
    for one in allows:
        if one.stands:
            word = "grants it to" if decision.allowed else "holds, but does not count: it is for"
            yield f"allow {one.policy.id} ({one.policy.place}) {word} {assignee(one.policy.token)}"
    for one in near[:SHOWN]:
        yield f"allow {one.policy.id} ({one.policy.place}) would grant it with"
        yield from map(_lacking_line, one.lacking)
    for one in others[:SHOWN]:
        yield f"allow {one.policy.id} ({one.policy.place}) would grant it to {assignee(one.policy.token)}"
    rest = len(allows) - sum(one.stands for one in allows) - len(near[:SHOWN]) - len(others[:SHOWN])
    if rest:
        yield f"allows that are for others, or lack more: {rest}"


def _is_open(one: explanation.Candidate) -> bool:
    """Whether nothing but the rows' own fields decides whether a policy of a list holds."""
    return all(lacking.what == "condition" and lacking.unknown for lacking in one.lacking)


def _is_for_others(one: explanation.Candidate) -> bool:
    return any(lacking.what == "assignee" for lacking in one.lacking)


def _lacking_line(lacking: explanation.Lacking) -> str:
    return f"    {lacking.place}: {lacking.wanted}: {lacking.found}" + (" (cannot be told)" if lacking.unknown else "")


def _answer(decision: Decision) -> Mapping[str, object]:
    return {
        "decision": "allow" if decision.allowed else "deny",
        "reason": decision.reason.code,
        "policies": decision.policies,
        "operation": decision.operation,
        "right": f"{decision.application}/{decision.right}" if decision.right else "",
        "detail": decision.detail,
        "missing": to_builtins(decision.missing),
        "requestable": decision.requestable,
        "step_up": to_builtins(decision.step_up),
        "obligations": to_builtins(decision.obligations),
        "advice": to_builtins(decision.advice),
        "overrode": decision.overrode,
        "headers": {"upstream": dict(decision.upstream), "response": dict(decision.response)},
    }


def _candidate(one: explanation.Candidate) -> Mapping[str, object]:
    return {
        "policy": one.policy.id,
        "effect": one.policy.effect,
        "place": str(one.policy.place),
        "stands": one.stands,
        "lacking": [
            {
                "what": lack.what,
                "place": str(lack.place),
                "wanted": lack.wanted,
                "found": lack.found,
                "unknown": lack.unknown,
            }
            for lack in one.lacking
        ],
    }
