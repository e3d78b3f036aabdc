"""Each alert fires when its fault really happens: a real Prometheus, two workers, a control plane, Envoy, a provider."""

import asyncio
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from authorizer.control_plane.server.credentials import ROLES
from authorizer.demo.gateway import Gateway
from authorizer.demo.parts import ControlPlane, free_port, start_control_plane
from authorizer.demo.processes import Children
from authorizer.gateways.envoy import Backend, Check
from authorizer.jose.sign import generate
from tests.bench.load import framed_check
from tests.control_plane.postgres import Database, programs
from tests.doors.test_native_tls import Authority
from tests.e2e.fleet import ASKED, Serving, serving, until
from tests.e2e.prometheus import RULES, Prometheus
from tests.e2e.world import Api, connection_manager, envoy, listening, needed
from tests.served import served
from tests.upstream_idp.provider import Provider, running

pytestmark = pytest.mark.interop

ALERTS = set(re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8")))
DASHBOARD = RULES.parents[1] / "grafana" / "authorizer.json"
OF_LOAD = {"AuthorizerLoopLag", "AuthorizerSlow"}
"""What a machine with much else to do brings about by itself, where five seconds of it count as five minutes."""

OPEN = """
kind: Application
id: api
http: {hosts: [api.example], routes: {"* /{rest=**}": public}}
"""
NARROW = """
kind: Application
id: api
http: {hosts: [api.example], routes: {"GET /a": {groups: [staff]}}}
"""
ISSUERS = """
kind: Issuers
issuers:
  main:
    issuer: URL
    audiences: [api]
    algorithms: [ES256]
    discovery: true
    introspection: {endpoint: "URL/introspect", client: gateway, seconds: 1s}
"""
HISTORY = 65
"""Seconds of sound operation: what an hour and a half hour is to the rules' clock."""


async def slow(request: web.BaseRequest) -> web.Response:
    await asyncio.sleep(0.05)
    return web.json_response({"active": False})


class Estate:
    """Everything, as an operator would have it, and what can be broken of it."""

    def __init__(self, home: Path, children: Children, stack: AsyncExitStack) -> None:
        self.home, self.children, self.stack = home, children, stack
        self.prometheus = Prometheus(home)
        self.provider_down = AsyncExitStack()
        self.sink_down = AsyncExitStack()
        self.provider: Provider
        self.plane: ControlPlane
        self.database: Database | None = None
        self.gateway: Gateway
        self.main: Serving
        self.load: list[asyncio.Task[None]] = []

    async def start(self, api: Api) -> None:
        self.stack.push_async_callback(self.provider_down.aclose)
        self.stack.push_async_callback(self.sink_down.aclose)
        self.provider = await self.provider_down.enter_async_context(running())
        self.provider.rotate("first")
        sink = await self.sink_down.enter_async_context(served(take))
        (self.home / "policies").mkdir()
        self.publish(OPEN)
        (self.home / "policies" / "issuers.yaml").write_text(ISSUERS.replace("URL", self.provider.url))
        self.plane = await start_control_plane(self.children, self.home)
        check = Check(address=f"unix:{self.home}/main-0.sock")
        backends = [Backend("shop", "/shop", api.address), Backend("api", "/", api.address)]
        self.gateway = await envoy(self.children, self.home, check, api.address, one_host, backends)
        told = self.settings("main") | {
            "workers": 2,
            "discovery": {"envoy_admin": self.gateway.admin, "interval_seconds": 1},
        }
        told["log"] |= {"upload": {"url": sink, "timeout_seconds": 1}}
        self.main = await self.serve("main", told)
        token = {"type": "Bearer", "credentials_file": str(self.plane.state / "authorizer.token")}
        addresses = [self.plane.url.removeprefix("http://"), *await self.shared_plane()]
        planes = {"job_name": "planes", "authorization": token, "static_configs": [{"targets": addresses}]}
        await self.prometheus.start(self.children, [planes])

    async def shared_plane(self) -> list[str]:
        """Start a control plane that keeps what it publishes in a PostgreSQL, where there is one; return its address."""
        found = programs()
        if found is None:
            return []
        self.database = Database(found)
        self.stack.callback(self.database.remove)
        told = self.home / "database"
        told.touch(mode=0o600)
        told.write_text(self.database.address())
        listen = f"127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "authorizer", "control-plane", "--state", self.home / "shared"]
        command += ["--database", told, "--listen", listen, "--key", self.plane.state / "signing.pem"]
        for role in ROLES:
            command += [f"--{role}-token-file", self.plane.state / f"{role}.token"]
        await self.children.start("shared control plane", command, log=self.home / "shared.log")
        await listening(listen)
        return [listen]

    def settings(self, name: str, **plane: Any) -> dict[str, Any]:
        (self.home / "secret").write_text("a-secret-of-a-client-for-tests-only")
        return {
            "id": name,
            "state": str(self.home / name),
            "ext_authz": {"listen": f"unix:{self.home}/{name}.sock"},
            "forward_auth": {"listen": "127.0.0.1:0"},
            "control_plane": {
                "url": self.plane.url,
                "token_file": str(self.plane.state / "authorizer.token"),
                "keys": {"demo": {"file": str(self.plane.state / "signing.pub.pem")}},
                "long_poll_seconds": 1,
                "status_seconds": 1,
                **plane,
            },
            "identity_providers": {
                "refresh_seconds": 5,
                "clients": {"gateway": {"id": "gateway", "secret_file": str(self.home / "secret")}},
            },
            "log": {"decisions": ""},
        }

    async def serve(self, name: str, told: dict[str, Any]) -> Serving:
        """Start an authorizer that is scraped."""
        found = await self.stack.enter_async_context(serving(self.home, told, name))
        await found.announced()
        self.prometheus.scrape(found.endpoints["admin"][0])
        return found

    def publish(self, text: str) -> None:
        (self.home / "policies" / "api.yaml").write_text(text)

    def ask_on(self, running: Serving, pause: float, *tokens: str) -> None:
        """Ask again and again until the end; with ``tokens`` (prefixes) by a new one of them each time."""
        task = asyncio.create_task(ask_on(running.endpoints["forward_auth"][0], pause, *tokens))
        self.load.append(task)

    async def stop_child(self, name: str) -> None:
        (process,) = (process for found, process in self.children.started if found == name)
        process.kill()
        await process.wait()


def one_host(config: dict[str, Any]) -> None:
    connection_manager(config)["route_config"]["virtual_hosts"][0]["domains"] = ["api.example"]


async def ask_on(address: str, pause: float, *tokens: str) -> None:
    numbers = itertools.count()
    async with aiohttp.ClientSession(trust_env=False) as session:
        while True:
            sent = {"authorization": f"Bearer {tokens[0]}-{next(numbers)}"} if tokens else {}
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(f"http://{address}/authz/traefik", headers=ASKED | sent) as answer:
                    await answer.read()
            await asyncio.sleep(pause)


async def take(request: web.BaseRequest) -> web.Response:
    await request.read()
    return web.Response()


@pytest.fixture
async def estate(children: Children, api: Api, tmp_path: Path) -> AsyncIterator[Estate]:
    async with AsyncExitStack() as stack:
        made = Estate(tmp_path, children, stack)
        await made.start(api)
        await made.main.ready()
        yield made
        for task in made.load:
            task.cancel()
        await asyncio.gather(*made.load, return_exceptions=True)


async def flood(estate: Estate) -> None:
    """More decisions than the decision log of one worker can hold."""
    body = estate.home / "check.bin"
    body.write_bytes(framed_check("x"))
    command = [needed("h2load"), "-n", "14000", "-c", "1", "-m", "16", "-d", body]
    command += ["-B", f"unix:{estate.home}/main-0.sock", "-H", "content-type: application/grpc", "-H", "te: trailers"]
    command += ["http://localhost/envoy.service.auth.v3.Authorization/Check"]
    process = await asyncio.create_subprocess_exec(*map(str, command), stdout=-1)
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert b"14000 2xx" in out


async def strangers(estate: Estate) -> None:
    """Somebody who does not speak HTTP/2 knocks, again and again."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_unix_connection(str(estate.home / "main-1.sock"))
            try:
                writer.write(b"\x16\x03\x01\x02\x00" * 20)
                await asyncio.sleep(0.1)
            finally:
                writer.close()
                await writer.wait_closed()
        await asyncio.sleep(0.1)


async def kill_workers(estate: Estate) -> None:
    """Kill a worker as soon as it is back, again and again."""
    restarts = 0
    while True:
        await estate.main.ready()
        os.kill(estate.main.workers[1], signal.SIGKILL)
        restarts += 1
        await until(partial(reached, estate, restarts))


async def reached(estate: Estate, restarts: int) -> bool:
    return await estate.main.counts("authorizer_worker_restarts_total") >= restarts


async def freeze(estate: Estate) -> None:
    """Give a worker no processor time for a second."""
    worker = estate.main.workers[0]
    os.kill(worker, signal.SIGSTOP)
    await asyncio.sleep(1)
    os.kill(worker, signal.SIGCONT)


async def left_behind(estate: Estate) -> None:
    """Start one that has what was current two hours ago, and that reaches no control plane."""
    shutil.copytree(estate.home / "main", estate.home / "old")
    then = time.time() - 7200
    for kept in (estate.home / "old" / "bundles").glob("*/bundle.tar.gz"):
        os.utime(kept, (then, then))
    for keys in (estate.home / "old" / "keys").glob("*.json"):
        keys.write_text(json.dumps(json.loads(keys.read_text()) | {"fetched": then}))
    told = estate.settings("old", url=f"http://127.0.0.1:{free_port()}")
    await estate.serve("old", told)


async def another_key(estate: Estate) -> None:
    """Put a control plane in the place of ours that signs by a key of its own."""
    other = estate.home / "other"
    other.mkdir(mode=0o700)
    for token in estate.plane.state.glob("*.token"):
        shutil.copy(token, other)
    (other / "key.pem").touch(mode=0o600)
    (other / "key.pem").write_bytes(generate("ES256"))
    command = [sys.executable, "-m", "authorizer", "control-plane", "--policies", estate.home / "policies"]
    command += ["--state", other, "--listen", estate.plane.url.removeprefix("http://")]
    command += ["--key", other / "key.pem", "--key-id", "demo"]
    await estate.children.start("another control plane", command, log=estate.home / "another.log")


def expiring(estate: Estate) -> dict[str, Any]:
    """Return the settings of one whose credential is refused and whose certificate is good for a day."""
    told = estate.settings("nothing", token_file=str(estate.home / "secret"))
    certificate, key = Authority(estate.home, "authority").issue("door")
    told["ext_authz"] = {"listen": "127.0.0.1:0", "tls": {"certificate": str(certificate), "key": str(key)}}
    return told


def metrics_of_panels() -> set[str]:
    texts = [
        target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel.get("targets", ())
    ]
    return set(re.findall(r"\b(?:authorizer|process)_\w+", " ".join([*texts, RULES.read_text(encoding="utf-8")])))


async def test_each_alert_fires_in_a_fault_that_really_happens(estate: Estate) -> None:
    prometheus, fired = estate.prometheus, set[str]()

    async def fires(*names: str) -> None:
        await prometheus.fires(*names)
        fired.update(names)

    estate.ask_on(estate.main, 0.05)
    await until(lambda: shown(prometheus, "authorizer_build_info"), 30)
    await until(lambda: quiet(prometheus), 30)
    began = time.monotonic()
    while time.monotonic() - began < HISTORY:
        assert await prometheus.firing() - OF_LOAD == set()
        await asyncio.sleep(1)

    good = (estate.home / "policies" / "api.yaml").read_text()
    estate.publish(good.replace("public", "publik"))
    knocking = asyncio.create_task(strangers(estate))
    estate.load.append(knocking)
    await estate.sink_down.aclose()
    if estate.database:
        estate.database.stop()
    await flood(estate)
    await fires("AuthorizerDecisionLogDrops", "AuthorizerPublicationRefused", "AuthorizerDocumentsWrong")
    await freeze(estate)
    await fires("AuthorizerLoopLag", "AuthorizerConnectionBreaches")
    knocking.cancel()
    killing = asyncio.create_task(kill_workers(estate))
    estate.load.append(killing)
    await fires("AuthorizerWorkerRestarts")
    killing.cancel()
    await asyncio.gather(killing, return_exceptions=True)
    await estate.main.ready()

    estate.provider.answer = slow
    estate.ask_on(estate.main, 0.05, "opaque")
    await fires("AuthorizerSlow")
    await estate.provider_down.aclose()

    assert not await prometheus.firing() & {"AuthorizerRevisionsDiffer", "AuthorizerKeysStale"}
    await left_behind(estate)
    estate.publish(NARROW)
    nothing = await estate.serve("nothing", expiring(estate))
    estate.ask_on(nothing, 0.2)
    await fires(
        "AuthorizerIdentityProviderFails", "AuthorizerKeysStale", "AuthorizerRevisionsDiffer", "AuthorizerDenialsRise",
        "AuthorizerWithoutPolicies", "AuthorizerCannotDecide", "AuthorizerApisWithoutPolicy", "AuthorizerCertificateExpires",
    )  # fmt: skip

    assert not await prometheus.firing() & {"AuthorizerBundleRefused", "AuthorizerDiscoveryFails"}
    await estate.stop_child("envoy")
    await estate.stop_child("control plane")
    unreachable = f'ALERTS{{alertname="AuthorizerControlPlaneUnreachable", alertstate="firing", instance="{estate.main.endpoints["admin"][0]}"}}'
    await until(lambda: shown(prometheus, f"count({unreachable})"), 60)
    await fires("AuthorizerControlPlaneUnreachable", "AuthorizerDiscoveryFails")
    await another_key(estate)
    await fires("AuthorizerBundleRefused")

    if estate.database:
        await fires("AuthorizerDatabaseDown")
    known = set(await prometheus.ask("label/__name__/values"))
    assert metrics_of_panels() - known == set()
    for scraped in (estate.main, nothing):
        scraped.process.kill()
    (estate.home / "targets.json").write_text("[]")
    await fires("AuthorizerAbsent")
    assert fired == ALERTS - (set() if estate.database else {"AuthorizerDatabaseDown"})


async def shown(prometheus: Prometheus, query: str) -> bool:
    return bool(await prometheus.value(query))


async def quiet(prometheus: Prometheus) -> bool:
    return not await prometheus.firing() - OF_LOAD
