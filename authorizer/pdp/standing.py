"""For how long a decision may be kept, and by what: for those who remember answers outside of this process."""

from collections.abc import Mapping

from msgspec import Struct

from authorizer.model import Identity
from authorizer.pdp.guards import Guard
from authorizer.pdp.snapshot import Snapshot
from authorizer.policy.pbac import BadAttribute, Question


class Standing(Struct, frozen=True):
    """A decision holds for ``seconds`` while the caller's tokens and the ``attributes`` (``side.field``) stay."""

    seconds: float
    attributes: tuple[str, ...]


def standing(
    snapshot: Snapshot,
    guard: Guard,
    identity: Identity,
    resource: Mapping[str, object],
    env: Mapping[str, object],
    now: float,
) -> Standing:
    """Return how long the decision on an operation may stand: no longer than the credential, nor than what it reads."""
    program, route = snapshot.program, guard.route
    subject = program.subject(route.application, identity)
    if isinstance(subject, BadAttribute):
        return Standing(0.0, ())
    question = Question(
        route=route, tokens=subject.tokens, assignee=subject.fields, resource=resource, env=env, now=now
    )
    seconds = min(program.lasts(question), identity.expires - now)
    return Standing(max(0.0, seconds), program.looks_at(route))
