"""Where documents come from: a directory, or a control plane with the last known good behind it."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from authorizer import bundle
from authorizer.app.activation import Activation
from authorizer.bundle import Verifier, store
from authorizer.control_plane import client
from authorizer.directory import Reading, Watch
from authorizer.errors import AuthorizerError, ControlPlaneError, DocumentError, KeyMaterialError, Problem
from authorizer.jose.jwk import VerifyKey, read_pem
from authorizer.model import KINDS, Kind
from authorizer.pdp.sources import Sources, compile_documents
from authorizer.service import Authorizer
from authorizer.settings import ControlPlane, Settings
from authorizer.telemetry.metrics import Metrics
from authorizer.timestamps import rfc3339

log = logging.getLogger("authorizer.app")

LOOK_SECONDS = 0.25
"""How often a directory of policies is looked at."""


async def first_reading(watch: Watch) -> Reading:
    """Read the directory for the first time; it must have stopped changing."""
    while True:
        reading = await asyncio.to_thread(watch.poll)
        if reading is not None:
            return reading
        await asyncio.sleep(LOOK_SECONDS / 5)


def _compiled(files: Mapping[str, bytes]) -> tuple[Sources, Mapping[str, str]]:
    """Compile files, and name what came of them. Raises DocumentError. Data may be large: nothing of it on the loop."""
    sources = compile_documents(files)
    documents = sources.documents()
    return sources, {kind: bundle.revision_of(kind, documents[kind]) for kind in KINDS}


async def take(reading: Reading, activation: Activation) -> tuple[Problem, ...]:
    """Compile what was read and put it in force; return the warnings. Raises AuthorizerError: nothing has changed."""
    if reading.problems:
        raise DocumentError(reading.problems)
    sources, revisions = await asyncio.to_thread(_compiled, reading.files)
    await activation.put(sources.documents(), revisions)
    snapshot = activation.snapshot
    routes = snapshot.program.routes
    log.info(
        "policies in force: applications %d, routes %d, issuers %d, revision %s",
        len({route.application for route in routes}),
        len(routes),
        len(snapshot.trust.issuers),
        snapshot.revision,
    )
    return sources.problems


async def look_once(watch: Watch, activation: Activation, metrics: Metrics, *, quiet: bool = False) -> None:
    """Try what has changed in the directory."""
    reading = await asyncio.to_thread(watch.poll)
    if reading is not None:
        await attempt(reading, activation, metrics, quiet=quiet)


async def attempt(reading: Reading, activation: Activation, metrics: Metrics, *, quiet: bool = False) -> None:
    """Take what was read; what is wrong with it is logged, counted and shown, never raised.

    ``quiet``: problems of the documents are told by somebody else.
    """
    try:
        warnings = await take(reading, activation)
    except DocumentError as error:
        if not quiet:
            metrics.bundle_refused("policy", error.code)
            tell(error.problems, metrics)
            log.error("the change is refused: what was in force stays")
    except AuthorizerError as error:
        metrics.bundle_refused("policy", error.code)
        log.error("the policies stay as they were: %s", error)
    else:
        if not quiet:
            tell(warnings, metrics)


async def follow_directory(watch: Watch, activation: Activation, metrics: Metrics, *, quiet: bool = False) -> None:
    """Look until cancelled."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        await look_once(watch, activation, metrics, quiet=quiet)


def tell(problems: Sequence[Problem], metrics: Metrics) -> None:
    """Log problems and show them in the metrics."""
    metrics.reported(problems)
    for problem in problems:
        log.log(logging.ERROR if problem.severity == "error" else logging.WARNING, "%s", problem)


class Feed(Struct, frozen=True):
    """The three bundles of one control plane, and how far each has got (replaced as they go on)."""

    store: store.Store
    progress: dict[Kind, client.Progress]
    news: asyncio.Event


def verifier(settings: ControlPlane) -> Verifier:
    """Read the public keys that may sign bundles. Raises KeyMaterialError."""
    keys: dict[str, VerifyKey] = {}
    for key_id, key in settings.keys.items():
        try:
            pem = Path(key.file).read_bytes()
        except OSError as error:
            why = f"control_plane.keys.{key_id}.file: {Path(key.file).absolute()} cannot be read: {error.strerror}"
            raise KeyMaterialError("AZ430", why, hint="name the PEM file of the public key") from None
        keys[key_id] = read_pem(pem, key.algorithm, key_id)
    return Verifier(keys=keys)


async def resume(settings: Settings, activation: Activation, metrics: Metrics) -> Feed:
    """Start from the last known good on disk, whatever of it is still good; log and count the rest."""
    kept_in = store.Store(directory=Path(settings.state), verifier=verifier(settings.control_plane))
    kept, refused = await asyncio.to_thread(store.restore, kept_in)
    for error in refused:
        metrics.bundle_refused("kept", error.code)
        log.error("a kept bundle is refused: %s", error)
    progress = {kind: client.Progress(kind=kind) for kind in KINDS}
    try:
        joined = await activation.join(found.bundle for found in kept)
    except AuthorizerError as error:
        metrics.bundle_refused("kept", error.code)
        log.error("the kept bundles are refused: %s", error)
        joined = frozenset()
    for found in kept:
        if found.bundle.kind in joined:
            progress[found.bundle.kind] = client.resume(found)
            log.info(
                "%s bundle in force from %s: serial %d, revision %s, last confirmed %s",
                found.bundle.kind,
                settings.state,
                found.bundle.serial,
                found.bundle.revision,
                rfc3339(int(min(max(found.confirmed, 0), time.time()))),
            )
        else:
            log.warning("the kept %s bundle is not put in force", found.bundle.kind)
    return Feed(kept_in, progress, asyncio.Event())


async def follow_bundle(
    kind: Kind, feed: Feed, link: client.Link, plane: ControlPlane, activation: Activation,
    authorizer: Authorizer, metrics: Metrics, told: Callable[[client.Progress], None],
) -> None:  # fmt: skip
    """Pull one bundle until cancelled. ``told`` hears of each step, after what it brought was kept."""

    def observe(progress: client.Progress) -> None:
        before = feed.progress[kind]
        feed.progress[kind] = progress
        metrics.asked_control_plane(kind, answered=progress.outcome != "unreachable")
        if progress.outcome == "refused":
            metrics.bundle_refused(kind, progress.code)
        if kind == "trust":
            issuers = authorizer.snapshot.trust.issuers.values()
            brought = (issuer.issuer for issuer in issuers if not issuer.keys_from)
            metrics.trusted_keys(dict.fromkeys(brought, progress.confirmed))
        if (progress.outcome, progress.revision, progress.code) != (before.outcome, before.revision, before.code):
            feed.news.set()
        refresh_age(feed, plane.max_age_seconds, authorizer)
        told(progress)

    await client.follow(
        link,
        feed.progress[kind],
        client.Intake(store=feed.store, activate=activation.offer, wait=plane.long_poll_seconds),
        client.Pace(poll=plane.poll_seconds),
        observe,
    )


def refresh_age(feed: Feed, max_age: float, authorizer: Authorizer) -> None:
    """Set from when on what is in force is too old to decide by: ``max_age`` seconds after the oldest confirmation.

    Facts may have a lifetime of their own, which counts from their confirmation.

    A kept bundle is dated by its file: a date in the future counts as now, and none (0) as long ago.
    """
    confirmed = [progress.confirmed for progress in feed.progress.values() if progress.revision]
    now = time.time()
    whole = min([*confirmed, now]) + max_age if max_age and confirmed else float("inf")
    facts = feed.progress["facts"]
    lifetime = authorizer.snapshot.facts.lifetime if facts.revision else float("inf")
    authorizer.stale_after = min(whole, min(facts.confirmed, now) + lifetime)


async def report_status(feed: Feed, link: client.Link, labels: dict[str, str], metrics: Metrics) -> None:
    """Tell the control plane how far the bundles have got; show the problems that it has with its documents.

    Raises ControlPlaneError.
    """
    with counted(metrics, "status"):
        metrics.reported(await client.report_status(link, labels, feed.progress.values()))


@contextmanager
def counted(metrics: Metrics, call: str) -> Iterator[None]:
    """Count a call to the control plane by whether it fails."""
    try:
        yield
    except ControlPlaneError:
        metrics.asked_control_plane(call, answered=False)
        raise
    metrics.asked_control_plane(call, answered=True)
