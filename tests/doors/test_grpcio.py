"""The gRPC door over real sockets with a real gRPC client."""

import asyncio
import contextlib
import socket
import stat

import grpc
import pytest
from google.protobuf.message import DecodeError
from grpc import aio

from authorizer.doors import grpcio, health
from authorizer.doors.ext_authz import FIXED, handler
from authorizer.doors.grpcio import GrpcDoor
from authorizer.doors.wire.ext_authz_pb2 import CheckRequest, CheckResponse
from authorizer.errors import ListenError
from authorizer.model import Decision
from authorizer.reasons import ALLOWED, REASONS

health_pb2 = pytest.importorskip("grpclib.health.v1.health_pb2")
Status = health_pb2.HealthCheckResponse.ServingStatus

CHECK = "/envoy.service.auth.v3.Authorization/Check"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"


class Core:
    """Allows ``/open`` and denies the rest."""

    def __init__(self, *, ready: bool = True) -> None:
        self.ready = ready

    def refuse(self, code, request):
        return Decision(reason=REASONS[code], id="d-3")

    def check(self, request):
        if request.target == "/raise":
            raise RuntimeError
        if request.target == "/open":
            return Decision(reason=ALLOWED, allowed=True, id="d-1")
        return Decision(reason=REASONS["no_route"], id="d-2")


def question(path: str, body: bytes = b"") -> bytes:
    message = CheckRequest()
    message.attributes.request.http.path = path
    message.attributes.request.http.raw_body = body
    return message.SerializeToString()


@contextlib.asynccontextmanager
async def serving(core: Core, address: str = "127.0.0.1:0", limit: int = 1 << 20):
    door = await grpcio.start(core, address, max_message_bytes=limit)
    try:
        yield door, door.address
    finally:
        await door.close(0)


@contextlib.asynccontextmanager
async def calling(core: Core, **settings):
    options = [("grpc.max_send_message_length", -1)]
    async with serving(core, **settings) as (door, bound), aio.insecure_channel(bound, options=options) as channel:
        yield door, channel


async def ask(channel: aio.Channel, message: bytes) -> CheckResponse:
    return CheckResponse.FromString(await channel.unary_unary(CHECK)(message, timeout=10))


async def probe(channel: aio.Channel, service: str) -> int:
    message = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    answer = await channel.unary_unary(HEALTH_CHECK)(message, timeout=10)
    return health_pb2.HealthCheckResponse.FromString(answer).status


def watch(channel: aio.Channel, service: str = ""):
    message = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    return channel.unary_stream(HEALTH_WATCH, response_deserializer=health_pb2.HealthCheckResponse.FromString)(
        message, timeout=10
    )


async def test_a_check_is_answered():
    async with calling(Core()) as (_, channel):
        assert (await ask(channel, question("/open"))).HasField("ok_response")
        denied = await ask(channel, question("/closed"))
        assert (denied.status.code, denied.denied_response.status.code) == (7, 403)


@pytest.mark.parametrize(
    ("message", "code"), [(question("/raise"), "internal_error"), (b"\xff", "bad_check"), (b"", "no_route")]
)
async def test_whatever_goes_wrong_is_a_denial_and_not_a_grpc_error(message, code):
    async with calling(Core()) as (_, channel):
        answer = await ask(channel, message)
        assert answer.status.code != 0
        assert answer.dynamic_metadata["reason"] == code


async def test_a_check_over_the_limit_is_a_denial_and_not_a_grpc_error():
    async with calling(Core(), limit=1 << 20) as (_, channel):
        assert (await ask(channel, question("/open", bytes(1 << 19)))).status.code == 0
        for size in (1 << 20, 10 << 20):
            answer = await ask(channel, question("/open", bytes(size)))
            assert answer.dynamic_metadata["reason"] == "body_limit"
            assert answer.denied_response.status.code == 403


@pytest.mark.parametrize("size", [100, 9_000, 20_000, 70_000, 140_000])
async def test_large_metadata_is_no_grpc_error(size):
    async with calling(Core()) as (_, channel):
        metadata = (("tracestate", "a=" + "x" * size),)
        answer = await channel.unary_unary(CHECK)(question("/closed"), metadata=metadata, timeout=10)
        assert CheckResponse.FromString(answer).dynamic_metadata["reason"] == "no_route"


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


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (health_pb2.HealthCheckRequest(service="other").SerializeToString(), grpc.StatusCode.NOT_FOUND),
        (b"\xff", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_health_refuses_what_it_does_not_know(message, expected):
    async with calling(Core()) as (_, channel):
        with pytest.raises(aio.AioRpcError) as caught:
            await channel.unary_unary(HEALTH_CHECK)(message, timeout=10)
        assert caught.value.code() == expected


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
            await asyncio.wait_for(stream.read(), 2 * grpcio.WATCH_SECONDS)


async def test_watches_are_bounded_and_given_back(monkeypatch):
    monkeypatch.setattr(grpcio, "MAX_WATCHES", 1)
    async with calling(Core()) as (door, channel):
        first = watch(channel)
        await first.read()
        with pytest.raises(aio.AioRpcError) as caught:
            await watch(channel).read()
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        first.cancel()
        for _ in range(500):
            if door._watches:
                await asyncio.sleep(0.01)
        assert (await watch(channel).read()).status == Status.SERVING


def test_health_names_are_read_strictly():
    assert health.service(b"") == ""
    with pytest.raises(DecodeError):
        health.service(b"\x0a\x01\xff")


async def test_a_unix_socket_is_for_owner_and_group_and_goes_away(tmp_path):
    path = tmp_path / "door.sock"
    async with calling(Core(), address=f"unix:{path}") as (_, channel):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert (await ask(channel, question("/open"))).status.code == 0
    assert not path.exists()


async def test_a_stale_socket_is_taken_over(tmp_path):
    path = tmp_path / "door.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with calling(Core(), address=f"unix:{path}") as (_, channel):
        assert (await ask(channel, question("/open"))).status.code == 0


async def test_a_socket_in_use_and_a_file_are_left_alone(tmp_path):
    address = f"unix:{tmp_path / 'door.sock'}"
    async with calling(Core(), address=address) as (_, channel):
        with pytest.raises(ListenError) as caught:
            await grpcio.start(Core(), address)
        assert caught.value.code == "AZ703"
        assert (await ask(channel, question("/open"))).status.code == 0
    file = tmp_path / "file"
    file.write_text("kept")
    with pytest.raises(ListenError):
        await grpcio.start(Core(), f"unix:{file}")
    assert file.read_text() == "kept"


@pytest.mark.parametrize("address", ["", "nowhere", "127.0.0.1:99999", "unix:relative"])
async def test_a_bad_address_is_refused(address):
    with pytest.raises(ListenError) as caught:
        await grpcio.start(Core(), address)
    assert caught.value.code == "AZ701"


async def test_a_port_in_use_is_refused():
    async with serving(Core()) as (_, bound):
        with pytest.raises(ListenError) as caught:
            await grpcio.start(Core(), bound)
        assert caught.value.code == "AZ702"


async def test_a_closed_door_takes_no_calls_and_frees_its_port():
    core = Core()
    async with calling(core) as (door, channel):
        await ask(channel, question("/open"))
        await door.close(1)
        with pytest.raises(aio.AioRpcError) as caught:
            await ask(channel, question("/open"))
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_close_without_open_and_twice():
    door = GrpcDoor(handler(Core()), FIXED.__getitem__, lambda: True, max_message_bytes=1024)
    await door.close(0)
    await door.close(0)
