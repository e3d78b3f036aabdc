"""Abuse of a running door: its connection ends with the right code, little is kept, and others go on."""

import asyncio
import itertools

import pytest

from authorizer.doors.wire.ext_authz_pb2 import CheckResponse
from authorizer.http2.frames import ENHANCE_YOUR_CALM, PREFACE, SETTINGS_TIMEOUT
from authorizer.http2.limits import Limits
from tests.doors.native_world import Core, Raw, frame, question, raw, serving

GOAWAY = 7


def uint(number: int) -> bytes:
    return number.to_bytes(4, "big")


def forever(one):
    """Return a flood: for each stream number, bytes."""
    return lambda client: (one(client, number) for number in range(1, 200_001, 2))


FLOODS = {
    "rapid_reset": forever(lambda c, n: c.headers(n) + frame(3, 0, n, uint(8))),
    "stream_errors": forever(lambda c, n: c.headers(n) + frame(8, 0, n, uint(0))),
    "flood_ping": forever(lambda _, __: frame(6, 0, 0, bytes(8))),
    "flood_settings": forever(lambda _, __: frame(4, 0, 0)),
    "flood_priority": forever(lambda _, n: frame(2, 0, n, bytes(5))),
    "flood_window_update": forever(lambda _, __: frame(8, 0, 0, uint(1))),
    "flood_data": forever(lambda c, n: (c.headers(1) if n == 1 else b"") + frame(0, 0, 1)),
    "flood_unknown": forever(lambda _, __: frame(0x70, 0, 0)),
    "continuations": forever(lambda _, n: frame(1, 0, 1) if n == 1 else frame(9, 0, 1)),
    "header_block": forever(lambda _, n: frame(1, 0, 1) if n == 1 else frame(9, 0, 1, bytes(16_384))),
}


async def attack(client: Raw, flood) -> None:
    """Send until the other side has had enough."""
    try:
        batch = []
        for part in flood:
            batch.append(part)
            if len(batch) == 100:
                await client.send(*batch)
                batch.clear()
    except ConnectionError:
        pass


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_ends_its_own_connection_only(name):
    breaches = []
    limits = Limits(header_block_bytes=40_000) if name == "header_block" else Limits()
    async with (
        serving(Core(), limits=limits, breach=breaches.append) as door,
        raw(door.address) as client,
        raw(door.address) as other,
    ):
        sending = asyncio.create_task(attack(client, FLOODS[name](client)))
        goaway = await client.until(GOAWAY)
        assert goaway[4:8] == uint(ENHANCE_YOUR_CALM)
        assert breaches == [name]
        await client.ended()
        await sending
        await other.send(other.call(1, question("/open")))
        assert CheckResponse.FromString(await other.answer(1)).status.code == 0
        assert door._common.pool.buffered == 0


async def test_others_do_not_wait_for_floods():
    async with serving(Core()) as door, raw(door.address) as other:

        async def flood() -> None:
            for _ in range(10):
                async with raw(door.address) as client:
                    await client.send(*(frame(6, 0, 0, bytes(8)) for _ in range(2001)))
                    await client.ended()

        flooding = asyncio.create_task(flood())
        calls = itertools.count(1, 2)
        while not flooding.done():
            number = next(calls)
            await other.send(other.call(number, question("/open")))
            assert await other.answer(number)
        await flooding
        assert next(calls) > 2 * 10  # an answer a flood at the least, or it would have had to wait for one to end


async def test_a_slow_preface_is_cut():
    breaches = []
    async with serving(Core(), limits=Limits(preface_seconds=0.2), breach=breaches.append) as door:
        host, _, port = door.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(PREFACE[:10])
        client = Raw(reader, writer)
        assert (await client.until(GOAWAY))[4:8] == uint(SETTINGS_TIMEOUT)
        assert await client.ended()
        writer.close()
        await writer.wait_closed()
    assert breaches == ["preface"]


async def test_an_idle_connection_is_let_go():
    async with (
        serving(
            Core(), limits=Limits(idle_seconds=0.2, goaway_seconds=0.1, preface_seconds=0.1, settings_seconds=0.1)
        ) as door,
        raw(door.address) as client,
    ):
        assert await client.until(GOAWAY) == uint((1 << 31) - 1) + uint(0)
        assert await client.until(GOAWAY) == uint(0) + uint(0)
        assert await client.ended()


async def test_a_peer_that_does_not_read_is_not_read_either_and_then_cut():
    breaches = []
    core = Core()
    limits = Limits(stalled_seconds=0.5)
    windows = b"\0\4" + uint((1 << 31) - 1)
    async with (
        serving(core, limits=limits, breach=breaches.append) as door,
        raw(door.address, windows, limit=1) as client,
    ):
        await client.send(frame(8, 0, 0, uint((1 << 31) - 65_536)))
        sending = asyncio.create_task(attack(client, (client.call(n, question("/long")) for n in range(1, 2001, 2))))
        await asyncio.sleep(0.3)
        (peer,) = door._common.peers
        assert core.seen < 10  # of 3 MB each
        assert peer._transport.get_write_buffer_size() < 20 << 20
        async with raw(door.address) as other:
            await other.send(other.call(1, question("/open")))
            assert await other.answer(1)
        async with asyncio.timeout(30):
            await sending
            await door._common.empty.wait()
    assert breaches == ["stalled"]


async def test_answers_that_no_window_lets_out_are_bounded():
    breaches = []
    limits = Limits(buffered_bytes=20 << 20)
    async with serving(Core(), limits=limits, breach=breaches.append) as door, raw(door.address) as client:
        await client.send(*(client.call(n, question("/long")) for n in range(1, 41, 2)))
        await client.until(3, 39)
        assert door._common.pool.buffered <= 20 << 20
    assert set(breaches) == {"buffered"}


async def test_messages_that_never_end_are_bounded():
    breaches = []
    limits = Limits(buffered_bytes=1 << 20)
    async with serving(Core(), limits=limits, breach=breaches.append) as door, raw(door.address) as client:
        for n in range(1, 201, 2):
            await client.send(client.headers(n), frame(0, 0, n, b"\0" + uint(100_000)), frame(0, 0, n, bytes(16_000)))
        answer = CheckResponse.FromString(await client.answer(131))
        assert answer.dynamic_metadata["reason"] == "overload"
        assert door._common.pool.buffered <= 1 << 20
    assert set(breaches) == {"buffered"}
    assert door._common.pool.buffered == 0
