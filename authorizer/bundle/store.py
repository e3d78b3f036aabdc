"""The last good bundle of each kind on disk: ``{directory}/bundles/{kind}/bundle.tar.gz``, as OPA lays it out.

Beside it stands ``serial``, the highest serial ever accepted, so that a restart does not forget what was withdrawn. The
archive's modification time is when the control plane last said that it is current.
"""

import os
import stat
from pathlib import Path

from msgspec import Struct

from authorizer.bundle.archive import DEFAULT_LIMITS, Limits
from authorizer.bundle.contents import Bundle, read, refuse_older
from authorizer.bundle.refusals import refusal
from authorizer.bundle.signatures import Verifier
from authorizer.errors import BundleError
from authorizer.files import replace
from authorizer.model import KINDS, Kind

_ARCHIVE = "bundle.tar.gz"
_SERIAL = "serial"


class Store(Struct, frozen=True, kw_only=True):
    """Where bundles are kept and how they are checked when read back: the disk is not trusted more than the network."""

    directory: Path
    verifier: Verifier | None
    limits: Limits = DEFAULT_LIMITS


class Kept(Struct, frozen=True):
    """A bundle read back, and when (POSIX seconds) the control plane last confirmed it."""

    bundle: Bundle
    confirmed: float


def save(store: Store, bundle: Bundle, data: bytes) -> None:
    """Replace the kept bundle by the archive ``data``, from which ``bundle`` was read, durably and in one step.

    Raises BundleError: AZ330 if a newer one was accepted before, AZ340 if the disk refuses.
    """
    folder = _folder(store, bundle.kind)
    floor = highest(store, bundle.kind)
    refuse_older(bundle, floor)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # INVARIANT: the archive goes first. Were the serial raised first, a crash between the two would leave a last
        # good bundle that is refused as too old.
        replace(folder / _ARCHIVE, data)
        if bundle.serial > floor:
            replace(folder / _SERIAL, b"%d\n" % bundle.serial)
    except OSError as error:
        raise refusal("store_failed", f"the {bundle.kind} bundle cannot be kept: {_why(error)}") from None


def confirm(store: Store, kind: Kind, at: float) -> None:
    """Note that the kept bundle was current at ``at`` (POSIX seconds). Raises BundleError AZ340 if the disk refuses."""
    try:
        os.utime(_folder(store, kind) / _ARCHIVE, (at, at))
    except OSError as error:
        raise refusal("store_failed", f"the {kind} bundle cannot be dated: {_why(error)}") from None


def load(store: Store, kind: Kind) -> Kept | None:
    """Read the kept bundle back, with every check that a fetched one meets; None if there is none.

    Raises BundleError, also if the bundle is older than one accepted before.
    """
    try:
        data, modified = _read(_folder(store, kind) / _ARCHIVE, store.limits.compressed + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refusal("store_failed", f"the kept {kind} bundle cannot be read: {_why(error)}") from None
    bundle = read(data, kind=kind, verifier=store.verifier, limits=store.limits)
    refuse_older(bundle, highest(store, kind))
    return Kept(bundle, modified)


def highest(store: Store, kind: Kind) -> int:
    """Return the highest serial accepted so far, 0 if none. Raises BundleError AZ341 if the note of it is damaged."""
    path = _folder(store, kind) / _SERIAL
    try:
        text, _ = _read(path, 32)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise refusal("store_failed", f"the {kind} serial cannot be read: {_why(error)}") from None
    digits = text.strip()
    if not digits.isdigit() or len(digits) > 14:
        raise refusal("store_damaged", f"{path} is not a serial")
    return int(digits)


def restore(store: Store, kinds: tuple[Kind, ...] = KINDS) -> tuple[list[Kept], list[BundleError]]:
    """Read back what is kept of the kinds: the good ones, and why the others were refused."""
    kept: list[Kept] = []
    refused: list[BundleError] = []
    for kind in kinds:
        try:
            found = load(store, kind)
        except BundleError as error:
            refused.append(error)
        else:
            if found is not None:
                kept.append(found)
    return kept, refused


def _folder(store: Store, kind: Kind) -> Path:
    return store.directory / "bundles" / kind


def _why(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)


def _read(path: Path, limit: int) -> tuple[bytes, float]:
    """Read a plain file, never blocking on a pipe or following a link; return its content and modification time."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "not a plain file", str(path))
        return file.read(limit), status.st_mtime
