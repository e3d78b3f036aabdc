"""Which APIs the gateways serve, reported to the control plane when that, or what guards them, has changed."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

from msgspec import Struct

from authorizer.app.described import Annotated
from authorizer.app.feeds import counted
from authorizer.control_plane import client
from authorizer.discovery import describing, kong_admin, traefik_api
from authorizer.discovery.catalogue import Catalogue, catalogue, discover_once
from authorizer.discovery.fetching import checked
from authorizer.discovery.joining import join
from authorizer.discovery.kubernetes.access import access
from authorizer.discovery.kubernetes.following import GATHER_SECONDS, Following
from authorizer.discovery.kubernetes.reading import Reading
from authorizer.discovery.polling import Polled
from authorizer.discovery.refining import Described, refine
from authorizer.errors import AuthorizerError
from authorizer.model import Api
from authorizer.settings import Discovery
from authorizer.telemetry.metrics import Feeds, Metrics

log = logging.getLogger("authorizer.app")

KONG_SECONDS = 0.5
"""Between two looks at Kong's hash of its configuration, where it has one."""


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


class Survey:
    """All that is looked at, and what was reported of it. Raises DiscoveryError for an address that cannot be asked."""

    def __init__(self, settings: Discovery, reporting: Reporting) -> None:
        self._settings = settings
        self._reporting = reporting
        self.cluster = (
            Following(access(settings.kubernetes), settings.namespaces, settings.asked_as)
            if settings.kubernetes
            else None
        )
        self.news = asyncio.Event() if self.cluster is None else self.cluster.news
        if (cluster := self.cluster) is not None:
            reporting.metrics.cluster = lambda: Feeds(cluster.states(), cluster.failures())
        self.annotated = Annotated(self.news, settings.describe_seconds, partial(self._heard, "annotations"))
        self.gateways: list[Polled[Any]] = list(self._gateways())
        self.descriptions = [self._description(name) for name in settings.described]
        self.told = Told()
        self._noted: frozenset[str] = frozenset()

    def _heard(self, source: str, answered: bool) -> None:
        self._reporting.metrics.read_gateway(source, failed=not answered)

    def _gateways(self) -> Iterator[Polled[Any]]:
        settings = self._settings
        every = settings.interval_seconds

        async def envoy(last: Catalogue | None) -> Catalogue:
            found, changed = await discover_once(settings.envoy_admin, last.digest if last else "")
            return found if changed or last is None else last

        async def kong(last: kong_admin.Seen | None) -> kong_admin.Seen:
            return await kong_admin.ask(settings.kong, settings.ca_file, last)

        async def traefik(last: traefik_api.Seen | None) -> traefik_api.Seen:
            return await traefik_api.ask(settings.traefik, settings.asked_as, settings.ca_file, last)

        def kong_pause(last: kong_admin.Seen | None) -> float:
            return min(KONG_SECONDS, every) if last is not None and last.hash else every

        if settings.envoy_admin:
            yield Polled("envoy", envoy, lambda _: every, partial(self._heard, "envoy"))
        if settings.kong:
            checked(settings.kong, alone=True, near=True)
            yield Polled("kong", kong, kong_pause, partial(self._heard, "kong"))
        if settings.traefik:
            checked(settings.traefik, alone=True)
            yield Polled("traefik", traefik, lambda _: every, partial(self._heard, "traefik"))

    def _description(self, name: str) -> Polled[describing.Seen]:
        said = self._settings.described[name]
        place = describing.place(name, said.api, file=said.file, url=said.url, grpc=said.grpc, ca_file=said.ca_file)
        every = self._settings.describe_seconds
        return Polled(name, partial(describing.look, place), lambda _: every, partial(self._heard, name))

    async def forever(self) -> None:
        """Look at everything and report until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self.cluster is not None:
                group.create_task(self.cluster.follow())
            for each in (*self.gateways, *self.descriptions):
                group.create_task(each.forever(self.news))
            every = self._settings.interval_seconds
            while True:
                began = time.monotonic()
                await self.report_once(group)
                # A large cluster in which something always changes does not keep a processor busy.
                pause = min(every, max(GATHER_SECONDS, 2 * (time.monotonic() - began)))
                try:
                    async with asyncio.timeout(every):
                        await self.news.wait()
                except TimeoutError:
                    continue
                await asyncio.sleep(pause)

    async def report_once(self, group: asyncio.TaskGroup) -> None:
        """Report what is new, once all has been looked at. Never raises but on cancellation.

        What cannot be read keeps what was known of it; a report that fails is made again next time. ``group`` has the
        tasks that read what annotations name.
        """
        self.news.clear()
        if not self.told.digest and not self._all_asked():
            return
        metrics = self._reporting.metrics
        try:
            declared = await self.cluster.read() if self.cluster is not None else Reading()
        except AuthorizerError as error:
            log.warning("discovery: %s", error)
            metrics.discovery_notes = len(self._noted) + 1
            return
        if self._settings.annotated:
            self.annotated.point(group, declared.described)
        found = await asyncio.to_thread(self._together, declared)
        metrics.discovery_notes = len(found.notes)
        for note in sorted(set(found.notes) - self._noted):
            log.warning("discovery: %s", note)
        self._noted = frozenset(found.notes)
        if not self._known():
            return  # no catalogue is not one without APIs
        try:
            self.told = await _report(found, self._reporting, self.told)
        except AuthorizerError as error:
            log.warning("discovery: %s", error)

    def _all_asked(self) -> bool:
        settled = self.cluster is None or self.cluster.settled
        return settled and all(each.asked for each in (*self.gateways, *self.descriptions))

    def _known(self) -> bool:
        """Tell whether any source has ever said anything."""
        seen = self.cluster is not None and self.cluster.known
        return seen or any(each.value is not None for each in (*self.gateways, *self.descriptions))

    def _together(self, declared: Reading) -> Catalogue:
        served: list[Api] = []
        notes = list(declared.notes)
        for gateway in self.gateways:
            match gateway.value:
                case Catalogue(apis=apis):
                    served += apis
                case kong_admin.Seen(reading=reading) | traefik_api.Seen(reading=reading):
                    served += reading.apis
                    notes += reading.notes
        refined = refine(join(declared.apis, served), self._described())
        return catalogue(refined.apis, (*notes, *refined.notes))

    def _described(self) -> Iterator[Described]:
        for each in (*self.descriptions, *self.annotated.places.values()):
            if each.value is not None:
                yield each.value.described


async def _report(found: Catalogue, reporting: Reporting, told: Told) -> Told:
    policy = reporting.policy()
    if Told(found.digest, policy) == told:
        return told
    unguarded = None
    if reporting.link is not None:
        with counted(reporting.metrics, "apis"):
            unguarded = await client.report_apis(reporting.link, found.apis, reporter=reporting.reporter)
    reporting.metrics.discovered(len(found.apis), unguarded)
    log.info("%d APIs discovered, without policy: %s", len(found.apis), "unknown" if unguarded is None else unguarded)
    return Told(found.digest, policy)


def following(settings: Discovery, reporting: Reporting) -> Callable[[], Coroutine[None, None, None]]:
    """Return what looks until it is cancelled.

    Raises DiscoveryError: AZ607 for a cluster that cannot be reached so, AZ610 for an address that cannot be asked.
    """
    return Survey(settings, reporting).forever
