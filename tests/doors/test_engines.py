"""What both engines of the gRPC door do, over real sockets, asked by gRPC's own client."""

import asyncio
import socket
import stat

import grpc
import pytest
from grpc import aio

from authorizer.doors import grpcio, native
from authorizer.errors import ListenError
from tests.doors.native_world import HEALTH_CHECK, HEALTH_WATCH, Core, ask, calling, question, reason, serving

health_pb2 = pytest.importorskip("grpclib.health.v1.health_pb2")
Status = health_pb2.HealthCheckResponse.ServingStatus


@pytest.fixture(params=[native, grpcio], ids=["native", "grpcio"])
def engine(request):
    return request.param


async def probe(channel: aio.Channel, service: str) -> int:
    message = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    answer = await channel.unary_unary(HEALTH_CHECK)(message, timeout=30)
    return health_pb2.HealthCheckResponse.FromString(answer).status


def watch(channel: aio.Channel, service: str = ""):
    message = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    read = health_pb2.HealthCheckResponse.FromString
    return channel.unary_stream(HEALTH_WATCH, response_deserializer=read)(message, timeout=30)


async def test_checks_are_answered(engine):
    async with calling(Core(), engine=engine) as (_, channel):
        for _ in range(3):
            assert (await ask(channel, question("/open"))).HasField("ok_response")
            denied = await ask(channel, question("/closed"))
            assert (denied.status.code, denied.denied_response.status.code) == (7, 403)


@pytest.mark.parametrize(
    ("message", "code"), [(question("/raise"), "internal_error"), (b"\xff", "bad_check"), (b"", "no_route")]
)
async def test_whatever_goes_wrong_is_a_denial_and_not_a_grpc_error(engine, message, code):
    async with calling(Core(), engine=engine) as (_, channel):
        answer = await ask(channel, message)
        assert answer.status.code != 0
        assert reason(answer) == code


async def test_unknown_methods_are_unimplemented(engine):
    async with calling(Core(), engine=engine) as (_, channel):
        for path in ("/envoy.service.auth.v3.Authorization/Other", "/envoy.service.auth.v2.Authorization/Check"):
            with pytest.raises(aio.AioRpcError) as caught:
                await channel.unary_unary(path)(b"", timeout=30)
            assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("service", ["", "envoy.service.auth.v3.Authorization", "readiness"])
async def test_health_follows_readiness_and_drain(engine, service):
    core = Core(ready=False)
    async with calling(core, engine=engine) as (door, channel):
        assert await probe(channel, service) == Status.NOT_SERVING
        core.ready = True
        assert await probe(channel, service) == Status.SERVING
        door.drain()
        assert await probe(channel, service) == Status.NOT_SERVING
        assert (await ask(channel, question("/open"))).status.code == 0


@pytest.mark.parametrize("method", [HEALTH_CHECK, HEALTH_WATCH])
async def test_health_refuses_what_it_does_not_know(engine, method):
    async with calling(Core(), engine=engine) as (_, channel):
        with pytest.raises(aio.AioRpcError) as caught:
            await channel.unary_unary(method)(b"\xff", timeout=30)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(aio.AioRpcError) as caught:
            await probe(channel, "other")
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_watch_tells_each_change_and_the_end(engine):
    core = Core(ready=False)
    async with calling(core, engine=engine) as (door, channel):
        stream = watch(channel)
        assert (await stream.read()).status == Status.NOT_SERVING
        core.ready = True
        assert (await stream.read()).status == Status.SERVING
        await door.close(1)
        assert (await stream.read()).status == Status.NOT_SERVING
        assert await stream.read() is aio.EOF


async def test_watch_of_an_unknown_service_stays_open(engine):
    async with calling(Core(), engine=engine) as (_, channel):
        stream = watch(channel, "other")
        assert (await stream.read()).status == 3
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stream.read(), 2 * engine.WATCH_SECONDS)


async def test_watches_are_bounded_and_given_back(engine, monkeypatch):
    monkeypatch.setattr(engine, "MAX_WATCHES", 1)
    async with calling(Core(), engine=engine) as (door, channel):
        first = watch(channel)
        await first.read()
        with pytest.raises(aio.AioRpcError) as caught:
            await watch(channel).read()
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        first.cancel()
        for _ in range(3000):
            if door._watches:
                await asyncio.sleep(0.01)
        assert (await watch(channel).read()).status == Status.SERVING


async def test_unix_sockets_are_for_owner_and_group_and_go_away(engine, tmp_path):
    path = tmp_path / "door.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    async with calling(Core(), f"unix:{path}", engine=engine) as (_, channel):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with pytest.raises(ListenError, match="AZ703"):
            await engine.start(Core(), f"unix:{path}")
        assert (await ask(channel, question("/open"))).status.code == 0
    assert not path.exists()


async def test_a_file_in_the_place_of_a_socket_is_left_alone(engine, tmp_path):
    file = tmp_path / "file"
    file.write_text("kept")
    with pytest.raises(ListenError, match="AZ703"):
        await engine.start(Core(), f"unix:{file}")
    assert file.read_text() == "kept"


@pytest.mark.parametrize("address", ["", "nowhere", "127.0.0.1:99999", "unix:relative"])
async def test_a_bad_address_is_refused(engine, address):
    with pytest.raises(ListenError, match="AZ701"):
        await engine.start(Core(), address)


async def test_a_port_in_use_is_refused(engine):
    async with serving(Core(), engine=engine) as door:
        with pytest.raises(ListenError, match="AZ702"):
            await engine.start(Core(), door.address)


async def test_a_closed_door_takes_no_calls_and_frees_its_port(engine):
    async with calling(Core(), engine=engine) as (door, channel):
        await ask(channel, question("/open"))
        await door.close(1)
        with pytest.raises(aio.AioRpcError) as caught:
            await ask(channel, question("/open"))
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        await (await engine.start(Core(), door.address)).close(0)
