"""Pulling bundles from a scripted server over a real socket: what is asked, what is accepted, what is kept."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import test_utils, web
from msgspec.structs import replace

from authorizer import bundle
from authorizer.bundle import Bundle, Limits, Signer, Verifier, store
from authorizer.bundle.store import Store
from authorizer.control_plane import client
from authorizer.control_plane.client import Endpoint, Intake, Link, Pace, Progress
from authorizer.errors import ControlPlaneError, Place, Problem, SettingsError
from authorizer.jose import jwk, sign
from authorizer.model import Kind

PEM, OTHER = sign.generate("ES256"), sign.generate("ES256")
VERIFIER = Verifier(keys={"k": jwk.read_pem(sign.public_pem(PEM), "ES256")})
LONG_POLL = "application/vnd.openpolicyagent.bundles"
START = Progress(kind="policy")


def made(serial: int, pem: bytes = PEM, kind: Kind = "policy", **document: object) -> bytes:
    return bundle.write(kind, document, serial=serial, signer=Signer(private_pem=pem, key_id="k"))


class Server:
    """Answers each request by the next of its answers, the last one again and again; remembers what was asked."""

    def __init__(self) -> None:
        self.answers: list[Callable[[], web.StreamResponse] | object] = []
        self.asked: list[web.Request] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request) if asyncio.iscoroutinefunction(answer) else answer()

    def says(self, *answers: object) -> None:
        self.answers = list(answers)


def ok(data: bytes, etag: str = '"1"', content_type: str = LONG_POLL, **headers: str) -> Callable[[], web.Response]:
    return lambda: web.Response(body=data, headers={"content-type": content_type, "etag": etag, **headers})


def says(status: int, **options: object) -> Callable[[], web.Response]:
    return lambda: web.Response(status=status, **options)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    script = Server()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", script.handle)
    async with test_utils.TestServer(app, host="127.0.0.1") as running:
        script.url = str(running.make_url("/prefix"))
        yield script


@pytest.fixture
async def link(server: Server) -> AsyncIterator[Link]:
    async with client.connect(Endpoint(url=server.url, token="s3cret", answer_seconds=5)) as opened:
        yield opened


class Taken:
    """Remembers what was put in force; refuses when told to."""

    def __init__(self) -> None:
        self.bundles: list[Bundle] = []
        self.refuse: Exception | None = None

    async def __call__(self, taken: Bundle) -> None:
        if self.refuse:
            raise self.refuse
        self.bundles.append(taken)


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture
def intake(tmp_path: Path, taken: Taken) -> Intake:
    kept = Store(directory=tmp_path, verifier=VERIFIER, limits=Limits(compressed=20_000))
    return Intake(store=kept, activate=taken, wait=2)


async def test_a_new_bundle_is_put_in_force_and_kept(server: Server, link: Link, intake: Intake, taken: Taken) -> None:
    server.says(ok(made(5, a=1), '"e5"'), says(304))
    first = await client.sync_once(link, START, intake, clock=lambda: 1000.0)
    assert (first.outcome, first.serial, first.etag, first.long_poll) == ("activated", 5, '"e5"', True)
    assert (first.code, first.failures, first.confirmed) == ("", 0, 1000.0)
    assert store.load(intake.store, "policy").bundle.document == {"a": 1}
    second = await client.sync_once(link, first, intake, clock=lambda: 2000.0)
    assert (second.outcome, second.etag, second.confirmed, second.long_poll) == ("unchanged", '"e5"', 2000.0, True)
    assert [each.serial for each in taken.bundles] == [5]
    assert store.load(intake.store, "policy").confirmed == 2000.0
    one, two = server.asked
    assert one.path == "/prefix/v1/bundles/policy"
    assert (one.headers["authorization"], one.headers["prefer"]) == ("Bearer s3cret", "modes=snapshot;wait=2")
    assert (one.headers.get("if-none-match"), two.headers["if-none-match"]) == (None, '"e5"')


REFUSED = [
    ("wrong key", made(6, OTHER), "AZ323"),
    ("unsigned", bundle.write("policy", {}, serial=6, signer=None), "AZ320"),
    ("truncated", made(6)[:-10], "AZ301"),
    ("another kind", made(6, kind="facts"), "AZ311"),
    ("older", made(4), "AZ330"),
    ("as old, other content", made(5, b=2), "AZ330"),
    ("too large", bytes(20_001), "AZ303"),
    ("no bundle", b"<html>", "AZ300"),
]


@pytest.mark.parametrize(("data", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_a_refused_bundle_changes_nothing(
    server: Server, link: Link, intake: Intake, taken: Taken, data: bytes, code: str
) -> None:
    server.says(ok(made(5), '"good"'), ok(data, '"bad"'))
    good = await client.sync_once(link, START, intake)
    after = await client.sync_once(link, good, intake)
    assert (after.outcome, after.code, after.failures) == ("refused", code, 1)
    assert (after.serial, after.etag) == (5, '"good"')
    assert store.load(intake.store, "policy").bundle.serial == 5
    assert len(taken.bundles) == 1


async def slow(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def dripping(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": LONG_POLL})
    await response.prepare(request)
    for _ in range(100):
        await response.write(b"x")
        await asyncio.sleep(0.05)
    return response


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": LONG_POLL})
    await response.prepare(request)
    for _ in range(1000):
        await response.write(bytes(1000))
    return response


async def broken_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": LONG_POLL, "content-length": "100"})
    await response.prepare(request)
    await response.write(b"x")
    request.transport.abort()
    return response


UNREACHABLE = [
    ("error", says(500), "AZ505", "500"),
    (
        "error with a code",
        says(404, text='{"code":"AZ564"}', content_type="application/problem+json"),
        "AZ505",
        "AZ564",
    ),
    ("error with a forged code", says(503, text='{"code":"a\\nb"}'), "AZ505", "503"),
    ("error without end", endless, "AZ303", ""),
    ("no credential", says(401), "AZ503", "401"),
    ("wrong role", says(403), "AZ503", "403"),
    ("redirect", says(302, headers={"location": "http://127.0.0.1:1/"}), "AZ504", "302"),
    ("not a bundle's type", ok(b"<html>", content_type="text/html"), "AZ506", ""),
    ("compressed", ok(b"x", **{"content-encoding": "gzip"}), "AZ506", ""),
    ("another success", says(204), "AZ506", "204"),
    ("unchanged, but nothing was fetched", says(304), "AZ506", ""),
    ("too slow", slow, "AZ502", ""),
    ("too slow in the middle", dripping, "AZ502", ""),
    ("broken off", broken_off, "AZ501", ""),
]


@pytest.mark.parametrize(
    ("answer", "code", "text"), [row[1:] for row in UNREACHABLE], ids=[row[0] for row in UNREACHABLE]
)
async def test_a_failing_server_changes_nothing(
    server: Server, intake: Intake, taken: Taken, answer: object, code: str, text: str
) -> None:
    server.says(answer)
    endpoint = Endpoint(url=server.url, token="s3cret", answer_seconds=0.4)
    before = replace(START, serial=5, revision="r")
    async with client.connect(endpoint) as link:
        after = await client.sync_once(link, before, replace(intake, wait=0))
    assert (after.code, after.failures, after.serial, after.revision) == (code, 1, 5, "r")
    assert after.outcome == ("refused" if code == "AZ303" else "unreachable")
    assert text in after.message
    assert "s3cret" not in after.message
    assert "\n" not in after.message
    assert not taken.bundles


async def test_the_etag_outlives_a_failing_server(server: Server, link: Link, intake: Intake) -> None:
    server.says(ok(made(5), '"e5"'), says(503), says(304))
    progress = START
    for expected in ("activated", "unreachable", "unchanged"):
        progress = await client.sync_once(link, progress, intake)
        assert (progress.outcome, progress.etag) == (expected, '"e5"')
    assert (progress.failures, progress.code) == (0, "")


async def test_after_an_outage_nothing_waits_and_long_polling_goes_on(
    server: Server, link: Link, intake: Intake
) -> None:
    server.says(ok(made(5), '"e5"'), says(503), ok(made(6), '"e6"', "application/gzip"), says(304))
    progress = START
    for _ in range(4):
        progress = await client.sync_once(link, progress, intake)
        assert progress.long_poll
    assert [request.headers["prefer"] for request in server.asked] == [
        "modes=snapshot;wait=2", "modes=snapshot;wait=2", "modes=snapshot", "modes=snapshot;wait=2",
    ]  # fmt: skip


async def test_a_server_that_cannot_wait_is_polled(server: Server, link: Link, intake: Intake) -> None:
    server.says(ok(made(5), '"e5"', "application/gzip"), says(304))
    progress = await client.sync_once(link, START, intake)
    assert not progress.long_poll
    progress = await client.sync_once(link, progress, intake)
    assert client.delay(progress, Pace(poll=60), 0.5) == 60


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError([Problem("X001", "no", Place("a.yaml", 1, 1))]), "X001"),
        (RuntimeError("details that stay in the log"), "AZ331"),
    ],
)
async def test_a_failed_activation_is_tried_again_from_a_whole_bundle(
    server: Server, link: Link, intake: Intake, taken: Taken, error: Exception, code: str
) -> None:
    server.says(ok(made(5), '"e5"'), ok(made(6), '"e6"'))
    progress = await client.sync_once(link, START, intake)
    taken.refuse = error
    progress = await client.sync_once(link, progress, intake)
    assert (progress.outcome, progress.code, progress.serial, progress.etag) == ("refused", code, 5, "")
    assert "details" not in progress.message
    assert store.load(intake.store, "policy").bundle.serial == 5
    taken.refuse = None
    progress = await client.sync_once(link, progress, intake)
    assert (progress.outcome, progress.serial) == ("activated", 6)
    assert "if-none-match" not in server.asked[-1].headers


async def test_the_same_bundle_again_is_not_put_in_force_again(
    server: Server, link: Link, intake: Intake, taken: Taken
) -> None:
    server.says(ok(made(5), '"a"'), ok(made(5), '"b"'))
    progress = await client.sync_once(link, START, intake)
    progress = await client.sync_once(link, progress, intake)
    assert (progress.outcome, progress.etag, len(taken.bundles)) == ("unchanged", '"b"', 1)


async def test_a_full_disk_does_not_keep_a_bundle_out(
    server: Server, link: Link, intake: Intake, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    server.says(ok(made(5), '"e5"'))
    progress = await client.sync_once(link, START, intake)
    assert (progress.outcome, progress.code, progress.serial, progress.etag) == ("activated", "AZ340", 5, "")
    monkeypatch.undo()
    progress = await client.sync_once(link, progress, intake)
    assert (progress.outcome, progress.code, progress.etag, len(taken.bundles)) == ("unchanged", "", '"e5"', 1)
    assert store.load(intake.store, "policy").bundle.serial == 5


async def test_a_restart_remembers_what_was_withdrawn(server: Server, link: Link, intake: Intake, taken: Taken) -> None:
    server.says(ok(made(5), '"e5"'), ok(made(4), '"e4"'))
    await client.sync_once(link, START, intake)
    (kept,), refused = store.restore(intake.store)
    assert not refused
    after = await client.sync_once(link, client.resume(kept), intake)
    assert (after.outcome, after.code, after.serial) == ("refused", "AZ330", 5)
    (intake.store.directory / "bundles" / "policy" / "bundle.tar.gz").unlink()
    after = await client.sync_once(link, START, intake)
    assert (after.outcome, after.code, len(taken.bundles)) == ("refused", "AZ330", 1)


async def test_an_etag_that_is_no_etag_is_not_sent_back(server: Server, link: Link, intake: Intake) -> None:
    server.says(ok(made(5), "x" * 300))
    assert (await client.sync_once(link, START, intake)).etag == ""


async def test_the_credential_is_read_again_each_time(server: Server, intake: Intake, tmp_path: Path) -> None:
    file = tmp_path / "token"
    server.says(says(503))
    async with client.connect(Endpoint(url=server.url, token_file=str(file))) as link:
        assert (await client.sync_once(link, START, intake)).code == "AZ509"
        for token in ("one", "two"):
            file.write_text(f"{token}\n")
            await client.sync_once(link, START, intake)
        file.write_text("a\nb")
        after = await client.sync_once(link, START, intake)
    assert [request.headers["authorization"] for request in server.asked] == ["Bearer one", "Bearer two"]
    assert after.code == "AZ509"


@pytest.mark.parametrize(
    "url", ["", "host:80", "ftp://host", "http://", "http://user:word@host", "https://host/?a=1", "http://[", "//host"]
)
async def test_malformed_addresses(url: str) -> None:
    with pytest.raises(ControlPlaneError) as caught:
        async with client.connect(Endpoint(url=url)):
            pass
    assert caught.value.code == "AZ500"
    assert "word" not in str(caught.value)


async def test_proxies_of_the_environment_are_not_used(
    server: Server, link: Link, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server.says(ok(made(5)))
    assert (await client.sync_once(link, START, intake)).outcome == "activated"


async def test_nobody_listens(intake: Intake) -> None:
    async with client.connect(Endpoint(url=f"http://127.0.0.1:{test_utils.unused_port()}")) as link:
        after = await client.sync_once(link, START, intake)
    assert (after.outcome, after.code) == ("unreachable", "AZ501")
    assert "ssl" not in after.message


PACE = Pace(poll=60, first=0.1, longest=10)


@pytest.mark.parametrize(
    ("progress", "chance", "expected"),
    [
        (START, 0.0, 30),
        (START, 0.5, 60),
        (replace(START, long_poll=True, elapsed=20), 0.9, 0),
        (replace(START, long_poll=True, elapsed=0), 0.9, 0.25),
        (replace(START, failures=1), 1.0, 0.2),
        (replace(START, failures=3, long_poll=True), 0.5, 0.4),
        (replace(START, failures=9), 1.0, 10),
        (replace(START, failures=10**6), 0.5, 5),
        (replace(START, failures=9), 0.0, 0),
    ],
)
def test_delay(progress: Progress, chance: float, expected: float) -> None:
    assert client.delay(progress, PACE, chance) == pytest.approx(expected)


async def test_follow_tells_each_step_and_logs_only_news(
    server: Server, link: Link, intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "authorizer.control_plane")
    server.says(ok(made(5), '"e5"'), says(503), says(503), says(304), ok(made(6), '"e6"'), says(500))
    seen: list[Progress] = []
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 6:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await client.follow(link, START, intake, PACE, seen.append, sleep=sleep, chance=lambda: 1.0)
    assert [each.outcome for each in seen] == [
        "activated", "unreachable", "unreachable", "unchanged", "activated", "unreachable",
    ]  # fmt: skip
    assert slept[1:3] == [0.2, 0.4]
    logged = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in logged] == [
        "policy bundle in force",
        "policy bundle unreachable",
        "policy bundle is current again",
        "policy bundle in force",
        "policy bundle unreachable",
    ]
