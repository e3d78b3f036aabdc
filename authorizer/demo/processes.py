"""Child processes that never outlive this one, however it ends: they share a process group with a small watcher.

The watcher reads a pipe that only we hold. When the pipe closes, be it that we ended, crashed or were killed, it ends
the whole group. Signals of the terminal reach us alone, so that we decide in which order things end.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

_WATCHER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdin.buffer.read()
os.killpg(0, signal.SIGTERM)
time.sleep(3)
os.killpg(0, signal.SIGKILL)
"""
_GRACE = 5.0  # seconds that a child has to end by itself


class Children:
    """The children that were ``started``, by name and in order; they are ended in the opposite order."""

    def __init__(self, group: int) -> None:
        self._group = group
        self.started: list[tuple[str, asyncio.subprocess.Process]] = []

    async def start(
        self, name: str, command: Sequence[object], *, log: Path, environment: Mapping[str, str] | None = None,
        read_output: bool = False,
    ) -> asyncio.subprocess.Process:  # fmt: skip
        """Start a child. Its errors are appended to the file ``log``; its output too unless the caller reads it."""
        with log.open("ab") as sink:
            process = await asyncio.create_subprocess_exec(
                *map(str, command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if read_output else sink,
                stderr=sink,
                env=None if environment is None else {**os.environ, **environment},
                process_group=self._group,
                limit=1 << 20,
            )
        self.started.append((name, process))
        return process

    async def ends(self) -> AsyncIterator[tuple[str, int]]:
        """Yield each child that ends by itself, as it does: its name and exit status."""

        async def wait(name: str, process: asyncio.subprocess.Process) -> tuple[str, int]:
            return name, await process.wait()

        tasks = [asyncio.create_task(wait(name, process)) for name, process in self.started]
        try:
            for ended in asyncio.as_completed(tasks):
                yield await ended
        finally:
            for task in tasks:
                task.cancel()

    async def stop(self) -> None:
        """End the children, the youngest first; who does not end in time is killed."""
        for _, process in reversed(self.started):
            if process.returncode is not None:
                continue
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(_GRACE):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        self.started.clear()


@contextlib.asynccontextmanager
async def children() -> AsyncIterator[Children]:
    """Give a group of children; leaving the block ends them all."""
    watcher = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", _WATCHER, stdin=asyncio.subprocess.PIPE, process_group=0
    )
    group = Children(watcher.pid)
    try:
        yield group
    finally:
        await asyncio.shield(group.stop())
        os.kill(watcher.pid, signal.SIGKILL)
        await watcher.wait()
