"""``.manifest``: what a bundle says of itself, in OPA's form with our stamp under ``metadata.authorizer``."""

import re
from collections.abc import Mapping
from typing import cast

import orjson
from msgspec import Struct

from authorizer.bundle.refusals import refusal, shown
from authorizer.bundle.structured import Number, parse
from authorizer.model import KINDS, Kind

NAME = ".manifest"
FORMAT = 1
FORMAT_IN_PIECES = 2
"""A bundle whose document is in pieces: who knows nothing of them must not take it."""
MAX_PIECES = 4096
ROOT = "authorizer"

_REVISION = re.compile(r"[0-9A-Za-z._:/+-]{1,128}")
_COUNT = re.compile(r"[1-9][0-9]{0,3}")
_SERIAL = re.compile(r"[1-9][0-9]{0,13}")  # milliseconds until the year 5138


class Manifest(Struct, frozen=True):
    """``serial`` is the time of publication in POSIX milliseconds, raised where needed so that it only grows.

    ``revision`` names the content: equal content has an equal revision. ``roots`` are the folders that it owns.
    ``edition`` are the serials of the bundles that it was published with, by kind: what one of them takes away, another
    may rely on, so it is not to be put in force beside older ones. ``pieces`` is how many files its document is in, 0
    if it is in one, whole.
    """

    kind: Kind
    revision: str
    serial: int
    roots: tuple[str, ...] = (ROOT,)
    edition: Mapping[Kind, int] = {}
    pieces: int = 0


def render(manifest: Manifest) -> bytes:
    """Return the text of ``.manifest``."""
    stamp: dict[str, object] = {"kind": manifest.kind, "serial": manifest.serial, "format": FORMAT}
    if manifest.pieces:
        stamp |= {"format": FORMAT_IN_PIECES, "pieces": manifest.pieces}
    if manifest.edition:
        stamp["edition"] = dict(manifest.edition)
    return orjson.dumps(
        {"revision": manifest.revision, "roots": manifest.roots, "metadata": {"authorizer": stamp}},
        option=orjson.OPT_SORT_KEYS,
    )


def read(text: bytes) -> Manifest:
    """Parse ``.manifest``. Raises BundleError: AZ310 if it is malformed, AZ312 if its format is another."""
    try:
        value = parse(text)
    except ValueError as error:
        raise refusal("bad_manifest", f"the manifest cannot be read: {error}") from None
    metadata = _member(value, "metadata")
    stamp = _member(metadata, "authorizer")
    if not isinstance(stamp, dict):
        raise refusal(
            "bad_manifest", "the manifest has no metadata.authorizer: this is not a bundle for the authorizer"
        )
    version = stamp.get("format")
    in_pieces = version == Number(FORMAT_IN_PIECES) and "pieces" in stamp
    if not isinstance(version, Number) or not (in_pieces or version == Number(FORMAT)):
        known = f"{FORMAT}, or {FORMAT_IN_PIECES} in pieces"
        raise refusal("wrong_format", f"the bundle has the format {shown(version)}, not {known}")
    members = {"kind", "serial", "format", "edition"} | ({"pieces"} if in_pieces else set())
    if unknown := sorted(stamp.keys() - members):
        raise refusal("bad_manifest", f"the manifest has the unknown metadata.authorizer.{shown(unknown[0])}")
    kind, serial, revision = stamp.get("kind"), stamp.get("serial"), _member(value, "revision")
    if kind not in KINDS:
        raise refusal("bad_manifest", f"the manifest has the unknown kind {shown(kind)}")
    if not isinstance(serial, Number) or not _SERIAL.fullmatch(serial):
        raise refusal("bad_manifest", "the manifest's serial is not a positive whole number")
    if not isinstance(revision, str) or isinstance(revision, Number) or not _REVISION.fullmatch(revision):
        raise refusal("bad_manifest", "the manifest's revision is missing or malformed")
    edition = _edition(stamp.get("edition", {}))
    pieces = _pieces(stamp["pieces"]) if in_pieces else 0
    roots = _roots(_member(value, "roots"))
    return Manifest(cast("Kind", kind), revision, int(serial), roots, edition, pieces)


def owns(roots: tuple[str, ...], name: str) -> bool:
    """Say whether a file lies under one of the roots."""
    return any(not root or name.startswith(f"{root}/") for root in roots)


def _edition(value: object) -> dict[Kind, int]:
    if not isinstance(value, dict) or not value.keys() <= set(KINDS):
        raise refusal("bad_manifest", "the manifest's edition is not a mapping of kinds")
    if not all(isinstance(serial, Number) and _SERIAL.fullmatch(serial) for serial in value.values()):
        raise refusal("bad_manifest", "the manifest's edition has a serial that is not a positive whole number")
    return {kind: int(serial) for kind, serial in value.items()}


def _pieces(value: object) -> int:
    if not isinstance(value, Number) or not _COUNT.fullmatch(value) or int(value) > MAX_PIECES:
        raise refusal("bad_manifest", f"the manifest's pieces are not a number from 1 to {MAX_PIECES}")
    return int(value)


def _roots(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(root, str) and not isinstance(root, Number) for root in value):
        raise refusal("bad_manifest", "the manifest's roots are not a list of names")
    return tuple(root.strip("/") for root in value)


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None
