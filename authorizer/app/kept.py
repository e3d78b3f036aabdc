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
    """What is in force in this worker, and the news that wait; of one kind only the last news count."""

    def __init__(
        self, feed: feeds.Feed, max_age: float, activation: Activation, authorizer: Authorizer, metrics: Metrics
    ) -> None:
        self._feed = feed
        self._max_age = max_age
        self._activation = activation
        self._authorizer = authorizer
        self._metrics = metrics
        self._waiting: dict[Kind, News] = {}
        feeds.refresh_age(feed, max_age, authorizer)

    def hear(self, news: News) -> None:
        """Take news; they are followed in ``run``, so that questions of the supervisor need not wait."""
        self._waiting[news.kind] = news
        self._feed.news.set()

    async def run(self) -> None:
        """Follow news until cancelled."""
        while True:
            await self._feed.news.wait()
            self._feed.news.clear()
            while self._waiting:
                _, news = self._waiting.popitem()
                await self.follow(news)

    async def follow(self, news: News) -> None:
        """Put what is kept in force where it is newer, and take note of its confirmation.

        What cannot be read or is older changes nothing; it is logged, counted, and tried again at the next news.
        """
        before = self._feed.progress[news.kind]
        if news.serial != before.serial:
            try:
                await self._put(news, before)
            except AuthorizerError as error:
                self._metrics.bundle_refused(news.kind, error.code)
                log.error("a kept bundle is refused: %s", error)  # noqa: TRY400 - the error is for people, its trace is not
                return
        now = self._feed.progress[news.kind]
        if news.serial == now.serial:
            self._feed.progress[news.kind] = replace(now, confirmed=max(now.confirmed, news.confirmed))
        feeds.refresh_age(self._feed, self._max_age, self._authorizer)

    async def _put(self, news: News, before: client.Progress) -> None:
        found: Kept | None = await asyncio.to_thread(store.load, self._feed.store, news.kind)
        if found is None:
            return
        bundle.refuse_older(found.bundle, before.serial, before.revision)
        fetched = found.bundle
        if (fetched.serial, fetched.revision) != (before.serial, before.revision):
            await feeds.activate(self._activation, fetched)
            log.info("%s bundle in force: serial %d, revision %s", fetched.kind, fetched.serial, fetched.revision)
        self._feed.progress[news.kind] = client.resume(found)
