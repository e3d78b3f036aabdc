"""A whole bundle: made from one compiled document, or read back after every check."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from authorizer.bundle import archive, manifest, pieces, signatures
from authorizer.bundle.archive import DEFAULT_LIMITS, Limits
from authorizer.bundle.manifest import Manifest
from authorizer.bundle.refusals import refusal, shown
from authorizer.bundle.signatures import Signer, Verifier
from authorizer.model import Kind


class Bundle(Struct, frozen=True, kw_only=True):
    """A bundle whose archive, signature and manifest were all accepted.

    ``document`` is the parsed ``authorizer/{kind}.json``, or what was joined of its pieces; ``serial`` is when it was
    published, in POSIX milliseconds; ``key_id`` names the key that signed it ("" if signatures are switched off).
    ``revision`` is the digest of the content, whatever the manifest calls it; ``edition`` is the manifest's.
    """

    kind: Kind
    revision: str
    serial: int
    document: Mapping[str, Any]
    key_id: str = ""
    edition: Mapping[Kind, int] = {}


def document_name(kind: Kind) -> str:
    """Return the name of the file that holds a kind's compiled document, unless it is in pieces."""
    return f"{manifest.ROOT}/{kind}.json"


def revision_of(kind: Kind, document: Mapping[str, Any], extra: Mapping[str, bytes] | None = None) -> str:
    """Return the revision that ``write`` gives to this document: equal content has an equal revision."""
    return _revision({**(extra or {}), **_files(kind, document)})


def write(
    kind: Kind,
    document: Mapping[str, Any],
    *,
    serial: int,
    signer: Signer | None,
    edition: Mapping[Kind, int] | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> bytes:
    """Return the ``.tar.gz`` of a bundle; ``extra`` are further files below ``authorizer/``.

    ``edition`` are the serials of the bundles published with it, by kind.
    ``serial`` must grow with every publication: readers refuse an older one. Raises KeyMaterialError if the key cannot
    sign, BundleError if a name in ``extra`` cannot stand in a bundle.
    """
    made = _files(kind, document)
    files = {**(extra or {}), **made}
    count = 0 if document_name(kind) in made else len(made)
    stamp = Manifest(kind, _revision(files), serial, edition=edition or {}, pieces=count)
    files[manifest.NAME] = manifest.render(stamp)
    if signer is not None:
        files[signatures.NAME] = signatures.attach(files, signer, issued_at=serial // 1000)
    _check_roots(stamp, files)
    return archive.pack(files)


def read(
    data: bytes,
    *,
    kind: Kind | None,
    verifier: Verifier | None,
    limits: Limits = DEFAULT_LIMITS,
) -> Bundle:
    """Read and check a bundle: archive, then signature, then manifest and document.

    ``kind`` is the one asked for (None: any). ``verifier`` None means that signatures are switched off; then a signed
    bundle is refused too. Raises BundleError, and nothing else, whatever the bytes are.
    """
    files = archive.unpack(data, limits)
    key_id = signatures.check(files, verifier)
    if manifest.NAME not in files:
        raise refusal("bad_manifest", "the bundle has no manifest")
    stamp = manifest.read(files[manifest.NAME])
    if kind is not None and stamp.kind != kind:
        raise refusal("wrong_kind", f"this is a bundle of {stamp.kind}, not of {kind}")
    _check_roots(stamp, files)
    return Bundle(
        kind=stamp.kind,
        revision=_revision({name: files[name] for name in files.keys() - {manifest.NAME, signatures.NAME}}),
        serial=stamp.serial,
        edition=stamp.edition,
        document=document_of(stamp, files),
        key_id=key_id,
    )


def refuse_older(bundle: Bundle, serial: int, revision: str = "") -> None:
    """Raise BundleError AZ330 if the bundle is older than the ``serial`` last accepted, or as old with other content.

    Without this a server, or whoever can answer for it, could bring back policies that were withdrawn.
    """
    if bundle.serial < serial:
        raise refusal("older", f"the {bundle.kind} bundle has the serial {bundle.serial}; {serial} was accepted before")
    if bundle.serial == serial and revision and bundle.revision != revision:
        raise refusal("older", f"the {bundle.kind} bundle has the serial {serial} of another one")


def _files(kind: Kind, document: Mapping[str, Any]) -> dict[str, bytes]:
    cut = {_piece_name(kind, number): text for number, text in enumerate(pieces.split(document), start=1)}
    return cut or {document_name(kind): msgspec.json.encode(document, order="sorted")}


def _piece_name(kind: Kind, number: int) -> str:
    return f"{manifest.ROOT}/{kind}/{number:05}.json"


def _revision(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0".encode())
        digest.update(files[name])
    return digest.hexdigest()


def _check_roots(stamp: Manifest, files: Mapping[str, bytes]) -> None:
    for name in sorted(files.keys() - {manifest.NAME, signatures.NAME}):
        if not manifest.owns(stamp.roots, name):
            raise refusal("outside_roots", f"{shown(name)} lies outside of the bundle's roots")


def document_of(stamp: Manifest, files: dict[str, bytes]) -> dict[str, Any]:
    """Take the compiled document from a bundle's files, of which those that hold it are gone then.

    Raises BundleError AZ314 if it is not what the manifest says.
    """
    name = document_name(stamp.kind)
    if stamp.pieces:
        if name in files:
            raise refusal("bad_document", f"the bundle has {name} beside the pieces of it")
        names = [_piece_name(stamp.kind, number) for number in range(1, stamp.pieces + 1)]
        if missing := next((piece for piece in names if piece not in files), ""):
            raise refusal("bad_document", f"the bundle lacks {missing}")
        return pieces.join(files.pop(piece) for piece in names)
    if name not in files:
        raise refusal("bad_document", f"the bundle lacks {name}")
    try:
        document = msgspec.json.decode(files.pop(name))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise refusal("bad_document", f"{name} is not JSON") from None
    if not isinstance(document, dict):
        raise refusal("bad_document", f"{name} is not an object")
    return document
