"""Asking Envoy's admin interface. It knows no credentials and can stop the gateway: it is read on this host only."""

import asyncio
import ipaddress
from urllib.parse import SplitResult, urlsplit

import aiohttp
import orjson

from authorizer.discovery.proto_json import Json
from authorizer.errors import DiscoveryError

MAX_DUMP = 64 * 1024 * 1024
_CHUNK = 256 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=2)


async def fetch(admin: str, *, limit: int = MAX_DUMP) -> Json:
    """Return the ``/config_dump`` of the Envoy whose admin interface is at ``admin``.

    ``admin`` is ``http://`` and a loopback address, or ``unix:`` and the path of a socket. Raises DiscoveryError: AZ601
    for another address, AZ604 when nothing usable answers in ten seconds, AZ605 for an answer above ``limit`` bytes.
    """
    origin, connector = _connect(admin)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, trust_env=False) as session,
            session.get(f"{origin}/config_dump", allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise DiscoveryError("AZ604", f"the gateway's admin interface answered {answer.status}")
            body = bytearray()
            async for chunk in answer.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > limit:
                    raise DiscoveryError("AZ605", f"the gateway's configuration is larger than {limit} bytes")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        what = f"the gateway's admin interface at {admin} did not answer ({type(error).__name__})"
        raise DiscoveryError("AZ604", what, hint="is Envoy running, with 'admin:' on this address?") from error
    return await asyncio.to_thread(parse, bytes(body))


def parse(dump: bytes) -> Json:
    """Read a dump from its bytes. Raises DiscoveryError AZ602 for anything but a JSON object."""
    try:
        value = orjson.loads(dump)
    except orjson.JSONDecodeError as error:
        raise DiscoveryError("AZ602", f"the gateway's configuration is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise DiscoveryError("AZ602", "the gateway's configuration is not a JSON object")
    return value


def _connect(admin: str) -> tuple[str, aiohttp.BaseConnector]:
    if admin.startswith("unix:") and len(admin) > len("unix:"):
        return "http://localhost", aiohttp.UnixConnector(admin.removeprefix("unix:"))
    try:
        parts = urlsplit(admin)
        if parts.scheme == "http" and parts.port and parts.path in {"", "/"} and _is_loopback(parts):
            return f"http://{parts.netloc}", aiohttp.TCPConnector()
    except ValueError:
        pass
    raise DiscoveryError(
        "AZ601",
        f"'{admin}' is not an admin interface on this host",
        hint="write http://127.0.0.1:PORT or unix:/path/of/the.sock",
    )


def _is_loopback(parts: SplitResult) -> bool:
    if parts.username is not None or parts.hostname is None or parts.query or parts.fragment:
        return False
    return parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname).is_loopback
