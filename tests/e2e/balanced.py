"""An Envoy that spreads its checks over several addresses, and clients that keep it busy."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp

from authorizer.demo.gateway import Gateway, start_envoy
from authorizer.demo.processes import Children
from authorizer.gateways.envoy import Backend, Check, bootstrap
from tests.e2e.fleet import until

OFTEN = {"interval": "0.1s", "no_traffic_interval": "0.1s"}
"""How often health is asked for here: more often than we print, so that a test need not wait."""


class Threads:
    """Children of which Envoy gets so many worker threads."""

    def __init__(self, children: Children, count: int) -> None:
        self._children = children
        self._count = count

    async def start(self, name: str, command: list[object], *, log: Path) -> asyncio.subprocess.Process:
        command[command.index("--concurrency") + 1] = self._count
        return await self._children.start(name, command, log=log)


async def balancing(
    children: Children, directory: Path, addresses: Sequence[str], api: str, threads: int = 1
) -> Gateway:
    """Start Envoy with all the addresses in one cluster, which it asks for their health."""
    first, *others = addresses
    config = bootstrap(Check(address=first, workers=tuple(others), timeout=2.0), [Backend("api", "/", api)])
    for health in config["static_resources"]["clusters"][0].get("health_checks", ()):
        health.update(OFTEN)
    gateway = await start_envoy(Threads(children, threads), config, directory)
    await healthy(gateway, len(addresses))
    return gateway


async def healthy(gateway: Gateway, count: int) -> None:
    """Wait until Envoy finds so many authorizers well."""

    async def found() -> bool:
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.get(f"{gateway.admin}/clusters") as answer,
        ):
            lines = (await answer.text()).splitlines()
        flags = [line for line in lines if line.startswith("authorizer::") and "::health_flags::" in line]
        return sum(line.endswith("::healthy") for line in flags) == count

    await until(found, 20)


async def failed(gateway: Gateway, address: str) -> int:
    """Return how many checks Envoy counts as failed of those it handed to a worker."""
    async with (
        aiohttp.ClientSession(trust_env=False) as session,
        session.get(f"{gateway.admin}/clusters") as answer,
    ):
        lines = (await answer.text()).splitlines()
    shown = f"authorizer::{address.removeprefix('unix:')}::rq_error::"
    (line,) = (line for line in lines if line.startswith(shown))
    return int(line.removeprefix(shown))


@contextlib.asynccontextmanager
async def load(gateway: Gateway, clients: int = 16) -> AsyncIterator[Counter[int]]:
    """Send requests without a pause as long as the context is open; count the answers by status."""
    counts: Counter[int] = Counter()
    stopped = asyncio.Event()
    tasks = [asyncio.create_task(_client(gateway.address, counts, stopped)) for _ in range(clients)]
    try:
        yield counts
    finally:
        stopped.set()
        await asyncio.gather(*tasks)


async def _client(address: str, counts: Counter[int], stopped: asyncio.Event) -> None:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    while not stopped.is_set():
        writer.write(b"GET /a HTTP/1.1\r\nHost: api.example\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        )
        await reader.readexactly(length)
        counts[int(head.split(b" ", 2)[1])] += 1
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
