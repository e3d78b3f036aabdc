"""The sample APIs behind the gateway: orders, payments and reports. They trust what the gateway tells them."""

import contextlib
from collections.abc import AsyncIterator

from aiohttp import web


@contextlib.asynccontextmanager
async def upstream() -> AsyncIterator[str]:
    """Serve the sample APIs on a free loopback port; give its address."""
    server = web.Server(_answer, access_log=None)
    runner = web.ServerRunner(server)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()


async def _answer(request: web.BaseRequest) -> web.StreamResponse:
    api = request.raw_path.split("/")[1].partition("?")[0]
    return web.json_response(
        {
            "api": api,
            "did": f"{request.method} {request.raw_path}",
            "for": request.headers.get("x-auth-subject"),
            "decision_id": request.headers.get("x-auth-decision"),
        }
    )
