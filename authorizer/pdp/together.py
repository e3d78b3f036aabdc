"""A token and, beside it, an API key or a client certificate: one caller of both, where an application says so.

The token says who asks, the other one through which client. Each was verified by itself.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from authorizer.model import Identity, Reason, assignee_token
from authorizer.pdp.recent import Recent
from authorizer.policy.pbac import BadAttribute, Program
from authorizer.policy.pbac.subjects import IS
from authorizer.reasons import reason

MOST = 1024
Joined = Recent[tuple[int, int, str], tuple[Identity, Identity, Identity | Reason]]
"""INVARIANT: an entry holds the two identities of its key, whose numbers could become others' otherwise."""

_CONFLICT = reason("credential_conflict")
_BAD = reason("bad_attribute")


def join(caller: Identity, holder: Identity, application: str, program: Program, known: Joined) -> Identity | Reason:
    """Return ``caller``, whom a token named, as it asks through the client ``holder``; or why the two do not fit.

    The client's name and fields are added, nothing is replaced: a deny about the client that the token names goes on to
    hold. What else the holder is or may do (groups, scopes) is not the caller's. A field that both have must be equal,
    also one that only the application takes from a token.
    """
    key = id(caller), id(holder), application
    found = known.find(key)
    if found is None:
        found = caller, holder, _join(caller, holder, application, program)
        known.keep(key, found)
    return found[2]


def _join(caller: Identity, holder: Identity, application: str, program: Program) -> Identity | Reason:
    if not holder.client or holder.subject != holder.client:
        return conflict("what came beside the token is a person's")
    if caller.client == caller.subject != holder.client:
        return conflict("the token is another client's own")
    typed = []
    for one in (caller, holder):
        subject = program.subject(application, one)
        if isinstance(subject, BadAttribute):
            return replace(_BAD, detail=str(subject))
        typed.append({field: value for field, value in subject.fields.items() if field != IS})
    for mine, others in ((caller.attributes, holder.attributes), (caller.env, holder.env), typed):
        other = _different(mine, others)
        if other:
            return conflict(f"the two say different things of {', '.join(other)}")
    return replace(
        caller,
        client=holder.client,
        tokens=caller.tokens | {assignee_token("client", holder.client)},
        attributes={**caller.attributes, **holder.attributes},
        env={**caller.env, **holder.env},
        expires=min(caller.expires, holder.expires),
        typed={},
    )


def _different(mine: Mapping[str, object], others: Mapping[str, object]) -> list[str]:
    return sorted(field for field in mine.keys() & others.keys() if mine[field] != others[field])


def conflict(detail: str) -> Reason:
    """Return the reason for credentials of which each is good, and which do not go together."""
    return replace(_CONFLICT, detail=detail)
