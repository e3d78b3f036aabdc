"""The native door and gRPC's own server, asked the same: alike in gRPC's terms, byte for byte."""

import asyncio
import contextlib

import grpc
import pytest
from grpc import aio
from hypothesis import given, settings
from hypothesis import strategies as st

from authorizer.doors import grpcio, native
from tests.doors.native_world import CHECK, HEALTH_CHECK, HEALTH_WATCH, UNLIMITED, Core, question

LIMIT = 100_000
PATHS = st.sampled_from(["/open", "/closed", "/raise", ""])
MESSAGES = st.one_of(
    st.builds(question, PATHS, st.integers(0, 150_000).map(bytes)),
    st.builds(question, PATHS, st.binary(max_size=50)),
    st.binary(max_size=20),
)
CHECKS = st.tuples(st.sampled_from([CHECK, CHECK, CHECK, CHECK + "ed", "/x/y"]), MESSAGES)
PROBES = st.tuples(
    st.just(HEALTH_CHECK),
    st.sampled_from([b"", b"\n\x09readiness", b"\n\x05other", b"\xff", b"\n\x01", b"\x12\x03new"]),
)
CALLS = st.tuples(
    st.one_of(CHECKS, CHECKS, PROBES),
    st.sampled_from([None, None, 20.0]),
    st.sampled_from([grpc.Compression.NoCompression, grpc.Compression.NoCompression, grpc.Compression.Gzip]),
    st.sampled_from([(), (("x-request-id", "1"),), (("x-bin", b"\0\xff"), ("x-long", "v" * 3000))]),
)


async def told(channel: aio.Channel, call: object) -> object:
    """Return everything that a client learns of a call."""
    (path, message), timeout, compression, metadata = call
    made = channel.unary_unary(path)(message, timeout=timeout, compression=compression, metadata=metadata)
    answer: bytes | None = None
    with contextlib.suppress(aio.AioRpcError):
        answer = await made
    return (
        answer,
        await made.code(),
        dict(await made.initial_metadata() or ()),
        dict(await made.trailing_metadata() or ()),
    )


async def watched(channel: aio.Channel, message: bytes, core: Core) -> object:
    """Return what a watch tells while the core comes and goes."""
    heard = []
    stream = channel.unary_stream(HEALTH_WATCH)(message, timeout=20)
    with contextlib.suppress(aio.AioRpcError):
        for ready in (False, True):
            heard.append(await stream.read())
            if message == b"\n\x05other":
                break
            core.ready = ready
        stream.cancel()
    core.ready = True
    return heard, await stream.code()


@pytest.fixture(scope="module")
def both():
    """Return what asks both doors, each with a core of its own that gives equal ids."""
    with asyncio.Runner() as runner:
        cores = Core(), Core()
        doors = (
            runner.run(native.start(cores[0], "127.0.0.1:0", max_message_bytes=LIMIT)),
            runner.run(grpcio.start(cores[1], "127.0.0.1:0", max_message_bytes=LIMIT)),
        )

        async def channels():
            return [aio.insecure_channel(door.address, options=UNLIMITED) for door in doors]

        ours, theirs = opened = runner.run(channels())
        yield runner.run, ours, theirs, cores

        async def end():
            for channel in opened:
                await channel.close()
            for door in doors:
                await door.close(1)

        runner.run(end())


@settings(max_examples=60)
@given(st.lists(CALLS, min_size=1, max_size=20), st.booleans())
def test_calls_are_answered_alike(both, calls, at_once):
    run, ours, theirs, _ = both

    async def ask(channel: aio.Channel) -> list[object]:
        if at_once:
            return await asyncio.gather(*(told(channel, call) for call in calls))
        return [await told(channel, call) for call in calls]

    assert run(ask(ours)) == run(ask(theirs))


@pytest.mark.parametrize("message", [b"", b"\n\x09readiness", b"\n\x05other", b"\xff"])
def test_watches_are_told_alike(both, message):
    run, ours, theirs, cores = both
    assert run(watched(ours, message, cores[0])) == run(watched(theirs, message, cores[1]))
