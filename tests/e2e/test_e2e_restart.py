"""Authorizers and workers that come and go behind a busy Envoy."""

import asyncio
import contextlib
import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from authorizer.demo.processes import Children
from tests.e2e.balanced import balancing, failed, healthy, load
from tests.e2e.fleet import OPEN, Serving, serving, until
from tests.e2e.world import Api


def settings(home: Path, name: str, workers: int, **ext_authz: object) -> dict:
    policies = home / "policies"
    policies.mkdir(exist_ok=True)
    (policies / "api.yaml").write_text(OPEN)
    return {
        "workers": workers,
        "policies": str(policies),
        "drain_seconds": 0.5,
        "forward_auth": {"listen": ""},
        "ext_authz": {"listen": f"unix:{home}/{name}.sock", **ext_authz},
    }


async def start(stack: contextlib.AsyncExitStack, home: Path, name: str, workers: int = 1, **more: object) -> Serving:
    running = await stack.enter_async_context(serving(home, settings(home, name, workers, **more), name))
    await running.announced()
    await running.ready()
    return running


@pytest.mark.parametrize(
    ("rounds", "workers", "engine"),
    [
        (2, 1, "native"),
        pytest.param(50, 1, "native", marks=pytest.mark.interop),
        pytest.param(4, 2, "native", marks=pytest.mark.interop),
        pytest.param(4, 1, "grpcio", marks=pytest.mark.interop),
    ],
)
async def test_rolling_restarts_fail_no_check(
    rounds: int, workers: int, engine: str, children: Children, api: Api, tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        running = {name: await start(stack, tmp_path, name, workers, engine=engine) for name in ("a", "b")}
        addresses = [address for each in running.values() for address in each.endpoints["ext_authz"]]
        gateway = await balancing(children, tmp_path, addresses, api.address)
        async with load(gateway) as counts:
            for number in range(rounds):
                name = "ab"[number % 2]
                running[name].process.terminate()
                assert await running[name].end() == 0
                running[name] = await start(stack, tmp_path, name, workers, engine=engine)
                await healthy(gateway, len(addresses))
                assert set(counts) == {200}, counts
    # Each check of 16 clients, from before the first restart until after the last: not one failed.
    assert set(counts) == {200}, counts
    assert counts[200] > 100 * rounds


@pytest.mark.interop
async def test_connections_that_have_to_go_lose_no_check(children: Children, api: Api, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        running = await start(stack, tmp_path, "a", max_connection_age_seconds=0.1)
        gateway = await balancing(children, tmp_path, running.endpoints["ext_authz"], api.address)
        async with load(gateway) as counts:
            await asyncio.sleep(1)
    assert set(counts) == {200}, counts


async def test_a_worker_killed_under_load_costs_what_was_in_it_and_that_fails_closed(
    children: Children, api: Api, tmp_path: Path
) -> None:
    """A failed check is one that Envoy had handed to the killed worker; a client of it gets 503, the API nothing."""
    async with contextlib.AsyncExitStack() as stack:
        running = await start(stack, tmp_path, "a", 2)
        gateway = await balancing(children, tmp_path, running.endpoints["ext_authz"], api.address)
        async with load(gateway) as counts:
            await asyncio.sleep(0.3)
            os.kill(running.workers[0], signal.SIGKILL)
            await until(
                lambda: running.shows("/metrics", "authorizer_worker_restarts_total", 'restarts_total{worker="0"} 1.0')
            )
            await running.ready()
            await healthy(gateway, 2)
            lost = counts.copy()
            await asyncio.sleep(0.3)
        killed, other = [await failed(gateway, address) for address in running.endpoints["ext_authz"]]
    assert set(counts) <= {200, 503}
    # Of 16 clients each has one in flight; for some milliseconds a dying process's socket still takes the next.
    assert counts[503] == lost[503] <= 32
    assert counts[503] <= killed  # the rest of these was asked of the other, and answered
    assert other == 0
    assert len(api.seen) == counts[200]  # what was not allowed did not pass


@pytest.mark.interop
async def test_workers_get_equal_shares(children: Children, api: Api, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        running = await start(stack, tmp_path, "a", 4)
        gateway = await balancing(children, tmp_path, running.endpoints["ext_authz"], api.address, threads=2)
        async with load(gateway) as counts:
            await until(lambda: reached(counts, 6000), 60)
        assert set(counts) == {200}
        running.process.terminate()
        assert await running.end() == 0
        lines = [json.loads(line) for line in running.decisions.read_text().splitlines()]
    shares = Counter(line["decision_id"].partition("-")[0] for line in lines)
    assert sum(shares.values()) == counts[200]
    assert len(shares) == 4
    assert max(shares.values()) - min(shares.values()) <= sum(shares.values()) / 4 * 0.01, shares


async def reached(counts: Counter[int], count: int) -> bool:
    return counts.total() >= count
