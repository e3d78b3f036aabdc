"""The real client against the real server over a real socket: news, refusals, outages, restarts."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from authorizer.bundle import Bundle, store
from authorizer.bundle.store import Store
from authorizer.control_plane import client
from authorizer.control_plane.client import Endpoint, Intake, Link, Pace, Progress
from authorizer.control_plane.server import signing_key
from authorizer.control_plane.server.running import Config, running
from authorizer.errors import Problem
from authorizer.jose.sign import generate, public_jwk
from authorizer.model import Api, ApiRoute
from tests import leaks

KEYS = json.dumps({"keys": [public_jwk(generate("ES256"), "ES256", "main")]})
TOKEN = leaks.secret("an-authorizer-for-the-tests")
FAST = Pace(poll=0.2, first=0.02, longest=0.2)


def document(kind: str, word: str) -> str:
    """Return a document that makes the bundle of ``kind`` say ``word``."""
    return {
        "policy": f"kind: Application\nid: {word}\nmodel: pbac\nhttp: {{hosts: [h], routes: {{GET /: }}}}\n",
        "facts": f"kind: Facts\nsubscriptions: {{{word}: {{tenant: pro}}}}\n",
        "trust": f"kind: Issuers\nissuers: {{{word}: {{issuer: i, audiences: [a], algorithms: [ES256], jwks: {KEYS}}}}}\n",
    }[kind]


def word(bundle: Bundle) -> str:
    """Return what the bundle says."""
    said = bundle.document
    match bundle.kind:
        case "policy":
            (found,) = said["applications"]
        case "facts":
            (found,) = said["subscriptions"]
        case _:
            (found,) = (issuer["name"] for issuer in said["issuers"])
    return str(found)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def config(tmp_path: Path) -> Config:
    policies = tmp_path / "policies"
    policies.mkdir()
    for kind in ("policy", "facts", "trust"):
        (policies / f"{kind}.yaml").write_text(document(kind, "one"))
    tokens = {"authorizer": TOKEN, "admin": "an-admin-for-all-the-tests"}
    return Config(state=tmp_path / "plane", policies=policies, port=free_port(), tokens=tokens)


@asynccontextmanager
async def serving(config: Config) -> AsyncIterator[None]:
    async with running(config):
        yield


class Consumer:
    """What an authorizer does with the client: three bundles followed, each in force as soon as it arrives."""

    def __init__(self, config: Config, directory: Path) -> None:
        config.state.mkdir(parents=True, exist_ok=True)
        signer, _ = signing_key.load(None, "", config.state)
        self.store = Store(directory=directory, verifier=signing_key.verifier(signer))
        self.endpoint = Endpoint(url=f"http://127.0.0.1:{config.port}", token=TOKEN, answer_seconds=5)
        self.texts: dict[str, str] = {}
        self.serials: dict[str, list[int]] = {"policy": [], "facts": [], "trust": []}
        self.progress = {kind: Progress(kind=kind) for kind in ("policy", "facts", "trust")}
        self.changed = asyncio.Event()

    async def activate(self, bundle: Bundle) -> None:
        self.texts[bundle.kind] = word(bundle)
        self.serials[bundle.kind].append(bundle.serial)

    def observe(self, progress: Progress) -> None:
        self.progress[progress.kind] = progress
        self.changed.set()

    async def restore(self) -> None:
        kept, refused = store.restore(self.store)
        assert not refused
        for found in kept:
            await self.activate(found.bundle)
            self.progress[found.bundle.kind] = client.resume(found)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[Link]:
        intake = Intake(store=self.store, activate=self.activate, wait=10)
        async with client.connect(self.endpoint) as link:
            tasks = [
                asyncio.create_task(client.follow(link, progress, intake, FAST, self.observe))
                for progress in self.progress.values()
            ]
            yield link
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def until(self, reached: Callable[[], bool], seconds: float = 8) -> float:
        """Wait for something to become true; return how long it took."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with asyncio.timeout(seconds):
            while not reached():
                self.changed.clear()
                await self.changed.wait()
        return loop.time() - started


@pytest.fixture
def consumer(config: Config, tmp_path: Path) -> Consumer:
    return Consumer(config, tmp_path / "state")


def complete(consumer: Consumer) -> Callable[[], bool]:
    return lambda: all(progress.long_poll for progress in consumer.progress.values())


async def test_news_arrive_at_once_and_only_where_they_are(config: Config, consumer: Consumer) -> None:
    async with serving(config), consumer.following():
        await consumer.until(complete(consumer))
        assert consumer.texts == {"policy": "one", "facts": "one", "trust": "one"}
        (config.policies / "facts.yaml").write_text(document("facts", "two"))
        await consumer.until(lambda: consumer.texts["facts"] == "two")
        assert {kind: len(serials) for kind, serials in consumer.serials.items()} == {
            "policy": 1, "facts": 2, "trust": 1,
        }  # fmt: skip
    assert consumer.serials["facts"][0] < consumer.serials["facts"][1]


async def test_a_broken_document_changes_nothing_and_is_told(config: Config, consumer: Consumer) -> None:
    async with serving(config), consumer.following() as link:
        await consumer.until(complete(consumer))
        (config.policies / "policy.yaml").write_text("kind: broken")

        async def problems() -> tuple[Problem, ...]:
            return await client.report_status(link, {"id": "one"}, consumer.progress.values())

        (problem,) = await eventually(problems)
        assert str(problem).startswith("policy.yaml:1:7: error A001: unknown kind 'broken' (known: ApiKeys,")
        assert consumer.texts["policy"] == "one"
        (config.policies / "policy.yaml").write_text(document("policy", "mended"))
        await consumer.until(lambda: consumer.texts["policy"] == "mended")
        assert await problems() == ()


async def eventually(ask: Callable[[], Awaitable[tuple[Problem, ...]]]) -> tuple[Problem, ...]:
    for _ in range(100):
        if found := await ask():
            return found
        await asyncio.sleep(0.05)
    return ()


async def test_a_wrong_credential_is_refused(config: Config, consumer: Consumer) -> None:
    intake = Intake(store=consumer.store, activate=consumer.activate)
    async with (
        serving(config),
        client.connect(Endpoint(url=consumer.endpoint.url, token="somebody-else-entirely")) as link,
    ):
        after = await client.sync_once(link, consumer.progress["policy"], intake)
    assert (after.code, after.message) == ("AZ503", "the control plane refuses the credential (401, AZ551)")
    assert not consumer.texts


async def test_the_apis_are_taken(config: Config, consumer: Consumer) -> None:
    routes = (ApiRoute(path="/orders", kind="prefix"),)
    api = Api(id="a", name="Orders", hosts=("orders.example",), routes=routes, sources=("envoy",))
    async with serving(config), client.connect(consumer.endpoint) as link:
        unguarded = await client.report_apis(link, [api], reporter="one")
    assert unguarded == 1


async def test_a_restarted_server_goes_on_counting(config: Config, consumer: Consumer) -> None:
    async with consumer.following():
        async with serving(config):
            await consumer.until(complete(consumer))
        await consumer.until(lambda: consumer.progress["policy"].failures > 1)
        assert consumer.progress["policy"].code in ("AZ501", "AZ505")
        async with serving(config):
            await consumer.until(lambda: consumer.progress["policy"].failures == 0)
            assert len(consumer.serials["policy"]) == 1
            (config.policies / "policy.yaml").write_text(document("policy", "two"))
            await consumer.until(lambda: consumer.texts["policy"] == "two")
    assert consumer.serials["policy"] == sorted(set(consumer.serials["policy"]))


async def test_a_server_that_lost_its_state_cannot_bring_old_policies_back(config: Config, consumer: Consumer) -> None:
    """The key is the same, the content is another, but the clock of the new server stands before the old one's."""
    async with serving(config), consumer.following():
        await consumer.until(complete(consumer))
    for file in config.state.glob("*.sqlite*"):
        file.unlink()
    (config.policies / "policy.yaml").write_text(document("policy", "withdrawn"))
    async with running(config, clock=lambda: 1_000_000.0), consumer.following():
        await consumer.until(lambda: consumer.progress["policy"].outcome == "refused")
        assert consumer.progress["policy"].code == "AZ330"
    assert consumer.texts["policy"] == "one"


SERVER = """
import asyncio, sys
from pathlib import Path
from authorizer.control_plane.server.running import Config, running
sys.path.insert(0, str(Path(sys.argv[1]).parent))
from test_client_with_server import TOKEN

async def main():
    tokens = {"authorizer": TOKEN, "admin": "an-admin-for-all-the-tests"}
    config = Config(state=Path(sys.argv[2]), policies=Path(sys.argv[3]), port=int(sys.argv[4]), tokens=tokens)
    async with running(config):
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_killed_server_is_survived_and_a_restart_starts_from_disk(
    config: Config, consumer: Consumer, tmp_path: Path
) -> None:
    arguments = (__file__, str(config.state), str(config.policies), str(config.port))
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER, *arguments)
    try:
        async with consumer.following():
            await consumer.until(complete(consumer), 30)
            os.kill(server.pid, signal.SIGKILL)
            await server.wait()
            await consumer.until(lambda: all(progress.failures for progress in consumer.progress.values()))
            assert consumer.texts == {"policy": "one", "facts": "one", "trust": "one"}
        again = Consumer(config, tmp_path / "state")
        await again.restore()
        assert again.texts == consumer.texts
        assert {kind: progress.revision for kind, progress in again.progress.items()} == {
            kind: progress.revision for kind, progress in consumer.progress.items()
        }
        async with again.following():
            await again.until(lambda: all(progress.failures for progress in again.progress.values()))
        assert again.texts == consumer.texts
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()
