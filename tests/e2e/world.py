"""Real gateways in front of an authorizer in this process: doors, a sample API, Envoy, nginx and Caddy."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from authorizer.demo.gateway import Gateway, start_envoy
from authorizer.demo.parts import free_port
from authorizer.demo.processes import Children
from authorizer.doors import grpcio
from authorizer.doors.forward_auth import ForwardAuth
from authorizer.doors.forward_auth_peers import trust
from authorizer.doors.http1 import open_http
from authorizer.gateways.envoy import Backend, Check, bootstrap
from authorizer.model import Decision, Request
from authorizer.service import Authorizer

DEPLOY = Path(__file__).parents[2] / "deploy"


@dataclass
class Api:
    """The API behind the gateways: what reached it, newest last."""

    address: str = ""
    seen: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.seen.append((request.method, request.raw_path, request.headers.copy()))
        return web.Response(text="api")


@contextlib.asynccontextmanager
async def sample_api() -> AsyncIterator[Api]:
    api = Api()
    runner = web.ServerRunner(web.Server(api.answer, access_log=None))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        api.address = f"127.0.0.1:{runner.addresses[0][1]}"
        yield api
    finally:
        await runner.cleanup()


@dataclass
class Doors:
    """The addresses of both doors, and every decision that was made behind them, newest last."""

    grpc: str
    http: str
    decisions: list[Decision]


@contextlib.asynccontextmanager
async def open_doors(authorizer: Authorizer) -> AsyncIterator[Doors]:
    """Open both doors in front of an authorizer."""
    decisions: list[Decision] = []

    def observe(_request: Request, decision: Decision, _seconds: float) -> None:
        decisions.append(decision)

    authorizer._observe = observe
    grpc = await grpcio.start(authorizer, "127.0.0.1:0")
    forward = ForwardAuth(authorizer, trust(["127.0.0.0/8"]))
    http = await open_http("127.0.0.1:0", forward.handle, forward.malformed)
    try:
        yield Doors(grpc.address, http.address, decisions)
    finally:
        await http.close(0)
        await grpc.close(0)


async def envoy(
    children: Children,
    directory: Path,
    check: Check,
    api: str,
    change: Callable[[dict[str, Any]], object] = lambda _: None,
    backends: Iterable[Backend] | None = None,
) -> Gateway:
    """Start Envoy as we recommend it, after ``change`` was made to its bootstrap."""
    config = bootstrap(check, backends or [Backend("api", "/", api)])
    change(config)
    return await start_envoy(children, config, directory)


def connection_manager(config: dict[str, Any]) -> dict[str, Any]:
    """Find Envoy's connection manager in a bootstrap."""
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    return chain["filters"][0]["typed_config"]


def careless(config: dict[str, Any]) -> None:
    """Take away what Envoy does for safe paths and headers: everything is left to the authorizer."""
    manager = connection_manager(config)
    for name in ("normalize_path", "merge_slashes", "path_with_escaped_slashes_action", "strip_any_host_port"):
        del manager[name]
    del manager["common_http_protocol_options"]["headers_with_underscores_action"]


def needed(program: str) -> str:
    """Return the path of a gateway that is no Python package, or skip."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed; .ci/interop says how to get it")
    return found


def placed(text: str, addresses: Mapping[str, str]) -> str:
    """Put the addresses of a test in the place of those of a set-up from ``deploy``."""
    for shown, actual in addresses.items():
        assert shown in text
        text = text.replace(shown, actual)
    return text


async def nginx(children: Children, directory: Path, door: str, api: str) -> str:
    """Start nginx with ``deploy/nginx``; return its base URL."""
    program = needed("nginx")
    listen = f"127.0.0.1:{free_port()}"
    site = placed(
        (DEPLOY / "nginx" / "authorizer.conf").read_text(),
        {"127.0.0.1:8080": listen, "127.0.0.1:9192": door, "127.0.0.1:8081": api},
    )
    (directory / "authorizer.conf").write_text(site)
    config = shutil.copy(DEPLOY / "nginx" / "nginx.conf", directory)
    command = [program, "-p", directory, "-e", "stderr", "-c", config, "-g", "master_process off;"]
    await children.start("nginx", command, log=directory / "nginx.log")
    await listening(listen)
    return f"http://{listen}"


async def caddy(children: Children, directory: Path, door: str, api: str) -> str:
    """Start Caddy with ``deploy/caddy``; return its base URL."""
    program = needed("caddy")
    port = free_port()
    site = placed(
        (DEPLOY / "caddy" / "Caddyfile").read_text(),
        {":8080": f":{port}", "127.0.0.1:9192": door, "127.0.0.1:8081": api},
    )
    config = directory / "Caddyfile"
    config.write_text("{\n\tadmin off\n\tauto_https off\n}\n" + site)
    await children.start(
        "caddy",
        [program, "run", "--config", config, "--adapter", "caddyfile"],
        log=directory / "caddy.log",
        environment={"HOME": str(directory), "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)},
    )
    await listening(f"127.0.0.1:{port}")
    return f"http://127.0.0.1:{port}"


async def listening(address: str) -> None:
    """Wait until something accepts connections."""
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.02)


@dataclass
class Reply:
    """What a client got: ``headers`` as sent, by name in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def send(
    url: str,
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    host: str = "shop.example",
) -> Reply:
    """Send one request exactly as given: no client library may clean its path or headers."""
    address, _, port = url.removeprefix("http://").rpartition(":")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    reader, writer = await asyncio.open_connection(address, int(port))
    try:
        async with asyncio.timeout(10):
            writer.write("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            status, *fields = head.decode("latin-1").split("\r\n")
            pairs = (line.partition(":") for line in fields if line)
            found = {name.lower(): value.strip() for name, _, value in pairs}
            length = "0" if method == "HEAD" else found.get("content-length")
            payload = await (reader.read() if length is None else reader.readexactly(int(length)))
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return Reply(int(status.split(" ")[1]), found, payload)


async def metrics(url: str) -> str:
    """Return the text of a /metrics page."""
    async with aiohttp.ClientSession(trust_env=False) as session, session.get(f"{url}/metrics") as answer:
        return await answer.text()
