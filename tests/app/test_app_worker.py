"""A worker on its own: who may start it, what it reads, and that it never outlives the one who did."""

import asyncio
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from authorizer import bundle, settings
from authorizer.app import channel, feeds
from authorizer.app.activation import Activation
from authorizer.app.channel import News, Start, Stop
from authorizer.app.kept import KeptBundles
from authorizer.app.worker import work
from authorizer.bundle import store
from authorizer.control_plane import client
from authorizer.errors import ListenError
from authorizer.jose.jwk import read_pem
from authorizer.jose.sign import generate, public_pem
from authorizer.model import KINDS, Request
from authorizer.pdp.snapshot import Options
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer
from authorizer.telemetry.metrics import Metrics
from tests.e2e.fleet import CLOSED, OPEN, until

REQUEST = Request(method="GET", target="/a", host="api.example")
PEM = generate("ES256")
SIGNER = bundle.Signer(private_pem=PEM, key_id="k")
HANGING = """
import socket, sys, time
from authorizer.app import worker
worker.LAST_SECONDS = 0.2
worker._never_outlive(socket.socket(fileno=int(sys.argv[1])))
print("up", flush=True)
while True:
    time.sleep(60)
"""


def test_a_worker_that_hangs_does_not_outlive_its_supervisor():
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", HANGING, str(theirs.fileno())]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE) as process:
        theirs.close()
        assert process.stdout.read(2) == b"up"
        assert process.poll() is None
        ours.close()
        assert process.wait(5) == 1


@pytest.fixture
def inside(monkeypatch):
    """Make this process the worker: it must survive that."""
    monkeypatch.setattr("authorizer.app.worker._never_outlive", lambda _end: None)


async def started_with(message: object) -> int:
    ours, theirs = socket.socketpair()
    talk = await channel.of_supervisor(ours)
    try:
        if message is not None:
            talk.send(message)
        else:
            talk.close()
        return await work(theirs.detach())
    finally:
        talk.close()


@pytest.mark.usefixtures("inside")
async def test_a_worker_without_a_supervisor_ends():
    assert await started_with(None) == 0


@pytest.mark.parametrize(
    "message", [Stop(0.0), Start(worker=0, version="0", settings=settings.load("policies: p"), lock=0)]
)
@pytest.mark.usefixtures("inside")
async def test_a_worker_is_for_its_own_supervisor_only(message):
    with pytest.raises(ListenError, match="AZ709"):
        await started_with(message)


async def test_a_worker_says_what_is_wrong_when_nobody_speaks(monkeypatch, inside):
    monkeypatch.setattr("authorizer.app.worker.START_SECONDS", 0.05)
    ours, theirs = socket.socketpair()
    with ours, pytest.raises(ListenError, match="AZ709"):
        await work(theirs.detach())


class Kept:
    """A store with bundles, and what a worker makes of them."""

    def __init__(self, directory: Path) -> None:
        verifier = bundle.Verifier(keys={"k": read_pem(public_pem(PEM), "ES256", "k")})
        self.store = store.Store(directory=directory, verifier=verifier)
        self.authorizer, self.metrics = Authorizer(), Metrics("1")
        activation = Activation(self.authorizer, Options(), lambda _kind, _revision: None)
        progress = {kind: client.Progress(kind=kind) for kind in KINDS}
        self.feed = feeds.Feed(self.store, progress, asyncio.Event())
        self.bundles = KeptBundles(self.feed, 100.0, activation, self.authorizer, self.metrics)

    def keep(self, text: str, serial: int) -> None:
        documents = compile_documents({"a.yaml": text.encode()}).documents()
        for kind in KINDS:
            data = bundle.write(kind, documents[kind], serial=serial, signer=SIGNER)
            store.save(self.store, bundle.read(data, kind=kind, verifier=self.store.verifier), data)

    async def hear(self, serial: int, confirmed: float) -> None:
        for kind in KINDS:
            self.bundles.hear(News(kind, serial, confirmed))
        await self.bundles.follow()


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


async def test_news_put_what_is_kept_in_force(kept: Kept) -> None:
    kept.keep(OPEN, 1000)
    await kept.hear(1000, time.time())
    assert kept.authorizer.check(REQUEST).allowed
    kept.keep(CLOSED, 2000)
    before = kept.authorizer.snapshot
    await kept.hear(1000, time.time())
    assert kept.authorizer.snapshot is before
    await kept.hear(2000, time.time())
    assert not kept.authorizer.check(REQUEST).allowed


async def test_what_was_changed_on_disk_is_refused_and_what_was_in_force_stays(kept: Kept) -> None:
    kept.keep(OPEN, 1000)
    await kept.hear(1000, time.time())
    file = kept.store.directory / "bundles" / "policy" / "bundle.tar.gz"
    file.write_bytes(file.read_bytes()[:-40])
    await kept.hear(2000, time.time())
    assert kept.authorizer.check(REQUEST).allowed
    assert sum(kept.metrics.activation_failures.values()) == 1


async def test_what_is_older_on_disk_is_refused_even_without_the_note_of_the_highest(kept: Kept) -> None:
    kept.keep(CLOSED, 2000)
    await kept.hear(2000, time.time())
    for file in kept.store.directory.rglob("serial"):
        file.unlink()
    for file in kept.store.directory.rglob("bundle.tar.gz"):
        file.unlink()
    kept.keep(OPEN, 1000)
    await kept.hear(1000, time.time())
    assert not kept.authorizer.check(REQUEST).allowed
    assert {code for _, code in kept.metrics.activation_failures} == {"AZ330"}


async def test_confirmations_of_what_is_in_force_count_and_no_others(kept: Kept) -> None:
    now = time.time()
    kept.keep(OPEN, 1000)
    await kept.hear(1000, now + 5)
    assert kept.authorizer.stale_after == pytest.approx(now + 105)
    await kept.hear(1000, now - 50)
    await kept.hear(3000, now + 50)  # the supervisor could not keep it: here it is not in force
    assert kept.authorizer.stale_after == pytest.approx(now + 105)


async def test_nothing_kept_is_nothing_new(kept: Kept) -> None:
    await kept.hear(1000, time.time())
    assert not kept.authorizer.ready
    assert not kept.metrics.activation_failures


async def ready(kept: Kept) -> bool:
    return kept.authorizer.ready


async def test_of_one_kind_only_the_last_news_wait(kept: Kept) -> None:
    kept.keep(OPEN, 1000)
    task = asyncio.create_task(kept.bundles.run())
    for serial in (900, 950, 1000):
        for kind in KINDS:
            kept.bundles.hear(News(kind, serial, time.time()))
    await until(lambda: ready(kept))
    task.cancel()
    assert {progress.serial for progress in kept.feed.progress.values()} == {1000}
