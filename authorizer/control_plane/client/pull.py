"""Pulling bundles: one step that never raises, and the loop around it.

The protocol is OPA's bundle service (``management-bundles``): conditional GET by ETag, long polling by ``Prefer``.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from aiohttp import hdrs
from msgspec import Struct
from msgspec.structs import replace

from authorizer import bundle
from authorizer.bundle import Bundle, store
from authorizer.bundle.refusals import refusal
from authorizer.bundle.store import Kept, Store
from authorizer.control_plane.client.link import Answer, Link, TooLargeError, exchange
from authorizer.control_plane.protocol import BUNDLE_TYPE, LONG_POLL_TYPE
from authorizer.errors import AuthorizerError, BundleError, ControlPlaneError
from authorizer.memory import take_apart
from authorizer.model import Kind

log = logging.getLogger("authorizer.control_plane")

BUNDLE_TYPES = frozenset({LONG_POLL_TYPE, BUNDLE_TYPE, "application/octet-stream"})
MAX_ETAG = 256
SPACING = 0.25
"""Seconds between the starts of two long polls, at least: a server that does not wait is not asked in a tight loop."""

Outcome = Literal["starting", "activated", "unchanged", "refused", "unreachable"]


class Progress(Struct, frozen=True, kw_only=True):
    """How far one bundle has got. Times are POSIX seconds, 0 for never; ``elapsed`` is that of the last step.

    ``serial`` and ``revision`` are those in force; ``confirmed`` is when the control plane last said that they are
    current; ``failures`` counts the steps since then that failed; ``code``, ``message`` and ``hint`` say why
    the last one did, and what to do about it.
    """

    kind: Kind
    etag: str = ""
    serial: int = 0
    revision: str = ""
    long_poll: bool = False
    outcome: Outcome = "starting"
    failures: int = 0
    code: str = ""
    message: str = ""
    hint: str = ""
    size: int = 0
    asked: float = 0.0
    answered: float = 0.0
    downloaded: float = 0.0
    activated: float = 0.0
    confirmed: float = 0.0
    elapsed: float = 0.0


class Intake(Struct, frozen=True, kw_only=True):
    """What becomes of a bundle that was pulled.

    ``activate`` puts it in force, or raises and changes nothing; after it the bundle is kept in ``store``, whose
    verifier and limits also check it before. ``wait`` is the long poll in seconds, 0 for none.
    """

    store: Store
    activate: Callable[[Bundle], Awaitable[None]]
    wait: float = 30.0


class Pace(Struct, frozen=True, kw_only=True):
    """Delays in seconds: ``poll`` on average where long polling is not offered; ``first`` to ``longest`` on failure."""

    poll: float = 60.0
    first: float = 0.1
    longest: float = 15.0


def resume(kept: Kept) -> Progress:
    """Return the progress of a process that has put a kept bundle in force."""
    found = kept.bundle
    return Progress(kind=found.kind, serial=found.serial, revision=found.revision, confirmed=kept.confirmed)


async def sync_once(
    link: Link, progress: Progress, intake: Intake, *, clock: Callable[[], float] = time.time
) -> Progress:
    """Ask once for the bundle, and put a new one in force. Only cancellation is raised: failures are in the result.

    INVARIANT: what is in force changes only after archive, signature, kind and serial were accepted.
    """
    monotonic = asyncio.get_running_loop().time
    started = monotonic()
    progress = replace(progress, asked=clock())
    try:
        progress = await _step(link, progress, intake, clock)
    except AuthorizerError as error:
        outcome: Outcome = "unreachable" if isinstance(error, ControlPlaneError) else "refused"
        progress = _failed(progress, outcome, error)
    return replace(progress, elapsed=monotonic() - started)


async def follow(
    link: Link,
    progress: Progress,
    intake: Intake,
    pace: Pace,
    observe: Callable[[Progress], None],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    chance: Callable[[], float] = random.random,
) -> None:
    """Pull one bundle until cancelled; ``observe`` is told of each step."""
    while True:
        before, progress = progress, await sync_once(link, progress, intake)
        tell(before, progress)
        observe(progress)
        await sleep(delay(progress, pace, chance()))


def delay(progress: Progress, pace: Pace, chance: float) -> float:
    """Return the seconds until the next step; ``chance`` in [0, 1) spreads a fleet (exponential, full jitter)."""
    if progress.failures:
        return chance * min(pace.longest, pace.first * 2.0 ** min(progress.failures, 32))
    if progress.long_poll:
        return max(0.0, SPACING - progress.elapsed)
    return pace.poll * (0.5 + chance)


def tell(before: Progress, after: Progress) -> None:
    """Log what is news between two steps."""
    if after.outcome == "activated":
        log.info("%s bundle in force: serial %d, revision %s", after.kind, after.serial, after.revision)
    if after.code and after.code != before.code:
        cure = f" ({after.hint})" if after.hint else ""
        log.warning("%s bundle %s: %s %s%s", after.kind, after.outcome, after.code, after.message, cure)
    elif before.code and not after.code and after.outcome == "unchanged":
        log.info("%s bundle is current again", after.kind)


async def _step(link: Link, progress: Progress, intake: Intake, clock: Callable[[], float]) -> Progress:
    limits = intake.store.limits
    # After an outage the first answer must not wait for news: it is what shows that all is well again.
    wait = 0.0 if progress.failures and progress.etag else intake.wait
    headers = {"prefer": f"modes=snapshot;wait={wait:g}" if wait else "modes=snapshot"}
    if progress.etag:
        headers[hdrs.IF_NONE_MATCH] = progress.etag
    path = f"v1/bundles/{progress.kind}"
    try:
        answer = await exchange(link, "GET", path, headers=headers, limit=limits.compressed, wait=wait)
    except TooLargeError:
        raise refusal("too_large", f"the {progress.kind} bundle has more than {limits.compressed} bytes") from None
    now = clock()
    progress = replace(progress, answered=now)
    if answer.status == 304:
        if not progress.etag:
            raise ControlPlaneError("AZ506", "the control plane says 'unchanged' of a bundle that was never fetched")
        return await _unchanged(progress, intake.store, now)
    if answer.status != 200:
        raise ControlPlaneError("AZ506", f"the control plane answered {answer.status} instead of a bundle")
    return await _fetched(progress, intake, answer, now, waited=bool(wait))


async def _fetched(progress: Progress, intake: Intake, answer: Answer, now: float, *, waited: bool) -> Progress:
    content_type = answer.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    if content_type not in BUNDLE_TYPES:
        raise ControlPlaneError("AZ506", "the control plane's answer is not of a bundle's content type")
    etag = answer.headers.get(hdrs.ETAG, "")
    if waited:  # only then does the type say whether the server can wait
        progress = replace(progress, long_poll=content_type == LONG_POLL_TYPE)
    progress = replace(progress, downloaded=now, size=len(answer.body))
    fetched = await asyncio.to_thread(_accept, answer.body, progress, intake.store)
    etag = etag if len(etag) <= MAX_ETAG else ""
    outcome: Outcome = "unchanged"
    if (fetched.serial, fetched.revision) != (progress.serial, progress.revision):
        try:
            await intake.activate(fetched)
        except AuthorizerError as error:
            return _not_activated(progress, error)
        except Exception as error:
            log.exception("activation failed")
            failure = refusal("not_activated", f"the bundle was not put in force: {type(error).__name__}")
            return _not_activated(progress, failure)
        outcome = "activated"
        progress = replace(progress, serial=fetched.serial, revision=fetched.revision, activated=now)
    progress = replace(_good(progress, outcome, now), etag=etag)
    try:
        await asyncio.to_thread(store.save, intake.store, fetched, answer.body)
    except BundleError as error:
        # In force, but not kept: without its ETag it is fetched again after a while, and kept then.
        return replace(progress, etag="", failures=1, code=error.code, message=error.message, hint=error.hint)
    return progress


def _not_activated(progress: Progress, error: AuthorizerError) -> Progress:
    # The ETag is forgotten: half of an activation may have happened, so the next answer has to be a whole bundle.
    return replace(_failed(progress, "refused", error), etag="")


def _failed(progress: Progress, outcome: Outcome, error: AuthorizerError) -> Progress:
    return replace(
        progress,
        outcome=outcome,
        code=error.code,
        message=error.message,
        hint=error.hint,
        failures=progress.failures + 1,
    )


async def _unchanged(progress: Progress, kept: Store, now: float) -> Progress:
    progress = _good(progress, "unchanged", now)
    try:
        await asyncio.to_thread(store.confirm, kept, progress.kind, now)
    except BundleError as error:
        return replace(progress, code=error.code, message=error.message, hint=error.hint)
    return progress


def _good(progress: Progress, outcome: Outcome, now: float) -> Progress:
    return replace(progress, outcome=outcome, failures=0, code="", message="", hint="", confirmed=now)


def _accept(data: bytes, progress: Progress, kept: Store) -> Bundle:
    fetched = bundle.read(data, kind=progress.kind, verifier=kept.verifier, limits=kept.limits)
    bundle.refuse_older(fetched, progress.serial, progress.revision)
    bundle.refuse_older(fetched, store.highest(kept, progress.kind))
    if (fetched.serial, fetched.revision) == (progress.serial, progress.revision):
        # It is in force already, and this copy is let go of here, in small steps.
        copies: list[object] = [fetched]
        fetched = replace(fetched, document={})
        take_apart(copies)
    return fetched
