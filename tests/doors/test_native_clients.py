"""Clients of others against the native door: grpclib, h2load, nghttp, curl; and both event loops."""

import asyncio
import contextlib
import re
import shutil
import struct

import grpclib.client
import grpclib.health.v1.health_grpc
import grpclib.health.v1.health_pb2
import pytest

from authorizer.doors.wire.ext_authz_pb2 import CheckResponse
from tests.doors.native_world import CHECK, Core, question, raw, serving

uvloop = pytest.importorskip("uvloop")
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
FIELDS = ("-H", "content-type: application/grpc", "-H", "te: trailers")


@pytest.fixture(params=LOOPS)
def run(request):
    """Return what runs a coroutine on one kind of event loop."""
    with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
        yield runner.run


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed; .ci/interop says how to get it")
    return found


async def output(*command: object) -> bytes:
    process = await asyncio.create_subprocess_exec(*map(str, command), stdout=-1, stderr=-1)
    out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors
    return out


@pytest.fixture
def body(tmp_path):
    file = tmp_path / "check.bin"
    message = question("/open", bytes(1000))
    file.write_bytes(b"\0" + struct.pack(">I", len(message)) + message)
    return file


@pytest.mark.interop
@pytest.mark.parametrize(("connections", "streams"), [(1, 1), (1, 16), (8, 100)])
def test_h2load(run, body, connections, streams):
    async def scenario():
        async with serving(core := Core()) as door:
            flags = ("-n", 2000, "-c", connections, "-m", streams, "-d", body)
            text = (await output(needed("h2load"), *flags, *FIELDS, f"http://{door.address}{CHECK}")).decode()
            assert re.search(r"2000 succeeded, 0 failed", text), text
            assert "2000 2xx" in text
            assert core.seen == 2000

    run(scenario())


@pytest.mark.interop
def test_nghttp(run, body):
    async def scenario():
        async with serving(Core()) as door:
            url = f"http://{door.address}{CHECK}"
            out = await output(needed("nghttp"), "-v", "-n", "-d", body, *FIELDS, url)
            assert b"grpc-status: 0" in out
            out = await output(needed("nghttp"), "-v", "-n", f"http://{door.address}/", f"http://{door.address}/x")
            assert out.count(b":status: 415") == 2

    run(scenario())


@pytest.mark.interop
def test_curl(run, body):
    async def scenario():
        async with serving(Core()) as door:
            url = f"http://{door.address}"
            plain = await output(needed("curl"), "-s", "--http2-prior-knowledge", "-w", "%{http_code}", url)
            assert plain == b"This port speaks gRPC.\n415"
            flags = ("--data-binary", f"@{body}", *FIELDS)
            out = await output(needed("curl"), "-s", "--http2-prior-knowledge", *flags, url + CHECK)
            assert CheckResponse.FromString(out[5:]).status.code == 0

    run(scenario())


def test_grpclib(run):
    async def scenario():
        core = Core()
        async with serving(core) as door:
            host, _, port = door.address.rpartition(":")
            health = grpclib.health.v1.health_pb2
            channel = grpclib.client.Channel(host, int(port))
            try:
                stub = grpclib.health.v1.health_grpc.HealthStub(channel)
                for _ in range(3):
                    assert (await stub.Check(health.HealthCheckRequest())).status == 1
                async with stub.Watch.open() as stream:
                    await stream.send_message(health.HealthCheckRequest(), end=True)
                    assert (await stream.recv_message()).status == 1
                    core.ready = False
                    assert (await stream.recv_message()).status == 2
                    await stream.cancel()
            finally:
                channel.close()

    run(scenario())


def test_both_loops_do_all_of_it(run):
    async def scenario():
        async with serving(Core(), max_message_bytes=8 << 20) as door, raw(door.address) as client:
            await client.send(client.call(1, question("/open")), client.call(3, question("/closed")))
            assert CheckResponse.FromString(await client.answer(1)).status.code == 0
            assert CheckResponse.FromString(await client.answer(3)).status.code == 7
            await client.send(client.headers(5, {"grpc-timeout": "100m"}))
            answer = CheckResponse.FromString(await client.answer(5))
            assert answer.dynamic_metadata["reason"] == "deadline"
            closing = asyncio.create_task(door.close(0.5))
            await client.until(7)
            await client.ended()
            client.writer.close()
            with contextlib.suppress(OSError):
                await client.writer.wait_closed()
            await closing

    run(scenario())
