"""Probes and metrics for the operator, on a port of their own: no gateway and no client has business there."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from authorizer.doors import faults
from authorizer.doors.http1 import Answer, Handler

_TEXT = (("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store"))
_JWKS = (("content-type", "application/jwk-set+json"), ("cache-control", "max-age=300"))
_ALLOWED = (("allow", "GET, HEAD"),)


def handler(
    lacking: Callable[[], str], render: Callable[[str], tuple[bytes, str]], keys: bytes = b'{"keys":[]}'
) -> Handler:
    """Return the handler of ``/livez``, ``/readyz``, ``/metrics`` and ``/jwks.json``, which shows ``keys``.

    ``lacking`` tells what there is to wait for, nothing when ready. ``render`` makes (body, content type) of an Accept
    header; it runs in a thread, and never twice at once: scrapers that pile up wait, decisions do not.
    """
    one_at_a_time = asyncio.Lock()

    async def metrics(accept: str) -> Answer:
        async with one_at_a_time:
            body, content_type = await asyncio.to_thread(render, accept)
        return Answer(200, (("content-type", content_type),), body)

    async def handle(request: web.BaseRequest) -> Answer:
        path = request.raw_path.partition("?")[0]
        if path not in {"/livez", "/readyz", "/metrics", "/jwks.json"}:
            return _said(404, "not found: try /livez, /readyz, /metrics or /jwks.json")
        if request.method not in {"GET", "HEAD"}:
            return Answer(405, (*_TEXT, *_ALLOWED), b"only GET and HEAD\n", close=True)
        try:
            if path == "/metrics":
                return await metrics(request.headers.get("accept", ""))
            if path == "/jwks.json":
                return Answer(200, _JWKS, keys)
            if path == "/readyz" and (why := lacking()):
                return _said(503, f"not ready: {why}")
        except Exception as error:  # noqa: BLE001 - a fault is reported once, and shown to the prober as a fault
            faults.report(error)
            return _said(500, "failed: see the log")
        return _said(200, "ok")

    return handle


def malformed(status: int) -> Answer:
    """Answer what is not HTTP."""
    return Answer(status, _TEXT, b"malformed request\n", close=True)


def _said(status: int, text: str) -> Answer:
    return Answer(status, _TEXT, f"{text}\n".encode())
