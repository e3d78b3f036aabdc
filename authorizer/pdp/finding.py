"""Which operation a request asks for: read it strictly, find its route, or say why not."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from authorizer.model import Reason, Request
from authorizer.pdp import canonical, ways
from authorizer.pdp.guards import Guard
from authorizer.pdp.routes import Match
from authorizer.pdp.snapshot import Snapshot
from authorizer.reasons import reason

_NOT_READY = reason("not_ready")
_NO_ROUTE = reason("no_route")
_MISMATCH = reason("context_mismatch")


class Operation(Struct, frozen=True):
    """What a request asks for: the guarded route, how it was found, and the raw query.

    ``resource`` is what ``guard.extract`` would return, where that is known already.
    """

    guard: Guard
    match: Match
    query: str
    resource: Mapping[str, object] | None = None


def find(snapshot: Snapshot, request: Request) -> Operation | Guard | Reason:
    """Read a request and find its operation, or return the reason why not.

    A guard alone is that of an application which lets pass what it has no route for.
    """
    if not snapshot.ready:
        return _NOT_READY
    path, _, query = request.target.partition("?")
    key = ways.key_of(request, path)
    known = snapshot.ways.find(key)
    if known is None or not ways.says_no_more(request.headers, request.target, query):
        found = _read(snapshot, request, key)
        if isinstance(found, Reason):
            return found
        if isinstance(found, Guard):
            return found if _is_meant(found, request) else _MISMATCH
        known = found
    else:
        refused = canonical.check_headers(request, snapshot.managed)
        if refused is not None:
            return refused
    guard: Guard = known.match.payload
    if not _is_meant(guard, request):
        return _MISMATCH
    return Operation(guard, known.match, query, known.resource)


def _is_meant(guard: Guard, request: Request) -> bool:
    return request.context.get("application", guard.route.application) == guard.route.application


def _read(snapshot: Snapshot, request: Request, key: ways.Key) -> ways.Way | Guard | Reason:
    target = canonical.read(request)
    if isinstance(target, Reason):
        return target
    refused = canonical.check_headers(request, snapshot.managed)
    if refused is not None:
        return refused
    match = snapshot.routes.resolve(target)
    if match is None:
        return _no_route(snapshot, target, request)
    if isinstance(match, Reason):
        return match
    if not ways.may_be_kept(target):
        return ways.Way(match, None)
    guard: Guard = match.payload
    resource = guard.extract(match, "", request, {}, snapshot.facts.lookup) if guard.by_path else None
    way = ways.Way(match, None if isinstance(resource, Reason) else resource)
    snapshot.ways.keep(key, way)
    return way


def _no_route(snapshot: Snapshot, target: canonical.Canonical, request: Request) -> Guard | Reason:
    pattern = snapshot.routes.pattern(target.host)
    if pattern is None:
        return msgspec.structs.replace(_NO_ROUTE, detail=f"no application has the host {target.host}")
    detail = f"no route of {target.host} has this method and path"
    known = snapshot.unmapped.get(pattern)
    if known is not None and known.lets_pass(target, request.headers):
        return known.guard
    if known is not None:
        near = "it could be another's" if known.word == "allow" else "they are observed"
        detail += f" (unmapped requests of {known.guard.route.application}: {near})"
    return msgspec.structs.replace(_NO_ROUTE, detail=detail)
