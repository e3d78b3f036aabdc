"""Real gateways in front of an authorizer in this process: doors, a sample API, and gateways as we print them."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from msgspec.structs import replace

from authorizer.demo.gateway import Gateway, start_envoy
from authorizer.demo.parts import free_port
from authorizer.demo.processes import Children
from authorizer.doors import grpcio
from authorizer.doors.forward_auth import ForwardAuth
from authorizer.doors.forward_auth_peers import trust
from authorizer.doors.http1 import open_http
from authorizer.gateways import caddy as caddy_files
from authorizer.gateways import haproxy as haproxy_files
from authorizer.gateways import nginx as nginx_files
from authorizer.gateways import traefik as traefik_files
from authorizer.gateways.envoy import Backend, Check, bootstrap
from authorizer.gateways.kinds import KINDS
from authorizer.gateways.site import Site
from authorizer.model import Decision, Request
from authorizer.service import Authorizer
from authorizer.settings import IDENTITY_HEADERS


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
async def open_doors(authorizer: Authorizer, secret: str = "") -> AsyncIterator[Doors]:
    """Open both doors in front of an authorizer; with a secret only who sends it is believed."""
    decisions: list[Decision] = []

    def observe(_request: Request, decision: Decision, _seconds: float) -> None:
        decisions.append(decision)

    authorizer._observe = observe
    grpc = await grpcio.start(authorizer, "127.0.0.1:0")
    forward = ForwardAuth(authorizer, trust([], [secret]) if secret else trust(["127.0.0.0/8"]))
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
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "authorizer"
    found = shutil.which(program) or shutil.which(program, path=f"/usr/sbin:/usr/local/sbin:{cache}")
    if found is None:
        pytest.skip(f"{program} is not installed; .ci/interop says how to get it")
    return found


def site(door: str, api: str, secret: str = "", shown: tuple[str, ...] = ()) -> Site:
    """Return what a gateway with a free port is made from."""
    listen = f"127.0.0.1:{free_port()}"
    identity = tuple(IDENTITY_HEADERS)
    return Site(http=(door,), listen=listen, api=api, identity=identity, shown=shown, secret=bool(secret))


def written(directory: Path, files: Mapping[str, str], places: Mapping[str, str] | None = None) -> None:
    """Write what was printed; ``places`` are files that stand elsewhere than the print says."""
    for name, text in files.items():
        placed = text
        for shown, actual in (places or {}).items():
            placed = placed.replace(shown, actual)
        (directory / name).write_text(placed)


async def nginx(
    children: Children, directory: Path, door: str, api: str, secret: str = "", shown: tuple[str, ...] = ()
) -> str:
    """Start nginx as we print it; return its base URL."""
    program, made = needed("nginx"), site(door, api, secret, shown)
    (directory / "secret.conf").write_text(f"proxy_set_header X-Authorizer-Secret {secret};")
    written(directory, nginx_files.files(made), {nginx_files.SECRET_FILE: str(directory / "secret.conf")})
    command = [program, "-p", directory, "-e", "stderr", "-c", directory / "nginx.conf", "-g", "master_process off;"]
    await children.start("nginx", command, log=directory / "nginx.log")
    await listening(made.listen)
    return f"http://{made.listen}"


async def caddy(
    children: Children, directory: Path, door: str, api: str, secret: str = "", shown: tuple[str, ...] = ()
) -> str:
    """Start Caddy as we print it; return its base URL."""
    program, made = needed("caddy"), site(door, api, secret, shown)
    written(directory, {"Caddyfile": "{\n\tadmin off\n\tauto_https off\n}\n" + caddy_files.files(made)["Caddyfile"]})
    await children.start(
        "caddy",
        [program, "run", "--config", directory / "Caddyfile", "--adapter", "caddyfile"],
        log=directory / "caddy.log",
        environment={
            **dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(directory)),
            caddy_files.SECRET_VARIABLE: secret,
        },
    )
    await listening(made.listen)
    return f"http://{made.listen}"


async def haproxy(
    children: Children, directory: Path, door: str, api: str, secret: str = "", shown: tuple[str, ...] = ()
) -> str:
    """Start HAProxy as we print it; return its base URL."""
    program, made = needed("haproxy"), site(door, api, secret, shown)
    written(directory, haproxy_files.files(made), {haproxy_files.LUA_FILE: str(directory / "authorizer.lua")})
    await children.start(
        "haproxy",
        [program, "-f", directory / "haproxy.cfg"],
        log=directory / "haproxy.log",
        environment={haproxy_files.SECRET_VARIABLE: secret},
    )
    await listening(made.listen)
    return f"http://{made.listen}"


async def traefik(children: Children, directory: Path, door: str, api: str, shown: tuple[str, ...] = ()) -> str:
    """Start Traefik as we print it; return its base URL."""
    program, made = needed("traefik"), site(door, api, shown=shown)
    written(directory, traefik_files.files(made), {traefik_files.DYNAMIC_FILE: str(directory / "authorizer.yaml")})
    command = [program, "--configfile", directory / "traefik.yaml"]
    await children.start("traefik", command, log=directory / "traefik.log")
    await listening(made.listen)
    # It answers 404 until it has read its routes; no answer in two seconds is one that waits for the authorizer.
    with contextlib.suppress(TimeoutError):
        while (await send(f"http://{made.listen}", "GET", "/", patience=2)).status == 404:
            pass
    return f"http://{made.listen}"


STARTERS: Mapping[str, Callable[..., Awaitable[str]]] = {
    "nginx": nginx,
    "caddy": caddy,
    "haproxy": haproxy,
    "traefik": traefik,
}


async def start(
    name: str, children: Children, directory: Path, grpc: str, http: str, api: str, shown: tuple[str, ...] = ()
) -> str:
    """Start a gateway of any kind in front of doors at these addresses; return its base URL."""
    if name in STARTERS:
        return await STARTERS[name](children, directory, http, api, shown=shown)
    if name == "envoy-printed":
        made = replace(site(http, api), grpc=(grpc,))
        config = yaml.safe_load(KINDS["envoy"](made)["envoy.yaml"].replace("port_value: 9901", "port_value: 0"))
        return (await start_envoy(children, config, directory)).url
    check = Check(address=http, protocol="http") if name == "envoy-http" else Check(address=grpc)
    # A busy machine may take longer than half a second for an answer.
    return (await envoy(children, directory, replace(check, timeout=5.0), api, careless)).url


def marked(*names: str) -> list[Any]:
    """Return parameters for gateways; those that are no Python package only run with ``interop``."""
    return [pytest.param(name, marks=pytest.mark.interop if name in STARTERS else ()) for name in names]


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
    patience: float = 10,
) -> Reply:
    """Send one request exactly as given: no client library may clean its path or headers."""
    address, _, port = url.removeprefix("http://").rpartition(":")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    reader, writer = await asyncio.open_connection(address, int(port))
    try:
        async with asyncio.timeout(patience):
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
