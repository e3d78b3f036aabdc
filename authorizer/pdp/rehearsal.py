"""Policy tests on the real path: a case goes through the request reader, the routes and the policies like any check.

Only the credential is left out: the case says who asks. What it says of the resource stands in for facts and claims,
and what it says of the moment goes before what ``now`` tells.
"""

from collections.abc import Mapping

from msgspec import Struct

from authorizer.model import Decision, Identity, Reason, Request
from authorizer.pdp import rego_input
from authorizer.pdp.decide import environment, judge, numbered, ruled, unmapped, with_rules
from authorizer.pdp.denials import deny
from authorizer.pdp.finding import find
from authorizer.pdp.guards import Guard
from authorizer.pdp.snapshot import Snapshot
from authorizer.policy.testing import Case


class Asked(Struct, frozen=True):
    """What a case comes to before the policies are asked; ``resource`` and ``env`` are raw values by field."""

    guard: Guard
    identity: Identity
    resource: Mapping[str, object]
    env: Mapping[str, object]


def ask(snapshot: Snapshot, case: Case) -> Decision:
    """Answer a case of a Tests document by the policies of ``snapshot``."""
    asked = read(snapshot, case)
    if isinstance(asked, Decision):
        return asked
    decision = judge(snapshot, asked.guard, asked.identity, asked.resource, asked.env, case.now)
    return numbered(snapshot, decision, case.name)


def read(snapshot: Snapshot, case: Case) -> Asked | Decision:
    """Read a case up to the question for the policies, or to the decision that comes before it."""
    request = request_of(case)
    operation = find(snapshot, request)
    if isinstance(operation, Reason):
        return deny(operation, case.name)
    if isinstance(operation, Guard):
        return numbered(snapshot, unmapped(snapshot, operation), case.name)
    identity = _identity(snapshot, case)

    def lookup(table: str, key: str) -> Mapping[str, object] | None:
        known = snapshot.facts.lookup(table, key)
        return case.data if known is None and case.data else known

    if operation.guard.decider is not None:
        return numbered(
            snapshot, ruled(snapshot, operation.guard.decider, operation, identity, request, case.now), case.name
        )
    found = operation.guard.extract(operation.match, operation.query, request, {}, lookup)
    if isinstance(found, Reason):
        return deny(found, case.name)
    env: Mapping[str, object] = {**environment(snapshot, request, identity, case.now), **case.env}
    resource = {**found, **case.data}
    if operation.guard.asks:
        env = with_rules(snapshot, operation, identity, resource, request, env, case.now)
    return Asked(operation.guard, identity, resource, env)


class Told(Struct, frozen=True):
    """What Rego rules were told in a case: their paths (``acme/ok``), the plan that has them ("": beside documents)."""

    rules: tuple[str, ...]
    plan: str
    input: Mapping[str, object]


def told(snapshot: Snapshot, case: Case) -> Told | None:
    """Return what a case tells the rules that it asks; None where it asks none, or where what it says is refused."""
    request = request_of(case)
    operation = find(snapshot, request)
    if isinstance(operation, Reason | Guard):
        return None
    guard, application = operation.guard, operation.guard.route.application
    if guard.decider is not None:
        identity = _identity(snapshot, case)
        document = rego_input.decider(guard.decider.input, request, operation.match, identity)
        plan = snapshot.program.deciders[application].plan
        return None if isinstance(document, Reason) else Told((guard.decider.entrypoint,), plan, document)
    asked = read(snapshot, case) if guard.asks else None
    if not isinstance(asked, Asked):
        return None
    about = application, guard.route.right
    document = rego_input.gate(request, operation.match, asked.identity, asked.resource, about)
    return None if isinstance(document, Reason) else Told(guard.asks, "", document)


def _identity(snapshot: Snapshot, case: Case) -> Identity:
    if not case.subject:
        return snapshot.anonymous
    return Identity(subject=case.subject, tokens=case.tokens, attributes=case.attributes, env=case.env)


def request_of(case: Case) -> Request:
    """Return the request that a case describes, as a gateway would hand it over."""
    headers = {name.lower(): (value,) for name, value in case.headers.items()}
    if case.body:
        headers.setdefault("content-type", ("application/json",))
    return Request(
        method=case.method,
        target=case.target,
        host=case.host,
        headers=headers,
        body=case.body,
        body_state="complete" if case.body else "absent",
    )
