"""``authorizer serve`` as a child process, alone or with workers, and questions to each of its doors."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

OPEN = """
kind: Application
id: api
model: pbac
rights: {read: {}}
http: {hosts: [api.example], routes: {"GET /{rest=**}": {right: read}}}
---
kind: Policies
policies: [{id: everyone, right: api/read, to: {anyone: true}}]
"""
CLOSED = OPEN.replace("{anyone: true}", "{group: staff}")
BROKEN = OPEN.replace("right: api/read,", "right: api/reed,")
ASKED = {
    "x-forwarded-method": "GET",
    "x-forwarded-uri": "/a",
    "x-forwarded-host": "api.example",
    "x-forwarded-proto": "https",
}


@dataclass
class Serving:
    """A running ``authorizer serve``; ``endpoints`` are those that it announced."""

    process: asyncio.subprocess.Process
    log: Path
    decisions: Path
    endpoints: dict[str, list[str]] = field(default_factory=dict)

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children]

    async def announced(self) -> None:
        """Wait until the doors are open."""
        async with asyncio.timeout(60):
            while True:
                for line in self.log.read_text().splitlines():
                    if '"endpoints"' in line:
                        self.endpoints = json.loads(line)["endpoints"]
                        return
                assert self.process.returncode is None, self.log.read_text()
                await asyncio.sleep(0.02)

    async def get(self, path: str) -> tuple[int, str]:
        """Ask the admin door."""
        (address,) = self.endpoints["admin"]
        async with aiohttp.ClientSession(trust_env=False) as session, session.get(f"http://{address}{path}") as answer:
            return answer.status, await answer.text()

    async def ready(self) -> None:
        """Wait until all workers can decide."""
        await until(lambda: self.shows("/readyz", "ok"), 20)

    async def shows(self, path: str, *texts: str) -> bool:
        """Tell whether an admin page has each text."""
        with contextlib.suppress(aiohttp.ClientError):
            _, page = await self.get(path)
            return all(text in page for text in texts)
        return False

    async def counts(self, name: str) -> float:
        """Return the sum of a metric over its labels."""
        _, page = await self.get("/metrics")
        return sum(
            float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith((f"{name}{{", f"{name} "))
        )

    async def end(self) -> int:
        """Wait for the exit status."""
        async with asyncio.timeout(20):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def serving(directory: Path, settings: dict[str, Any], name: str = "serve") -> AsyncIterator[Serving]:
    """Run serve; what is left of it is killed, and its workers have to end with it."""
    config, log, decisions = (directory / f"{name}.{kind}" for kind in ("yaml", "log", "decisions"))
    config.write_text(yaml.safe_dump({"admin": {"listen": "127.0.0.1:0"}, "drain_seconds": 0, **settings}))
    command = [sys.executable, "-m", "authorizer", "serve", "--config", str(config)]
    with log.open("wb") as errors, decisions.open("wb") as lines:
        process = await asyncio.create_subprocess_exec(*command, stdout=lines, stderr=errors)
    running = Serving(process, log, decisions)
    try:
        yield running
    finally:
        if process.returncode is None:
            workers = running.workers
            process.kill()
            await process.wait()
            await until(lambda: none_of(workers), 10)


async def none_of(pids: Iterable[int]) -> bool:
    """Tell whether none of the processes runs any more."""
    return not any(alive(pid) for pid in pids)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def ask(address: str) -> int:
    """Ask a forward-auth door about a request without a credential; return the status, 0 for no answer."""
    path = address.removeprefix("unix:")
    unix = address.startswith("unix:")
    connector = aiohttp.UnixConnector(path) if unix else aiohttp.TCPConnector()
    url = f"http://{'door' if unix else address}/authz/traefik"
    try:
        async with (
            aiohttp.ClientSession(connector=connector, trust_env=False) as session,
            session.get(url, headers=ASKED, timeout=aiohttp.ClientTimeout(total=20)) as answer,
        ):
            return answer.status
    except (aiohttp.ClientError, OSError, TimeoutError):
        return 0


async def until(reached: Any, seconds: float = 30) -> None:
    """Wait until an async condition holds."""
    started = time.monotonic()
    while not await reached():
        assert time.monotonic() - started < seconds, "not in time"
        await asyncio.sleep(0.02)
