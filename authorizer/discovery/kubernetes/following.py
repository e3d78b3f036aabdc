"""A cluster's objects, kept current: one feed for each kind and namespace, and word when something has changed."""

import asyncio
import logging
import random
import ssl
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import aiohttp
from msgspec.structs import replace

from authorizer.discovery.kubernetes import reading
from authorizer.discovery.kubernetes.access import Access
from authorizer.discovery.kubernetes.kinds import KINDS, Kind
from authorizer.discovery.kubernetes.objects import Key
from authorizer.discovery.kubernetes.reading import Reading
from authorizer.discovery.kubernetes.watching import RESYNC_SECONDS, Feed, Room
from authorizer.discovery.proto_json import Json
from authorizer.errors import DiscoveryError

log = logging.getLogger("authorizer.discovery")

GATHER_SECONDS = 0.25
"""How long after a change its neighbours are waited for."""

_RETRY_SECONDS = 15.0
_ABSENT_SECONDS = 30.0
_BREATH_SECONDS = 0.2
_PATIENCE = 5
_PAUSES = (0.5, 1.0, 2.0, 4.0)


class Following:
    """The feeds of a cluster. ``namespaces`` empty means all, and those kinds too that belong to no namespace."""

    def __init__(self, access: Access, namespaces: Sequence[str], providers: Sequence[str]) -> None:
        self.access = access
        self.news = asyncio.Event()
        self._providers = tuple(providers)
        self._room = Room()
        self._changes = 0
        self._current: tuple[int, Reading] | None = None
        self.feeds = [
            Feed(kind, namespace, self._changed, self._room)
            for kind in KINDS
            for namespace in (namespaces or ("",))
            if kind.namespaced or not namespaces
        ]

    def _changed(self) -> None:
        self._changes += 1
        self.news.set()

    @property
    def settled(self) -> bool:
        """Whether each kind has been listed once, is known not to be there, or failed again and again."""
        return all(
            feed.state in {"current", "absent", "forbidden"} or feed.failures >= _PATIENCE for feed in self.feeds
        )

    @property
    def known(self) -> bool:
        """Whether anything was ever seen: of a cluster that tells nothing there is no catalogue, not an empty one."""
        return any(feed.seen for feed in self.feeds)

    @property
    def whole(self) -> bool:
        """Whether no object can be missing, but those that are new since the API server does not answer."""
        return all(feed.seen and not feed.namespace for feed in self.feeds)

    def states(self) -> Counter[tuple[str, str]]:
        """Return how many feeds of each kind (PLURAL.GROUP, as ``kubectl`` says it) are in each state."""
        return Counter((_full(feed.kind), feed.state) for feed in self.feeds)

    def failures(self) -> dict[str, int]:
        """Return how often the feeds of each kind have failed."""
        failed: dict[str, int] = {}
        for feed in self.feeds:
            failed[_full(feed.kind)] = failed.get(_full(feed.kind), 0) + feed.failures
        return failed

    def objects(self) -> dict[Kind, dict[Key, Json]]:
        """Return a copy of what is known."""
        found: dict[Kind, dict[Key, Json]] = {kind: {} for kind in KINDS}
        for feed in self.feeds:
            found[feed.kind].update(feed.objects)
        return found

    async def read(self) -> Reading:
        """Return the catalogue of what is known now; the same one again if nothing has changed. Raises AZ603."""
        changes = self._changes
        if self._current is not None and self._current[0] == changes:
            return self._current[1]
        found = await asyncio.to_thread(reading.read, self.objects(), self._providers, whole=self.whole)
        self._current = changes, replace(found, notes=(*found.notes, *self._unseen()))
        return self._current[1]

    def _unseen(self) -> Iterator[str]:
        for feed in self.feeds:
            if feed.state in {"forbidden", "failing"}:
                space = f" of {feed.namespace}" if feed.namespace else ""
                yield f"{_full(feed.kind)}{space}: {_MEANING[feed.state]}"

    async def list_once(self) -> Reading:
        """Read all objects once, return their catalogue. Raises DiscoveryError: AZ608 when nothing usable answers."""
        try:
            async with self._session() as session:
                for feed in self.feeds:
                    await self._list(feed, session)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise DiscoveryError("AZ608", f"the API server did not answer ({type(error).__name__})") from error
        return await self.read()

    async def _list(self, feed: Feed, session: aiohttp.ClientSession) -> None:
        # A server that starts, learns a kind or has much to do turns some requests away (429, 503, 504).
        for pause in _PAUSES:
            try:
                return await feed.list_once(session, self.access, time.monotonic())
            except DiscoveryError as error:
                if error.code != "AZ608":
                    raise
                await asyncio.sleep(pause)
        return await feed.list_once(session, self.access, time.monotonic())

    def _session(self) -> aiohttp.ClientSession:
        # INVARIANT: as many connections as there are feeds: each holds one as long as it watches.
        connector = aiohttp.TCPConnector(ssl=self.access.tls or True, limit=0)
        return aiohttp.ClientSession(connector=connector, trust_env=False)

    async def follow(self) -> None:
        """Keep all feeds current until cancelled."""
        async with self._session() as session, asyncio.TaskGroup() as group:
            for feed in self.feeds:
                group.create_task(self._follow(feed, session))

    async def _follow(self, feed: Feed, session: aiohttp.ClientSession) -> None:
        failures = 0
        while True:
            failures = await self._step(feed, session, failures)

    async def _step(self, feed: Feed, session: aiohttp.ClientSession, failures: int) -> int:
        """List or watch once, and wait as long as is due before the next; return how often that failed in a row."""
        now = time.monotonic()
        try:
            if not feed.version or now - feed.listed > RESYNC_SECONDS:
                await feed.list_once(session, self.access, now)
            if feed.version:
                await feed.watch_once(session, self.access)
                if feed.state == "current":
                    await asyncio.sleep(_BREATH_SECONDS)
                    return 0
        except (DiscoveryError, aiohttp.ClientError, OSError, TimeoutError) as error:
            if (why := _why(error)) != feed.trouble:
                log.warning("%s cannot be watched: %s", _full(feed.kind), why)
            feed.failed(why)
            await asyncio.sleep(random.uniform(0.5, 1) * min(_RETRY_SECONDS, 0.5 * 2 ** min(failures, 10)))  # noqa: S311 - spread, no secret
            return failures + 1
        if feed.state == "failing":
            await asyncio.sleep(_BREATH_SECONDS * 5)
        elif feed.state != "current":
            await asyncio.sleep(_ABSENT_SECONDS)
        return 0


def _why(error: Exception) -> str:
    """Say what went wrong, without addresses: a change of it is told."""
    if isinstance(error, DiscoveryError):
        return str(error)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        refused = error.certificate_error
        said = refused.verify_message if isinstance(refused, ssl.SSLCertVerificationError) else type(refused).__name__
        return f"its certificate is refused: {said}"
    return type(error).__name__


def _full(kind: Kind) -> str:
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


_MEANING = {
    "forbidden": "the account may not both list and watch them; what was known of them stays",
    "failing": "the API server does not answer; what was known of them stays",
}
