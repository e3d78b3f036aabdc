"""Decision events: bounded, one line each, free of secrets."""

import asyncio
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.model import Decision, Duty, Request
from authorizer.reasons import ALLOWED, authored, reason
from authorizer.telemetry.decision_log import BATCH, DecisionLog, render, to_file

TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
SECRET = "Bearer " + TOKEN
REQUEST = Request(
    method="GET", target="/orders/17?access_token=secret", host="api", headers={"authorization": (SECRET,)},
    body=b"secret", peer="192.0.2.1",
)  # fmt: skip
DENIED = Decision(
    reason=reason("no_route"), id="ab-1", detail="why", application="orders", operation="read", subject="alice",
    policies=("p1",), sources=("orders.yaml:1:1",), revision="ff",
)  # fmt: skip


class Sink:
    def __init__(self):
        self.lines: list[dict] = []
        self.dropped: list[tuple[str, int]] = []
        self.error: Exception | None = None
        self.threads: set[int] = set()
        self.written = threading.Event()

    def write(self, lines: bytes) -> None:
        self.threads.add(threading.get_ident())
        if self.error:
            raise self.error
        self.lines += [json.loads(line) for line in lines.splitlines()]
        self.written.set()

    def log(self, capacity: int = 10) -> DecisionLog:
        return DecisionLog(self.write, lambda: 1e9, lambda *drop: self.dropped.append(drop), capacity)


def test_an_event_has_every_field_and_no_secret():
    line = render((1e9, REQUEST.method, "api", REQUEST.target, "192.0.2.1", "grpc", DENIED, 0.0001234))
    assert line.endswith(b"\n")
    assert json.loads(line) == {
        "timestamp": "2001-09-09T01:46:40.000000Z", "decision_id": "ab-1", "method": "GET", "host": "api",
        "path": "/orders/17", "decision": "deny", "status": 403, "reason": "no_route", "detail": "why",
        "application": "orders", "operation": "read", "right": "", "policies": ["p1"], "sources": ["orders.yaml:1:1"],
        "obligations": [], "advice": [], "subject": "alice", "peer": "192.0.2.1", "transport": "grpc", "duration_us": 123.4, "revision": "ff",
    }  # fmt: skip


def test_an_allow_is_a_200():
    line = json.loads(render((0.0, "GET", "", "/", "", "http", Decision(reason=ALLOWED, allowed=True), 0.0)))
    assert (line["decision"], line["status"], line["reason"]) == ("allow", 200, "allowed")


@pytest.mark.parametrize("target", [f"/reset/{TOKEN}", f"/x/{TOKEN}/y"])
def test_a_token_in_a_path_is_masked(target):
    assert b"eyJ" not in render((0.0, "GET", "", target, "", "http", DENIED, 0.0))


@given(
    st.text(st.characters(codec=None), max_size=60),
    st.text(st.characters(codec=None), max_size=60),
    st.text(st.characters(codec=None), max_size=60),
)
def test_any_text_becomes_one_line_of_valid_json(method, target, detail):
    event = (0.0, method, target, target, method, "http", Decision(reason=authored("x"), detail=detail), 0.0)
    line = render(event)
    assert line.count(b"\n") == 1
    assert len(json.loads(line.decode())) == 21


async def test_events_are_written_in_order_from_a_thread():
    sink = Sink()
    log = sink.log(2000)
    for number in range(BATCH + 1):
        log.observe(Request(target=f"/{number}"), DENIED, 0.0)
    assert [await log.flush_once() for _ in range(3)] == [BATCH, 1, 0]
    assert [line["path"] for line in sink.lines] == [f"/{number}" for number in range(BATCH + 1)]
    assert threading.get_ident() not in sink.threads


async def test_a_full_buffer_drops_and_counts_the_newest():
    sink = Sink()
    log = sink.log(3)
    for number in range(5):
        log.observe(Request(target=f"/{number}"), DENIED, 0.0)
    await log.flush_once()
    assert [line["path"] for line in sink.lines] == ["/0", "/1", "/2"]
    assert sink.dropped == [("buffer_full", 2)]
    log.observe(Request(target="/5"), DENIED, 0.0)
    assert await log.flush_once() == 1
    assert sink.dropped == [("buffer_full", 2)]


async def test_a_flood_does_not_hide_a_decision_with_obligations():
    sink = Sink()
    log = sink.log(3)
    for number in range(5):
        log.observe(Request(target=f"/{number}"), DENIED, 0.0)
    log.observe(
        Request(target="/glass"), Decision(reason=ALLOWED, allowed=True, obligations=(Duty("d", "notification"),)), 0.0
    )
    await log.flush_once()
    assert [line["path"] for line in sink.lines] == ["/0", "/1", "/2", "/glass"]


async def test_a_failing_writer_loses_the_batch_and_not_the_log():
    sink = Sink()
    log = sink.log()
    sink.error = OSError(28, "no space left")
    log.observe(REQUEST, DENIED, 0.0)
    await log.flush_once()
    sink.error = None
    log.observe(REQUEST, DENIED, 0.0)
    await log.flush_once()
    assert (len(sink.lines), sink.dropped) == (1, [("write_failed", 1)])


async def test_the_task_writes_and_the_drain_writes_the_rest():
    sink = Sink()
    log = sink.log()
    task = asyncio.create_task(log.run())
    log.observe(REQUEST, DENIED, 0.0)
    assert await asyncio.to_thread(sink.written.wait, 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    log.observe(REQUEST, DENIED, 0.0)
    await log.drain(1.0)
    assert len(sink.lines) == 2


async def test_the_drain_gives_up_on_a_writer_that_hangs():
    release = threading.Event()
    log = DecisionLog(lambda _lines: release.wait(5) and None, lambda: 0.0, lambda *_: None)
    log.observe(REQUEST, DENIED, 0.0)
    try:
        async with asyncio.timeout(10):
            await log.drain(0.05)
    finally:
        release.set()


def test_a_file_is_appended_to_private_and_followed_through_rotation(tmp_path):
    path = tmp_path / "decisions.jsonl"
    path.write_bytes(b"old\n")
    path.chmod(0o600)
    write = to_file(path)
    write(b"one\n")
    path.rename(tmp_path / "decisions.jsonl.1")
    write(b"two\n")
    assert (tmp_path / "decisions.jsonl.1").read_bytes() == b"old\none\n"
    assert path.read_bytes() == b"two\n"
    assert path.stat().st_mode & 0o007 == 0
    path.unlink()
    write(b"three\n")
    assert path.read_bytes() == b"three\n"


def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path):
    with pytest.raises(OSError, match="decisions"):
        to_file(tmp_path / "absent" / "decisions.jsonl")


async def test_what_a_client_wrote_waits_cut_and_is_shown_as_before():
    sink = Sink()
    log = sink.log()
    long = "x" * 100_000
    request = Request(method=long, target="/" + long + "?" + long, host=long, peer=long)
    log.observe(request, DENIED, 0.0)
    (event,) = log._events
    assert sum(len(part) for part in event if isinstance(part, str)) < 2500
    assert json.loads(render(event)) == json.loads(
        render((1e9, request.method, request.host, request.target, request.peer, "grpc", DENIED, 0.0))
    )
