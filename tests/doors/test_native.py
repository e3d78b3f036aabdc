"""What the native gRPC door does for itself, asked by gRPC's own client and by one that speaks in frames."""

import asyncio
import os
import socket
import struct

import grpc
import pytest
from grpc import aio

from authorizer.doors.wire.ext_authz_pb2 import CheckResponse
from authorizer.http2.frames import PREFACE
from authorizer.http2.limits import Limits
from tests.doors.native_world import (
    CHECK,
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

GOAWAY, PING, RST = 7, 6, 3


async def test_many_checks_at_once():
    async with calling(Core()) as (_, channel):
        paths = ["/open" if n % 3 else "/closed" for n in range(500)]
        answers = await asyncio.gather(*(ask(channel, question(path)) for path in paths))
        assert [answer.status.code == 0 for answer in answers] == [path == "/open" for path in paths]


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


async def test_abstract_names():
    address = f"unix:@authorizer-native-{os.getpid()}"
    async with calling(Core(), address) as (door, channel):
        assert door.address == address
        assert (await ask(channel, question("/open"))).status.code == 0


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
        for _ in range(50):
            answers = await asyncio.gather(*(ask(channel, question("/open")) for _ in range(20)))
            assert [answer.status.code for answer in answers] == [0] * 20
            await asyncio.sleep(0.02)


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
