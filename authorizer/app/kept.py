"""A worker's bundles: read back from where the supervisor keeps them, with every check that a fetched one meets."""

import asyncio
import logging

from msgspec.structs import replace

from authorizer import bundle
from authorizer.app import feeds
from authorizer.app.activation import Activation
from authorizer.app.channel import News
from authorizer.bundle import store
from authorizer.bundle.store import Kept
from authorizer.control_plane import client
from authorizer.errors import AuthorizerError
from authorizer.model import Kind
from authorizer.service import Authorizer
from authorizer.telemetry.metrics import Metrics

log = logging.getLogger("authorizer.app")


class KeptBundles:
    """What is in force in this worker, and what it has heard to be kept: of each kind the last news."""

    def __init__(
        self, feed: feeds.Feed, max_age: float, activation: Activation, authorizer: Authorizer, metrics: Metrics
    ) -> None:
        self._feed = feed
        self._max_age = max_age
        self._activation = activation
        self._authorizer = authorizer
        self._metrics = metrics
        self._heard: dict[Kind, News] = {}
        feeds.refresh_age(feed, max_age, authorizer)

    def hear(self, news: News) -> None:
        """Take news; they are followed in ``run``, so that questions of the supervisor need not wait."""
        self._heard[news.kind] = news
        self._feed.news.set()

    async def run(self) -> None:
        """Follow news until cancelled."""
        while True:
            await self._feed.news.wait()
            self._feed.news.clear()
            await self.follow()

    async def follow(self) -> None:
        """Put what is kept in force where it is newer, and take note of confirmations.

        What cannot be read, is older, or was published with something that is not kept yet changes nothing; it is
        tried again at the next news.
        """
        newer = [found for kind in tuple(self._heard) if (found := await self._newer(kind)) is not None]
        try:
            joined = await self._activation.join(found.bundle for found in newer)
        except AuthorizerError as error:
            self._metrics.bundle_refused("kept", error.code)
            log.error("the kept bundles are refused: %s", error)
            joined = frozenset()
        for found in newer:
            made = found.bundle
            if made.kind in joined:
                self._feed.progress[made.kind] = client.resume(found)
                log.info("%s bundle in force: serial %d, revision %s", made.kind, made.serial, made.revision)
        for kind, news in self._heard.items():
            now = self._feed.progress[kind]
            if news.serial == now.serial:
                self._feed.progress[kind] = replace(now, confirmed=max(now.confirmed, news.confirmed))
        feeds.refresh_age(self._feed, self._max_age, self._authorizer)

    async def _newer(self, kind: Kind) -> Kept | None:
        """Read back what is kept of a kind, if it is not what is in force; what is refused is logged and counted."""
        now = self._feed.progress[kind]
        if self._heard[kind].serial == now.serial:
            return None
        try:
            found: Kept | None = await asyncio.to_thread(store.load, self._feed.store, kind)
            if found is not None:
                self._activation.keep(found.bundle.document)
                bundle.refuse_older(found.bundle, now.serial, now.revision)
        except AuthorizerError as error:
            self._metrics.bundle_refused(kind, error.code)
            log.error("a kept bundle is refused: %s", error)
            return None
        same = found is not None and (found.bundle.serial, found.bundle.revision) == (now.serial, now.revision)
        return None if same else found
