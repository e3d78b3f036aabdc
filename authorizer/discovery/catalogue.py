"""The APIs that were found, from all sides, and whether they changed since the last look."""

import asyncio
import hashlib

import msgspec
from msgspec import Struct

from authorizer.discovery import envoy
from authorizer.discovery.admin import fetch
from authorizer.model import Api


class Catalogue(Struct, frozen=True):
    """The APIs behind gateways; ``digest`` is equal for equal catalogues and only for them.

    ``notes`` say what could not be told as an API.
    """

    apis: tuple[Api, ...] = ()
    digest: str = ""
    notes: tuple[str, ...] = ()


def catalogue(apis: tuple[Api, ...], notes: tuple[str, ...] = ()) -> Catalogue:
    """Name a set of APIs by the SHA-256 of its JSON form."""
    return Catalogue(apis, hashlib.sha256(msgspec.json.encode(apis)).hexdigest(), notes)


async def discover_once(admin: str, previous: str = "") -> tuple[Catalogue, bool]:
    """Read the Envoy at ``admin``; tell whether its catalogue differs from the one with the digest ``previous``.

    Raises DiscoveryError (see ``admin.fetch`` and ``envoy.read``); the caller keeps what it had.
    """
    dump = await fetch(admin)
    found = catalogue(await asyncio.to_thread(envoy.read, dump))
    return found, found.digest != previous
