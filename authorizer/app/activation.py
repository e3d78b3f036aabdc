"""Putting documents in force: the one place that replaces the Authorizer's snapshot."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from authorizer.bundle import Bundle
from authorizer.bundle.refusals import refusal
from authorizer.errors import AuthorizerError
from authorizer.memory import uncollected
from authorizer.model import KINDS, Kind
from authorizer.pdp.snapshot import Options, Snapshot, build, with_keys
from authorizer.pdp.trust import Fetched, Trust
from authorizer.service import Authorizer
from authorizer.telemetry.metrics import MemoUse

log = logging.getLogger("authorizer.app")

Documents = Mapping[str, Mapping[str, Any]]

TOGETHER_SECONDS = 10.0
"""How long a bundle waits for those that it was published with, before it is refused and fetched again."""


class Activation:
    """The documents in force, by kind. ``note`` is told the kind and revision of each that took effect.

    ``keep`` gets what may be large and will not be used for ever: documents and snapshots.
    ``told`` hears whose word counts, before it does.
    """

    def __init__(
        self,
        authorizer: Authorizer,
        options: Options,
        note: Callable[[str, str], None],
        keep: Callable[[object], None] = lambda _: None,
    ) -> None:
        self._authorizer = authorizer
        self._options = options
        self._note = note
        self.keep = keep
        self.told: Callable[[Trust], None] = lambda _: None
        self._documents: dict[str, Mapping[str, Any]] = {}
        self._revisions: dict[str, str] = {}
        self._fetched: dict[str, Fetched] = {}
        # INVARIANT: replaced by one assignment, for the thread of a scrape reads it: the memo in use, and the hits and
        # misses of those before it.
        self._memos = (authorizer.snapshot.memo, 0, 0)
        # Bundles arrive on their own: without the lock, two of them would each build on what the other replaces.
        self._lock = asyncio.Lock()
        self._serials: dict[Kind, int] = {}
        self._offered: dict[Kind, tuple[Bundle, asyncio.Future[None]]] = {}

    @property
    def snapshot(self) -> Snapshot:
        """What is in force."""
        return self._authorizer.snapshot

    async def offer(self, bundle: Bundle, *, patience: float = TOGETHER_SECONDS) -> None:
        """Put a bundle in force, with those it was published with as soon as they are offered too.

        INVARIANT: what was published together takes effect together: a group that the new policy denies is in the new
        facts only, and the old policy knows another. Raises AuthorizerError, and changes nothing, when it cannot be
        put in force or when the others do not come within ``patience`` seconds.
        """
        self._withdraw(bundle.kind)
        self.keep(bundle.document)
        mine = asyncio.get_running_loop().create_future()
        self._offered[bundle.kind] = bundle, mine
        try:
            await self._settle()
            async with asyncio.timeout(patience):
                await asyncio.shield(mine)
        except TimeoutError:
            raise refusal("incomplete", f"the {bundle.kind} bundle waits for those it was published with") from None
        finally:
            if self._offered.get(bundle.kind, (None, None))[1] is mine:
                del self._offered[bundle.kind]

    async def join(self, bundles: Iterable[Bundle]) -> frozenset[Kind]:
        """Put in force what of ``bundles`` may be, beside each other and what is; return which. Raises as ``put``."""
        together = self._consistent({bundle.kind: bundle for bundle in bundles})
        if together:
            await self.put(
                {kind: bundle.document for kind, bundle in together.items()},
                {kind: bundle.revision for kind, bundle in together.items()},
            )
            self._serials |= {kind: bundle.serial for kind, bundle in together.items()}
        return frozenset(together)

    def _withdraw(self, kind: Kind) -> None:
        earlier = self._offered.pop(kind, None)
        if earlier is not None and not earlier[1].done():
            earlier[1].set_exception(refusal("incomplete", f"the {kind} bundle was followed by a newer one"))

    async def _settle(self) -> None:
        """Put in force what is offered and consistent, and tell those who offered it."""
        offered = dict(self._offered)
        together = self._consistent({kind: bundle for kind, (bundle, _) in offered.items()})
        try:
            await self.join(together.values())
        except AuthorizerError as error:
            for kind in together:
                if not offered[kind][1].done():
                    offered[kind][1].set_exception(error)
        else:
            for kind in together:
                if not offered[kind][1].done():
                    offered[kind][1].set_result(None)

    def _consistent(self, bundles: dict[Kind, Bundle]) -> dict[Kind, Bundle]:
        """Return the largest part of ``bundles`` in which each finds those of its edition, or newer ones."""
        together = dict(bundles)
        while True:
            serials = self._serials | {kind: bundle.serial for kind, bundle in together.items()}
            alone = [
                kind
                for kind, bundle in together.items()
                if any(serials.get(other, 0) < serial for other, serial in bundle.edition.items())
            ]
            if not alone:
                return together
            for kind in alone:
                del together[kind]

    async def put(self, documents: Documents, revisions: Mapping[str, str]) -> None:
        """Put documents in force together, or raise AuthorizerError and change nothing."""
        for document in documents.values():
            self.keep(document)
        async with self._lock:
            both = {**self._documents, **documents}, {**self._revisions, **revisions}
            # In a thread: a large policy takes long to index, and decisions go on meanwhile.
            before = self._authorizer.snapshot
            try:
                snapshot = await asyncio.to_thread(_build, *both, self._options, before)
            except AuthorizerError:
                raise
            except Exception as error:
                # INVARIANT: who waits for this is told, and a start from what is kept goes on, whatever is in it.
                log.exception("documents cannot be put in force")
                what = f"the documents were not put in force: {type(error).__name__}"
                raise refusal("not_activated", what) from None
            self._documents, self._revisions = both
            if snapshot.trust is not before.trust:
                snapshot = with_keys(snapshot, self._fetched)
                self.told(snapshot.trust)
            self._use(snapshot)
        for kind in KINDS:
            if kind in revisions:
                self._note(kind, revisions[kind])

    async def renew(self, fetched: Mapping[str, Fetched]) -> None:
        """Put keys in force that were fetched from issuers."""
        async with self._lock:
            self._fetched = {**self._fetched, **fetched}
            self._use(with_keys(self._authorizer.snapshot, fetched))

    def _use(self, snapshot: Snapshot) -> None:
        self.keep(snapshot)
        self._authorizer.snapshot = snapshot
        memo, hits, misses = self._memos
        if snapshot.memo is not memo:
            self._memos = (snapshot.memo, hits + memo.hits, misses + memo.misses)

    def memo_use(self) -> MemoUse:
        """Return how the memos of all snapshots so far have done."""
        memo, hits, misses = self._memos
        return MemoUse(len(memo), hits + memo.hits, misses + memo.misses)


def _build(documents: Documents, revisions: Mapping[str, str], options: Options, before: Snapshot) -> Snapshot:
    with uncollected():
        return build(documents, revisions, options, before)
