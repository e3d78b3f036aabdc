"""Kong's Admin API as the configuration that ``kong.read`` reads.

Source: Kong/kong ``kong/api`` (pages by ``offset``, ``/status``). Without a database ``/status`` names the
configuration by a hash, so a change is seen at once; otherwise all is read again.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
from msgspec import Struct

from authorizer.discovery import kong
from authorizer.discovery.admin import parse
from authorizer.discovery.fetching import checked, fetch, open_session
from authorizer.discovery.kubernetes.reading import Reading
from authorizer.discovery.proto_json import Json, message, messages, text
from authorizer.errors import DiscoveryError

MAX_ANSWER = 16 << 20
MAX_PAGES = 200
PAGE = 1000

_NO_HASH = "0" * 32
_OWNERS = ("service", "route", "consumer", "consumer_group")


class Seen(Struct, frozen=True):
    """What was read last; ``hash`` names it, "" where Kong has no name for it."""

    reading: Reading
    hash: str = ""


async def ask(address: str, ca_file: str = "", last: Seen | None = None) -> Seen:
    """Read the Kong whose Admin API is at ``address``; ``last`` is returned as it is where its hash has not changed.

    Raises DiscoveryError: AZ602, AZ605, AZ610, AZ611.
    """
    origin = checked(address, alone=True, near=True)
    async with await open_session(origin, ca_file) as session:
        before = await _hash(session, origin)
        if last is not None and before and last.hash == before:
            return last
        services, routes, plugins = [await _all(session, origin, kind) for kind in ("services", "routes", "plugins")]
        # What changed between two pages is read again next time: then the hash is another one.
        same = before and before == await _hash(session, origin)
    return Seen(await asyncio.to_thread(kong.read, together(services, routes, plugins)), before if same else "")


def together(services: Iterable[Json], routes: Iterable[Json], plugins: Iterable[Json]) -> Json:
    """Put three lists of the Admin API together as a declarative configuration, each plugin with what it is for."""
    held: dict[tuple[str, str], list[Json]] = {}
    for plugin in plugins:
        # A plugin for a consumer runs for that consumer only, wherever else it is bound.
        owners = [name for name in _OWNERS if message(plugin, name)]
        bare = {name: said for name, said in plugin.items() if name not in _OWNERS}
        if not owners:
            held.setdefault(("", ""), []).append(bare)
        elif not {"consumer", "consumer_group"} & set(owners):
            nearest = "route" if "route" in owners else "service"
            held.setdefault((nearest, text(message(plugin, nearest), "id")), []).append(bare)
    return {
        "plugins": held.get(("", ""), []),
        "services": [{**each, "plugins": held.get(("service", text(each, "id")), [])} for each in services],
        "routes": [{**each, "plugins": held.get(("route", text(each, "id")), [])} for each in routes],
    }


async def _hash(session: aiohttp.ClientSession, origin: str) -> str:
    said = text(await _get(session, f"{origin}/status"), "configuration_hash")
    return "" if said == _NO_HASH else said


async def _all(session: aiohttp.ClientSession, origin: str, kind: str) -> list[Json]:
    found: list[Json] = []
    offsets = [""]
    while True:
        query = f"&offset={quote(offsets[-1], safe='')}" if offsets[-1] else ""
        page = await _get(session, f"{origin}/{kind}?size={PAGE}{query}")
        found += _data(page)
        # Only the offset is taken: the address of the next page that Kong names could be anybody's.
        offset = text(page, "offset")
        if not offset:
            return found
        if offset in offsets or len(offsets) >= MAX_PAGES:
            raise DiscoveryError("AZ605", f"the {kind} of Kong do not end after {len(offsets)} pages")
        offsets.append(offset)


def _data(page: Json) -> list[Json]:
    # An empty list is an empty object where Lua made it.
    return [] if page.get("data") == {} else messages(page, "data")


async def _get(session: aiohttp.ClientSession, address: str) -> Mapping[str, Any]:
    answer = await fetch(session, address, limit=MAX_ANSWER)
    return await asyncio.to_thread(parse, answer.body or b"")
