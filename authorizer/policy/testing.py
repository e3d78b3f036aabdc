"""Reads Tests documents and runs their cases. Who answers is the caller's choice: this process, a door, a gateway.

A suite names subjects (``is``: what they are, ``attrs``, ``env``) and cases; a case overrides attributes and
environment, gives the facts that its route looks up (``data``), and states what it expects. ``decision`` must be
stated; what is not stated is not compared.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from authorizer.errors import DocumentError, Place
from authorizer.model import ANYONE, ASSIGNEE_KINDS, AUTHENTICATED, Decision, assignee_token
from authorizer.policy.documents import Entry, MapNode, Node, Scalar, plain
from authorizer.policy.pbac.grants import ASSIGNEES, EVERYBODY
from authorizer.policy.pbac.types import FieldType
from authorizer.policy.pbac.values import read_value
from authorizer.policy.reading import Findings
from authorizer.timestamps import rfc3339

SUITE_KEYS = ("kind", "suite", "now", "subjects", "cases")
CASE_KEYS = ("name", "as", "http", "headers", "attrs", "env", "data", "body", "now", "expect")
EXPECT_KEYS = ("decision", "reason", "by", "missing", "requestable", "step", "obl", "advice", "overrode", "headers")
CLAIMED = ("right", "role")
"""What a token's claims can give a subject besides memberships: rights and roles, written ``application/name``."""

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")


class Expect(Struct, frozen=True):
    """What a case expects; None is not compared. Lists are compared without regard to order.

    ``headers`` are some of those that the API or the caller gets; "" is expected of one that nobody gets.
    """

    decision: Literal["allow", "deny"]
    reason: str | None = None
    by: tuple[str, ...] | None = None
    missing_feature: str | None = None
    missing_plans: tuple[str, ...] | None = None
    requestable: tuple[str, ...] | None = None
    step: Mapping[str, str] | None = None
    obligations: tuple[str, ...] | None = None
    advice: tuple[str, ...] | None = None
    overrode: tuple[str, ...] | None = None
    headers: Mapping[str, str] = {}


class Case(Struct, frozen=True):
    """One request of a suite. ``now`` is POSIX seconds; ``target`` is path and query as sent; ``body`` is JSON or b"".

    ``tokens`` are the assignee tokens of the subject, ``attributes`` and ``env`` are raw, ``data`` are resource fields
    that a route would look up or take from a token. ``subject`` is "" for a caller without a credential.
    """

    suite: str
    name: str
    place: Place
    now: float
    subject: str
    tokens: frozenset[str]
    attributes: Mapping[str, object]
    env: Mapping[str, object]
    method: str
    host: str
    target: str
    headers: Mapping[str, str]
    data: Mapping[str, object]
    body: bytes
    expect: Expect


class Result(Struct, frozen=True):
    """A case, its answer, and a line for each expectation that was not met."""

    case: Case
    decision: Decision
    failures: tuple[str, ...]


class Report(Struct, frozen=True):
    """The results, in the order of the cases."""

    results: tuple[Result, ...]

    @property
    def failed(self) -> tuple[Result, ...]:
        """The cases that did not come out as expected."""
        return tuple(result for result in self.results if result.failures)

    @property
    def passed(self) -> int:
        """How many cases came out as expected."""
        return len(self.results) - len(self.failed)


def run(cases: Iterable[Case], ask: Callable[[Case], Decision]) -> Report:
    """Ask every case and compare the answers with what is expected."""
    answers = ((case, ask(case)) for case in cases)
    return Report(tuple(Result(case, decision, failures(case.expect, decision)) for case, decision in answers))


def failures(expect: Expect, decision: Decision) -> tuple[str, ...]:
    """Compare an answer with what was expected: one line for each difference."""
    found = []

    def compare(what: str, expected: object, actual: object) -> None:
        if expected is not None and expected != actual:
            found.append(f"{what}: expected {_show(expected)}, got {_show(actual)}")

    def compare_sets(what: str, expected: Iterable[str] | None, actual: Iterable[str]) -> None:
        compare(what, None if expected is None else sorted(expected), sorted(actual))

    compare("decision", expect.decision, "allow" if decision.allowed else "deny")
    if expect.reason != decision.reason.category:
        compare("reason", expect.reason, decision.reason.code)
    compare_sets("by", expect.by, decision.policies)
    missing = decision.missing
    compare("missing.feature", expect.missing_feature, missing.feature if missing else "")
    compare_sets("missing.plans", expect.missing_plans, missing.plans if missing else ())
    compare_sets("requestable", expect.requestable, decision.requestable)
    step = decision.step_up
    for name, value in (expect.step or {}).items():
        actual = getattr(step, name, None)
        compare(f"step.{name}", value, "" if actual is None else str(actual))
    compare_sets("obl", expect.obligations, (duty.id for duty in decision.obligations))
    compare_sets("advice", expect.advice, (duty.id for duty in decision.advice))
    compare_sets("overrode", expect.overrode, decision.overrode)
    sent = {**dict(decision.response), **dict(decision.upstream)}
    for name, value in expect.headers.items():
        compare(f"headers.{name}", value, sent.get(name.lower(), ""))
    return tuple(found)


def _show(value: object) -> str:
    return "[" + ", ".join(value) + "]" if isinstance(value, list) else str(value) or "none"


def read_suites(suites: Sequence[Node]) -> tuple[Case, ...]:
    """Read the cases of Tests documents, in the order written. Raises DocumentError with all problems."""
    findings = Findings()
    cases: list[Case] = []
    names: set[tuple[str, str]] = set()
    for node in suites:
        suite = findings.fields(node, "the tests document", SUITE_KEYS)
        if suite is None:
            continue
        title = findings.text(findings.required(suite, "suite", "the tests document"), "suite")
        subjects = {
            name: subject
            for name, _, value in findings.named(suite.get("subjects"), "subjects")
            if (subject := findings.fields(value, f"subject {name!r}", ("is", "attrs", "env"))) is not None
        }
        tokens = {name: _read_tokens(subject.get("is"), findings) for name, subject in subjects.items()}
        for item in findings.items(findings.required(suite, "cases", "the tests document"), "cases"):
            case = _read_case(item, title, suite.get("now"), subjects, tokens, findings)
            if case is None:
                continue
            if (title, case.name) in names:
                findings.error("T303", item.place, f"case {case.name!r} stands in suite {title!r} twice")
            names.add((title, case.name))
            cases.append(case)
    if findings.failed:
        raise DocumentError(findings.problems)
    return tuple(cases)


def read_request(node: Node, now: float) -> Case:
    """Read one request that is written like a case, with what its caller ``is``; ``now`` is meant where none is given.

    Raises DocumentError with all problems.
    """
    findings = Findings()
    written = findings.mapping(node, "a request")
    if written is None:
        raise DocumentError(findings.problems)
    place = written.place
    subject = {key: written.entries[key] for key in ("is",) if key in written.entries}
    said = {key: entry for key, entry in written.entries.items() if key not in subject}
    for key, value in (("name", "request"), ("now", rfc3339(now)), ("as", "caller" if subject else "")):
        if value:
            said.setdefault(key, Entry(Scalar(key, place), Scalar(value, place)))
    denied = MapNode({"decision": Entry(Scalar("decision", place), Scalar("deny", place))}, place)
    said["expect"] = Entry(Scalar("expect", place), denied)
    caller = MapNode(subject, place)
    tokens = _read_tokens(caller.get("is"), findings)
    case = _read_case(MapNode(said, place), "request", None, {"caller": caller}, {"caller": tokens}, findings)
    if case is None or findings.failed:
        raise DocumentError(findings.problems)
    return case


def _read_tokens(node: Node | None, findings: Findings) -> frozenset[str]:
    tokens = {ANYONE, AUTHENTICATED}
    known = (*ASSIGNEES, *CLAIMED)
    for kind, key, value in findings.named(node, "is"):
        if kind not in known:
            findings.unknown("R006", key.place, "assignee", kind, known)
        elif ASSIGNEE_KINDS.get(kind) == "pairs":
            for pair in findings.items(value, kind):
                parts = tuple(findings.text(part, kind) for part in findings.items(pair, kind))
                if len(parts) != 2:
                    findings.error("T301", pair.place, f"{kind} takes pairs", "write [[role, location]]")
                tokens.add(assignee_token(kind, *parts))
        elif kind not in EVERYBODY:
            tokens.update(assignee_token(kind, name) for name in findings.texts(value, kind))
    return frozenset(tokens)


def _read_case(
    node: Node,
    suite: str,
    suite_now: Node | None,
    subjects: Mapping[str, MapNode],
    tokens: Mapping[str, frozenset[str]],
    findings: Findings,
) -> Case | None:
    written_case = findings.mapping(node, "a case")
    if written_case is None:
        return None
    case, rest_of_name = _without_name_parts(written_case)
    findings.fields(case, "a case", CASE_KEYS)
    name = ", ".join((findings.text(findings.required(case, "name", "a case"), "name"), *rest_of_name))
    what = f"case {name!r}"
    caller = findings.text(case.get("as"), "as")
    subject = subjects.get(caller)
    if caller and subject is None:
        findings.unknown("T302", case.entries["as"].value.place, "subject", caller, subjects, f" in suite {suite!r}")
    written = case.get("now") or suite_now
    if written is None:
        findings.error("T301", case.place, f"{what} has no 'now'", "give the suite one: tests do not read the clock")
    now = read_value(written, "now", FieldType("timestamp"), "T301", findings)
    http = findings.required(case, "http", what)
    method, _, rest = findings.text(http, "http").partition(" ")
    host, slash, path = rest.partition("/")
    if http is not None and not (method and host and slash):
        findings.error("T301", http.place, f"{what}: 'http' is METHOD host/path")
    body = case.get("body")
    return Case(
        suite=suite,
        name=name,
        place=case.place,
        now=now if isinstance(now, float) else 0.0,
        subject=caller,
        tokens=tokens.get(caller, frozenset({ANYONE})),
        attributes=_merged("attrs", subject, case, findings),
        env=_merged("env", subject, case, findings),
        method=method,
        host=host,
        target=slash + path,
        headers={key: findings.text(value, key) for key, _, value in findings.named(case.get("headers"), "headers")},
        data=_merged("data", None, case, findings),
        body=b"" if body is None else _json(body).encode(),
        expect=_read_expect(findings.required(case, "expect", what), what, findings),
    )


def _without_name_parts(case: MapNode) -> tuple[MapNode, list[str]]:
    """Tell a case from what its name lost: YAML reads ``{name: senior, otp, as: sen}`` as an empty field ``otp``."""
    parts = [
        key
        for key, entry in case.entries.items()
        if key not in CASE_KEYS and isinstance(entry.value, Scalar) and entry.value.absent
    ]
    return MapNode({key: entry for key, entry in case.entries.items() if key not in parts}, case.place), parts


def _merged(key: str, subject: MapNode | None, case: MapNode, findings: Findings) -> dict[str, object]:
    """Join the subject's values and the case's own; a value left empty takes the subject's away."""
    values: dict[str, object] = {}
    for node in (subject, case):
        for name, _, value in findings.named(node.get(key) if node is not None else None, key):
            values.pop(name, None)
            if not (isinstance(value, Scalar) and value.absent):
                values[name] = plain(value)
    return values


def _read_expect(node: Node | None, what: str, findings: Findings) -> Expect:
    expect = findings.fields(node, "expect", EXPECT_KEYS)
    if expect is None:
        return Expect("deny")
    decision = findings.choice(findings.required(expect, "decision", what), "decision", ("allow", "deny"), "T301")
    missing = findings.fields(expect.get("missing"), "missing", ("feature", "plans"))
    step = findings.fields(expect.get("step"), "step", ("acr_values", "max_age"))

    def names(key: str, inside: MapNode | None = expect) -> tuple[str, ...] | None:
        listed = inside.get(key) if inside is not None else None
        return None if listed is None else findings.texts(listed, key)

    return Expect(
        decision="allow" if decision == "allow" else "deny",
        reason=findings.text(expect.get("reason"), "reason") or None,
        by=names("by"),
        missing_feature=findings.text(missing.get("feature"), "feature") or None if missing is not None else None,
        missing_plans=names("plans", missing),
        requestable=names("requestable"),
        step=None
        if step is None
        else {key: findings.text(value, key) for key, _, value in findings.named(step, "step")},
        obligations=names("obl"),
        advice=names("advice"),
        overrode=names("overrode"),
        headers={
            key: findings.text(value, key, empty=True)
            for key, _, value in findings.named(expect.get("headers"), "headers")
        },
    )


def _json(node: Node) -> str:
    """Write a node as JSON. Plain numbers, ``true``, ``false`` and ``null`` are what JSON calls by those names."""
    if isinstance(node, Scalar):
        bare = not node.quoted and (node.text in {"true", "false", "null"} or _NUMBER.fullmatch(node.text))
        return node.text if bare else json.dumps(node.text)
    if isinstance(node, MapNode):
        members = (f"{json.dumps(key)}: {_json(entry.value)}" for key, entry in node.entries.items())
        return "{" + ", ".join(members) + "}"
    return "[" + ", ".join(_json(item) for item in node.items) + "]"
