"""The ext_authz v3 door as one function from bytes to bytes, whichever gRPC server is underneath.

Source: envoy/service/auth/v3/external_auth.proto. A gateway that fails open lets a request pass when its authorizer
errs, so whatever goes wrong here leaves as an explicit denial.
"""

from collections.abc import Awaitable, Callable

from google.protobuf.message import DecodeError

from authorizer.doors import faults
from authorizer.doors.ext_authz_request import decode
from authorizer.doors.ext_authz_response import encode
from authorizer.doors.headers import speaks_grpc
from authorizer.model import Decision, Request
from authorizer.reasons import REASONS
from authorizer.service import Authorizer

Handler = Callable[[bytes, str], bytes | Awaitable[bytes]]
"""From a CheckRequest, and the ``traceparent`` of the call that brought it or "", to a CheckResponse."""

SERVICE = "envoy.service.auth.v3.Authorization"
METHOD = "Check"

# Made while every part is known to work, so that they can be sent when one does not.
FIXED = {
    code: encode(Decision(reason=REASONS[code]))
    for code in ("bad_check", "body_limit", "deadline", "header_limit", "internal_error", "overload")
}
"""Answers that need no request: reason code -> CheckResponse. Each of them denies."""


_UNREAD = Request(transport="grpc")


def handler(authorizer: Authorizer) -> Handler:
    """Return the function that answers a CheckRequest with a CheckResponse.

    INVARIANT: it never raises and never returns an empty message, which would be an allow; nor does what it returns
    for an answer that has to be waited for.
    """

    def answer(message: bytes, trace: str = "") -> bytes | Awaitable[bytes]:
        try:
            request = decode(message, trace)
        except DecodeError:
            return refusal(authorizer, "bad_check")
        except Exception as error:  # noqa: BLE001 - a fault of ours leaves as a denial, whatever it was
            faults.report(error)
            return refusal(authorizer, "internal_error")
        try:
            decision = authorizer.check(request)
            if type(decision) is not Decision and isinstance(decision, Awaitable):
                return later(request, decision)
            return encode(decision, grpc=not decision.allowed and speaks_grpc(request.headers))
        except Exception as error:  # noqa: BLE001 - a fault of ours leaves as a denial, whatever it was
            faults.report(error)
            # A second event: the first one may say "allowed", and the gateway is not told so.
            return refusal(authorizer, "internal_error", request)

    async def later(request: Request, awaited: Awaitable[Decision]) -> bytes:
        try:
            decision = await awaited
            return encode(decision, grpc=not decision.allowed and speaks_grpc(request.headers))
        except Exception as error:  # noqa: BLE001 - a fault of ours leaves as a denial, whatever it was
            faults.report(error)
            return refusal(authorizer, "internal_error", request)

    return answer


def refusal(authorizer: Authorizer, code: str, request: Request = _UNREAD) -> bytes:
    """Return the denial of a message that could not be made a question of, or not be answered; it is counted."""
    try:
        return encode(authorizer.refuse(code, request))
    except Exception as error:  # noqa: BLE001 - a fault of ours leaves as a denial, whatever it was
        faults.report(error)
        return FIXED[code]
