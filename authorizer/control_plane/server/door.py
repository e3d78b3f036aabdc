"""What stands before every address: who asks, how much is read, and that there is always an answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from authorizer.control_plane.server.answers import RefusalError, refusal
from authorizer.control_plane.server.credentials import Credentials, Role, role_of
from authorizer.control_plane.server.publisher import TooManyWaitingError
from authorizer.errors import ControlPlaneError

BODY_SECONDS = 30.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger("authorizer.control_plane")


async def answer_always(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer, whatever happens. INVARIANT: no exception's text reaches the caller, only what a RefusalError says."""
    try:
        return await handler(request)
    except RefusalError as error:
        return refusal(error.what, error.detail, error.problems)
    except web.HTTPMethodNotAllowed as error:
        response = refusal("method")
        response.headers[hdrs.ALLOW] = ", ".join(sorted(error.allowed_methods))
        return response
    except web.HTTPNotFound:
        return refusal("not_found")
    except web.HTTPException as error:
        return refusal("bad_request" if error.status < 500 else "unexpected")
    except TooManyWaitingError:
        response = refusal("busy")
        response.headers[hdrs.RETRY_AFTER] = "30"
        return response
    except ControlPlaneError as error:
        if error.code != "AZ580":
            _log.error("the request failed: %s", error)
            return refusal("unexpected")
        response = refusal("database")
        response.headers[hdrs.RETRY_AFTER] = "5"
        return response
    except Exception:  # noqa: BLE001 - one request may fail, the service goes on
        _log.exception("the request failed: %s %s", request.method, request.rel_url.raw_path)
        return refusal("unexpected")


def guarded(credentials: Credentials, role: Role | None, handler: Handler) -> Handler:
    """Let an admin pass everywhere, an authorizer where its role is asked for; None lets everyone pass."""

    async def checked(request: web.Request) -> web.StreamResponse:
        if role is not None:
            shown = role_of(credentials, request.headers.getall(hdrs.AUTHORIZATION, []))
            if shown is None:
                raise RefusalError("no_credential")
            if shown not in (role, "admin"):
                raise RefusalError("not_admin")
        return await handler(request)

    return checked


async def read_body(request: web.Request, limit: int) -> bytes:
    """Read a body of at most ``limit`` bytes within BODY_SECONDS, or raise RefusalError."""
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise RefusalError("encoded")
    detail = f"the body has more than {limit} bytes"
    if (request.content_length or 0) > limit:
        raise RefusalError("too_large", detail)
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.content.iter_any():
                content += part
                if len(content) > limit:
                    raise RefusalError("too_large", detail)
    except TimeoutError:
        raise RefusalError("slow") from None
    return bytes(content)
