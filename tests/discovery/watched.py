"""Discovery of a test's API server, as `authorizer serve` runs it."""

import asyncio
from collections.abc import Callable, Sequence

from authorizer.discovery.kubernetes.access import access
from authorizer.discovery.kubernetes.following import Following
from authorizer.discovery.kubernetes.reading import Reading
from tests.discovery.cluster import TOKEN, ApiServer

WAIT = 300


class Watched:
    """Follows a cluster inside of ``async with``; ``port``: of a relay in between."""

    def __init__(self, server: ApiServer, token: str = TOKEN, namespaces: Sequence[str] = (), port: int = 0) -> None:
        self.cluster = Following(access(str(server.kubeconfig(token, port))), namespaces, ["authorizer"])

    async def __aenter__(self) -> Following:
        self.task = asyncio.create_task(self.cluster.follow())
        await until(self.cluster, lambda _: self.cluster.settled)
        return self.cluster

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def until(cluster: Following, true: Callable[[Reading], bool]) -> Reading:
    """Wait for a catalogue of which something is true."""
    async with asyncio.timeout(WAIT):
        while True:
            cluster.news.clear()
            if true(found := await cluster.read()):
                return found
            await cluster.news.wait()
