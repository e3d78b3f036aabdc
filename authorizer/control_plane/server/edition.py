"""From documents to signed bundles, all or nothing."""

import logging
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from authorizer.bundle import Signer, read, revision_of, write
from authorizer.control_plane.server.signing_key import verifier
from authorizer.control_plane.server.store import Published
from authorizer.errors import AuthorizerError, Place, Problem
from authorizer.model import KINDS, Kind
from authorizer.pdp.sources import TEXT_SUFFIXES, compile_documents

_log = logging.getLogger("authorizer.control_plane")


class Edition(Struct, frozen=True):
    """The bundles that must be replaced, and the problems. With an error among these there are no bundles."""

    bundles: Mapping[str, Published]
    problems: tuple[Problem, ...]


def refused(problems: tuple[Problem, ...]) -> bool:
    """Tell whether one of the problems is an error: warnings do not keep documents from being published."""
    return any(problem.severity == "error" for problem in problems)


def prepare(
    files: Mapping[str, bytes],
    *,
    signer: Signer,
    published: Mapping[str, Published],
    now: float,
) -> Edition:
    """Check and compile ``files`` and sign what differs from ``published``. Blocks; never raises for bad documents.

    A bundle whose content and key are those of the published one is left alone, so that nobody fetches it again.
    INVARIANT: a serial is above the published one even when the clock was set back.
    """
    if not any(name.endswith(TEXT_SUFFIXES) for name in files):
        # A lost directory or database must not deny everything everywhere: no documents are not an empty policy.
        if published:
            return _failed("AZ587", "there are no documents any more; the published bundles stay in force")
        return Edition({}, ())
    try:
        sources = compile_documents(files)
    except Exception:  # noqa: BLE001 - a fault of the compiler must not end the service or unpublish anything
        _log.exception("the compiler failed")
        return _failed("AZ588", "the compiler failed on these documents; the log says how")
    if refused(sources.problems):
        return Edition({}, sources.problems)
    documents = sources.documents()
    changed: dict[Kind, dict[str, Any]] = {}
    serials: dict[Kind, int] = {}
    for kind in KINDS:
        document = documents[kind]
        previous = published.get(kind)
        if previous and (previous.revision, previous.key_id) == (revision_of(kind, document), signer.key_id):
            serials[kind] = previous.serial
            continue
        changed[kind] = document
        serials[kind] = max(previous.serial + 1 if previous else 1, int(now * 1000))
    bundles: dict[str, Published] = {}
    for kind, document in changed.items():
        try:
            bundles[kind] = _sign(kind, document, signer, serials, now)
        except AuthorizerError as error:
            return _failed(error.code, f"the {kind} bundle: {error.message}")
    return Edition(bundles, sources.problems)


def _sign(
    kind: Kind, document: Mapping[str, Any], signer: Signer, serials: Mapping[Kind, int], now: float
) -> Published:
    serial = serials[kind]
    data = write(kind, document, serial=serial, signer=signer, edition=serials)
    # What every authorizer would refuse, for its size or its content, must not be published.
    bundle = read(data, kind=kind, verifier=verifier(signer))
    return Published(kind, serial, bundle.revision, signer.key_id, now, data)


def _failed(code: str, message: str) -> Edition:
    return Edition({}, (Problem(code, message, Place("documents")),))
