"""Which APIs the gateway serves, reported to the control plane when that, or what guards them, has changed."""

import asyncio
import logging
from collections.abc import Callable

from msgspec import Struct

from authorizer.control_plane import client
from authorizer.discovery.catalogue import discover_once
from authorizer.errors import AuthorizerError
from authorizer.settings import Discovery
from authorizer.telemetry.metrics import Metrics

log = logging.getLogger("authorizer.app")


class Told(Struct, frozen=True):
    """What was reported last: the digest of the catalogue, and the policy's revision at that time."""

    digest: str = ""
    policy: str = ""


class Reporting(Struct, frozen=True):
    """Where reports go and in whose name. ``policy`` returns the revision of the policy in force."""

    link: client.Link | None
    reporter: str
    policy: Callable[[], str]
    metrics: Metrics


async def look_once(settings: Discovery, reporting: Reporting, told: Told) -> Told:
    """Read the gateway and report what is new. Never raises but on cancellation.

    A gateway that cannot be read keeps the last catalogue; a report that fails is made again next time.
    """
    policy = reporting.policy()
    try:
        found, changed = await discover_once(settings.envoy_admin, told.digest)
        if not changed and policy == told.policy:
            return told
        unguarded = None
        if reporting.link is not None:
            unguarded = await client.report_apis(reporting.link, found.apis, reporter=reporting.reporter)
    except AuthorizerError as error:
        log.warning("discovery: %s", error)
        return told
    reporting.metrics.discovered(len(found.apis), unguarded)
    log.info("%d APIs discovered, without policy: %s", len(found.apis), "unknown" if unguarded is None else unguarded)
    return Told(found.digest, policy)


async def follow_gateway(settings: Discovery, reporting: Reporting) -> None:
    """Look until cancelled."""
    told = Told()
    while True:
        told = await look_once(settings, reporting, told)
        await asyncio.sleep(settings.interval_seconds)
