"""An authorizer that is gone, late, or says what nobody understands: no gateway as we print it lets a request pass."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc import aio

from authorizer.demo.processes import Children
from authorizer.doors import ext_authz
from tests.e2e.shop import shop
from tests.e2e.world import Api, marked, open_doors, send, start

GARBAGE = {
    "bytes": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
    "half a head": b"HTTP/1.1 200 OK\r\nX-Auth-Sub",
    "a status that is none": b"HTTP/1.1 2 OK\r\nContent-Length: 0\r\n\r\n",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: /open\r\nContent-Length: 0\r\n\r\n",
    "an error": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nok",
    "another protocol": b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64" + b"\0\0\x08\x07\0\0\0\0\0" + bytes(8),
    "nothing": b"",
}


@contextlib.asynccontextmanager
async def answering(said: bytes | None) -> AsyncIterator[str]:
    """Run a server that says the same to everybody and hangs up; None: that takes what comes and never speaks."""
    silent = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readexactly(1)
            if said is None:
                await silent.wait()
            else:
                writer.write(said)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname())
    finally:
        silent.set()
        server.close()


def gone() -> str:
    """Return an address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "{}:{}".format(*probe.getsockname())


async def asked(name: str, children: Children, directory: Path, door: str, api: Api) -> int:
    """Return what a client gets from a gateway with such a door."""
    url = await start(name, children, directory, door, door, api.address)
    async with asyncio.timeout(60):
        reply = await send(url, "GET", "/orders/17", [("authorization", "Bearer x")], host="localhost", patience=50)
    assert not api.seen
    return reply.status


@pytest.mark.parametrize("name", marked("envoy-printed", "envoy-http", "nginx", "caddy", "haproxy", "traefik"))
async def test_an_authorizer_that_is_gone(name: str, children: Children, api: Api, tmp_path: Path) -> None:
    expected = {"nginx": 500, "traefik": 500, "caddy": 502}
    assert await asked(name, children, tmp_path, gone(), api) == expected.get(name, 503)


@pytest.mark.parametrize("name", marked("envoy-printed", "envoy-http", "nginx", "caddy", "haproxy", "traefik"))
async def test_an_authorizer_that_is_late(name: str, children: Children, api: Api, tmp_path: Path) -> None:
    expected = {"nginx": 500, "traefik": 500, "caddy": 504}
    async with answering(None) as door:
        assert await asked(name, children, tmp_path, door, api) == expected.get(name, 503)


@pytest.mark.parametrize("name", marked("envoy-printed", "envoy-http", "nginx", "caddy", "haproxy", "traefik"))
async def test_an_authorizer_that_is_stopped_under_way(name: str, children: Children, api: Api, tmp_path: Path) -> None:
    authorizer, tokens = shop(tmp_path)
    bearer = [("authorization", f"Bearer {tokens['alice']}")]
    async with open_doors(authorizer) as doors:
        url = await start(name, children, tmp_path, doors.grpc, doors.http, api.address)
        assert (await send(url, "GET", "/orders/17", bearer, host="localhost")).status == 200
    for _ in range(3):
        reply = await send(url, "GET", "/orders/17", bearer, host="localhost", patience=50)
        assert reply.status >= 500
    assert len(api.seen) == 1


@pytest.mark.parametrize("said", GARBAGE)
@pytest.mark.parametrize("name", marked("envoy-printed", "envoy-http", "nginx", "caddy", "haproxy", "traefik"))
async def test_an_authorizer_that_talks_garbage(
    name: str, said: str, children: Children, api: Api, tmp_path: Path
) -> None:
    async with answering(GARBAGE[said]) as door:
        status = await asked(name, children, tmp_path, door, api)
    # A status is passed on as it is, as the answer of somebody who may deny; Envoy does so even with one that is none.
    assert status >= 400 or (status, said) in {(302, "a redirect"), (2, "a status that is none")}


NO_ANSWERS = {
    "bytes": b"\xff" * 20,
    "half a message": b"\x0a\x7f\x08",
    "text": b"allowed",
    "a denial that is none": b"\x0a\x02\x08\x07\x12\x00",
    "a field of another type": b"\x0d\x00\x00\x00\x00\x1a\xff\xff",
}
"""Messages of gRPC that are no CheckResponse, or one that says "denied" and nothing else."""


@pytest.mark.parametrize("said", NO_ANSWERS)
async def test_an_authorizer_that_speaks_grpc_and_talks_garbage(
    said: str, children: Children, api: Api, tmp_path: Path
) -> None:
    async def answer(_message: bytes, _call: object) -> bytes:
        return NO_ANSWERS[said]

    server = aio.server()
    handlers = {ext_authz.METHOD: grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(ext_authz.SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        assert await asked("envoy-printed", children, tmp_path, f"127.0.0.1:{port}", api) >= 400
    finally:
        await server.stop(0)
