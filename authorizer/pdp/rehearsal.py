"""Policy tests on the real path: a case goes through the request reader, the routes and the policies like any check.

Only the credential is left out: the case says who asks. What it says of the resource stands in for facts and claims,
and what it says of the moment goes before what ``now`` tells.
"""

from authorizer.model import Decision, Identity, Reason, Request
from authorizer.pdp.decide import deny, environment, find, judge, numbered
from authorizer.pdp.snapshot import Snapshot
from authorizer.policy.testing import Case


def ask(snapshot: Snapshot, case: Case) -> Decision:
    """Answer a case of a Tests document by the policies of ``snapshot``."""
    request = request_of(case)
    operation = find(snapshot, request)
    if isinstance(operation, Reason):
        return deny(operation, case.name)
    identity = snapshot.anonymous
    if case.subject:
        identity = Identity(subject=case.subject, tokens=case.tokens, attributes=case.attributes, env=case.env)
    found = operation.guard.extract(operation.match, operation.query, request, {}, snapshot.facts.lookup)
    if isinstance(found, Reason):
        return deny(found, case.name)
    resource = {**found, **case.data}
    env = {**environment(snapshot, request, identity, case.now), **case.env}
    return numbered(snapshot, judge(snapshot, operation.guard, identity, resource, env, case.now), case.name)


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
