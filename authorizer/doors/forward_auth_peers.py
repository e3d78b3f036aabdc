"""Who may say what the original request was. Everybody else could invent one."""

import hmac
import ipaddress
import socket
from collections.abc import Callable, Iterable
from functools import lru_cache

from aiohttp import web

from authorizer.errors import ListenError
from authorizer.model import Headers

SECRET_HEADER = "x-authorizer-secret"  # noqa: S105 - the name of a header
MIN_SECRET = 16

Trust = Callable[[web.BaseRequest, Headers], bool]
"""Whether the sender of a call is a gateway, by its connection or by what its headers show."""


def trust(networks: Iterable[str], secrets: Iterable[str] = ()) -> Trust:
    """Return the test for a trusted gateway: in one of ``networks``, on a Unix socket, or knowing one of ``secrets``.

    No network and no secret means that only Unix sockets are trusted. Several secrets let one follow another without
    a gap. Raises ListenError AZ704 for a network that is none, AZ705 for a secret of less than 16 characters.
    """
    ranges = tuple(map(_network, networks))
    known = tuple(secret.encode("utf-8", "surrogateescape") for secret in secrets)
    if any(len(secret) < MIN_SECRET for secret in known):
        raise ListenError("AZ705", "the shared secret of forward-auth is too short", hint="16 characters or more")

    @lru_cache(maxsize=1024)
    def inside(peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any((mapped or address) in network for network in ranges)

    def trusted(call: web.BaseRequest, headers: Headers) -> bool:
        return inside(call.remote or "") or on_unix_socket(call) or _knows(headers, known)

    return trusted


def on_unix_socket(call: web.BaseRequest) -> bool:
    """Tell whether the call came over a Unix socket: the modes of file and directory said who may."""
    transport = call.transport
    connection = transport.get_extra_info("socket") if transport else None
    return connection is not None and connection.family == socket.AF_UNIX


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ListenError("AZ704", f"forward_auth.trusted_peers: {error}", hint="an address or 10.0.0.0/8") from error


def _knows(headers: Headers, known: tuple[bytes, ...]) -> bool:
    shown = headers.get(SECRET_HEADER, ())
    if len(shown) != 1:
        return False
    given = shown[0].encode("utf-8", "surrogateescape")
    # Each is compared, so that the time tells nothing about which one fitted.
    return sum(hmac.compare_digest(given, secret) for secret in known) > 0
