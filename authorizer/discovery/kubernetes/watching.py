"""Listing the objects of one kind and watching how they change.

Source: Kubernetes API concepts, "Efficient detection of changes" (resourceVersion, bookmarks, 410 Gone, chunked lists).
What was known stays while the API server does not answer: an API is not lost by a restart.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Literal

import aiohttp
import orjson

from authorizer.discovery.kubernetes.access import Access
from authorizer.discovery.kubernetes.kinds import Kind, kept
from authorizer.discovery.kubernetes.objects import Key, key_of
from authorizer.discovery.proto_json import Json
from authorizer.errors import DiscoveryError

PAGE = 500
MAX_PAGES = 2000
"""Pages that are asked for before a list is given up: more than MAX_OBJECTS need, even when it starts over."""

MAX_PAGE = 64 << 20
MAX_LINE = 8 << 20
"""Bytes of one event; etcd keeps no object above 1.5 MiB."""

MAX_OBJECTS = 200_000
"""Objects of all kinds that are kept."""

WATCH_SECONDS = 240
RESYNC_SECONDS = 1800.0
MISSES = 3
_SILENCE = 30
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=WATCH_SECONDS + _SILENCE)
_LIST_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=5)
_GONE = 410
_REFUSED = frozenset({401, 403})

State = Literal["unknown", "current", "absent", "forbidden", "failing"]


class Feed:
    """The objects of one kind in one namespace (all, if empty) as far as they are known.

    ``version`` is where a watch goes on, "" when a list has to come first: also while the kind cannot be listed.
    ``seen``: all were listed, or there were none to list, and nothing was forbidden since. ``failures`` counts how
    often the API server did not answer, ``trouble`` is why it does not now. ``changed`` is called after each change.
    """

    def __init__(self, kind: Kind, namespace: str, changed: Callable[[], None], room: "Room") -> None:
        self.kind = kind
        self.namespace = namespace
        self.objects: dict[Key, Json] = {}
        self.version = ""
        self.listed = float("-inf")
        self.state: State = "unknown"
        self.seen = False
        self.failures = 0
        self.trouble = ""
        self._served = ""
        self._misses = 0
        self._changed = changed
        self._room = room

    async def list_once(self, session: aiohttp.ClientSession, access: Access, now: float) -> None:
        """Read all objects and put them in the place of what was known. Raises DiscoveryError and aiohttp's errors.

        INVARIANT: what was known is replaced by one assignment, after the last page has come.
        """
        self._served = await _served(session, access, self.kind)
        if not self._served:
            self._missed()
            return
        found: dict[Key, Json] = {}
        version, cursor = "", ""
        for _ in range(MAX_PAGES):
            query = {"limit": str(PAGE), **({"continue": cursor} if cursor else {})}
            status, page = await _get(session, access, self._path(), query)
            if status == _GONE and cursor:
                # The list grew too old between two pages: the first one is asked for again.
                found, cursor = {}, ""
                continue
            if status == 404:
                self._missed()
                return
            if status in _REFUSED:
                self._forbid()
                return
            if status != 200:
                raise DiscoveryError("AZ608", f"the API server answered {status} for {self.kind.plural}")
            for value in _items(page):
                self._take(found, value)
            metadata = page.get("metadata")
            said = metadata if isinstance(metadata, dict) else {}
            version, cursor = str(said.get("resourceVersion") or ""), str(said.get("continue") or "")
            if not cursor:
                break
        else:
            raise DiscoveryError("AZ608", f"the API server's list of {self.kind.plural} does not end")
        self.version, self.listed, self._misses = version, now, 0
        # After a refusal or a failure only a watch that was granted shows that changes will be seen again.
        self._replace(found, self.state if self.state in {"forbidden", "failing"} else "current")

    async def watch_once(self, session: aiohttp.ClientSession, access: Access) -> None:
        """Take changes until the watch ends. Raises DiscoveryError and aiohttp's errors when there was none."""
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self.version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        async with session.get(
            access.server + self._path(),
            params=query,
            headers=_headers(access),
            allow_redirects=False,
            timeout=_TIMEOUT,
            server_hostname=access.server_name,
        ) as answer:
            if answer.status == _GONE:
                self.version = ""
                return
            if answer.status in _REFUSED:
                self._forbid()
                return
            if answer.status != 200:
                self.version = ""
                raise DiscoveryError("AZ608", f"the API server answered {answer.status} for {self.kind.plural}")
            self._replace(self.objects, "current")
            # A watch that breaks off has ended: what it told counts, and the next one goes on from there.
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async for line in _lines(answer.content):
                    self._event(_object(line))
                    if not self.version:
                        return

    def _event(self, event: Mapping[str, Any]) -> None:
        kind, value = event.get("type"), event.get("object")
        if kind == "ERROR" or not isinstance(value, dict):
            # 410 as a rule: what happened since is no longer kept. Whatever it is, a list sets it right.
            self.version = ""
            return
        metadata = value.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        if isinstance(version, str) and version:
            self.version = version
        if kind in {"ADDED", "MODIFIED"}:
            objects = dict[Key, Json]()
            self._take(objects, value)
            ((key, left),) = objects.items()
            self._room.take(len(self.objects) + (key not in self.objects), self)
            if self.objects.get(key) != left:
                self.objects[key] = left
                self._changed()
        elif kind == "DELETED" and self.objects.pop(key_of(self.kind, value), None) is not None:
            self._changed()

    def _take(self, objects: dict[Key, Json], value: Any) -> None:
        if not isinstance(value, dict):
            raise DiscoveryError("AZ602", f"one of the {self.kind.plural} is no object")
        objects[key_of(self.kind, value)] = kept(self.kind, value)
        self._room.take(len(objects), self)

    def _forbid(self) -> None:
        self.version = ""
        self._replace(self.objects, "forbidden")

    def failed(self, why: str = "") -> None:
        """Note that the API server does not answer; what was known stays."""
        self.failures += 1
        self.trouble = why
        self._replace(self.objects, "failing")

    def _replace(self, objects: dict[Key, Json], state: State) -> None:
        changed = objects != self.objects or state != self.state
        self._room.take(len(objects), self)
        self.objects, self.state = objects, state
        if state != "failing":
            self.trouble = ""
        self.seen = state in {"current", "absent"} or (self.seen and state == "failing")
        if changed:
            self._changed()

    def _missed(self) -> None:
        """Take a kind for absent; one that was there only when it is missed again, since servers start in steps."""
        self._misses += 1
        self.version = ""
        gone = not self.objects or self._misses >= MISSES
        self._replace({} if gone else self.objects, "absent" if gone else "failing")

    def _path(self) -> str:
        space = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"{self._served}{space}/{self.kind.plural}"


class Room:
    """How many objects are kept by all feeds together."""

    def __init__(self, most: int = MAX_OBJECTS) -> None:
        self._most = most
        self._held: dict[int, int] = {}

    def take(self, count: int, feed: Feed) -> None:
        """Note how many objects a feed keeps. Raises DiscoveryError AZ609 when it is too many."""
        self._held[id(feed)] = count
        if sum(self._held.values()) > self._most:
            raise DiscoveryError("AZ609", f"the cluster has more than {self._most} objects", hint="name namespaces")


async def _served(session: aiohttp.ClientSession, access: Access, kind: Kind) -> str:
    """Return the path of the best version of a kind that the API server has; "" for none."""
    if not kind.group:
        return "/api/v1"
    for version in kind.versions:
        path = f"/apis/{kind.group}/{version}"
        status, found = await _get(session, access, path, {})
        if status == 200 and any(each.get("name") == kind.plural for each in _items(found, "resources")):
            return path
        if status not in {200, 404}:
            raise DiscoveryError("AZ608", f"the API server answered {status} for {path}")
    return ""


async def _get(
    session: aiohttp.ClientSession, access: Access, path: str, query: Mapping[str, str]
) -> tuple[int, Mapping[str, Any]]:
    async with session.get(
        access.server + path,
        params=query,
        headers=_headers(access),
        allow_redirects=False,
        timeout=_LIST_TIMEOUT,
        server_hostname=access.server_name,
    ) as answer:
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > MAX_PAGE:
                raise DiscoveryError("AZ605", f"the API server's answer is larger than {MAX_PAGE} bytes")
        if answer.status != 200:
            return answer.status, {}
    return 200, await asyncio.to_thread(_object, bytes(body))


def _headers(access: Access) -> dict[str, str]:
    token = access.token()
    return {"accept": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    left = b""
    async for chunk in content.iter_any():
        *lines, left = (left + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
        if len(left) > MAX_LINE:
            raise DiscoveryError("AZ605", f"an event of the API server is larger than {MAX_LINE} bytes")


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise DiscoveryError("AZ602", "the API server's answer is no JSON object")
    return value


def _items(page: Mapping[str, Any], name: str = "items") -> Iterator[Any]:
    items = page.get(name)
    if not isinstance(items, list):
        raise DiscoveryError("AZ602", "the API server's answer is no list")
    yield from items
