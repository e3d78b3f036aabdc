"""Workers under a supervisor, as real processes: killed, restarted, told of new policies, and ended."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from authorizer import bundle
from authorizer.demo.parts import CONTROL_PLANE, ControlPlane, start_control_plane
from authorizer.demo.processes import Children
from authorizer.jose.sign import generate
from authorizer.pdp.sources import compile_documents
from tests.e2e.fleet import BROKEN, CLOSED, OPEN, Serving, alive, ask, none_of, serving, until

RESTARTS = "authorizer_worker_restarts_total"
DECISIONS = "authorizer_decisions_total"


def of_directory(home: Path, workers: int = 2, **more: Any) -> dict[str, Any]:
    policies = home / "policies"
    policies.mkdir(exist_ok=True)
    (policies / "api.yaml").write_text(OPEN)
    return {
        "workers": workers,
        "policies": str(policies),
        "ext_authz": {"listen": f"unix:{home}/g.sock"},
        "forward_auth": {"listen": f"unix:{home}/h.sock"},
        **more,
    }


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(tmp_path, of_directory(tmp_path, 3)) as running:
        await running.announced()
        await running.ready()
        yield running


async def answers(running: Serving) -> list[int]:
    return [await ask(address) for address in running.endpoints["forward_auth"]]


async def test_a_killed_worker_comes_back_while_the_others_answer(fleet: Serving, tmp_path: Path) -> None:
    assert fleet.endpoints["ext_authz"] == [f"unix:{tmp_path}/g-{worker}.sock" for worker in range(3)]
    assert len(fleet.endpoints["forward_auth"]) == len(fleet.workers) == 3
    for _ in range(4):
        assert await answers(fleet) == [200, 200, 200]
    assert await fleet.counts(DECISIONS) == 12
    victim = fleet.workers[1]
    os.kill(victim, signal.SIGKILL)
    await until(lambda: fleet.shows("/readyz", "its doors are not open"))
    down = await answers(fleet)
    assert sorted(down) == [0, 200, 200]
    counted = await fleet.counts(DECISIONS)
    assert counted >= 14
    assert await fleet.counts("authorizer_worker_up") == 2
    await fleet.ready()
    assert await answers(fleet) == [200, 200, 200]
    assert victim not in fleet.workers
    assert await fleet.counts(RESTARTS) == 1
    assert await fleet.counts(DECISIONS) == counted + 3
    fleet.process.terminate()
    assert await fleet.end() == 0
    lines = [json.loads(line) for line in fleet.decisions.read_text().splitlines()]
    assert 13 <= len(lines) <= 17  # what was killed had not yet written its last ones
    assert len({line["decision_id"] for line in lines}) == len(lines)


async def others_answer(running: Serving) -> bool:
    return (await answers(running))[1:] == [200, 200]


def sockets_in(folder: Path) -> list[Path]:
    return list(folder.glob("*.sock"))


async def everyone(running: Serving, status: int) -> bool:
    return set(await answers(running)) == {status}


async def test_a_worker_that_cannot_start_again_does_not_spin(fleet: Serving, tmp_path: Path) -> None:
    socket = tmp_path / "h-0.sock"
    socket.unlink()
    socket.write_text("in the way")
    for pid in fleet.workers:
        os.kill(pid, signal.SIGKILL)
    await until(lambda: fleet.shows("/readyz", "worker 0: its doors are not open"))
    await until(lambda: others_answer(fleet))
    await asyncio.sleep(1)
    assert 3 <= await fleet.counts(RESTARTS) <= 7
    socket.unlink()
    await fleet.ready()
    assert await answers(fleet) == [200, 200, 200]


@pytest.mark.parametrize(
    ("workers", "signals", "status", "drain"),
    [
        (1, [signal.SIGTERM], 0, 0.6),
        (1, [signal.SIGTERM, signal.SIGTERM], 130, 300),
        (2, [signal.SIGTERM], 0, 0.6),
        (2, [signal.SIGINT], 0, 300),
        (2, [signal.SIGTERM, signal.SIGINT], 130, 300),
    ],
)
async def test_signals_end_it_in_their_way(
    workers: int, signals: list[signal.Signals], status: int, drain: float, tmp_path: Path
) -> None:
    settings = of_directory(tmp_path, workers, drain_seconds=drain)
    async with serving(tmp_path, settings) as running:
        await running.announced()
        await running.ready()
        pids = running.workers if workers > 1 else []
        assert len(pids) in (0, workers)
        started = time.monotonic()
        for number in signals:
            running.process.send_signal(number)
            await asyncio.sleep(0.2)
        if signals == [signal.SIGTERM]:
            assert await answers(running) == [200] * workers  # still, so that nobody is turned away too early
            assert await running.get("/readyz") == (503, "not ready: draining\n")
        assert await running.end() == status
        assert signals != [signal.SIGTERM] or time.monotonic() - started >= drain
        assert not any(map(alive, pids))
        assert "Traceback" not in running.log.read_text()
        assert status == 130 or not sockets_in(tmp_path)


async def test_a_worker_may_hang_or_be_ended_a_change_reaches_all_and_none_outlives_the_supervisor(
    fleet: Serving, tmp_path: Path
) -> None:
    assert await answers(fleet) == [200, 200, 200]
    assert await fleet.counts(DECISIONS) == 3
    stopped = fleet.workers[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        async with asyncio.timeout(30):
            assert await fleet.counts(DECISIONS) == 3
    finally:
        os.kill(stopped, signal.SIGCONT)

    os.kill(fleet.workers[2], signal.SIGTERM)
    await until(lambda: counted(fleet, 1))
    await fleet.ready()
    assert await answers(fleet) == [200, 200, 200]

    policies = tmp_path / "policies" / "api.yaml"
    policies.write_text(BROKEN)
    failed = 'authorizer_bundle_activation_failures_total{bundle="policy",code="R004"} 1.0'
    await until(lambda: fleet.shows("/metrics", failed))
    assert await answers(fleet) == [200, 200, 200]
    policies.write_text(CLOSED)
    await until(lambda: everyone(fleet, 401))
    assert fleet.log.read_text().count("R004") == 1

    workers = fleet.workers
    fleet.process.kill()
    await fleet.end()
    await until(lambda: none_of(workers))
    assert fleet.log.read_text().count("the supervisor has gone") == len(workers)


async def test_what_is_wrong_at_the_start_is_told_once_and_ends_it(tmp_path: Path) -> None:
    settings = of_directory(tmp_path)
    (tmp_path / "policies" / "api.yaml").write_text(BROKEN)
    async with serving(tmp_path, settings) as running:
        assert await running.end() == 3
        assert running.log.read_text().count("error R004") == 1
    (tmp_path / "policies" / "api.yaml").write_text(OPEN)
    (tmp_path / "h-1.sock").write_text("in the way")
    async with serving(tmp_path, settings) as running:
        assert await running.end() == 69
        told = running.log.read_text()
        assert "error AZ703" in told
        assert "error AZ708" in told


async def test_two_supervisors_cannot_share_a_port(tmp_path: Path) -> None:
    settings = of_directory(tmp_path, ext_authz={"listen": ""}, forward_auth={"listen": "127.0.0.1:0"})
    async with serving(tmp_path, settings) as first:
        await first.announced()
        (shared,) = first.endpoints["forward_auth"]
        assert await ask(shared) == 200
        async with serving(tmp_path, settings | {"forward_auth": {"listen": shared}}, "second") as second:
            assert await second.end() == 69
            assert "AZ702" in second.log.read_text()
        assert {await ask(shared) for _ in range(5)} == {200}


class Governed:
    """A control plane with workers behind it."""

    def __init__(self, plane: ControlPlane, running: Serving, home: Path, children: Children) -> None:
        self.plane = plane
        self.running = running
        self.policies = home / "policies" / "api.yaml"
        self.children = children

    async def kill_control_plane(self) -> None:
        (process,) = (process for name, process in self.children.started if name == CONTROL_PLANE)
        process.kill()
        await process.wait()


@pytest.fixture
async def governed(children: Children, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Governed]:
    settings = of_directory(tmp_path)
    plane = await start_control_plane(children, tmp_path)
    del settings["policies"]
    settings["state"] = str(tmp_path / "state")
    settings["control_plane"] = {
        "url": plane.url,
        "token_file": str(plane.state / "authorizer.token"),
        "keys": {"demo": {"file": str(plane.state / "signing.pub.pem")}},
        "long_poll_seconds": 1,
        **getattr(request, "param", {}),
    }
    async with serving(tmp_path, settings) as running:
        await running.announced()
        await running.ready()
        yield Governed(plane, running, tmp_path, children)


async def test_a_new_bundle_reaches_all_workers_within_a_second_and_a_bad_one_none(
    governed: Governed, tmp_path: Path
) -> None:
    running = governed.running
    assert await answers(running) == [200, 200]
    told = "policy bundle in force: serial"
    before = running.log.read_text().count(told)
    governed.policies.write_text(CLOSED)
    await until(lambda: some(running, 401))
    await until(lambda: everyone(running, 401))
    assert running.log.read_text().count(told) == before + 3  # the supervisor, and each worker
    os.kill(running.workers[0], signal.SIGKILL)
    await until(lambda: counted(running, 1))
    await running.ready()
    assert await answers(running) == [401, 401]
    await refuse_a_lie(governed, tmp_path)


async def some(running: Serving, status: int) -> bool:
    return status in await answers(running)


async def counted(running: Serving, restarts: int) -> bool:
    return await running.counts(RESTARTS) == restarts


async def refuse_a_lie(governed: Governed, home: Path) -> None:
    """Let another answer in the control plane's place, with an opener policy that somebody else signed."""
    running = governed.running
    kept = home / "state" / "bundles" / "policy" / "bundle.tar.gz"
    before = kept.read_bytes()
    policy = compile_documents({"api.yaml": OPEN.encode()}).documents()["policy"]
    stranger = bundle.Signer(private_pem=generate("ES256"), key_id="demo")
    later = int(time.time() * 1000) + 1_000

    async def lie(request: web.Request) -> web.Response:
        if request.match_info["kind"] != "policy":
            return web.Response(status=503)
        data = bundle.write("policy", policy, serial=later, signer=stranger)
        return web.Response(body=data, headers={"Content-Type": "application/gzip"})

    await governed.kill_control_plane()
    app = web.Application()
    app.router.add_get("/v1/bundles/{kind}", lie)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        port = int(governed.plane.url.rpartition(":")[2])
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
        await until(lambda: running.shows("/metrics", 'failures_total{bundle="policy",code="AZ323"}'))
        assert await answers(running) == [401, 401]
    finally:
        await runner.cleanup()
    assert kept.read_bytes() == before
    assert running.log.read_text().count("AZ323") == 1


@pytest.mark.parametrize("governed", [{"max_age_seconds": 1.5, "long_poll_seconds": 0.5}], indirect=True)
async def test_confirmations_reach_the_workers_and_without_them_all_deny(governed: Governed) -> None:
    running = governed.running
    started = time.monotonic()
    while time.monotonic() - started < 2.5:
        assert await answers(running) == [200, 200]
        await asyncio.sleep(0.1)
    await governed.kill_control_plane()
    await until(lambda: everyone(running, 503))
    lacking = "; ".join(f"worker {worker}: no policy is in force" for worker in range(2))
    await until(lambda: running.shows("/readyz", f"not ready: {lacking}"))
