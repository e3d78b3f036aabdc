"""Proofs remembered for several machines, in a real Redis: also while it is away, slow, or not one at all."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from hashlib import blake2b
from pathlib import Path

import pytest

from authorizer.app.credentials import replays
from authorizer.app.needs import Needs
from authorizer.app.shared_replays import LOOK_SECONDS, PREFIX, SharedReplays, open_store
from authorizer.errors import KeyMaterialError
from authorizer.pdp.proofs import Spend
from authorizer.settings import Credentials, Dpop, Settings
from tests.upstream_idp.provider import until

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
needs_server = pytest.mark.skipif(SERVER is None, reason="no redis-server or valkey-server is installed")


def digest(name: object) -> bytes:
    return blake2b(str(name).encode(), digest_size=16).digest()


async def start(socket: Path) -> asyncio.subprocess.Process:
    assert SERVER is not None
    process = await asyncio.create_subprocess_exec(
        SERVER, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(socket.parent),
        "--requirepass", "secret", stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await until(socket.exists)
    return process


async def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


@pytest.fixture
async def socket(tmp_path: Path) -> AsyncIterator[Path]:
    process = await start(tmp_path / "redis.sock")
    yield tmp_path / "redis.sock"
    await end(process)


@needs_server
async def test_of_two_machines_that_are_shown_a_proof_one_is_told_that_it_is_new(socket: Path) -> None:
    stores = [SharedReplays(f"unix://{socket}", 5.0, "secret") for _ in range(2)]
    now = time.time()
    found = await asyncio.gather(
        *(stores[at % 2].spend(Spend(digest(at // 4), b"", now + 60), now) for at in range(400))
    )
    assert [sum(fresh is True for fresh in found[at : at + 4]) for at in range(0, 400, 4)] == [1] * 100
    assert None not in found
    left = await stores[0]._redis.pttl(PREFIX + digest(0).hex())
    assert 0 < left <= 61_000
    assert await stores[0].spend(Spend(digest("short"), b"", now - 5), now) is True, (
        "it is forgotten, but never kept for ever"
    )
    assert 0 < await stores[0]._redis.pttl(PREFIX + digest("short").hex()) <= 1000
    for store in stores:
        await store.close()


@needs_server
async def test_while_it_is_away_nothing_can_be_told_and_afterwards_it_can(tmp_path: Path, caplog) -> None:
    socket, now = tmp_path / "redis.sock", time.time()
    store = SharedReplays(f"unix://{socket}", 2.0, "secret")
    needs = Needs(store, lambda: now)
    assert [await needs.meet(Spend(digest(1), b"", now + 60)) for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1
    process = await start(socket)
    assert await needs.meet(Spend(digest(1), b"", now + 60)) is True
    assert await needs.meet(Spend(digest(1), b"", now + 60)) is False
    await end(process)
    socket.unlink(missing_ok=True)
    assert await needs.meet(Spend(digest(2), b"", now + 60)) is None
    assert "secret" not in caplog.text
    await needs.close()


@needs_server
async def test_a_wrong_password_denies(socket: Path) -> None:
    store = SharedReplays(f"unix://{socket}", 2.0, "another")
    assert await store.spend(Spend(digest(1), b"", time.time() + 60), time.time()) is None
    await store.close()


@needs_server
async def test_one_that_may_forget_denies_until_it_may_not(socket: Path, caplog) -> None:
    store, now = SharedReplays(f"unix://{socket}", 5.0, "secret"), time.time()
    await store._redis.config_set("maxmemory-policy", "volatile-ttl")
    assert await store.spend(Spend(digest(1), b"", now + 60), now) is True, "no limit, no eviction"
    await store._redis.config_set("maxmemory", "8mb")
    later = now + LOOK_SECONDS
    assert await store.spend(Spend(digest(2), b"", later + 60), later) is None
    assert "noeviction" in caplog.text
    await store._redis.config_set("maxmemory-policy", "noeviction")
    assert await store.spend(Spend(digest(2), b"", later + 60), later) is True
    await store.close()


@needs_server
async def test_an_account_that_may_only_note_proofs_can_be_used(socket: Path) -> None:
    admin, now = SharedReplays(f"unix://{socket}", 5.0, "secret"), time.time()
    await admin._redis.acl_setuser("plain", enabled=True, passwords=["+word"], keys=["authorizer:*"], commands=["+set"])
    store = SharedReplays(f"unix://plain@{socket}", 5.0, "word")
    assert [await store.spend(Spend(digest(1), b"", now + 60), now) for _ in range(2)] == [True, False]
    await store.close()
    await admin.close()


async def test_one_that_is_silent_denies_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    store = SharedReplays(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", 0.05)
    async with asyncio.timeout(10):
        assert [await store.spend(Spend(digest(at), b"", time.time() + 60), time.time()) for at in range(3)] == [
            None
        ] * 3
    await store.close()
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.05)


@pytest.mark.parametrize("answer", [b":1\r\n", b"*0\r\n", b"nonsense\r\n", b"\xff\xfe\r\n", b"*1\r\n" * 5000])
async def test_one_that_talks_nonsense_denies(answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    store = SharedReplays(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", 5.0)
    assert await store.spend(Spend(digest(1), b"", time.time() + 60), time.time()) is None
    await store.close()
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.05)


async def test_the_settings_choose_it(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    dpop = Dpop(store="redis://127.0.0.1:6379/0", store_password_file=str(tmp_path / "password"))
    made = replays(Settings(state=str(tmp_path), credentials=Credentials(dpop=dpop)))
    assert isinstance(made, SharedReplays)
    await made.close()
    with pytest.raises(KeyMaterialError, match="AZ433"):
        open_store("redis://127.0.0.1:6379/0", 1.0, str(tmp_path / "none"))
