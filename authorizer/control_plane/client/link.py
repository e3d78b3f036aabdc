"""One HTTP exchange with the control plane: bounded in size and time, no redirects, no proxies, no cookies.

Every failure is a ControlPlaneError; no message carries the credential.
"""

import asyncio
import io
import logging
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import orjson
from aiohttp import hdrs
from msgspec import Struct
from yarl import URL

from authorizer import __version__
from authorizer.errors import ControlPlaneError

log = logging.getLogger("authorizer.control_plane")

MAX_TOKEN_FILE = 16 * 1024
MAX_REFUSAL = 64 * 1024
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_SSL_NOTE = re.compile(r" ssl:\S+")  # aiohttp's, of each failed connection, with TLS or without
_LOOPBACK = re.compile(r"localhost|127\.[0-9.]+|::1")


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where the control plane is and how to show who we are.

    ``token_file`` is read again at each exchange, so that it can be rotated; ``ca_file`` replaces the system's
    authorities. ``answer_seconds`` bounds an exchange from its first byte to its last, beyond the asked-for wait.
    """

    url: str
    token: str = ""
    token_file: str = ""
    ca_file: str = ""
    connect_seconds: float = 5.0
    answer_seconds: float = 60.0

    def __repr__(self) -> str:
        return f"Endpoint(url={self.url!r})"


class Link(Struct, frozen=True):
    """An endpoint with the connections to it."""

    endpoint: Endpoint
    base: URL
    session: aiohttp.ClientSession


class Answer(Struct, frozen=True):
    """A status below 300, or 304, with its header fields (in any case) and its whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TooLargeError(ControlPlaneError):
    """The answer has more bytes than were allowed."""


@asynccontextmanager
async def connect(endpoint: Endpoint) -> AsyncIterator[Link]:
    """Open a link; nothing is sent yet. Raises ControlPlaneError AZ500 if the endpoint cannot be used as configured."""
    base = _base(endpoint.url)
    if base.scheme == "http" and endpoint.token + endpoint.token_file and not _LOOPBACK.fullmatch(base.host or ""):
        log.warning("the credential for the control plane travels unencrypted: use https")
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=_trust(endpoint.ca_file)),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # a compressed answer is refused below: its unpacked size would escape the limit
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=endpoint.connect_seconds),
        headers={hdrs.USER_AGENT: f"authorizer/{__version__}", hdrs.ACCEPT_ENCODING: "identity"},
    ) as session:
        yield Link(endpoint, base, session)


async def exchange(
    link: Link,
    method: str,
    path: str,
    *,
    limit: int,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    wait: float = 0.0,
) -> Answer:
    """Send one request to ``path`` below the endpoint's address and return its answer, of at most ``limit`` bytes.

    ``wait`` is the time in seconds that the server may keep the request, on top of ``answer_seconds``.
    Raises ControlPlaneError AZ501-AZ509.
    """
    sent = {**(headers or {}), **await _credential(link.endpoint)}
    data = None
    if body is not None:
        sent[hdrs.CONTENT_TYPE] = "application/json"
        data = io.BytesIO(body)  # sent piece by piece: a catalogue is large
    try:
        async with (
            asyncio.timeout(link.endpoint.answer_seconds + wait),
            link.session.request(method, link.base / path, headers=sent, data=data, allow_redirects=False) as response,
        ):
            return await _answer(response, limit)
    except TimeoutError:
        raise ControlPlaneError("AZ502", "the control plane did not answer in time") from None
    except aiohttp.ClientConnectorCertificateError as error:
        why = f"the control plane's certificate is not trusted: {error.certificate_error}"
        raise ControlPlaneError("AZ508", why, hint="name its authority in control_plane.ca_file") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        why = type(error).__name__ if isinstance(error, ValueError) else str(error) or type(error).__name__
        why = _SSL_NOTE.sub("", why)
        raise ControlPlaneError("AZ501", f"the control plane cannot be reached: {ascii(why)[1:-1][:200]}") from None


async def _answer(response: aiohttp.ClientResponse, limit: int) -> Answer:
    status = response.status
    if response.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise ControlPlaneError("AZ506", "the control plane compressed its answer, which was not asked for")
    if status in (301, 302, 303, 307, 308):
        raise ControlPlaneError("AZ504", f"the control plane redirects ({status})", hint="configure the final address")
    if status == 304 or 200 <= status < 300:
        return Answer(status, response.headers, await _body(response, limit))
    code = _refusal_code(await _body(response, MAX_REFUSAL))
    if status in (401, 403):
        hint = "check control_plane.token_file"
        raise ControlPlaneError("AZ503", f"the control plane refuses the credential ({status}{code})", hint=hint)
    raise ControlPlaneError("AZ505", f"the control plane answered {status}{code}")


async def _body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    parts: list[bytes] = []
    size = response.content_length or 0
    if size <= limit:
        size = 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > limit:
                break
            parts.append(part)
    if size > limit:
        response.close()  # what is still to come would only be thrown away
        raise TooLargeError("AZ507", f"the control plane's answer has more than {limit} bytes")
    return b"".join(parts)


def _refusal_code(body: bytes) -> str:
    """Return the stable code of a problem document (RFC 9457) as ", CODE", or nothing; its prose is not repeated."""
    try:
        code = orjson.loads(body)["code"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f", {code}" if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _base(url: str) -> URL:
    try:
        base = URL(url)
    except ValueError:
        base = URL()
    if base.scheme not in ("http", "https") or not base.host or base.user or base.password or base.query_string:
        hint = "https://HOST[:PORT][/PREFIX], without credentials and query"
        raise ControlPlaneError("AZ500", "the address of the control plane is malformed", hint=hint)
    return base.with_fragment(None)


def _trust(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ValueError) as error:
        raise ControlPlaneError("AZ500", f"{ca_file} cannot be used as certificate authority: {error}") from None


async def _credential(endpoint: Endpoint) -> dict[str, str]:
    token = endpoint.token
    if endpoint.token_file:
        try:
            token = await asyncio.to_thread(_read_token, Path(endpoint.token_file))
        except (OSError, UnicodeDecodeError) as error:
            why = f"the credential {endpoint.token_file} cannot be read: {type(error).__name__}"
            raise ControlPlaneError("AZ509", why) from None
    if not token:
        return {}
    if not _TOKEN.fullmatch(token):
        raise ControlPlaneError("AZ509", "the credential for the control plane has characters that cannot be sent")
    return {hdrs.AUTHORIZATION: f"Bearer {token}"}


def _read_token(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MAX_TOKEN_FILE).decode("ascii").strip()
