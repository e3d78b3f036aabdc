"""``python -m tests.bench.servers KIND PORT DOCUMENTS``: one server under load, ours or a baseline, on loopback."""

import asyncio
import gc
import json
import runpy
import sys
import types
from pathlib import Path

import grpc
from aiohttp import web

from authorizer.app.answering import YOUNG_OBJECTS
from authorizer.app.busy_poll import BusyPoll
from authorizer.doors import ext_authz, forward_auth, forward_auth_peers, grpcio, native
from authorizer.doors.http1 import open_http
from authorizer.doors.wire import ext_authz_pb2
from authorizer.model import KINDS
from authorizer.pdp.snapshot import Options, build
from authorizer.service import Authorizer, Observer
from tests.bench.world import NOW

try:
    from uvloop import run
except ImportError:
    run = asyncio.run

FLOOR = Path(__file__).resolve().parents[3] / "shared" / "bench" / "floor.py"


BUSY_POLL = 400e-6


def _authorizer(documents: Path, observe: Observer = lambda *_: None) -> Authorizer:
    snapshot = build(
        json.loads(documents.read_text()),
        dict.fromkeys(KINDS, "bench"),
        Options(identity_headers={"x-auth-subject": "subject"}),
    )
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)  # as in ``app.answering``
    return Authorizer(snapshot, clock=lambda: float(NOW), observe=observe)


async def native_grpc(port: int, documents: Path) -> None:
    """Our gRPC door on our own engine."""
    await native.start(_authorizer(documents), f"127.0.0.1:{port}")
    await asyncio.Event().wait()


async def native_busy(port: int, documents: Path) -> None:
    """The same with ``busy_poll_microseconds`` set."""
    poll = BusyPoll(BUSY_POLL)
    await native.start(_authorizer(documents, lambda *_: poll.decided()), f"127.0.0.1:{port}")
    await asyncio.Event().wait()


async def grpcio_grpc(port: int, documents: Path) -> None:
    """Our gRPC door on grpc.aio."""
    await grpcio.start(_authorizer(documents), f"127.0.0.1:{port}")
    await asyncio.Event().wait()


async def ours_http(port: int, documents: Path) -> None:
    """Our HTTP door."""
    door = forward_auth.ForwardAuth(_authorizer(documents), forward_auth_peers.trust(["127.0.0.0/8"]))
    await open_http(f"127.0.0.1:{port}", door.handle, door.malformed)
    await asyncio.Event().wait()


async def echo_grpc(port: int, _documents: Path) -> None:
    """grpc.aio with one prebuilt answer: what the framework costs before any decision."""
    response = ext_authz_pb2.CheckResponse()
    response.status.code = 0
    response.ok_response.SetInParent()
    answer = response.SerializeToString()

    async def check(message: bytes, _context: object) -> bytes:
        ext_authz_pb2.CheckRequest.FromString(message)
        return answer

    server = grpc.aio.server()
    handlers = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(ext_authz.SERVICE, handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


async def echo_http(port: int, _documents: Path) -> None:
    """An aiohttp application with one empty answer."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


def floor(port: int) -> None:
    """What asyncio can do at most: the experiment of ../shared/bench, without limits and without a decision."""
    stand_in = types.ModuleType("envoy.service.auth.v3")
    stand_in.external_auth_pb2 = ext_authz_pb2
    for name in ("envoy", "envoy.service", "envoy.service.auth"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["envoy.service.auth.v3"] = stand_in
    sys.argv = [str(FLOOR), str(port)]
    runpy.run_path(str(FLOOR), run_name="__main__")


KINDS_OF_SERVER = {f.__name__: f for f in (native_grpc, native_busy, grpcio_grpc, ours_http, echo_grpc, echo_http)}

if __name__ == "__main__":
    if sys.argv[1] == "floor":
        floor(int(sys.argv[2]))
    else:
        run(KINDS_OF_SERVER[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3])))
