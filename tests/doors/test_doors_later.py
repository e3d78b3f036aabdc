"""Decisions that have to be waited for, through every door: right, in time, and without holding others up."""

import asyncio

import aiohttp
import pytest
from grpc import aio

from authorizer.doors import grpcio, native
from authorizer.doors.forward_auth import ForwardAuth
from authorizer.doors.forward_auth_peers import trust
from authorizer.doors.http1 import open_http
from authorizer.doors.wire.ext_authz_pb2 import CheckResponse
from tests.doors.native_world import CHECK, Core, ask, question, reason

DOORS = {"native": native.start, "grpcio": grpcio.start}


class Slow(Core):
    """Answers ``/slow...`` when it is let, as another path would be answered; ``/broken`` fails while it is awaited."""

    def __init__(self):
        super().__init__()
        self.let = asyncio.Event()
        self.waiting = asyncio.Semaphore(0)

    def check(self, request):
        if request.target == "/broken":
            return self._broken()
        return self._later(request) if request.target.startswith("/slow") else super().check(request)

    async def _later(self, request):
        self.waiting.release()
        await self.let.wait()
        return super().check(type(request)(target=request.target.removeprefix("/slow")))

    async def _broken(self):
        raise RuntimeError


@pytest.fixture(params=DOORS)
async def world(request):
    core = Slow()
    door = await DOORS[request.param](core, "127.0.0.1:0")
    async with aio.insecure_channel(door.address) as channel:
        yield core, channel
    await door.close(0)


async def test_the_answer_is_the_decisions_and_others_do_not_wait(world):
    core, channel = world
    slow = [asyncio.ensure_future(ask(channel, question(path))) for path in ("/slow/open", "/slow/shut", "/slow/long")]
    for _ in slow:
        await asyncio.wait_for(core.waiting.acquire(), 10)
    assert (await ask(channel, question("/open"))).status.code == 0
    core.let.set()
    answers = await asyncio.gather(*slow)
    assert [answer.status.code for answer in answers] == [0, 7, 7]


async def test_a_fault_while_waiting_denies(world):
    _, channel = world
    answer = await ask(channel, question("/broken"))
    assert (answer.status.code, reason(answer)) == (14, "internal_error")


async def test_a_deadline_is_kept(world):
    _, channel = world
    answer = CheckResponse.FromString(await channel.unary_unary(CHECK)(question("/slow/open"), timeout=1))
    assert (answer.status.code, reason(answer)) == (14, "deadline")


async def test_forward_auth_waits_too():
    core = Slow()
    door = ForwardAuth(core, trust(("127.0.0.0/8",), []))
    http = await open_http("127.0.0.1:0", door.handle, door.malformed)
    async with aiohttp.ClientSession() as session:
        core.let.set()
        statuses = []
        for path in ("/slow/open", "/slow/shut", "/broken"):
            async with session.get(f"http://{http.address}/authz/envoy{path}") as answer:
                statuses.append(answer.status)
    await http.close(0)
    assert statuses == [200, 403, 403]
