"""An Envoy that lets requests pass when its authorizer errs. Ours answers whatever happens, so it never does."""

import copy
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from authorizer.demo.callers import issue
from authorizer.demo.parts import free_port
from authorizer.demo.processes import Children
from authorizer.doors import ext_authz, native
from authorizer.gateways.envoy import Check
from authorizer.pdp.snapshot import EMPTY
from authorizer.policy import pbac
from authorizer.service import Authorizer
from tests import forge
from tests.e2e.shop import POLICIES, Clock, shop, snapshot
from tests.e2e.world import Api, connection_manager, envoy, listening, metrics, open_doors, send

BEARER = """
kind: Catalog
fields: {limit: {type: decimal, scope: assignee}}
---
kind: Application
id: orders
model: pbac
rights: {read: {}}
http: {hosts: [localhost], routes: {GET /orders: {right: read}}}
---
kind: Policies
policies: [{id: everybody, right: orders/read, to: {anyone: true}}]
"""


def failing(*_: object, **__: object) -> Any:
    raise RuntimeError("forced")


async def test_each_forged_token_is_refused(children: Children, api: Api, tmp_path: Path) -> None:
    now = time.time()
    made, good = forge.material(), forge.claims(now)
    authorizer = Authorizer(
        snapshot({"orders.yaml": BEARER.encode(), "issuers.yaml": forge.issuers(made).encode()}), clock=Clock()
    )
    passed = []
    async with open_doors(authorizer) as doors:
        gateway = await envoy(children, tmp_path, Check(address=doors.grpc, fail_open=True), api.address)
        for _, token in forge.honest(made, good):
            reply = await send(gateway.url, "GET", "/orders", [("authorization", f"Bearer {token}")], host="localhost")
            assert reply.status == 200
        honest = len(api.seen)
        for attack in forge.attacks(made, good):
            if attack.sendable and len(attack.token) < 50_000:  # Envoy refuses longer headers by itself
                header = [("authorization", f"Bearer {attack.token}")]
                reply = await send(gateway.url, "GET", "/orders", header, host="localhost")
                passed += [f"{attack.group}: {attack.name}: {reply.status}"] if reply.status != 401 else []
    assert not passed
    assert len(api.seen) == honest


@pytest.mark.parametrize(
    "broken",
    ["a policy that raises", "the door raises", "the decision raises", "nothing loaded", "no facts", "too old"],
)
async def test_a_fault_of_ours_is_a_denial(
    broken: str, children: Children, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authorizer, tokens = shop(tmp_path)
    bearer = [("authorization", f"Bearer {tokens['alice']}")]
    async with open_doors(authorizer) as doors:
        gateway = await envoy(children, tmp_path, Check(address=doors.grpc, fail_open=True), api.address)
        assert (await send(gateway.url, "GET", "/orders/17", bearer, host="localhost")).status == 200
        match broken:
            case "a policy that raises":
                monkeypatch.setattr(pbac.Program, "decide", failing)
            case "the door raises":
                monkeypatch.setattr(ext_authz, "decode", failing)
            case "the decision raises":
                monkeypatch.setattr(authorizer, "check", failing)
            case "nothing loaded":
                authorizer.snapshot = EMPTY
            case "no facts":
                authorizer.snapshot = replace(authorizer.snapshot, ready=False)
            case _:
                authorizer.stale_after = 0.0
        reply = await send(gateway.url, "GET", "/orders/17", bearer, host="localhost")
        assert reply.status == 503
        assert b"forced" not in reply.body
        assert len(api.seen) == 1


def tracing(config: dict[str, Any]) -> None:
    """Let Envoy trace: it then copies the client's ``tracestate`` into its calls."""
    kind = "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig"
    collector = {"envoy_grpc": {"cluster_name": "collector"}, "timeout": "0.25s"}
    provider = {"name": "envoy.tracers.opentelemetry", "typed_config": {"@type": kind, "grpc_service": collector}}
    connection_manager(config)["tracing"] = {"provider": provider}
    clusters = config["static_resources"]["clusters"]
    clusters.append(copy.deepcopy(clusters[0]) | {"name": "collector"})


@pytest.mark.parametrize("engine", ["grpcio", "native"])
async def test_what_a_client_puts_into_the_call_makes_no_error(
    engine: str, children: Children, api: Api, tmp_path: Path
) -> None:
    authorizer, _ = shop(tmp_path)
    parent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    async with open_doors(authorizer) as doors:
        door = await native.start(authorizer, "127.0.0.1:0")
        address = doors.grpc if engine == "grpcio" else door.address
        gateway = await envoy(children, tmp_path, Check(address=address, fail_open=True), api.address, tracing)
        for size in (10, 5_000, 9_000, 20_000, 40_000, 55_000):
            doors.decisions.clear()
            state = ("tracestate", "a=" + "x" * size)
            reply = await send(gateway.url, "GET", "/orders/17", [parent, state], host="localhost")
            assert reply.status in {401, 403}, size
            assert len(doors.decisions) == 1
        await door.close(0)
    assert not api.seen


async def test_a_gateway_that_fails_open_lets_pass_only_when_nobody_answers(
    children: Children, api: Api, tmp_path: Path
) -> None:
    gateway = await envoy(children, tmp_path, Check(address="127.0.0.1:1", fail_open=True), api.address)
    assert (await send(gateway.url, "GET", "/orders/17")).status == 200


async def test_broken_documents_change_nothing(children: Children, api: Api, tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    policies.mkdir()
    for path in POLICIES.glob("*.yaml"):
        (policies / path.name).write_bytes(path.read_bytes())
    tokens = issue(policies, tmp_path / "tokens", time.time())
    door, admin = (f"127.0.0.1:{free_port()}" for _ in range(2))
    settings = {
        "policies": str(policies),
        "drain_seconds": 0,
        "ext_authz": {"listen": door},
        "forward_auth": {"listen": ""},
        "admin": {"listen": admin},
    }
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "authorizer", "serve", "--config", tmp_path / "serve.yaml"]
    await children.start("authorizer", command, log=tmp_path / "authorizer.log")
    await listening(admin)
    await listening(door)
    gateway = await envoy(children, tmp_path, Check(address=door, fail_open=True), api.address)
    bearer = [("authorization", f"Bearer {tokens['alice']}")]

    async def answers() -> list[int]:
        targets = ("/orders/17", "/orders/42", "/orders/18")
        return [(await send(gateway.url, "GET", target, bearer, host="localhost")).status for target in targets]

    before = await answers()
    assert before == [200, 403, 403]
    for name, good, bad in (
        ("facts.yaml", "customer: c-7", "customer: [c-7"),
        ("orders.yaml", "to: {group: sales}", "to: {grup: sales}"),
    ):
        text = (policies / name).read_text()
        (policies / name).write_text(text.replace(good, bad))
        page = await until(admin, f'file="{name}"')
        assert "authorizer_bundle_activation_failures_total" in page
        assert await answers() == before
        (policies / name).write_text(text)
        await until(admin, f'file="{name}"', gone=True)
    (policies / "facts.yaml").write_text((policies / "facts.yaml").read_text().replace("[c-1, c-2]", "[c-7]"))
    deadline = time.monotonic() + 30
    while await answers() != [403, 403, 200]:
        assert time.monotonic() < deadline


async def until(admin: str, text: str, *, gone: bool = False) -> str:
    """Wait until the metrics show a text, or no longer do."""
    deadline = time.monotonic() + 30
    while (text in (page := await metrics(f"http://{admin}"))) is gone:
        assert time.monotonic() < deadline, page
    return page
