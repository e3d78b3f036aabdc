"""The addresses of the control plane: who may ask what, and which function answers."""

import asyncio
import hashlib
import re
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec
from aiohttp import hdrs, web

from authorizer.control_plane.protocol import BUNDLE_TYPE, LONG_POLL_TYPE, REPORTER
from authorizer.control_plane.server import coverage, fleet
from authorizer.control_plane.server.answers import RefusalError, answer, problem_list
from authorizer.control_plane.server.credentials import Credentials, Role
from authorizer.control_plane.server.door import Handler, answer_always, guarded, read_body
from authorizer.control_plane.server.edition import refused
from authorizer.control_plane.server.guards import Guards
from authorizer.control_plane.server.metrics import Requests, renderer
from authorizer.control_plane.server.preferences import tags_of, wait_of
from authorizer.control_plane.server.publisher import (
    MAX_DOCUMENTS,
    Publisher,
    TooManyDocumentsError,
    UnknownDocumentError,
)
from authorizer.control_plane.server.store import Published, Store
from authorizer.errors import Problem
from authorizer.model import KINDS

MAX_DOCUMENT = 4 << 20
MAX_CATALOGUE = 16 << 20
MAX_STATUS = 256 << 10

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.(?:ya?ml|json)")


@dataclass(frozen=True)
class Service:
    """What the addresses answer from."""

    publisher: Publisher
    store: Store
    credentials: Credentials
    guards: Guards
    clock: Callable[[], float]
    requests: Requests = field(default_factory=Requests)
    reading: threading.Lock = field(default_factory=threading.Lock)


Answer = Callable[[Service, web.Request], Awaitable[web.StreamResponse]]


def application(service: Service) -> web.Application:
    """Return the application that serves the table of addresses."""

    @web.middleware
    async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await answer_always(request, handler)
        if hdrs.TRANSFER_ENCODING in request.headers:
            # INVARIANT: as in ``doors.http1``, a trailer must not become a header of the next request.
            response.force_close()
        resource = request.match_info.route.resource
        # Only addresses of the table are told apart: what strangers may invent must not fill the memory.
        asked = (request.method, resource.canonical) if resource else ("other", "other")
        service.requests[*asked, response.status] += 1
        return response

    app = web.Application(middlewares=[answered], client_max_size=MAX_CATALOGUE)
    render = renderer(service.publisher, service.requests, lambda: service.store.authorizers(service.clock()))

    async def metrics(_service: Service, _request: web.Request) -> web.StreamResponse:
        body, content_type = await asyncio.to_thread(render)
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})

    for method, address, role, handler in (*_TABLE, ("GET", "/metrics", "authorizer", metrics)):
        app.router.add_route(method, address, guarded(service.credentials, role, partial(handler, service)))
    return app


async def _get_bundle(service: Service, request: web.Request) -> web.StreamResponse:
    kind = request.match_info["kind"]
    if kind not in KINDS:
        raise RefusalError("not_found", f"the bundles are {', '.join(KINDS)}")
    wait = wait_of(request.headers.getall("Prefer", []))
    tags = tags_of(request.headers.getall(hdrs.IF_NONE_MATCH, []))

    def known(bundle: Published) -> bool:
        return bool(tags.intersection(("*", entity_tag(bundle))))

    bundle = await service.publisher.newer(kind, known, wait)
    if bundle is None:
        raise RefusalError("unpublished", f"no {kind} bundle has been published yet")
    headers = {hdrs.ETAG: entity_tag(bundle), hdrs.CACHE_CONTROL: "no-cache"}
    if known(bundle):
        return web.Response(status=304, headers=headers)
    headers[hdrs.CONTENT_TYPE] = LONG_POLL_TYPE if wait else BUNDLE_TYPE
    return web.Response(body=bundle.data, headers=headers)


def entity_tag(bundle: Published) -> str:
    """Return the strong tag of a bundle's bytes: a serial is given to one archive of a kind only."""
    return f'"{bundle.serial}-{bundle.revision[:32]}"'


async def _list_documents(service: Service, _request: web.Request) -> web.StreamResponse:
    files = service.publisher.files

    def work() -> list[dict[str, object]]:
        held = [
            {**_listed(document.name, document.content, "api"), "changed": document.changed}
            for document in service.store.documents()
        ]
        return held + [_listed(name, content, "directory") for name, content in sorted(files.items())]

    return answer({"version": 1, "documents": await asyncio.to_thread(work)})


def _listed(name: str, content: bytes, source: str) -> dict[str, object]:
    return {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "source": source}


async def _get_document(service: Service, request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    held = await asyncio.to_thread(service.store.documents)
    contents = {**service.publisher.files, **{document.name: document.content for document in held}}
    if name not in contents:
        raise RefusalError("no_document")
    headers = {hdrs.CONTENT_TYPE: "application/yaml; charset=utf-8", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=contents[name], headers=headers)


async def _put_document(service: Service, request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    if not _NAME.fullmatch(name):
        raise RefusalError("bad_name")
    content = await read_body(request, MAX_DOCUMENT)
    try:
        return _changed(service, await service.publisher.put(name, content))
    except TooManyDocumentsError:
        raise RefusalError("too_many", f"there are {MAX_DOCUMENTS} documents already") from None


async def _delete_document(service: Service, request: web.Request) -> web.StreamResponse:
    try:
        return _changed(service, await service.publisher.delete(request.match_info["name"]))
    except UnknownDocumentError:
        raise RefusalError("no_document") from None


def _changed(service: Service, problems: tuple[Problem, ...]) -> web.StreamResponse:
    if refused(problems):
        raise RefusalError("refused", problems=problems)
    return answer({"version": 1, "problems": problem_list(problems), "bundles": _published(service)})


def _published(service: Service) -> dict[str, object]:
    return {
        kind: {"revision": bundle.revision, "serial": bundle.serial, "published": bundle.published}
        for kind, bundle in sorted(service.publisher.bundles.items())
    }


async def _post_apis(service: Service, request: web.Request) -> web.StreamResponse:
    reporter = request.headers.get(REPORTER, "")
    if reporter:
        fleet.checked_name(reporter, REPORTER)
    body = await read_body(request, MAX_CATALOGUE)
    policy = service.publisher.bundles.get("policy")

    def work() -> int:
        apis = coverage.read_apis(body)
        service.store.save_catalogue(reporter, msgspec.json.encode(apis), service.clock())
        with service.reading:
            return coverage.unguarded(apis, service.guards.of(policy))

    return answer({"version": 1, "unguarded": await asyncio.to_thread(work)})


async def _get_apis(service: Service, _request: web.Request) -> web.StreamResponse:
    policy = service.publisher.bundles.get("policy")

    def work() -> dict[str, object]:
        now = service.clock()
        with service.reading:
            return coverage.show(service.store.catalogues(now), service.guards.of(policy), now)

    shown = await asyncio.to_thread(work)
    return answer({"version": 1, "revision": policy.revision if policy else "", **shown})


async def _post_status(service: Service, request: web.Request) -> web.StreamResponse:
    body = await read_body(request, MAX_STATUS)

    def work() -> None:
        name, kept = fleet.read_status(body)
        service.store.save_status(name, kept, service.clock())

    await asyncio.to_thread(work)
    return answer({"version": 1, "problems": problem_list(service.publisher.problems)})


async def _get_status(service: Service, _request: web.Request) -> web.StreamResponse:
    def work() -> list[dict[str, object]]:
        now = service.clock()
        return fleet.show(service.store.statuses(now), service.publisher.bundles, now)

    authorizers = await asyncio.to_thread(work)
    return answer({"version": 1, "bundles": _published(service), "authorizers": authorizers})


async def _get_problems(service: Service, _request: web.Request) -> web.StreamResponse:
    return answer({"version": 1, "problems": problem_list(service.publisher.problems)})


async def _live(_service: Service, _request: web.Request) -> web.StreamResponse:
    return answer({"live": True})


async def _ready(service: Service, _request: web.Request) -> web.StreamResponse:
    if not service.publisher.ready:
        raise RefusalError("starting")
    return answer({"ready": True})


_TABLE: tuple[tuple[str, str, Role | None, Answer], ...] = (
    ("GET", "/v1/bundles/{kind}", "authorizer", _get_bundle),
    ("POST", "/v1/apis", "authorizer", _post_apis),
    ("POST", "/v1/status", "authorizer", _post_status),
    ("GET", "/v1/apis", "admin", _get_apis),
    ("GET", "/v1/status", "admin", _get_status),
    ("GET", "/v1/problems", "admin", _get_problems),
    ("GET", "/v1/documents", "admin", _list_documents),
    ("GET", "/v1/documents/{name}", "admin", _get_document),
    ("PUT", "/v1/documents/{name}", "admin", _put_document),
    ("DELETE", "/v1/documents/{name}", "admin", _delete_document),
    ("GET", "/livez", None, _live),
    ("GET", "/readyz", None, _ready),
)
