"""Where each worker listens: a gateway lists all the addresses of one door as endpoints of one cluster.

Each worker has an address of its own for gRPC: a gateway keeps one HTTP/2 connection per thread and address, so a
shared port would give all checks to a few workers; with an address each, shares are exactly equal. HTTP has one
address for all, because some gateways can be told only one, and they open many connections that the system spreads:
with 4 workers, of 1000 connections each got 24 to 26 %, of 64 19 to 30 %, but of 16 6 to 50 %.
On Unix sockets that cannot be shared, HTTP has one a worker as well.
"""

from authorizer.doors.listen import TcpAddress, parse
from authorizer.errors import ListenError
from authorizer.settings import Settings

_SUFFIX = ".sock"


def each(address: str, workers: int, taken: frozenset[int] = frozenset()) -> list[str]:
    """Return the addresses of workers 0, 1, ... that follow from a door's one.

    ``HOST:P`` gives the ports from P on, but for those ``taken`` by other doors; port 0 stays 0: any free one.
    ``unix:/run/door.sock`` gives ``unix:/run/door-0.sock`` and so on. Raises ListenError AZ701 or AZ710.
    """
    parsed = parse(address)
    if not isinstance(parsed, TcpAddress):
        stem = address.removesuffix(_SUFFIX)
        return [f"{stem}-{worker}{address[len(stem) :]}" for worker in range(workers)]
    if parsed.port == 0:
        return [address] * workers
    host = address.rpartition(":")[0]
    ports = [port for port in range(parsed.port, parsed.port + workers + len(taken)) if port not in taken][:workers]
    if ports[-1] > 65535:
        raise ListenError("AZ710", f"{address} leaves no ports for {workers} workers", hint="choose a lower port")
    return [f"{host}:{port}" for port in ports]


def of_ext_authz(settings: Settings) -> list[str]:
    """Return the gRPC address of each worker, or nothing for no door."""
    if not settings.ext_authz.listen:
        return []
    others = (settings.forward_auth.listen, settings.admin.listen)
    taken = frozenset(
        parsed.port for parsed in (parse(address) for address in others if address) if isinstance(parsed, TcpAddress)
    )
    return each(settings.ext_authz.listen, settings.workers, taken)
