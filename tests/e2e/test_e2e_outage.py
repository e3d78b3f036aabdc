"""The processes as an operator runs them: what happens to decisions when the control plane dies, lies, or takes back."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from authorizer import bundle
from authorizer.bundle import archive
from authorizer.demo.callers import issue
from authorizer.demo.gateway import Gateway
from authorizer.demo.parts import CONTROL_PLANE, ControlPlane, free_port, start_authorizer, start_control_plane
from authorizer.demo.processes import Children
from authorizer.gateways.envoy import Check
from authorizer.jose.sign import generate
from authorizer.pdp.api_keys import make
from authorizer.pdp.sources import compile_documents
from tests.e2e.shop import POLICIES
from tests.e2e.world import Api, envoy, listening, metrics, send

OPEN = b"""
kind: Application
id: orders
model: pbac
rights: {read: {}}
http: {hosts: [localhost], routes: {"GET /orders/{id}": {right: read}}}
---
kind: Policies
policies: [{id: everybody, right: orders/read, to: {anyone: true}}]
"""
"""What a liar would publish."""

KEPT = Path("state") / "bundles" / "policy" / "bundle.tar.gz"


@dataclass
class Estate:
    home: Path
    children: Children
    plane: ControlPlane
    gateway: Gateway
    tokens: dict[str, str]
    processes: dict[str, asyncio.subprocess.Process]

    @property
    def admin(self) -> str:
        return yaml.safe_load((self.home / "authorizer.yaml").read_text())["admin"]["listen"]

    async def answers(self) -> list[int]:
        asked = [("alice", "/orders/17"), ("alice", "/orders/42"), ("pat", "/orders/18"), ("alice", "/orders/export")]
        bearers = [([("authorization", f"Bearer {self.tokens[who]}")], target) for who, target in asked]
        return [
            (await send(self.gateway.url, "GET", target, header, host="localhost")).status for header, target in bearers
        ]

    async def asked_until(self, expected: dict[str, int]) -> None:
        """Ask for an order with each credential until each is answered as expected: it may take seconds."""
        found: dict[str, int] = {}
        deadline = time.monotonic() + 10
        while found != expected:
            assert time.monotonic() < deadline, found
            for shown in expected:
                header = ("x-api-key", shown) if shown.startswith("azk_") else ("authorization", f"Bearer {shown}")
                reply = await send(self.gateway.url, "GET", "/orders/17", [header], host="localhost")
                found[shown] = reply.status

    async def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        await process.wait()

    async def restart(self) -> None:
        """Start the authorizer again as it was, and wait until its doors are open."""
        if "authorizer" in self.processes:
            await self.kill("authorizer")
        command = [sys.executable, "-m", "authorizer", "serve", "--config", self.home / "authorizer.yaml"]
        self.processes["authorizer"] = await self.children.start("authorizer", command, log=self.home / "again.log")
        await listening(self.admin)

    async def until(self, *texts: str) -> str:
        """Wait until the metrics show each text."""
        deadline = time.monotonic() + 30
        while True:
            page = await metrics(f"http://{self.admin}")
            if all(text in page for text in texts):
                return page
            assert time.monotonic() < deadline, page
            await asyncio.sleep(0.05)


SOUND = [200, 403, 403, 403]


@pytest.fixture
async def estate(children: Children, api: Api, tmp_path: Path) -> Estate:
    policies = tmp_path / "policies"
    policies.mkdir()
    for path in POLICIES.glob("*.yaml"):
        (policies / path.name).write_bytes(path.read_bytes())
    tokens = issue(policies, tmp_path / "tokens", time.time())
    door = f"127.0.0.1:{free_port()}"
    gateway = await envoy(children, tmp_path, Check(address=door), api.address)
    plane = await start_control_plane(children, tmp_path)
    await start_authorizer(children, tmp_path, plane, door, gateway.admin)
    processes = {name: process for name, process in children.started if name != "envoy"}
    running = Estate(tmp_path, children, plane, gateway, tokens, processes)
    assert await running.answers() == SOUND
    return running


async def test_decisions_go_on_without_the_control_plane(estate: Estate) -> None:
    await estate.kill(CONTROL_PLANE)
    assert await estate.answers() == SOUND
    await estate.restart()
    in_force = "authorizer_bundle_last_activation_timestamp_seconds"
    await estate.until(*(f'{in_force}{{bundle="{kind}"}}' for kind in ("policy", "facts", "trust")))
    assert await estate.answers() == SOUND
    again = (estate.home / "again.log").read_text()
    assert f"policy bundle in force from {estate.home / 'state'}" in again
    assert "last confirmed 20" in again


@contextlib.asynccontextmanager
async def liar(estate: Estate, data: bytes) -> AsyncIterator[None]:
    """Answer in the control plane's place, with one bundle for whoever asks for policies."""

    async def bundles(request: web.Request) -> web.Response:
        if request.match_info["kind"] != "policy":
            return web.Response(status=503)
        return web.Response(body=data, headers={"ETag": f'"{len(data)}"', "Content-Type": "application/gzip"})

    app = web.Application()
    app.router.add_get("/v1/bundles/{kind}", bundles)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    host, _, port = estate.plane.url.removeprefix("http://").rpartition(":")
    try:
        await web.TCPSite(runner, host, int(port), reuse_address=True).start()
        yield
    finally:
        await runner.cleanup()


def lies(estate: Estate) -> dict[str, bytes]:
    """Return bundles that must be refused, by the code of the refusal."""
    key = (estate.plane.state / "signing.pem").read_bytes()
    signer = bundle.Signer(private_pem=key, key_id="demo")
    stranger = bundle.Signer(private_pem=generate("ES256"), key_id="demo")
    policy = compile_documents({"orders.yaml": OPEN}).documents()["policy"]
    later = int(time.time() * 1000) + 1_000
    true = (estate.home / KEPT).read_bytes()
    files = archive.unpack(true)
    tampered = {**files, "authorizer/policy.json": files["authorizer/policy.json"].replace(b"sales", b"saler")}
    return {
        "AZ329": archive.pack(tampered),
        "AZ320": bundle.write("policy", policy, serial=later, signer=None),
        "AZ323": bundle.write("policy", policy, serial=later, signer=stranger),
        "AZ330": bundle.write("policy", policy, serial=1_000, signer=signer),
        "AZ301": true[: len(true) // 2],
        "AZ311": bundle.write("facts", policy, serial=later, signer=signer),
    }


async def test_what_a_liar_publishes_is_refused_and_counted(estate: Estate) -> None:
    await estate.kill(CONTROL_PLANE)
    for code, data in lies(estate).items():
        async with liar(estate, data):
            await estate.until(f'authorizer_bundle_activation_failures_total{{bundle="policy",code="{code}"}}')
        assert await estate.answers() == SOUND


async def test_what_was_changed_on_disk_is_refused_at_the_start(estate: Estate) -> None:
    await estate.kill(CONTROL_PLANE)
    kept = estate.home / KEPT
    true = kept.read_bytes()
    for code, data in lies(estate).items():
        kept.write_bytes(data)
        await estate.restart()
        await estate.until(f'authorizer_bundle_activation_failures_total{{bundle="kept",code="{code}"}}')
        assert await estate.answers() == [503] * 4
    kept.write_bytes(true)
    await estate.restart()
    assert await estate.answers() == SOUND


Change = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("orders.yaml", lambda text: text.replace(b"{resource.customer: {in: $assignee.customers}}", b"{not a map")),
        ("orders.yaml", lambda text: text.replace(b"right: orders/read,", b"right: orders/raed,")),
        ("facts.yaml", lambda text: text + b"lookups: {}\n"),
    ],
)
async def test_a_broken_document_changes_nothing_and_is_named(estate: Estate, name: str, change: Change) -> None:
    path = estate.home / "policies" / name
    sound = path.read_bytes()
    path.write_bytes(change(sound))
    page = await estate.until("authorizer_control_plane_problem{", f'file="{name}"')
    assert 'line="' in page
    assert await estate.answers() == SOUND
    assert f"{name}:" in (estate.home / "control-plane.log").read_text()
    path.write_bytes(sound)
    facts = estate.home / "policies" / "facts.yaml"
    facts.write_text(facts.read_text().replace("[c-1, c-2]", "[c-2]"))
    deadline = time.monotonic() + 30
    while await estate.answers() != [403] * 4:
        assert time.monotonic() < deadline


async def test_what_is_published_takes_credentials_back_and_replaces_them(estate: Estate) -> None:
    token, keys = estate.tokens["alice"], [make(bytes([number]) * 42, b"") for number in (1, 2)]
    (old, _, _), (new, _, _) = keys
    rows = [
        f"  {name}: {{hash: '{hashed}', is: {{person: [alice], group: [sales]}}, attributes: {{tenant: acme}}}}\n"
        for _, name, hashed in keys
    ]
    document, revoked = (estate.home / "policies" / name for name in ("keys.yaml", "revoked.yaml"))
    document.write_text("kind: ApiKeys\nkeys:\n" + "".join(rows))
    await estate.asked_until({token: 200, old: 200, new: 200})
    document.write_text("kind: ApiKeys\nkeys:\n" + rows[1])
    await estate.asked_until({token: 200, old: 401, new: 200})
    revoked.write_text("kind: Facts\nrevoked: {sub: {alice: {until: 2099-01-01T00:00:00Z}}}\n")
    await estate.asked_until({token: 401, old: 401, new: 401})
    revoked.unlink()
    await estate.asked_until({token: 200, old: 401, new: 200})
