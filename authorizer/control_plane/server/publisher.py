"""What is in force: takes documents, publishes bundles, wakes those who wait for news."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager

from authorizer.bundle import Signer
from authorizer.control_plane.server.edition import Edition, prepare, refused
from authorizer.control_plane.server.store import Document, Published, Store, Turn
from authorizer.directory import Reading
from authorizer.errors import Place, Problem

MAX_DOCUMENTS = 1_000
MAX_WAITING = 10_000
"""Requests that may wait for a newer bundle at the same time."""

_log = logging.getLogger("authorizer.control_plane")

UNREAD = Reading({}, (Problem("AZ586", "the directory of documents has not been read yet", Place("documents")),))
"""The state of a directory before its first reading: nothing may be published without it."""


class UnknownDocumentError(LookupError):
    """There is no document of this name."""


class TooManyDocumentsError(Exception):
    """There are MAX_DOCUMENTS already."""


class TooManyWaitingError(Exception):
    """MAX_WAITING requests wait already."""


class Publisher:
    """Holds the published bundles. ``problems`` are those of the documents as they stand, published or not.

    INVARIANT: ``bundles`` changes only after the store has the change: what was served once survives a crash. A serial
    never falls, also when others publish into the same store.
    """

    def __init__(self, store: Store, signer: Signer, clock: Callable[[], float], *, directory: bool) -> None:
        self.bundles: Mapping[str, Published] = store.published()
        self.problems: tuple[Problem, ...] = ()
        self.publications = 0
        self.refusals = 0
        self._directory = UNREAD if directory else Reading()
        self._store = store
        self._signer = signer
        self._clock = clock
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._waiting = 0
        self._closing = False

    @property
    def ready(self) -> bool:
        """Whether all sources of documents have been read once."""
        return self._directory is not UNREAD

    @property
    def files(self) -> Mapping[str, bytes]:
        """The documents that came from the directory, by name."""
        return self._directory.files

    async def refresh(self, reading: Reading | None = None) -> tuple[Problem, ...]:
        """Publish the documents as they are, those of the directory as newly read. What is wrong stays visible."""
        return await asyncio.shield(self._refresh(reading))

    async def put(self, name: str, content: bytes) -> tuple[Problem, ...]:
        """Add or replace a document if all are good with it; return the problems, with an error: nothing changed."""
        return await asyncio.shield(self._change(name, Document(name, content, self._clock())))

    async def delete(self, name: str) -> tuple[Problem, ...]:
        """Take a document away if the others are good without it; else as ``put``."""
        return await asyncio.shield(self._change(name, None))

    async def newer(self, kind: str, known: Callable[[Published], bool], seconds: float) -> Published | None:
        """Return the bundle of ``kind`` once it is not ``known``, or what there is after ``seconds``."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            news = self._news
            bundle = self.bundles.get(kind)
            left = end - loop.time()
            if (bundle is not None and not known(bundle)) or left <= 0 or self._closing:
                return bundle
            if self._waiting >= MAX_WAITING:
                raise TooManyWaitingError
            self._waiting += 1
            try:
                async with asyncio.timeout(left):
                    await news.wait()
            except TimeoutError:
                pass
            finally:
                self._waiting -= 1

    async def adopt(self) -> None:
        """Serve what others have published into the store since. Raises ControlPlaneError."""
        async with self._turn:
            serials = await asyncio.to_thread(self._store.serials)
            if any(serial > self._serial(kind) for kind, serial in serials.items()):
                self._serve(await asyncio.to_thread(self._store.published))

    def close(self) -> None:
        """Let all who wait go, with what there is."""
        self._closing = True
        self._news.set()

    # A change is shielded from its caller's going away: half of one would leave the store ahead of what is served.

    async def _refresh(self, reading: Reading | None) -> tuple[Problem, ...]:
        async with self._turn:
            if reading is not None:
                self._directory = reading
            async with self._held() as held:
                edition = await self._prepare(await _contents(held))
                self.problems = edition.problems
                for problem in edition.problems:
                    _log.log(logging.ERROR if problem.severity == "error" else logging.WARNING, "%s", problem)
                if not refused(edition.problems):
                    await self._write(held, edition, {})
            self._done(edition)
            return edition.problems

    async def _change(self, name: str, document: Document | None) -> tuple[Problem, ...]:
        async with self._turn:
            async with self._held() as held:
                contents = await _contents(held)
                if document is None and contents.pop(name, None) is None:
                    raise UnknownDocumentError(name)
                if document is not None:
                    contents[name] = document.content
                if len(contents) > MAX_DOCUMENTS:
                    raise TooManyDocumentsError
                edition = await self._prepare(contents)
                if not refused(edition.problems):
                    await self._write(held, edition, {name: document})
            if not refused(edition.problems):
                self.problems = edition.problems
            self._done(edition)
            return edition.problems

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[Turn]:
        """Hold the turn to publish, and start from what others have published before."""
        turn = self._store.turn()
        held = await asyncio.to_thread(turn.__enter__)
        try:
            if self._store.shared:
                self._serve(await asyncio.to_thread(held.published))
            yield held
        except BaseException as error:
            await asyncio.to_thread(turn.__exit__, type(error), error, error.__traceback__)
            raise
        await asyncio.to_thread(turn.__exit__, None, None, None)

    async def _prepare(self, contents: Mapping[str, bytes]) -> Edition:
        problems = (*self._directory.problems, *_collisions(contents, self._directory.files))
        if problems:
            return Edition({}, problems)
        return await asyncio.to_thread(
            prepare,
            {**self._directory.files, **contents},
            signer=self._signer,
            published=self.bundles,
            now=self._clock(),
        )

    async def _write(self, held: Turn, edition: Edition, changes: Mapping[str, Document | None]) -> None:
        if edition.bundles or changes:
            await asyncio.to_thread(held.publish, edition.bundles, changes)

    def _done(self, edition: Edition) -> None:
        """Serve an edition that the store has now, or count one that was refused."""
        if refused(edition.problems):
            self.refusals += 1
        elif edition.bundles:
            self.publications += 1
            self._serve(edition.bundles)
            for bundle in edition.bundles.values():
                _log.info("published %s revision %s serial %d", bundle.kind, bundle.revision[:12], bundle.serial)

    def _serial(self, kind: str) -> int:
        held = self.bundles.get(kind)
        return held.serial if held is not None else 0

    def _serve(self, bundles: Mapping[str, Published]) -> None:
        newer = {kind: bundle for kind, bundle in bundles.items() if bundle.serial > self._serial(kind)}
        if newer:
            self.bundles = {**self.bundles, **newer}
            news, self._news = self._news, asyncio.Event()
            news.set()


async def _contents(held: Turn) -> dict[str, bytes]:
    return {document.name: document.content for document in await asyncio.to_thread(held.documents)}


def _collisions(contents: Mapping[str, bytes], files: Mapping[str, bytes]) -> Iterator[Problem]:
    for name in sorted(contents.keys() & files.keys()):
        yield Problem(
            "AZ589", "this name is taken by a file of the directory and by a document of the API", Place(name),
            "delete or rename one of them",
        )  # fmt: skip
