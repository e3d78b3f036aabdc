"""Keeps the issuers' keys fresh, in the background: no request waits for a key, none makes one be fetched at once.

Each issuer goes its own way: one that is slow or down delays no other. What it had stays trusted until its age.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp
from msgspec import Struct

from authorizer.errors import IdentityProviderError
from authorizer.pdp.trust import Fetched, Issuer, Trust
from authorizer.upstream_idp import kept_keys
from authorizer.upstream_idp.kept_keys import Kept
from authorizer.upstream_idp.keys import fetch

log = logging.getLogger("authorizer.upstream_idp")

LOOK_SECONDS = 0.25


class Pace(Struct, frozen=True, kw_only=True):
    """In seconds: how often keys are fetched, how long they are trusted without, how soon again for an unknown one."""

    refresh: float = 600.0
    max_age: float = 86_400.0
    cooldown: float = 30.0
    timeout: float = 5.0


class Seen(Struct):
    """How far one issuer has got with the keys at ``source``; times in POSIX seconds."""

    source: str
    kept: Kept | None = None
    due: float = 0.0
    asked: float = 0.0
    failures: int = 0
    task: "asyncio.Task[None] | None" = None


class Refreshing:
    """``trust`` tells what is in force, ``put`` puts fetched keys in force, ``note`` is told the outcome of each fetch.

    ``told`` hears when (POSIX seconds) the keys of each issuer were fetched, whoever of a machine did it.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        directory: Path | None,
        pace: Pace,
        trust: Callable[[], Trust],
        put: Callable[[Mapping[str, Fetched]], Awaitable[None]],
        note: Callable[[str], None],
        told: Callable[[Mapping[str, float]], None],
        clock: Callable[[], float],
    ) -> None:
        self._session = session
        self._directory = directory
        self._pace = pace
        self._trust = trust
        self._put = put
        self._note = note
        self._told = told
        self._clock = clock
        self._seen: dict[str, Seen] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                await self.look_once()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for seen in self._seen.values():
                if seen.task is not None:
                    seen.task.cancel()

    async def look_once(self) -> None:
        """Start what is due. An unknown key makes its issuer due once in each cool-down, however many ask for it."""
        trust = self._trust()
        mine = {name: issuer for name, issuer in trust.issuers.items() if issuer.keys_from}
        sources = {name: issuer.keys_from for name, issuer in mine.items()}
        for gone in [name for name, seen in self._seen.items() if sources.get(name) != seen.source]:
            task = self._seen.pop(gone).task
            if task is not None:
                task.cancel()
            self._tell()
        wanted = trust.wanted & mine.keys()
        trust.wanted.clear()
        for name, issuer in mine.items():
            seen = self._seen.get(name)
            if seen is None:
                seen = self._seen[name] = Seen(issuer.keys_from)
                await self._resume(issuer, seen, self._clock())
            elif seen.kept is not None and issuer.keys_until < self._until(seen.kept):
                await self._use(issuer, seen.kept)  # a new trust document came
            now = self._clock()  # read after what was waited for: keys that came meanwhile are not of the future
            if now < max(seen.asked, seen.kept.fetched if seen.kept is not None else 0.0):
                await self._set_back(issuer, seen, now)
            if name in wanted and now >= seen.asked + self._pace.cooldown:
                seen.due = now
            if now >= seen.due and (seen.task is None or seen.task.done()):
                # Also when a fetch fails in a way nobody thought of, the next one is not due at once.
                seen.asked, seen.due = now, now + self._pace.refresh
                seen.task = asyncio.create_task(self._refresh(issuer, seen), name=f"keys of {name}")

    async def _set_back(self, issuer: Issuer, seen: Seen, now: float) -> None:
        """Begin anew when the clock was set back: what is due, and what ends, would wait until it is there again."""
        seen.asked = seen.due = now
        if seen.kept is not None:
            seen.kept = Kept(seen.kept.keys, min(seen.kept.fetched, now))
            await self._use(issuer, seen.kept)

    async def _resume(self, issuer: Issuer, seen: Seen, now: float) -> None:
        if self._directory is not None:
            kept = await asyncio.to_thread(kept_keys.load, self._directory, issuer, now)
            if kept is not None:
                await self._take(issuer, seen, kept)

    async def _refresh(self, issuer: Issuer, seen: Seen) -> None:
        try:
            await self.refresh_once(issuer, seen)
        except IdentityProviderError as error:
            seen.failures += 1
            # 2 s, 4 s, 8 s ... up to the usual delay.
            self._delay(seen, min(2.0 ** min(seen.failures, 20), self._pace.refresh))
            self._note("failed")
            log.warning("the keys of %s stay as they were: %s", issuer.issuer, error)
        except OSError as error:
            self._delay(seen, self._pace.refresh)
            self._note("failed")
            log.error("the keys of %s cannot be kept: %s", issuer.issuer, error)

    async def refresh_once(self, issuer: Issuer, seen: Seen) -> None:
        """Fetch an issuer's keys, or take those that another process has fetched meanwhile.

        Raises IdentityProviderError, or OSError when they cannot be kept: they are in force all the same.
        """
        if self._directory is None:
            await self._fetch(issuer, seen)
            return
        with kept_keys.alone(self._directory, issuer) as ours:
            now = self._clock()
            kept = await asyncio.to_thread(kept_keys.load, self._directory, issuer, now)
            # What seems to have come right now is of a clock that was ahead of ours.
            if kept is not None and kept.fetched < now and (seen.kept is None or kept.fetched > seen.kept.fetched):
                await self._take(issuer, seen, kept)
            elif ours:
                kept = await self._fetch(issuer, seen)
                await asyncio.to_thread(kept_keys.save, self._directory, issuer, kept)  # it is synced to the disk
            else:
                self._delay(seen, 1.0)

    async def _fetch(self, issuer: Issuer, seen: Seen) -> Kept:
        kept = Kept(await fetch(self._session, issuer, seconds=self._pace.timeout), self._clock())
        await self._take(issuer, seen, kept)
        self._note("fetched")
        return kept

    async def _take(self, issuer: Issuer, seen: Seen, kept: Kept) -> None:
        before = () if seen.kept is None else seen.kept.keys
        changed = [key.jwk for key in before] != [key.jwk for key in kept.keys]
        seen.kept, seen.failures = kept, 0
        seen.due = kept.fetched + self._pace.refresh * random.uniform(0.8, 1.0)  # noqa: S311 - spreads calls, no secret
        await self._use(issuer, kept)
        if changed:
            log.info("keys of %s in force: %s", issuer.issuer, ", ".join(str(key.id) for key in kept.keys[:10]))

    async def _use(self, issuer: Issuer, kept: Kept) -> None:
        await self._put({issuer.issuer: Fetched(kept.keys, self._until(kept), issuer.keys_from)})
        self._tell()

    def _tell(self) -> None:
        self._told({name: seen.kept.fetched for name, seen in self._seen.items() if seen.kept is not None})

    def _until(self, kept: Kept) -> float:
        return kept.fetched + self._pace.max_age

    def _delay(self, seen: Seen, seconds: float) -> None:
        seen.due = self._clock() + seconds * random.uniform(0.8, 1.0)  # noqa: S311 - spreads calls, no secret
