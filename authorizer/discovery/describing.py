"""Where APIs describe themselves: OpenAPI documents in files or at addresses, and gRPC servers with reflection."""

import asyncio
import hashlib
from pathlib import Path
from typing import Literal

from aiohttp import hdrs
from msgspec import Struct

from authorizer.discovery import grpc_reflection
from authorizer.discovery.fetching import checked, fetch, open_session
from authorizer.discovery.refining import Described, Operation
from authorizer.errors import DiscoveryError, DocumentError
from authorizer.memory import uncollected
from authorizer.policy.authoring import descriptions

MAX_ID = 200

Kind = Literal["file", "url", "grpc"]


class Place(Struct, frozen=True):
    """``name`` is what notes and metrics call the place, ``api`` which API it speaks of (see ``refining.Described``).

    ``where`` is a path, an http or https address, or HOST:PORT. ``host`` is sent as the Host header, if there is one.
    """

    name: str
    api: str
    kind: Kind
    where: str
    ca_file: str = ""
    host: str = ""


class Seen(Struct, frozen=True):
    """What a place said last: what it means, and what tells whether it says the same again."""

    described: Described
    digest: bytes = b""
    tag: str = ""


def place(name: str, api: str, *, file: str = "", url: str = "", grpc: str = "", ca_file: str = "") -> Place:
    """Return the place that is named by the one of ``file``, ``url`` and ``grpc`` that is set.

    Raises DiscoveryError AZ610 for an address that cannot be asked.
    """
    if file:
        return Place(name, api, "file", file)
    if url:
        return Place(name, api, "url", checked(url), ca_file)
    return Place(name, api, "grpc", grpc_reflection.checked(grpc), ca_file)


async def look(at: Place, last: Seen | None = None) -> Seen:
    """Read a place; ``last`` is returned as it is where nothing has changed.

    Raises DiscoveryError: AZ605, AZ606, AZ610, AZ611, AZ613 when it cannot be read, AZ612 when it is no description.
    """
    if at.kind == "grpc":
        return Seen(await grpc_reflection.ask(_title(at), at.api, at.where, at.ca_file))
    tag = ""
    if at.kind == "file":
        data = await asyncio.to_thread(_read, at.where)
    else:
        headers: dict[str, str] = {hdrs.ACCEPT: "application/json, application/yaml;q=0.9, */*;q=0.5"}
        headers |= {hdrs.HOST: at.host} if at.host else {}
        headers |= {hdrs.IF_NONE_MATCH: last.tag} if last is not None and last.tag else {}
        async with await open_session(at.where, at.ca_file) as session:
            answer = await fetch(session, at.where, limit=descriptions.MAX_BYTES, headers=headers)
        if answer.body is None:
            assert last is not None, "only who knows something asks for what is newer"
            return last
        data, tag = answer.body, answer.headers.get("etag", "")
    digest = hashlib.sha256(data).digest()
    if last is not None and last.digest == digest:
        return Seen(last.described, digest, tag)
    return Seen(await asyncio.to_thread(read, data, at), digest, tag)


def read(data: bytes, at: Place) -> Described:
    """Return what an OpenAPI document says. Raises DiscoveryError AZ612."""
    try:
        with uncollected():
            description = descriptions.read(data, at.where)
    except DocumentError as error:
        raise DiscoveryError("AZ612", f"{at.where}: {error.problems[0].message}") from None
    notes = list(description.notes)
    found = []
    for each in description.operations:
        named = each.id.isprintable() and len(each.id) <= MAX_ID
        if not named:
            notes.append(f"{each.title[:200]}: its operationId is no name")
        flags = ("unwritable",) if each.unwritable else ()
        found.append(Operation(each.method, each.template, each.id if named else "", each.hosts, flags))
    return Described(_title(at), at.api, tuple(found), tuple(notes))


def _title(at: Place) -> str:
    return f"{'grpc' if at.kind == 'grpc' else 'openapi'} {at.name}"


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(descriptions.MAX_BYTES + 1)
    except OSError as error:
        raise DiscoveryError("AZ606", f"{path} cannot be read: {error.strerror}") from None
    if len(data) > descriptions.MAX_BYTES:
        raise DiscoveryError("AZ605", f"{path} is larger than {descriptions.MAX_BYTES} bytes")
    return data
