"""Files that settings name and that are not there, or may not be read or written by whoever asks."""

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from msgspec import Meta, Struct, structs

from authorizer.errors import Place, Problem
from authorizer.policy.reading import Findings
from authorizer.settings.knobs import STDOUT, Settings


def unusable(settings: Settings, place: Callable[[tuple[str | int, ...]], Place]) -> list[Problem]:
    """Return a warning for each file that this process could not use now; ``place`` finds where a setting was said.

    Warnings, since the settings may be meant for another machine. Nothing is opened or made.
    """
    findings = Findings()
    for path, use, name in _named(Settings, settings, ()):
        why = _USES[use](Path(name))
        if why:
            message = f"{'.'.join(map(str, path))}: {name!r} cannot be {'read' if use == 'read' else 'written'}: {why}"
            findings.warn("AZ108", place(path), message)
    return findings.problems


def _named(kind: Any, value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Yield the path of each setting that names a file, what is done with the file, and its name."""
    metadata = getattr(kind, "__metadata__", ())
    use = next((meta.extra["path"] for meta in metadata if isinstance(meta, Meta) and meta.extra), "")
    bare = get_args(kind)[0] if metadata else kind
    if use and value not in ("", STDOUT):
        yield path, use, value
    elif isinstance(value, Struct):
        for name, hint in get_type_hints(type(value), include_extras=True).items():
            yield from _named(hint, structs.asdict(value)[name], (*path, name))
    elif get_origin(bare) in (dict, tuple):
        members = value.items() if isinstance(value, Mapping) else enumerate(value)
        member = get_args(bare)[1 if isinstance(value, Mapping) else 0]
        for key, each in members:
            yield from _named(member, each, (*path, key))


def _unread(path: Path) -> str:
    try:
        path.stat()
    except OSError as error:
        return _told(error.errno)
    return "" if os.access(path, os.R_OK) else _told(errno.EACCES)


def _unwritten(path: Path) -> str:
    """Say why lines cannot be appended to a file, which is made where there is none."""
    folder = path.parent
    if not folder.is_dir():
        return _told(errno.ENOENT)
    if path.is_dir():
        return _told(errno.EISDIR)
    return "" if os.access(path if path.exists() else folder, os.W_OK) else _told(errno.EACCES)


def _unmade(path: Path) -> str:
    """Say why files cannot be kept in a directory, which is made with those above it."""
    near = next(one for one in (path, *path.absolute().parents) if one.exists())
    if not near.is_dir():
        return _told(errno.ENOTDIR)
    return "" if os.access(near, os.W_OK) else _told(errno.EACCES)


def _told(number: int | None) -> str:
    return os.strerror(number or 0)


_USES: Mapping[str, Callable[[Path], str]] = {"read": _unread, "append": _unwritten, "keep": _unmade}
