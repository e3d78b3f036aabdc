"""Which APIs the gateways serve, reported to the control plane when that, or what guards them, has changed."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine

from msgspec import Struct
from msgspec.structs import replace

from authorizer.app.feeds import counted
from authorizer.control_plane import client
from authorizer.discovery.catalogue import Catalogue, discover_once, together
from authorizer.discovery.kubernetes.access import access
from authorizer.discovery.kubernetes.following import GATHER_SECONDS, Following
from authorizer.errors import AuthorizerError, DiscoveryError
from authorizer.model import Api
from authorizer.settings import Discovery
from authorizer.telemetry.metrics import Feeds, Metrics

log = logging.getLogger("authorizer.app")


class Told(Struct, frozen=True):
    """What was reported last: the digest of the catalogue, and the policy's revision at that time.

    ``served`` is what the gateway said last, None before it said anything.
    """

    digest: str = ""
    policy: str = ""
    served: tuple[Api, ...] | None = None


class Reporting(Struct, frozen=True):
    """Where reports go and in whose name. ``policy`` returns the revision of the policy in force."""

    link: client.Link | None
    reporter: str
    policy: Callable[[], str]
    metrics: Metrics


async def look_once(
    settings: Discovery, reporting: Reporting, told: Told, declared: tuple[Api, ...] | None = None
) -> Told:
    """Read the gateway and report what is new. Never raises but on cancellation.

    ``declared`` is what objects say. Of a gateway that cannot be read the last word counts; a report that fails is
    made again next time.
    """
    served = told.served
    try:
        if settings.envoy_admin:
            served = await _served(settings.envoy_admin, reporting.metrics)
    except AuthorizerError as error:
        log.warning("discovery: %s", error)
    if served is None and declared is None:
        return told
    told = replace(told, served=served)
    try:
        return await _report(together(declared or (), served or ()), reporting, told)
    except AuthorizerError as error:
        log.warning("discovery: %s", error)
        return told


async def _served(admin: str, metrics: Metrics) -> tuple[Api, ...]:
    try:
        found, _ = await discover_once(admin)
    except DiscoveryError:
        metrics.read_gateway("envoy", failed=True)
        raise
    metrics.read_gateway("envoy", failed=False)
    return found.apis


async def _report(found: Catalogue, reporting: Reporting, told: Told) -> Told:
    policy = reporting.policy()
    if (found.digest, policy) == (told.digest, told.policy):
        return told
    unguarded = None
    if reporting.link is not None:
        with counted(reporting.metrics, "apis"):
            unguarded = await client.report_apis(reporting.link, found.apis, reporter=reporting.reporter)
    reporting.metrics.discovered(len(found.apis), unguarded)
    log.info("%d APIs discovered, without policy: %s", len(found.apis), "unknown" if unguarded is None else unguarded)
    return Told(found.digest, policy, told.served)


def following(settings: Discovery, reporting: Reporting) -> Callable[[], Coroutine[None, None, None]]:
    """Return what looks until it is cancelled. Raises DiscoveryError AZ607 for a cluster that cannot be reached so."""
    if not settings.kubernetes:
        return lambda: _follow_gateway(settings, reporting)
    reached = access(settings.kubernetes)
    cluster = Following(reached, settings.namespaces, settings.asked_as)
    reporting.metrics.cluster = lambda: Feeds(cluster.states(), cluster.failures())
    return lambda: _follow_cluster(settings, reporting, cluster)


async def _follow_gateway(settings: Discovery, reporting: Reporting) -> None:
    told = Told()
    while True:
        told = await look_once(settings, reporting, told)
        await asyncio.sleep(settings.interval_seconds)


async def _follow_cluster(settings: Discovery, reporting: Reporting, cluster: Following) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(cluster.follow())
        told, noted = Told(), frozenset[str]()
        while True:
            began = time.monotonic()
            told, noted = await cluster_once(settings, reporting, cluster, told, noted)
            # A large cluster in which something always changes does not keep a processor busy.
            pause = min(settings.interval_seconds, max(GATHER_SECONDS, 2 * (time.monotonic() - began)))
            try:
                async with asyncio.timeout(settings.interval_seconds):
                    await cluster.news.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(pause)


async def cluster_once(
    settings: Discovery, reporting: Reporting, cluster: Following, told: Told, noted: frozenset[str]
) -> tuple[Told, frozenset[str]]:
    """Report what the cluster declares now, once all of it was seen; log each note once. Never raises as above."""
    cluster.news.clear()
    if not cluster.settled and not told.digest:
        return told, noted
    try:
        found = await cluster.read()
    except AuthorizerError as error:
        log.warning("discovery: %s", error)
        reporting.metrics.discovery_notes = len(noted) + 1
        return told, noted
    reporting.metrics.discovery_notes = len(found.notes)
    for note in sorted(set(found.notes) - noted):
        log.warning("discovery: %s", note)
    declared = found.apis if cluster.known else None
    return await look_once(settings, reporting, told, declared), frozenset(found.notes)
