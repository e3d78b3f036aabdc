"""The denial as it leaves: one status, one set of headers and one body, whatever the transport.

The body is ``application/problem+json`` (RFC 9457) with stable members and no internals: neither policies, nor files,
nor the subject. Callers that speak gRPC get a line of text and 401 or 403, because their library turns both into a
gRPC status.
"""

from http import HTTPStatus

import orjson
from msgspec import Struct

from authorizer.doors.headers import sendable
from authorizer.model import Decision

MEDIA_TYPE = "application/problem+json"
TEXT = "text/plain; charset=utf-8"
_MAX_GRPC_TEXT = 200

_TITLES = {status.value: status.phrase for status in HTTPStatus}


class Denial(Struct, frozen=True):
    """What the caller is shown: a status of 300 to 599, sendable headers with names in lower case, and a body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def denial(decision: Decision, status: int | None = None) -> Denial:
    """Show a denied decision to an HTTP caller.

    ``status`` replaces the decision's own where a gateway's contract knows fewer of them. A status that is not an
    error becomes 403, so an allowed decision that strays here still denies. Raises headers.UnsendableError for a
    header that would break the message.
    """
    # Only what a Rego policy says may be a redirect.
    lowest = 300 if decision.reason.code == "rego_denied" else 400
    code = _error_status(decision.reason.status if status is None else status, lowest)
    told = (*_challenge(decision, code), *sendable(decision.response))
    if decision.body is not None:
        typed = any(name == "content-type" for name, _ in told)
        return Denial(
            code, told if typed else (("content-type", TEXT), *told), decision.body.encode("utf-8", "replace")
        )
    return Denial(code, (("content-type", MEDIA_TYPE), *told), _body(decision, code))


def grpc_denial(decision: Decision) -> Denial:
    """Show a denied decision to a gRPC caller: 401 or 403 (UNAUTHENTICATED, PERMISSION_DENIED) and one line of text.

    No content type is set: the gateway makes a gRPC status of this, and a type of ours would spoil its own.
    """
    code = 401 if decision.reason.status == 401 else 403
    text = f"{decision.reason.code}: {decision.reason.text}"[:_MAX_GRPC_TEXT]
    return Denial(code, (*_challenge(decision, code), *sendable(decision.response)), text.encode("utf-8", "replace"))


def _error_status(status: int, lowest: int) -> int:
    return status if lowest <= status <= 599 else 403


def _challenge(decision: Decision, status: int) -> tuple[tuple[str, str], ...]:
    # A 401 without a challenge is malformed (RFC 9110 section 15.5.2); the bare scheme says no more than "log in".
    challenge = decision.challenge or ("Bearer" if status == 401 else "")
    return sendable((("www-authenticate", challenge),)) if challenge else ()


def _body(decision: Decision, status: int) -> bytes:
    members: dict[str, object] = {
        "type": "about:blank",
        "title": _TITLES.get(status, "Denied"),
        "status": status,
        "reason": decision.reason.code,
        "detail": decision.reason.text,
    }
    if decision.id:
        members["decision_id"] = decision.id
    if decision.missing is not None:
        members["missing"] = {"feature": decision.missing.feature, "plans": decision.missing.plans}
    if decision.requestable:
        members["requestable"] = decision.requestable
    if decision.step_up is not None:
        members["step_up"] = {"acr_values": decision.step_up.acr_values, "max_age": decision.step_up.max_age}
    try:
        return orjson.dumps(members)
    except orjson.JSONEncodeError:  # text that is not UTF-8 cannot be shown; the denial stands without it
        return orjson.dumps({"type": "about:blank", "title": _TITLES.get(status, "Denied"), "status": status})
