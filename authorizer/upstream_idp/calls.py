"""One HTTP call to an identity provider: bounded in size and time, no redirects, no proxies, no cookies.

Every failure is an IdentityProviderError; no message carries a credential or a token.
"""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import hdrs

from authorizer import __version__
from authorizer.errors import IdentityProviderError
from authorizer.jose.encoding import read_object

MAX_BYTES = 512 * 1024
"""Of metadata and keys."""
SMALL = 4 * 1024
"""Bytes of an answer that is read in 1 ms, whatever is in it."""
MOST_AT_ONCE = 16
"""Calls under way to one endpoint about strange tokens, and as many about others."""
# INVARIANT: at one host there is room for introspection, exchange and keys: none waits for the calls of another.
_MOST_TO_A_HOST = 5 * MOST_AT_ONCE
_GOOD = frozenset({200})


def open_session(ca_file: str = "", certificate: tuple[str, str] | None = None) -> aiohttp.ClientSession:
    """Open a session. ``ca_file`` replaces the system's authorities; ``certificate`` is ours: (chain, key) in PEM.

    Raises IdentityProviderError AZ530 for files that cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
        if certificate is not None:
            context.load_cert_chain(*certificate)
    except (OSError, ValueError) as error:
        raise IdentityProviderError("AZ530", f"the files for identity providers cannot be used: {error}") from None
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=512, limit_per_host=_MOST_TO_A_HOST),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        headers={
            hdrs.USER_AGENT: f"authorizer/{__version__}",
            hdrs.ACCEPT: "application/json",
            hdrs.ACCEPT_ENCODING: "identity",
        },
    )


async def call(
    session: aiohttp.ClientSession,
    url: str,
    *,
    seconds: float,
    form: Mapping[str, str] | None = None,
    authorization: str = "",
    statuses: frozenset[int] = _GOOD,
    limit: int = MAX_BYTES,
) -> tuple[int, bytes]:
    """Get ``url``, or post a form to it; return the answer's status and body.

    The status is one of ``statuses``, the body has at most ``limit`` bytes.
    Raises IdentityProviderError AZ531 to AZ533.
    """
    method = "GET" if form is None else "POST"
    headers = {hdrs.AUTHORIZATION: authorization} if authorization else {}
    try:
        async with (
            asyncio.timeout(seconds),
            session.request(method, url, data=form, headers=headers, allow_redirects=False) as response,
        ):
            if response.status not in statuses:
                raise IdentityProviderError("AZ532", f"{url} answered {response.status}")
            if response.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
                raise IdentityProviderError("AZ532", f"{url} compressed its answer, which was not asked for")
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > limit:
                    response.close()
                    raise IdentityProviderError("AZ533", f"{url} answered more than {limit} bytes")
            return response.status, bytes(body)
    except TimeoutError:
        raise IdentityProviderError("AZ531", f"{url} did not answer within {seconds:g}s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        why = ascii(type(error).__name__ if isinstance(error, ValueError) else str(error) or type(error).__name__)
        raise IdentityProviderError("AZ531", f"{url} cannot be reached: {why[1:-1][:200]}") from None


async def parsed(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in an answer, None for none, as ``read_object`` does.

    INVARIANT: a large one is read in a thread, which gives way: half a megabyte may take 0.15 s, if a partner likes.
    """
    return read_object(body) if len(body) <= SMALL else await asyncio.to_thread(read_object, body)


async def read(session: aiohttp.ClientSession, url: str, *, seconds: float) -> dict[str, object]:
    """Get a JSON object. Raises IdentityProviderError as ``call`` does, and AZ534 for anything else."""
    _, body = await call(session, url, seconds=seconds)
    found = await parsed(body)
    if found is None:
        raise IdentityProviderError("AZ534", f"{url} answered no JSON object, or one with two readings")
    return found
