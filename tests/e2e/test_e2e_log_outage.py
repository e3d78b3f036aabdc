"""The server of the decision log is away while a thousand checks come each second: every decision is on record or counted."""

import asyncio
import contextlib
import gzip
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from authorizer.demo.parts import free_port
from tests.bench import world as estate
from tests.bench.load import METHOD, framed_check
from tests.e2e.fleet import Serving, serving, until
from tests.e2e.world import needed

pytestmark = pytest.mark.interop

RATE = 500
"""Checks a second to each of two workers."""

SOUND = 3
"""Seconds before and after the outage."""

NAME = "authorizer_decision_log_"


class Log:
    """OPA's API for decision logs. ``start`` and ``stop`` open and close its port, which stays the same."""

    def __init__(self) -> None:
        self.port = free_port()
        self.ids: list[str] = []
        self.bodies: list[bytes] = []
        self._runner = web.ServerRunner(web.Server(self.take))

    async def take(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        body = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        self.bodies.append(body)
        self.ids += [event["decision_id"] for event in json.loads(body)]
        return web.Response()

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self.take))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def stop(self) -> None:
        await self._runner.cleanup()


@contextlib.asynccontextmanager
async def checks(home: Path, seconds: int, token: str) -> AsyncIterator[None]:
    """Ask both workers at a constant rate for so long; all have to be answered."""
    (home / "check.bin").write_bytes(framed_check(token))
    count = RATE * seconds
    command = [needed("h2load"), "-n", str(count), "-c", "1", "-m", "8", f"--rps={RATE}", "-d", str(home / "check.bin")]
    command += ["-H", "content-type: application/grpc", "-H", "te: trailers", f"http://localhost{METHOD}"]
    runs = [
        await asyncio.create_subprocess_exec(*command, "-B", f"unix:{home}/g-{worker}.sock", stdout=-1)
        for worker in range(2)
    ]
    try:
        yield
        for run in runs:
            out, _ = await asyncio.wait_for(run.communicate(), seconds + 60)
            assert f"{count} 2xx" in out.decode()
    finally:
        for run in runs:
            if run.returncode is None:
                run.kill()
                await run.wait()


@pytest.mark.parametrize(("outage", "on_disk"), [(60, False), (10, True)])
async def test_logged_and_dropped_are_what_was_decided(outage: int, on_disk: bool, tmp_path: Path) -> None:
    world = estate.make()
    (tmp_path / "policies").mkdir()
    for name, content in world.files.items():
        (tmp_path / "policies" / name).write_bytes(content)
    token = world.token(now=int(time.time()))
    log = Log()
    upload = {"url": f"http://127.0.0.1:{log.port}", "timeout_seconds": 2}
    told = {
        "policies": str(tmp_path / "policies"),
        "workers": 2,
        "ext_authz": {"listen": f"unix:{tmp_path}/g.sock"},
        "forward_auth": {"listen": ""},
        "log": {"decisions": "", "upload": upload | ({"buffer": str(tmp_path / "buffer")} if on_disk else {})},
    }
    await log.start()
    async with serving(tmp_path, told) as running:
        await running.announced()
        await running.ready()
        seconds = outage + 2 * SOUND
        async with checks(tmp_path, seconds, token):
            await asyncio.sleep(SOUND)
            await log.stop()
            await asyncio.sleep(outage)
            await log.start()
        assert await running.counts("authorizer_decisions_total") == 2 * RATE * seconds

        async def settled() -> bool:
            return await running.counts(f"{NAME}waiting") == 0 and await told_of(running) == 2 * RATE * seconds

        await until(settled, 60)
        dropped = await running.counts(f"{NAME}dropped_total")
        assert await running.counts(f"{NAME}written_total") + dropped == 2 * RATE * seconds
        # One whose answer was lost comes twice.
        assert len(set(log.ids)) == 2 * RATE * seconds - dropped
        assert (dropped == 0) is on_disk
        assert await running.counts(f"{NAME}failures_total") > 0
    await log.stop()
    secrets = [part.encode() for part in token.split(".") if len(part) > 20]
    assert not [secret for secret in secrets for body in log.bodies if secret in body]
    assert not [secret for secret in secrets if secret in running.log.read_bytes()]


async def told_of(running: Serving) -> float:
    """Return how many events are told of, as written or as dropped."""
    return await running.counts(f"{NAME}written_total") + await running.counts(f"{NAME}dropped_total")
