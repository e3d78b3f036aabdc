"""What a gateway's configuration is made from: where the authorizer listens, and what is agreed with it."""

import ipaddress

from msgspec import Struct

from authorizer.doors.listen import AbstractAddress, TcpAddress, UnixAddress, parse
from authorizer.errors import GatewayError

XFCC = "x-forwarded-client-cert"
MESSAGE_MARGIN = 256 * 1024
"""What a check carries besides a body, in bytes: ``ext_authz.max_message_bytes`` is at least this much larger."""


class Site(Struct, frozen=True, kw_only=True):
    """The doors as a gateway reaches them, one address a worker: ``HOST:PORT``, ``unix:/PATH``, ``unix:@NAME``.

    ``identity`` names the headers that say who the caller is, in lower case; ``shown`` those in which the API gets what
    the authorizer says instead of what the caller showed. ``api_key`` is the header that API keys come in,
    ``certificate`` the one in which the HTTP door hears of client certificates, "" for none; ``pem``: as PEM.
    ``timeout`` is in seconds. ``body_bytes`` is how much of a body goes along, 0 for none. ``tls``: the gRPC door
    speaks TLS; ``client_certificate``: and asks for one. ``secret``: the HTTP door wants to see a shared secret.
    ``listen`` and ``api`` are to be adapted: where clients come, and what is behind the gateway.
    """

    grpc: tuple[str, ...] = ()
    http: tuple[str, ...] = ()
    identity: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    api_key: str = ""
    certificate: str = ""
    pem: bool = False
    timeout: float = 0.5
    body_bytes: int = 0
    tls: bool = False
    client_certificate: bool = False
    secret: bool = False
    listen: str = "127.0.0.1:8080"
    api: str = "127.0.0.1:8081"

    @property
    def certificates(self) -> tuple[str, ...]:
        """The headers in which only the gateway may tell of a client certificate."""
        return of_gateway(self.certificate)


def of_gateway(certificate: str) -> tuple[str, ...]:
    """Return the headers in which only the gateway may tell of a client certificate: Envoy's, and ``certificate``."""
    return tuple(dict.fromkeys((XFCC, certificate or XFCC)))


def named(name: str) -> str:
    """Return a header's name as people write it: ``X-Auth-Subject``."""
    return "-".join(word.capitalize() for word in name.split("-"))


def doors(site: Site, door: str, gateway: str, *, sockets: bool = True, abstract: bool = False) -> tuple[str, ...]:
    """Return the addresses of the ``grpc`` or ``http`` door, as far as a gateway can connect to such.

    ``sockets``: it can to the file of a Unix socket; ``abstract``: also to one that is no file. Raises GatewayError
    AZ902 for a door that is closed, AZ903 for an address that it cannot connect to.
    """
    addresses: tuple[str, ...] = site.grpc if door == "grpc" else site.http
    if not addresses:
        setting = "ext_authz.listen" if door == "grpc" else "forward_auth.listen"
        raise GatewayError("AZ902", f"{gateway} needs a door that the settings leave closed", hint=f"set {setting}")
    for address in addresses:
        parsed = parse(address)
        if isinstance(parsed, TcpAddress) and parsed.port == 0:
            hint = "give the door a fixed port"
            raise GatewayError("AZ903", f"{address} is not known before the door opens", hint=hint)
        if (isinstance(parsed, UnixAddress) and not sockets) or (isinstance(parsed, AbstractAddress) and not abstract):
            raise GatewayError("AZ903", f"{gateway} cannot connect to {address}", hint="let the door listen on a port")
    return addresses


def is_local(address: str) -> bool:
    """Tell whether nobody else can listen in: a Unix socket, or a loopback address."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
