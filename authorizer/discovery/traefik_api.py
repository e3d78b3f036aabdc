"""Traefik's API as the configuration that ``traefik.read`` reads.

Source: traefik/traefik ``pkg/api`` (``/api/rawdata``: all routers and middlewares of all providers in one answer, with
the middlewares of entry points already in their routers).
"""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence

from msgspec import Struct

from authorizer.discovery import traefik
from authorizer.discovery.admin import parse
from authorizer.discovery.fetching import checked, fetch, open_session
from authorizer.discovery.kubernetes.reading import Reading
from authorizer.discovery.proto_json import Json, message, text, texts

MAX_ANSWER = 64 << 20


class Seen(Struct, frozen=True):
    """What was read last, and the SHA-256 of the answer."""

    reading: Reading
    digest: bytes


async def ask(address: str, providers: Sequence[str], ca_file: str = "", last: Seen | None = None) -> Seen:
    """Read the Traefik whose API is at ``address``; ``last`` is returned as it is where nothing has changed.

    Raises DiscoveryError: AZ602, AZ605, AZ610, AZ611.
    """
    origin = checked(address, alone=True)
    async with await open_session(origin, ca_file) as session:
        answer = await fetch(session, f"{origin}/api/rawdata", limit=MAX_ANSWER)
    data = answer.body or b""
    digest = hashlib.sha256(data).digest()
    if last is not None and last.digest == digest:
        return last

    def work() -> Reading:
        config, notes = configuration(parse(data))
        found = traefik.read(config, providers)
        return Reading(found.apis, (*notes, *found.notes))

    return Seen(await asyncio.to_thread(work), digest)


def configuration(raw: Json) -> tuple[Json, tuple[str, ...]]:
    """Return the dynamic configuration that serves, and notes on what does not. Names keep their ``@provider``."""
    notes = []
    routers: dict[str, Json] = {}
    for name, router in _each(raw, "routers"):
        if text(router, "status") == "disabled":
            notes.append(f"traefik router {name}: it is disabled: {'; '.join(texts(router, 'error')) or 'unknown'}")
        else:
            routers[name] = {**router, "middlewares": _qualified(name, texts(router, "middlewares"))}
    middlewares: dict[str, Json] = {}
    for name, middleware in _each(raw, "middlewares"):
        chained = texts(message(middleware, "chain"), "middlewares")
        more = {"chain": {"middlewares": _qualified(name, chained)}} if chained else {}
        middlewares[name] = {**middleware, **more}
    others = {kind: {"routers": dict(_each(raw, f"{kind}Routers"))} for kind in ("tcp", "udp")}
    return {"http": {"routers": routers, "middlewares": middlewares}, **others}, tuple(notes)


def _each(raw: Json, kind: str) -> Iterator[tuple[str, Json]]:
    held = message(raw, kind)
    for name in sorted(held):
        yield name, message(held, name)


def _qualified(holder: str, names: Sequence[str]) -> list[str]:
    """Return the full names of middlewares: a bare one is of its holder's provider."""
    provider = holder.rpartition("@")[2]
    return [name if "@" in name else f"{name}@{provider}" for name in names]
