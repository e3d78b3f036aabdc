"""Files that survive a crash whole: the content is on the disk before its name is.

Written beside, synced, named in one step, the folder synced: whoever reads sees all of the old or all of the new.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path


def create(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a new file, by default its owner's alone. Raises FileExistsError if it exists, or another OSError."""
    # A link, unlike a rename, refuses to replace what another process made meanwhile.
    _put(path, content, mode, os.link)


def replace(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, in place of the one that may be there. Raises OSError."""
    _put(path, content, 0o600, os.replace)


def read_secret(path: Path, at_least: int) -> bytes:
    """Return the secret in a file, without the white space around it. Raises OSError, or ValueError if it is short."""
    secret = path.read_bytes().strip()
    if len(secret) < at_least:
        raise ValueError(f"{path} must hold at least {at_least} bytes")
    return secret


def _put(path: Path, content: bytes, mode: int, name: Callable[[Path, Path], None]) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)  # of a process that crashed; what stands there is never written to
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        name(beside, path)
    except FileExistsError:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
    finally:
        beside.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
