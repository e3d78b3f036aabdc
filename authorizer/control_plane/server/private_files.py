"""The files that only this process may read: credentials and the signing key."""

from pathlib import Path

from authorizer import files
from authorizer.errors import ControlPlaneError


def create(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read, durably; raise ControlPlaneError AZ584, also if it exists."""
    try:
        files.create(path, content)
    except OSError as problem:
        raise _failed(path, problem, "check the state directory: owner, permissions, space") from problem


def read(path: Path, limit: int) -> bytes:
    """Return the content of a file of at most ``limit`` bytes; raise ControlPlaneError AZ584."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as problem:
        raise _failed(path, problem, "check the path and the permissions") from problem
    if len(content) > limit:
        raise ControlPlaneError("AZ584", f"{path} is larger than {limit} bytes", hint="give the right file")
    return content


def directory(path: Path) -> None:
    """Make the state directory, for its owner alone (mode 0700), unless it exists; raise ControlPlaneError AZ584."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise _failed(path, problem, "give a directory that can be written to") from problem


def _failed(path: Path, problem: OSError, hint: str) -> ControlPlaneError:
    return ControlPlaneError("AZ584", f"{path}: {problem.strerror or problem}", hint=hint)
