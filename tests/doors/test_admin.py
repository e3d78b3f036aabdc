"""Probes and metrics over a real socket."""

import asyncio
import contextlib
import threading

import aiohttp
import pytest

from authorizer.doors import admin
from authorizer.doors.http1 import open_http


class World:
    def __init__(self):
        self.lacking = ""
        self.render = lambda accept: (b"metric 1\n", "text/plain; version=0.0.4")
        self.url = ""


@pytest.fixture
async def world():
    made = World()

    def render(accept):
        return made.render(accept)

    handler = admin.handler(lambda: made.lacking, render)
    door = await open_http("127.0.0.1:0", handler, admin.malformed)
    made.url = f"http://{door.address}"
    async with aiohttp.ClientSession() as made.session:
        yield made
    await door.close(1.0)


async def get(world, path, method="GET", **headers):
    async with world.session.request(method, world.url + path, headers=headers) as reply:
        return reply.status, await reply.text(), reply.headers


async def test_live_is_not_ready(world):
    world.lacking = "no policy is in force"
    assert (await get(world, "/livez"))[:2] == (200, "ok\n")
    assert (await get(world, "/readyz"))[:2] == (503, "not ready: no policy is in force\n")
    world.lacking = ""
    assert (await get(world, "/readyz?verbose"))[:2] == (200, "ok\n")


async def test_metrics_are_rendered_in_a_thread_for_the_accept_header(world):
    seen = []

    def render(accept):
        seen.append((accept, threading.current_thread() is threading.main_thread()))
        return b"x 1\n", "application/openmetrics-text"

    world.render = render
    status, text, headers = await get(world, "/metrics", accept="application/openmetrics-text")
    assert (status, text, headers["content-type"]) == (200, "x 1\n", "application/openmetrics-text")
    assert seen == [("application/openmetrics-text", False)]


async def test_scrapes_are_rendered_one_at_a_time(world):
    running, most = 0, 0
    lock = threading.Lock()
    pause = threading.Event()

    def render(_accept):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        pause.wait(0.02)
        with lock:
            running -= 1
        return b"", "text/plain"

    world.render = render
    await asyncio.gather(*(get(world, "/metrics") for _ in range(5)))
    assert most == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("HEAD", "/livez", 200), ("HEAD", "/metrics", 200), ("POST", "/metrics", 405), ("DELETE", "/livez", 405),
     ("GET", "/", 404), ("GET", "/metrics/", 404), ("GET", "/livez/../metrics", 404)],
)  # fmt: skip
async def test_other_requests(world, method, path, status):
    reader, writer = await asyncio.open_connection(*world.url.removeprefix("http://").split(":"))
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    top, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert int(top.split()[1]) == status
    assert method != "HEAD" or body == b""


async def test_a_fault_is_shown_as_one_and_not_explained(world):
    def render(_accept):
        raise RuntimeError("internals")

    world.render = render
    assert (await get(world, "/metrics"))[:2] == (500, "failed: see the log\n")
    assert (await get(world, "/livez"))[0] == 200


async def test_what_is_not_http_is_refused(world):
    reader, writer = await asyncio.open_connection(*world.url.removeprefix("http://").split(":"))
    writer.write(b"\x00\x01\x02\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()
