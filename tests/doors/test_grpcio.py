"""What the gRPC door on gRPC's own server does for itself; ``test_engines`` has what both engines do."""

import functools

import pytest
from google.protobuf.message import DecodeError

from authorizer.doors import grpcio, health
from authorizer.doors.ext_authz import FIXED, handler
from authorizer.doors.grpcio import GrpcDoor
from authorizer.doors.wire.ext_authz_pb2 import CheckResponse
from tests.doors import native_world
from tests.doors.native_world import CHECK, Core, ask, question, reason

calling = functools.partial(native_world.calling, engine=grpcio)


async def test_a_check_over_the_limit_is_a_denial_and_not_a_grpc_error():
    async with calling(Core(), max_message_bytes=1 << 20) as (_, channel):
        assert (await ask(channel, question("/open", bytes(1 << 19)))).status.code == 0
        for size in (1 << 20, 10 << 20):
            answer = await ask(channel, question("/open", bytes(size)))
            assert reason(answer) == "body_limit"
            assert answer.denied_response.status.code == 403


@pytest.mark.parametrize("size", [100, 9_000, 20_000, 70_000, 140_000])
async def test_large_metadata_is_no_grpc_error(size):
    async with calling(Core()) as (_, channel):
        metadata = (("tracestate", "a=" + "x" * size),)
        answer = await channel.unary_unary(CHECK)(question("/closed"), metadata=metadata, timeout=10)
        assert reason(CheckResponse.FromString(answer)) == "no_route"


async def test_a_check_past_its_deadline_is_denied_unasked():
    class Late:
        def time_remaining(self):
            return 0

    def never(message):
        raise AssertionError

    door = GrpcDoor(never, FIXED.__getitem__, lambda: True, max_message_bytes=1 << 20)
    assert await door._on_check(question("/open"), Late()) == FIXED["deadline"]


async def test_a_check_without_deadline_is_answered():
    async with calling(Core()) as (_, channel):
        answer = await channel.unary_unary(CHECK)(question("/open"))
        assert CheckResponse.FromString(answer).status.code == 0


def test_health_names_are_read_strictly():
    assert health.service(b"") == ""
    with pytest.raises(DecodeError):
        health.service(b"\x0a\x01\xff")


async def test_close_without_open_and_twice():
    door = GrpcDoor(handler(Core()), FIXED.__getitem__, lambda: True, max_message_bytes=1024)
    await door.close(0)
    await door.close(0)
