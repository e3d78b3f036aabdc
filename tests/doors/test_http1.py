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


async def connect(door):
    return await asyncio.open_connection(*door.address.split(":"))


HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost:", HEAD + b"GET /"])
async def test_half_a_request_is_not_waited_for(sent, monkeypatch):
    monkeypatch.setattr("authorizer.doors.http1.HEADER_SECONDS", 0.1)
    door = await open_http("127.0.0.1:0", ok, malformed)
    reader, writer = await connect(door)
    whole, rest = sent.startswith(HEAD), sent.removeprefix(HEAD)
    if whole:
        writer.write(HEAD)
        assert await reader.readuntil(b"\r\n\r\n") == OK
    writer.write(rest)
    async with asyncio.timeout(30):
        assert await reader.read() == b""
    writer.close()
    await door.close(0.1)


async def test_a_request_in_pieces_and_an_idle_connection_are_borne(monkeypatch):
    monkeypatch.setattr("authorizer.doors.http1.HEADER_SECONDS", 0.3)
    door = await open_http("127.0.0.1:0", ok, malformed)
    reader, writer = await connect(door)
    for _ in range(2):
        for piece in (HEAD[:9], HEAD[9:]):
            writer.write(piece)
            await asyncio.sleep(0.02)
        assert await reader.readuntil(b"\r\n\r\n") == OK
        await asyncio.sleep(0.5)
    writer.close()
    await door.close(0.1)


async def test_connections_are_bounded_and_given_back(monkeypatch):
    monkeypatch.setattr("authorizer.doors.http1.MAX_CONNECTIONS", 2)
    door = await open_http("127.0.0.1:0", ok, malformed)
    first, second, third = [await connect(door) for _ in range(3)]
    async with asyncio.timeout(30):
        assert await third[0].read() == b""
        for reader, writer in (second, first):
            writer.write(HEAD)
            assert await reader.readuntil(b"\r\n\r\n") == OK
        first[1].close()
        await first[1].wait_closed()
        answered = b""
        while not answered:
            reader, writer = await connect(door)
            writer.write(HEAD)
            answered = await reader.read(len(OK))
            writer.close()
    assert answered == OK
    for _, writer in (second, third):
        writer.close()
    await door.close(0.1)
