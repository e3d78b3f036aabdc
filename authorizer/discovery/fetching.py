"""One HTTP question to a gateway or an API that the operator named: bounded in size and time, no redirects, no proxies.

INVARIANT: only addresses of the configuration are asked, or those that the API server gave to a Service. Nothing that
an answer names is ever fetched.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp
from aiohttp import hdrs
from msgspec import Struct

from authorizer import __version__
from authorizer.errors import DiscoveryError

_CHUNK = 256 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=3, sock_read=10)


class Answer(Struct, frozen=True):
    """``body`` None: what was known is still so (304). ``headers`` are by lower-case name, of one name the last."""

    body: bytes | None
    headers: Mapping[str, str]


def checked(address: str, *, alone: bool = False, near: bool = False) -> str:
    """Return an address as it may be asked: http or https, a host, nothing that proves an identity, no fragment.

    ``alone``: without a path. ``near``: in the clear on this host only. Raises DiscoveryError AZ610.
    """
    hint = f"write {'http://127.0.0.1' if near else 'http://HOST'}:PORT{'' if alone else '/PATH'} or https://..."
    try:
        parts = urlsplit(address)
        sound = (
            parts.scheme in {"http", "https"}
            and parts.hostname is not None
            and parts.port != 0
            and parts.username is None
            and not parts.fragment
            and address.isascii()
            and address.isprintable()
            and " " not in address
        )
    except ValueError:
        sound = False
    if not sound or (alone and (parts.path not in {"", "/"} or parts.query)):
        raise DiscoveryError("AZ610", f"{address[:200]!r} is not an address that can be asked", hint=hint)
    if near and parts.scheme == "http" and not _on_this_host(parts.hostname or ""):
        raise DiscoveryError("AZ610", f"{address[:200]!r} would be asked in the clear", hint=hint)
    return address.rstrip("/") if alone else address


async def open_session(address: str, ca_file: str = "") -> aiohttp.ClientSession:
    """Open a session to ask ``address``; ``ca_file`` takes the place of the system's authorities.

    Raises DiscoveryError AZ610 for a file without certificates.
    """
    context: ssl.SSLContext | bool = True
    if address.startswith("https:"):
        try:
            # Reading the system's authorities takes longer than a decision may wait.
            context = await asyncio.to_thread(ssl.create_default_context, cafile=ca_file or None)
        except (OSError, ValueError) as error:
            raise DiscoveryError("AZ610", f"{ca_file} holds no certificates: {error}") from None
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=16),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=_TIMEOUT,
        auto_decompress=False,
        trust_env=False,
        headers={hdrs.USER_AGENT: f"authorizer/{__version__}", hdrs.ACCEPT_ENCODING: "identity"},
    )


async def fetch(
    session: aiohttp.ClientSession, address: str, *, limit: int, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return what answers with 200 or 304. Raises DiscoveryError: AZ605 above ``limit`` bytes, AZ611 for the rest."""
    try:
        async with session.get(address, headers=headers, allow_redirects=False) as answer:
            found = {name.lower(): value for name, value in answer.headers.items()}
            if answer.status == 304 and hdrs.IF_NONE_MATCH in (headers or {}):
                return Answer(None, found)
            if answer.status != 200:
                raise DiscoveryError("AZ611", f"{address} answered {answer.status}")
            if found.get("content-encoding", "identity").lower() != "identity":
                raise DiscoveryError("AZ611", f"{address} answered in an encoding that was not asked for")
            body = bytearray()
            async for chunk in answer.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > limit:
                    raise DiscoveryError("AZ605", f"{address} answered with more than {limit} bytes")
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise DiscoveryError("AZ611", f"{address} did not answer ({type(error).__name__})") from error
    return Answer(bytes(body), found)


def _on_this_host(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
