"""The native gRPC door over real sockets, asked by gRPC's own client and by one that speaks in frames."""

import asyncio
import os
import socket
import stat
import struct

import grpc
import pytest
from grpc import aio

from authorizer.doors import native
from authorizer.doors.wire.ext_authz_pb2 import CheckResponse
from authorizer.errors import ListenError
from authorizer.http2.frames import PREFACE
from authorizer.http2.limits import Limits
from tests.doors.native_world import (
    CHECK,
    HEALTH_CHECK,
    HEALTH_WATCH,
    Core,
    Raw,
    ask,
    calling,
    frame,
    question,
    raw,
    reason,
    serving,
)

health_pb2 = pytest.importorskip("grpclib.health.v1.health_pb2")
Status = health_pb2.HealthCheckResponse.ServingStatus
GOAWAY, PING, RST = 7, 6, 3


async def probe(channel: aio.Channel, service: str) -> int:
    message = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    answer = await channel.unary_unary(HEALTH_CHECK)(message, timeout=10)
    return health_pb2.HealthCheckResponse.FromString(answer).status


def watch(channel: aio.Channel, service: str = "", timeout: float = 10):
    message = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    read = health_pb2.HealthCheckResponse.FromString
    return channel.unary_stream(HEALTH_WATCH, response_deserializer=read)(message, timeout=timeout)


async def test_checks_are_answered():
    async with calling(Core()) as (_, channel):
        for _ in range(3):
            assert (await ask(channel, question("/open"))).HasField("ok_response")
            denied = await ask(channel, question("/closed"))
            assert (denied.status.code, denied.denied_response.status.code) == (7, 403)


async def test_many_checks_at_once():
    async with calling(Core()) as (_, channel):
        paths = ["/open" if n % 3 else "/closed" for n in range(500)]
        answers = await asyncio.gather(*(ask(channel, question(path)) for path in paths))
        assert [answer.status.code == 0 for answer in answers] == [path == "/open" for path in paths]


@pytest.mark.parametrize(
    ("message", "code"), [(question("/raise"), "internal_error"), (b"\xff", "bad_check"), (b"", "no_route")]
)
async def test_whatever_goes_wrong_is_a_denial_and_not_a_grpc_error(message, code):
    async with calling(Core()) as (_, channel):
        answer = await ask(channel, message)
        assert answer.status.code != 0
        assert reason(answer) == code


async def test_large_bodies_and_large_denials():
    async with calling(Core(), max_message_bytes=4 << 20) as (_, channel):
        assert (await ask(channel, question("/open", bytes(3 << 20)))).status.code == 0
        for size in (4 << 20, 5_000_000, 20 << 20):
            assert reason(await ask(channel, question("/open", bytes(size)))) == "body_limit"
        denial = await ask(channel, question("/long"))
        assert len(denial.SerializeToString()) > 3_000_000
        assert (await ask(channel, question("/open"))).status.code == 0
    async with calling(Core(), max_message_bytes=8 << 20) as (_, channel):
        assert (await ask(channel, question("/open", bytes(5_000_000)))).status.code == 0


async def test_metadata_of_60_kb_is_denied_and_not_an_error():
    metadata = tuple((f"x-{n}", "v" * 600) for n in range(100))
    async with calling(Core()) as (_, channel):
        answer = await channel.unary_unary(CHECK)(question("/open"), timeout=10, metadata=metadata)
        assert reason(CheckResponse.FromString(answer)) == "header_limit"
        assert (await ask(channel, question("/open"))).status.code == 0


async def test_a_check_that_is_late_is_denied_before_its_deadline():
    async with serving(Core()) as door, raw(door.address) as client:
        await client.send(client.headers(1, {"grpc-timeout": "200m"}), frame(0, 0, 1, b"\0\0\0\0\x09half"))
        answer = CheckResponse.FromString(await client.answer(1))
        assert reason(answer) == "deadline"
        await client.send(client.call(3, question("/open"), {"grpc-timeout": "0n"}))
        assert reason(CheckResponse.FromString(await client.answer(3))) == "deadline"


async def test_packed_messages():
    async with serving(Core()) as door:
        channel = aio.insecure_channel(door.address, compression=grpc.Compression.Gzip)
        async with channel:
            assert (await ask(channel, question("/open", bytes(100_000)))).status.code == 0


async def test_unknown_methods_are_unimplemented():
    async with calling(Core()) as (_, channel):
        for path in ("/envoy.service.auth.v3.Authorization/Other", "/envoy.service.auth.v2.Authorization/Check"):
            with pytest.raises(aio.AioRpcError) as caught:
                await channel.unary_unary(path)(b"", timeout=10)
            assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("service", ["", "envoy.service.auth.v3.Authorization", "readiness"])
async def test_health_follows_readiness_and_drain(service):
    core = Core(ready=False)
    async with calling(core) as (door, channel):
        assert await probe(channel, service) == Status.NOT_SERVING
        core.ready = True
        assert await probe(channel, service) == Status.SERVING
        door.drain()
        assert await probe(channel, service) == Status.NOT_SERVING
        assert (await ask(channel, question("/open"))).status.code == 0


@pytest.mark.parametrize("method", [HEALTH_CHECK, HEALTH_WATCH])
async def test_health_refuses_what_it_does_not_know(method):
    async with calling(Core()) as (_, channel):
        with pytest.raises(aio.AioRpcError) as caught:
            await channel.unary_unary(method)(b"\xff", timeout=10)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(aio.AioRpcError) as caught:
            await probe(channel, "other")
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_watch_tells_each_change_and_the_end():
    core = Core(ready=False)
    async with calling(core) as (door, channel):
        stream = watch(channel)
        assert (await stream.read()).status == Status.NOT_SERVING
        core.ready = True
        assert (await stream.read()).status == Status.SERVING
        await door.close(1)
        assert (await stream.read()).status == Status.NOT_SERVING
        assert await stream.read() is aio.EOF


async def test_watch_of_an_unknown_service_stays_open():
    async with calling(Core()) as (_, channel):
        stream = watch(channel, "other")
        assert (await stream.read()).status == 3
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stream.read(), 2 * native.WATCH_SECONDS)


async def test_watches_are_bounded_and_given_back(monkeypatch):
    monkeypatch.setattr(native, "MAX_WATCHES", 1)
    async with calling(Core()) as (_, channel):
        first = watch(channel)
        await first.read()
        with pytest.raises(aio.AioRpcError) as caught:
            await watch(channel).read()
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        first.cancel()
        await asyncio.sleep(0.05)
        assert (await watch(channel).read()).status == Status.SERVING


async def test_unix_sockets_are_for_owner_and_group_and_go_away(tmp_path):
    path = tmp_path / "door.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with calling(Core(), f"unix:{path}") as (_, channel):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert (await ask(channel, question("/open"))).status.code == 0
        with pytest.raises(ListenError, match="AZ703"):
            await native.start(Core(), f"unix:{path}")
    assert not path.exists()


async def test_abstract_names():
    address = f"unix:@authorizer-native-{os.getpid()}"
    async with calling(Core(), address) as (door, channel):
        assert door.address == address
        assert (await ask(channel, question("/open"))).status.code == 0


@pytest.mark.parametrize("address", ["", "nowhere", "127.0.0.1:99999", "unix:relative"])
async def test_a_bad_address_is_refused(address):
    with pytest.raises(ListenError, match="AZ701"):
        await native.start(Core(), address)


async def test_closing_loses_no_call_that_was_sent():
    core = Core()
    async with serving(core) as door, raw(door.address) as client, raw(door.address) as slow:
        await slow.send(slow.headers(1), slow.data(1, question("/open"))[:20])
        await client.send(client.call(1, question("/open")))
        await client.answer(1)
        closing = asyncio.create_task(door.close(5))
        first = await client.until(GOAWAY)
        assert first == struct.pack(">II", (1 << 31) - 1, 0)
        await client.send(client.call(3, question("/open")))  # it did not know yet
        ping = await client.until(PING)
        assert CheckResponse.FromString(await client.answer(3)).status.code == 0
        await client.send(frame(PING, 1, 0, ping))
        assert await client.until(GOAWAY) == struct.pack(">II", 3, 0)
        assert await client.ended()
        assert not closing.done()
        await slow.send(slow.data(1, question("/open"))[20:])
        assert CheckResponse.FromString(await slow.answer(1)).status.code == 0
        client.writer.close()
        slow.writer.close()
        await asyncio.wait_for(closing, 30)
        with pytest.raises(OSError, match=r"Connect|refused"):
            await asyncio.open_connection("127.0.0.1", int(door.address.rpartition(":")[2]))


async def test_who_was_let_in_by_the_system_is_answered_at_closing():
    async with serving(Core()) as door:
        host, _, port = door.address.rpartition(":")
        with socket.create_connection((host, int(port))) as client:  # the door has had no turn to accept it
            closing = asyncio.create_task(door.close(2))
            client.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=client.dup())
            connection = Raw(reader, writer)
            await connection.send(PREFACE, frame(4, 0, 0), frame(4, 1, 0), connection.call(1, question("/open")))
            assert CheckResponse.FromString(await connection.answer(1)).status.code == 0
            await connection.until(GOAWAY)
            writer.close()
        await asyncio.wait_for(closing, 30)


async def test_closing_waits_no_longer_than_asked():
    patient = Limits(request_seconds=3600, stalled_seconds=3600, idle_seconds=3600)
    async with serving(Core(), limits=patient) as door, raw(door.address) as client:
        await client.send(client.headers(1))
        await client.until(8)
        async with asyncio.timeout(30):
            await door.close(0.2)
        assert await client.ended()
        await door.close(0)


async def test_an_old_connection_is_asked_to_go():
    async with serving(Core(), max_connection_age=0.2) as door, raw(door.address) as client:
        await client.send(client.call(1, question("/open")))
        assert await client.until(GOAWAY) == struct.pack(">II", (1 << 31) - 1, 0)
        await client.until(GOAWAY)
        assert await client.ended()


async def test_gateways_that_are_asked_to_go_lose_nothing():
    async with calling(Core(), max_connection_age=0.1) as (_, channel):
        until = asyncio.get_running_loop().time() + 2
        answered = 0
        while asyncio.get_running_loop().time() < until:
            answers = await asyncio.gather(*(ask(channel, question("/open")) for _ in range(20)))
            answered += sum(answer.status.code == 0 for answer in answers)
        assert answered % 20 == 0
        assert answered > 200


async def test_connections_are_bounded():
    breaches = []
    async with serving(Core(), limits=Limits(connections=2), breach=breaches.append) as door:
        async with raw(door.address) as first, raw(door.address) as second, raw(door.address) as third:
            for client in (first, second):
                await client.send(client.call(1, question("/open")))
                await client.answer(1)
            assert await third.ended()
        await asyncio.sleep(0.05)
        async with raw(door.address) as again:
            await again.send(again.call(1, question("/open")))
            assert await again.answer(1)
    assert breaches == ["connections"]


async def test_http_1_is_turned_away():
    async with serving(Core()) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(door.address.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"not HTTP/2" in await asyncio.wait_for(reader.read(), 30)
        writer.close()
        await writer.wait_closed()


async def test_a_peer_that_hangs_up_at_any_moment_leaves_nothing():
    core = Core()
    async with serving(core, limits=Limits(stalled_seconds=1)) as door:
        async with raw(door.address) as model:
            wire = model.call(1, question("/long")) + model.call(3, question("/open", bytes(70_000))[:60_000])
        for at in range(0, len(wire), 997):
            async with raw(door.address) as client:
                await client.send(wire[:at])
        async with asyncio.timeout(30):
            await door._common.empty.wait()
        assert door._common.pool.buffered == 0
