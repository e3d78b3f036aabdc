"""What a real Envoy, told to fail open, makes of the answers of the gRPC door."""

import contextlib
import json

import aiohttp
import grpc
import pytest
from aiohttp import web
from grpc import aio
from yarl import URL

from authorizer.demo.gateway import find_envoy, start_envoy
from authorizer.demo.processes import children
from authorizer.doors import grpcio
from authorizer.errors import DemoError
from authorizer.gateways.envoy import Backend, Check, bootstrap
from authorizer.model import Decision
from authorizer.reasons import ALLOWED, REASONS

CHALLENGE = 'Bearer realm="api", error="invalid_token"'
DECISIONS = {
    "/open": Decision(
        reason=ALLOWED,
        allowed=True,
        id="d-1",
        upstream=(("x-auth-subject", "Zoë"),),
        remove=("x-auth-client",),
        policies=("p",),
    ),
    "/closed": Decision(reason=REASONS["no_route"], id="d-2"),
    "/login": Decision(reason=REASONS["token_expired"], challenge=CHALLENGE),
    "/unready": Decision(reason=REASONS["not_ready"]),
    "/split": Decision(reason=ALLOWED, allowed=True, upstream=(("x-auth-subject", "a\r\nx-role: admin"),)),
    "/none": None,
}


class Core:
    ready = True

    def __init__(self):
        self.requests = []

    def check(self, request):
        self.requests.append(request)
        return DECISIONS[request.target.partition("?")[0]]


async def echo(request: web.Request) -> web.Response:
    return web.json_response([[name, value] for name, value in request.headers.items()])


@contextlib.asynccontextmanager
async def gateway(core: Core, directory):
    try:
        find_envoy()
    except DemoError as error:
        pytest.skip(str(error))
    upstream = web.Application()
    upstream.router.add_route("*", "/{tail:.*}", echo)
    runner = web.AppRunner(upstream)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    door = await grpcio.start(core, f"unix:{directory / 'door.sock'}")
    backends = [Backend("echo", "/", f"127.0.0.1:{port}")]
    try:
        config = bootstrap(Check(address=door.address, timeout=5, fail_open=True), backends)
        async with children() as group:
            yield await start_envoy(group, config, directory)
    finally:
        await door.close(0)
        await runner.cleanup()


async def test_envoy_obeys(tmp_path):
    core = Core()
    async with gateway(core, tmp_path) as envoy, aiohttp.ClientSession(trust_env=False) as client:

        async def get(path: str, **headers: str):
            named = [(name.replace("_", "-"), value) for name, value in headers.items()]
            async with client.get(URL(envoy.url + path, encoded=True), headers=named) as answer:
                return answer.status, answer.headers, await answer.read()

        status, _, body = await get("/open?x=%2F", x_auth_subject="mallory", x_auth_client="mallory", x_kept="kept")
        seen = [(name.lower(), value) for name, value in json.loads(body)]
        assert status == 200
        assert [value for name, value in seen if name == "x-auth-subject"] == ["Zoë"]
        assert "x-auth-client" not in dict(seen)
        assert dict(seen)["x-kept"] == "kept"
        request = core.requests[-1]
        assert (request.method, request.target) == ("GET", "/open?x=%2F")
        assert request.host == "127.0.0.1"
        assert request.headers["x-auth-subject"] == ("mallory",)
        assert (request.peer, request.body_state) == ("127.0.0.1", "unknown")

        status, headers, body = await get("/closed")
        assert (status, headers["content-type"]) == (403, "application/problem+json")
        assert json.loads(body)["reason"] == "no_route"

        status, headers, _ = await get("/login")
        assert (status, headers["www-authenticate"]) == (401, CHALLENGE)

        for path in ("/unready", "/split", "/none", "/raise"):
            assert (await get(path))[0] == 503


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/closed", (grpc.StatusCode.PERMISSION_DENIED, "no_route: no policy covers this operation")),
        ("/login", (grpc.StatusCode.UNAUTHENTICATED, "token_expired: the token has expired")),
        ("/unready", (grpc.StatusCode.PERMISSION_DENIED, "not_ready: no policy has been loaded yet")),
    ],
)
async def test_a_grpc_caller_understands_the_denial(tmp_path, path, expected):
    async with gateway(Core(), tmp_path) as envoy, aio.insecure_channel(envoy.address) as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await channel.unary_unary(path)(b"", timeout=10)
        assert (caught.value.code(), caught.value.details()) == expected
