"""What supervisor and workers say: whole, bounded, and checked."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from authorizer import settings
from authorizer.app import channel
from authorizer.app.channel import Ask, ChannelError, News, Opened, Report, Start, Stop
from authorizer.telemetry.metrics import DecisionKey, MemoUse
from authorizer.telemetry.numbers import Histogram, Numbers

NUMBERS = Numbers(
    decisions={DecisionKey("orders", True, "allowed", "grpc"): 3},
    durations={"grpc": Histogram((1, 2), 0.5)},
    activations={("policy", "aa"): 1.5},
    memo=MemoUse(1, 2, 3),
)
SETTINGS = settings.load("policies: p\ncontrol_plane: {keys: {a: {file: k.pem}}}\n")


@pytest.fixture
async def ends() -> AsyncIterator[tuple]:
    left, right = socket.socketpair()
    supervisor, worker = await channel.of_supervisor(left), await channel.of_worker(right)
    yield supervisor, worker
    supervisor.close()
    worker.close()


async def test_every_message_arrives_as_it_was(ends):
    supervisor, worker = ends
    down = [Start(worker=1, version="1", settings=SETTINGS, lock=5), News("policy", 7, 1.5), Ask(), Stop(2.0)]
    up = [Opened({"ext_authz": "127.0.0.1:1"}), Report(ready=True, numbers=NUMBERS)]
    for message in down:
        supervisor.send(message)
    for message in up:
        worker.send(message)
    assert [await worker.receive() for _ in down] == down
    assert [await supervisor.receive() for _ in up] == up


async def test_a_peer_that_hangs_up_is_the_end(ends):
    supervisor, worker = ends
    supervisor.close()
    assert await worker.receive() is None
    worker.send(Opened({}))
    await worker.flush(1)


@pytest.mark.parametrize(
    "raw",
    [
        (channel.MAX_MESSAGE + 1).to_bytes(4, "big"),
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\0\0\0\1\xc1",
        b"\0\0\0\1\x00",
        b"\0\0\0\7\x81\xa4type\x01",
        b"\0\0\0\x09\x81\xa4type\xa3ask",  # the supervisor's word in a worker's mouth
        b"\0\0\0\x0c\x81\xa4type\xa6opened",
    ],
)
async def test_what_is_no_message_is_refused(raw):
    left, right = socket.socketpair()
    supervisor = await channel.of_supervisor(left)
    with right:
        right.sendall(raw)
        with pytest.raises(ChannelError):
            await supervisor.receive()
    supervisor.close()


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.binary(max_size=64))
def test_no_bytes_do_more_than_end_the_talk(raw):
    async def hear() -> None:
        left, right = socket.socketpair()
        supervisor = await channel.of_supervisor(left)
        try:
            with right:
                right.sendall(raw)
            while await supervisor.receive() is not None:
                pass
        except ChannelError:
            pass
        finally:
            supervisor.close()

    asyncio.run(hear())


async def test_a_peer_that_does_not_read_is_given_up(ends):
    _, worker = ends
    big = Report(ready=True, numbers=Numbers(breaches={"x" * 4_000_000: 1}))

    def talk() -> None:
        for _ in range(20):
            worker.send(big)

    with pytest.raises(ChannelError):
        talk()


async def test_a_message_that_is_too_large_is_not_sent(ends):
    _, worker = ends
    with pytest.raises(ChannelError):
        worker.send(Opened({"x": "y" * (channel.MAX_MESSAGE + 1)}))
