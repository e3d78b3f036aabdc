"""An Envoy that spreads its checks over several addresses, and clients that keep it busy."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from authorizer.demo.gateway import Gateway, start_envoy
from authorizer.demo.processes import Children
from authorizer.gateways.envoy import Backend, Check, bootstrap
from tests.e2e.fleet import until

HEALTH = {
    "timeout": "0.5s",
    "interval": "0.1s",
    "no_traffic_interval": "0.1s",
    "unhealthy_threshold": 1,
    "healthy_threshold": 1,
    "grpc_health_check": {"service_name": "envoy.service.auth.v3.Authorization"},
}

# By default Envoy gathers what it learns of health for a second before it acts, and makes 3 retries at once.
CLUSTER = {
    "common_lb_config": {"update_merge_window": "0s"},
    "circuit_breakers": {"thresholds": [{"max_retries": 1024}]},
}
OTHERS = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
RETRY = {
    "retry_on": "connect-failure,refused-stream",
    "num_retries": 3,
    "retry_host_predicate": [{"name": "others", "typed_config": {"@type": OTHERS}}],
    "host_selection_retry_max_attempts": 5,
}


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
    config = bootstrap(Check(address=addresses[0], timeout=2.0), [Backend("api", "/", api)])
    cluster = config["static_resources"]["clusters"][0]
    (endpoints,) = cluster["load_assignment"]["endpoints"]
    endpoints["lb_endpoints"] = [{"endpoint": {"address": _address(each)}} for each in addresses]
    cluster["health_checks"] = [HEALTH]
    cluster |= CLUSTER
    service = _filter(config)["typed_config"]["grpc_service"]
    # Safe, for a check changes nothing: one that never reached a worker is asked of another.
    service["retry_policy"] = RETRY
    gateway = await start_envoy(Threads(children, threads), config, directory)
    await healthy(gateway, len(addresses))
    return gateway


def _filter(config: dict[str, Any]) -> dict[str, Any]:
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    return chain["filters"][0]["typed_config"]["http_filters"][0]


def _address(address: str) -> dict[str, Any]:
    if address.startswith("unix:"):
        return {"pipe": {"path": address.removeprefix("unix:")}}
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


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
