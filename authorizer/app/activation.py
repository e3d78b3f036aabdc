"""Putting documents in force: the one place that replaces the Authorizer's snapshot."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from authorizer.model import KINDS
from authorizer.pdp.snapshot import Options, build
from authorizer.service import Authorizer
from authorizer.telemetry.metrics import MemoUse

log = logging.getLogger("authorizer.app")

Documents = Mapping[str, Mapping[str, Any]]


class Activation:
    """The documents in force, by kind. ``note`` is told the kind and revision of each that took effect."""

    def __init__(self, authorizer: Authorizer, options: Options, note: Callable[[str, str], None]) -> None:
        self._authorizer = authorizer
        self._options = options
        self._note = note
        self._documents: dict[str, Mapping[str, Any]] = {}
        self._revisions: dict[str, str] = {}
        # INVARIANT: replaced by one assignment, for the thread of a scrape reads it: the memo in use, and the hits and
        # misses of those before it.
        self._memos = (authorizer.snapshot.memo, 0, 0)
        # Bundles arrive on their own: without the lock, two of them would each build on what the other replaces.
        self._lock = asyncio.Lock()

    async def put(self, documents: Documents, revisions: Mapping[str, str]) -> None:
        """Put documents in force together, or raise AuthorizerError and change nothing."""
        async with self._lock:
            both = {**self._documents, **documents}, {**self._revisions, **revisions}
            # In a thread: a large policy takes long to index, and decisions go on meanwhile.
            snapshot = await asyncio.to_thread(build, *both, self._options, self._authorizer.snapshot)
            self._documents, self._revisions = both
            self._authorizer.snapshot = snapshot
            memo, hits, misses = self._memos
            self._memos = (snapshot.memo, hits + memo.hits, misses + memo.misses)
        for kind in KINDS:
            if kind in revisions:
                self._note(kind, revisions[kind])

    def memo_use(self) -> MemoUse:
        """Return how the memos of all snapshots so far have done."""
        memo, hits, misses = self._memos
        return MemoUse(len(memo), hits + memo.hits, misses + memo.misses)
