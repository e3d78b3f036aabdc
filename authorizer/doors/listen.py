"""Addresses that a door listens on, and Unix sockets that are taken only when nobody serves them.

An address is ``HOST:PORT``, ``[IPV6]:PORT``, ``unix:/ABSOLUTE/PATH`` or ``unix:@NAME``.
"""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from authorizer.errors import ListenError

SOCKET_MODE: Final = 0o660
"""Who may connect to a Unix socket is who may write to it: its owner and its group."""

_PROBE_SECONDS = 0.5
_BACKLOG = 1024


class TcpAddress(Struct, frozen=True):
    """``port`` 0 asks the system for a free one."""

    host: str
    port: int


class UnixAddress(Struct, frozen=True):
    """A socket in the file system. Who may connect is said by the modes of the file and of its directory."""

    path: Path


class AbstractAddress(Struct, frozen=True):
    """A name of unix(7) that is no file: whoever shares the network namespace may connect, as to a loopback port."""

    name: str


class SocketFile(Struct, frozen=True):
    """The file of a listening Unix socket, to be removed when the door closes."""

    path: Path
    device: int
    inode: int

    def remove(self) -> None:
        """Remove the file, unless a successor has put its own in that place."""
        with contextlib.suppress(FileNotFoundError):
            found = self.path.stat()
            if (found.st_dev, found.st_ino) == (self.device, self.inode):
                self.path.unlink()


def socket_file(bound: socket.socket) -> SocketFile | None:
    """Return the file of a socket; None when it has none."""
    if bound.family != socket.AF_UNIX or not isinstance(path := bound.getsockname(), str):
        return None
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return SocketFile(Path(path), found.st_dev, found.st_ino)


def parse(address: str) -> TcpAddress | UnixAddress | AbstractAddress:
    """Read an address. Raises ListenError AZ701."""
    if address.startswith("unix:@"):
        text = address.removeprefix("unix:@")
        if not text.isascii() or not text.isprintable() or not 0 < len(text) <= 107:
            raise ListenError("AZ701", f"{address!r} is not a socket name", hint="unix:@NAME, 107 characters at most")
        return AbstractAddress(text)
    if address.startswith("unix:"):
        path = Path(address.removeprefix("unix:"))
        # sun_path of unix(7) has 108 bytes with its final NUL.
        if not path.is_absolute() or not str(path).isprintable() or len(os.fsencode(path)) > 107:
            raise ListenError(
                "AZ701", f"{address!r} is not a socket path", hint="unix:/ABSOLUTE/PATH, 107 bytes at most"
            )
        return UnixAddress(path)
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    plain = host[1:-1] if bracketed else host
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else -1
    if not colon or not plain or (":" in plain and not bracketed) or not 0 <= number <= 65535:
        raise ListenError("AZ701", f"{address!r} is not an address", hint="HOST:PORT, [IPV6]:PORT or unix:/PATH")
    return TcpAddress(plain, number)


def vacate(path: Path) -> None:
    """Remove a socket file that a dead process left behind.

    A socket that still answers is left alone, and so is anything that is not a socket. Raises ListenError AZ703.
    """
    try:
        mode = path.stat(follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError("AZ703", f"{path} exists and is not a socket", hint="choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        answer = probe.connect_ex(str(path))
    if answer != errno.ECONNREFUSED:
        raise ListenError("AZ703", f"{path} is in use", hint="another process listens there")
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def bind(address: str, *, shared: bool = False) -> socket.socket:
    """Open a listening socket. Raises ListenError (AZ701 to AZ703).

    A ``shared`` port is one of several processes of this user, among which the system spreads the connections
    (SO_REUSEPORT); a Unix socket cannot be shared.
    """
    parsed = parse(address)
    with _refusing(address):
        if isinstance(parsed, TcpAddress):
            return _bind_tcp(parsed, shared=shared)
        return _bind_abstract(parsed.name) if isinstance(parsed, AbstractAddress) else _bind_unix(parsed.path)


def reserve(address: str) -> socket.socket:
    """Take a TCP address for processes that will share it, and return the socket that holds it, without listening.

    Raises ListenError (AZ701, AZ702), also when the address is already shared by others: two of us on one port would
    each get some of its connections, unnoticed.
    """
    parsed = parse(address)
    if not isinstance(parsed, TcpAddress):
        raise ListenError("AZ701", f"{address!r} cannot be shared", hint="HOST:PORT")
    with _refusing(address):
        with _bind_tcp(parsed, shared=False) as alone:
            port = alone.getsockname()[1]
        return _bind_tcp(TcpAddress(parsed.host, port), shared=True, backlog=None)


@contextlib.contextmanager
def _refusing(address: str) -> Iterator[None]:
    """Make a ListenError of what the system says."""
    try:
        yield
    except UnicodeError as error:
        raise ListenError("AZ702", f"cannot listen on {address!r}: not a host name") from error
    except OSError as error:
        reason = os.strerror(error.errno) if isinstance(error.errno, int) and error.errno > 0 else str(error)
        raise ListenError("AZ702", f"cannot listen on {address}: {reason}") from error


def name(bound: socket.socket) -> str:
    """Return the address in the form that ``parse`` reads, with the port that the system chose."""
    if bound.family == socket.AF_UNIX:
        path = bound.getsockname()
        return f"unix:{path}" if isinstance(path, str) else f"unix:@{path[1:].decode()}"
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind_unix(path: Path) -> socket.socket:
    vacate(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    # The mask, not a later chmod: there is no moment at which others could connect.
    mask = os.umask(0o777 & ~SOCKET_MODE)
    try:
        bound.bind(str(path))
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    finally:
        os.umask(mask)
    return bound


def _bind_abstract(text: str) -> socket.socket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        bound.bind(f"\0{text}")
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def _bind_tcp(address: TcpAddress, *, shared: bool, backlog: int | None = _BACKLOG) -> socket.socket:
    family, kind, protocol, _, where = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(where)
        if backlog is not None:
            bound.listen(backlog)
    except OSError:
        bound.close()
        raise
    return bound
