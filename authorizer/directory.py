"""Documents from a directory: read when they change, and only once they have stopped changing."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from authorizer.bundle.manifest import NAME as MANIFEST
from authorizer.errors import Place, Problem

SUFFIXES = (".yaml", ".yml", ".json", ".rego", ".tar.gz")
MAX_FILES = 2_000
MAX_TOTAL = 64 << 20
"""Bytes of all files together."""

MAX_DEPTH = 8


class Reading(Struct, frozen=True):
    """All files by their path below the directory, or what kept them from being read."""

    files: Mapping[str, bytes] = {}
    problems: tuple[Problem, ...] = ()


class _Sighting(Struct, frozen=True, order=True):
    """A file as ``stat`` shows it; an equal sighting means an unchanged file. A ``dangling`` link leads nowhere."""

    name: str
    device: int = 0
    inode: int = 0
    size: int = 0
    modified: int = 0
    changed: int = 0
    dangling: bool = False


class _ProblemError(Exception):
    """The directory cannot be read as a whole."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def read(root: Path) -> Reading:
    """Read a directory as it is now. Blocks for the time of the I/O."""
    try:
        files = _load(root, tuple(sorted(_survey(root))))
    except _ProblemError as failed:
        return Reading({}, (failed.problem,))
    if files is None:
        return Reading({}, (Problem("AZ585", "a file went away while it was read", Place(str(root))),))
    return Reading(files)


class Watch:
    """Looks at a directory again and again. Not for use by two threads at once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: tuple[_Sighting, ...] | None = None
        self._loaded: tuple[_Sighting, ...] | None = None
        self._told: Reading | None = None

    def poll(self) -> Reading | None:
        """Return a reading that differs from the last one returned, else None. Blocks for the time of the I/O.

        INVARIANT: files are read only when two looks in a row saw the same: half a file can be a valid document that
        lacks the denies of its other half.
        """
        try:
            seen = tuple(sorted(_survey(self._root)))
            if seen != self._seen:
                self._seen = seen
                return None
            if seen == self._loaded:
                return None
            files = _load(self._root, seen)
            if files is None or tuple(sorted(_survey(self._root))) != seen:
                return None
            self._loaded = seen
            reading = Reading(files)
        except _ProblemError as failed:
            self._seen = self._loaded = None
            reading = Reading({}, (failed.problem,))
        if reading == self._told:
            return None
        self._told = reading
        return reading

    def forget(self) -> None:
        """Return the next reading whether or not it differs."""
        self._seen = self._loaded = self._told = None


def _survey(root: Path) -> Iterator[_Sighting]:
    """Yield the documents below ``root``.

    Names that start with a dot are passed over, for that is where Kubernetes keeps what it mounts, and what else is no
    document, such as a README; but not ``.manifest`` at the top, by which OPA knows the version of Rego files. Links to
    files are followed.

    INVARIANT: what may be meant as a document and is not read is refused: it may hold the denies.
    """
    total = 0
    count = 0
    pending = [("", 0)]
    while pending:
        folder, depth = pending.pop()
        try:
            entries = sorted(path.name for path in (root / folder).iterdir())
        except OSError as error:
            raise _failed(folder or str(root), error) from error
        for entry in entries:
            name = f"{folder}/{entry}" if folder else entry
            hidden = entry.startswith(".") and name != MANIFEST
            found = None if hidden else _stat(root, name)
            if found is None:
                if not hidden and (root / name).is_symlink():
                    yield _Sighting(name, dangling=True)
                continue
            if stat.S_ISDIR(found.st_mode):
                if depth == MAX_DEPTH:
                    raise _refused(name, f"directories are nested deeper than {MAX_DEPTH}")
                if (root / name).is_symlink():
                    raise _refused(name, "a link to a directory is not followed: name the directory itself")
                pending.append((name, depth + 1))
            elif name == MANIFEST or entry.lower().endswith(SUFFIXES):
                if not stat.S_ISREG(found.st_mode):
                    raise _refused(ascii(name)[1:-1], "not a file")
                if name != MANIFEST and not entry.endswith(SUFFIXES):
                    raise _refused(ascii(name)[1:-1], f"documents end with {', '.join(SUFFIXES)}, in lower case")
                if not name.isprintable():
                    raise _refused(ascii(name), "the name of the file is not printable text")
                count += 1
                total += found.st_size
                if count > MAX_FILES or total > MAX_TOTAL:
                    raise _refused(str(root), f"there are more than {MAX_FILES} documents or {MAX_TOTAL} bytes of them")
                moments = (found.st_mtime_ns, found.st_ctime_ns)
                yield _Sighting(name, found.st_dev, found.st_ino, found.st_size, *moments)


def _stat(root: Path, name: str) -> os.stat_result | None:
    try:
        return (root / name).stat()
    except FileNotFoundError:  # removed since it was listed, or a link that leads nowhere
        return None
    except OSError as error:
        raise _failed(name, error) from error


def _load(root: Path, sightings: tuple[_Sighting, ...]) -> dict[str, bytes] | None:
    """Read the files; None when one of them has gone meanwhile."""
    files = {}
    for sighting in sightings:
        if sighting.dangling:
            raise _refused(ascii(sighting.name)[1:-1], "a link that leads nowhere")
        try:
            # Not blocking: between the look and the opening a file can become a pipe.
            handle = os.open(root / sighting.name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                files[sighting.name] = file.read(sighting.size)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failed(sighting.name, error) from error
    return files


def _failed(name: str, error: OSError) -> _ProblemError:
    return _refused(ascii(name)[1:-1], error.strerror or type(error).__name__)


def _refused(name: str, message: str) -> _ProblemError:
    return _ProblemError(Problem("AZ585", message, Place(name)))
