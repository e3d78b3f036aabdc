"""The HTTP server underneath: what it needs, what it leaves behind."""

import asyncio
import os
import subprocess
import sys

import pytest

from authorizer.doors.http1 import Answer, open_http
from authorizer.errors import ListenError


async def ok(_request):
    return Answer(200)


def malformed(status):
    return Answer(status, close=True)


def test_the_parser_that_repairs_is_refused():
    program = (
        "import asyncio\n"
        "from authorizer.doors.http1 import open_http\n"
        "asyncio.run(open_http('127.0.0.1:0', None, None))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"}, capture_output=True,
        text=True, timeout=30, check=False,
    )  # fmt: skip
    assert ran.returncode == 1
    assert "ListenError: AZ706" in ran.stderr


async def test_a_successors_socket_file_is_left_alone(tmp_path):
    path = tmp_path / "door.sock"
    door = await open_http(f"unix:{path}", ok, malformed)
    path.unlink()
    successor = await open_http(f"unix:{path}", ok, malformed)
    await door.close(1.0)
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    writer.close()
    await successor.close(1.0)
    assert not path.exists()


async def test_closing_lets_a_running_call_end():
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow(_request):
        entered.set()
        await release.wait()
        return Answer(200, body=b"done")

    door = await open_http("127.0.0.1:0", slow, malformed)
    reader, writer = await asyncio.open_connection(*door.address.split(":"))
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await entered.wait()
    closing = asyncio.create_task(door.close(5.0))
    await asyncio.sleep(0.01)
    release.set()
    await closing
    assert (await reader.read()).endswith(b"done")
    writer.close()
    with pytest.raises(OSError, match=r"refused|Connect"):
        await asyncio.open_connection(*door.address.split(":"))


async def test_a_port_in_use_is_told():
    door = await open_http("127.0.0.1:0", ok, malformed)
    with pytest.raises(ListenError, match="AZ702"):
        await open_http(door.address, ok, malformed)
    await door.close(0.1)
