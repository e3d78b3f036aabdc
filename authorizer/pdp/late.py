"""What no remembered decision has of an allow: an assertion, what the caller showed, what to take off the query."""

import msgspec

from authorizer.model import Decision, Identity, Request
from authorizer.pdp.assertions import assertion
from authorizer.pdp.credentials import keys_in_query
from authorizer.pdp.snapshot import Snapshot


def told_late(snapshot: Snapshot, decision: Decision, identity: Identity, request: Request, now: float) -> Decision:
    """Give an allow what no remembered decision has: it hangs on the moment, or on what was shown.

    INVARIANT: where there is nothing to tell, the caller's own copy is taken off.
    """
    parameter = snapshot.key_places.parameter
    if not (snapshot.late_headers or parameter) or not decision.allowed:
        return decision
    if parameter and decision.application in snapshot.program.stripped:
        spelled = tuple(dict.fromkeys(name for name, _ in keys_in_query(request.target, parameter)))
        decision = msgspec.structs.replace(decision, query_remove=(*decision.query_remove, *spelled))
    if not snapshot.late_headers:
        return decision
    settled = {name for name, _ in decision.upstream}.union(decision.remove)
    upstream, remove = list(decision.upstream), list(decision.remove)
    for name, source in snapshot.late_headers.items():
        if name in settled:
            continue
        value = _late(snapshot, name, source, decision, identity, request, now)
        if value:
            upstream.append((name, value))
        else:
            remove.append(name)
    return msgspec.structs.replace(decision, upstream=tuple(upstream), remove=tuple(remove), fleeting=True)


def _late(
    snapshot: Snapshot,
    name: str,
    source: str,
    decision: Decision,
    identity: Identity,
    request: Request,
    now: float,
) -> str:
    if source == "assertion":
        asserting = snapshot.options.asserting
        if asserting is None or identity is snapshot.anonymous:
            return ""
        return assertion(asserting, identity, decision.application, now)
    shown = request.headers.get(name if source == "credential" else "authorization", ())
    value = shown[0] if len(shown) == 1 and shown[0].isascii() and shown[0].isprintable() else ""
    if source == "credential":
        return value
    stripped = decision.application in snapshot.program.stripped
    return value.partition(" ")[2].strip(" ") if identity.exchanged and not stripped else ""
