"""Fetched keys on disk: a restart goes on with them, and the workers of a machine fetch once for all.

``{directory}/{digest of the issuer}.json``; whoever fetches holds a lock on the ``.lock`` beside it meanwhile.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from authorizer import files
from authorizer.errors import KeyMaterialError
from authorizer.jose.jwk import VerifyKey, read_key_set
from authorizer.pdp.trust import Issuer
from authorizer.upstream_idp.keys import sound


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    issuer: str
    source: str
    fetched: float
    keys: list[dict[str, Any]]


class Kept(Struct, frozen=True):
    """Keys and when (POSIX seconds) they were fetched."""

    keys: tuple[VerifyKey, ...]
    fetched: float


def load(directory: Path, issuer: Issuer, now: float) -> Kept | None:
    """Return what is kept of an issuer's keys, None without anything sound from where they are now.

    A date in the future counts as now.
    """
    try:
        found = msgspec.json.decode(_path(directory, issuer).read_bytes(), type=_File)
        keys = sound(read_key_set({"keys": found.keys}), issuer.algorithms)
    except (OSError, msgspec.DecodeError, KeyMaterialError):
        return None
    same = (found.issuer, found.source) == (issuer.issuer, issuer.keys_from)
    return Kept(keys, min(found.fetched, now)) if same else None


def save(directory: Path, issuer: Issuer, kept: Kept) -> None:
    """Keep keys. Raises OSError."""
    content = _File(issuer.issuer, issuer.keys_from, kept.fetched, [dict(key.jwk) for key in kept.keys])
    files.replace(_path(directory, issuer), msgspec.json.encode(content))


@contextmanager
def alone(directory: Path, issuer: Issuer) -> Iterator[bool]:
    """Tell whether no other process fetches the keys of this issuer, and let none do so meanwhile. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(_path(directory, issuer).with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(lock)


def _path(directory: Path, issuer: Issuer) -> Path:
    return directory / f"{blake2b(issuer.issuer.encode(), digest_size=16).hexdigest()}.json"
