"""Decision logs and spans to real HTTP servers, good and bad ones."""

import asyncio
import gzip
import json
import socket
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from authorizer import settings
from authorizer.model import Decision, Request
from authorizer.reasons import ALLOWED, reason
from authorizer.telemetry import courier, otlp, outlets
from authorizer.telemetry.metrics import Metrics
from authorizer.telemetry.upload import OPA, Server, to_server

TRACE = "0af7651916cd43dd8448eb211c80319c"
SENT = f"00-{TRACE}-b7ad6b7169203331-01"
LABELS = {"id": "a", "version": "1"}
DENIED = Decision(reason=reason("no_route"), id="d-1", application="orders")


class Log:
    """A server that keeps what it took. ``answer`` makes a status, or a response, of the number of the call."""

    def __init__(self, answer=lambda _number: 200):
        self.answer = answer
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.bodies: list[object] = []
        self.peers = set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.headers["content-encoding"] == "gzip"
        self.calls.append((request.path, dict(request.headers)))
        self.peers.add(request.transport.get_extra_info("peername"))
        body = json.loads(await request.read())
        answer = self.answer(len(self.calls) - 1)
        answer = web.Response(status=answer) if isinstance(answer, int) else answer
        if answer.status < 300:
            self.bodies.append(body)
        return answer


@asynccontextmanager
async def serving(log: Log):
    runner = web.ServerRunner(web.Server(log.handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    finally:
        await runner.cleanup()


def written(metrics: Metrics) -> int:
    return sum(metrics.log_written.values()) + sum(metrics.log_dropped.values())


async def test_events_reach_a_server_of_opa_with_the_credential_over_one_connection(tmp_path):
    (tmp_path / "token").write_text("secret\n")
    log, metrics = Log(), Metrics("1")
    async with serving(log) as url:
        flags = [f"log.upload.url={url}/opa/", f"log.upload.token_file={tmp_path}/token", "policies=p", "id=a"]
        (way,) = outlets.decision_logs(settings.load(flags=[*flags, "log.decisions="]), metrics, lambda: 1e9)
        for number in range(3):
            way.observe(Request(target=f"/{number}"), DENIED, 0.0)
            await way.turn()
    assert [path for path, _ in log.calls] == ["/opa/logs"] * 3
    headers = log.calls[0][1]
    assert (headers["Authorization"], headers["Content-Type"]) == ("Bearer secret", "application/json")
    assert [event["input"]["attributes"]["request"]["http"]["path"] for body in log.bodies for event in body] == [
        "/0",
        "/1",
        "/2",
    ]
    assert len(log.peers) == 1
    assert metrics.log_written == {"opa": 3}


async def test_events_reach_a_collector_as_log_records():
    log = Log()
    metrics = Metrics("1")
    async with serving(log) as url:
        flags = [f"log.upload.url={url}", "log.upload.protocol=otlp", "policies=p", "id=a", "log.decisions="]
        (way,) = outlets.decision_logs(settings.load(flags=flags), metrics, lambda: 1.5)
        way.observe(Request(method="GET", target="/x", headers={"traceparent": (SENT,)}), DENIED, 0.0)
        await way.turn()
    assert log.calls[0][0] == "/v1/logs"
    (resource,) = log.bodies[0]["resourceLogs"]
    assert {"key": "service.instance.id", "value": {"stringValue": "a"}} in resource["resource"]["attributes"]
    (record,) = resource["scopeLogs"][0]["logRecords"]
    assert (record["timeUnixNano"], record["traceId"]) == ("1500000000", TRACE)
    assert json.loads(record["body"]["stringValue"])["decision_id"] == "d-1"
    attributes = {each["key"]: each["value"] for each in record["attributes"]}
    assert attributes["authorizer.allowed"] == {"boolValue": False}
    assert attributes["url.path"] == {"stringValue": "/x"}


@pytest.mark.parametrize("status", [301, 401, 403, 404, 429, 500, 503])
async def test_what_a_server_did_not_take_comes_again(status):
    log = Log(lambda number: 200 if number else web.Response(status=status, headers={"location": "/elsewhere"}))
    async with serving(log) as url:
        sink = to_server(Server(url=url + "/logs"), OPA)
        first = await asyncio.to_thread(sink, [b"1\n", b"2\n"])
        assert (first.written, first.dropped, first.failure) == (0, {}, f"status {status}")
        assert (await asyncio.to_thread(sink, [b"1\n", b"2\n"])).written == 2
    assert log.bodies == [[1, 2]]


@pytest.mark.parametrize(("told", "wait"), [("7", 7.0), ("99999", 300.0), ("999999", 0.0), ("soon", 0.0), ("-1", 0.0)])
async def test_a_server_may_say_when_to_come_again(told, wait):
    async with serving(Log(lambda _: web.Response(status=503, headers={"retry-after": told}))) as url:
        assert (await asyncio.to_thread(to_server(Server(url=url), OPA), [b"1\n"])).wait == wait


async def test_what_a_server_will_never_take_is_counted_and_not_in_the_way():
    async with serving(Log(lambda _: 400)) as url:
        outcome = await asyncio.to_thread(to_server(Server(url=url), OPA), [b"1\n", b"2\n"])
        assert (outcome.written, outcome.dropped) == (0, {"refused": 2})


async def test_a_batch_that_is_too_large_is_halved_until_it_fits():
    metrics, seen = Metrics("1"), []

    class Small(Log):
        async def handle(self, request):
            events = json.loads(await request.read())
            large = len(events) > 2 or any("/long" in json.dumps(event) for event in events)
            seen.extend([] if large else events)
            return web.Response(status=413 if large else 200)

    async with serving(Small()) as url:
        flags = [f"log.upload.url={url}", "policies=p", "log.decisions="]
        (way,) = outlets.decision_logs(settings.load(flags=flags), metrics, lambda: 1e9)
        for number in range(9):
            way.observe(Request(target="/long" if number == 4 else f"/{number}"), DENIED, 0.0)
        await way.drain(30)
    assert (metrics.log_written, metrics.log_dropped) == ({"opa": 8}, {("opa", "too_large"): 1})
    assert len(seen) == 8


async def test_what_a_collector_refused_of_a_batch_is_counted():
    said = json.dumps({"partialSuccess": {"rejectedLogRecords": "1"}}).encode()
    for answer, refused in ((said, 1), (b"", 0), (b"[]", 0), (b'{"partialSuccess": null}', 0), (b"{" * 9, 0)):
        async with serving(Log(lambda _, answer=answer: web.Response(body=answer))) as url:
            line = b'{"timestamp":"2026-01-01T00:00:00Z","decision_id":"x"}\n'
            outcome = await asyncio.to_thread(to_server(Server(url=url), otlp.logs(LABELS)), [line] * 3)
            assert (outcome.written, sum(outcome.dropped.values())) == (3 - refused, refused)


@pytest.mark.parametrize(
    "says", [b"", b"\x00\xff\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", b"SSH-2.0\r\n"]
)
async def test_a_server_that_speaks_no_http_fails_and_nothing_else(says):
    async def answer(_reader, writer):
        writer.write(says)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    outcome = await asyncio.to_thread(to_server(Server(url=f"http://127.0.0.1:{port}"), OPA), [b"1\n"])
    server.close()
    assert (outcome.written, outcome.dropped) == (0, {})
    assert outcome.failure


async def test_a_silent_server_costs_its_time_and_no_more():
    with socket.create_server(("127.0.0.1", 0)) as server:
        sink = to_server(Server(url=f"http://127.0.0.1:{server.getsockname()[1]}", timeout=0.1), OPA)
        async with asyncio.timeout(10):
            assert (await asyncio.to_thread(sink, [b"1\n"])).failure == "TimeoutError"


async def test_a_credential_that_is_gone_is_a_failure_that_does_not_show_it(tmp_path):
    async with serving(Log()) as url:
        sink = to_server(Server(url=url, token_file=str(tmp_path / "none")), OPA)
        assert (await asyncio.to_thread(sink, [b"1\n"])).failure == "FileNotFoundError"
        (tmp_path / "none").write_text("two\nlines")
        assert (await asyncio.to_thread(sink, [b"1\n"])).failure == "ValueError"


@pytest.mark.parametrize("on_disk", [False, True])
async def test_a_sink_that_is_down_under_load_loses_nothing_uncounted(monkeypatch, tmp_path, on_disk):
    monkeypatch.setattr(courier, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(courier, "LONGEST_PAUSE", 0.05)
    down, metrics = True, Metrics("1")
    log = Log(lambda _: 503 if down else 200)
    async with serving(log) as url:
        flags = [
            f"log.upload.url={url}",
            "policies=p",
            "log.decisions=",
            *([f"log.upload.buffer={tmp_path}"] * on_disk),
        ]
        (way,) = outlets.decision_logs(settings.load(flags=flags), metrics, lambda: 1e9)
        task = asyncio.create_task(way.run())
        decided = 0
        for _ in range(130):
            for _ in range(100):
                way.observe(Request(target="/x"), Decision(reason=ALLOWED, id=f"d-{decided}"), 0.0)
                decided += 1
            await asyncio.sleep(0.005)
        down = False
        async with asyncio.timeout(60):
            while written(metrics) < decided:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await way.drain(10)
    assert written(metrics) == decided
    ids = [event["decision_id"] for body in log.bodies for event in body]
    assert len(ids) == len(set(ids)) == metrics.log_written["opa"]
    assert metrics.log_failures["opa"] > 0
    assert on_disk is not bool(metrics.log_dropped)
    assert way.waiting == metrics.log_waiting() == 0


async def test_spans_join_the_trace_that_is_recorded_and_no_other():
    log, metrics = Log(), Metrics("1")
    async with serving(log) as url:
        chosen = settings.load(flags=["policies=p", f"traces.url={url}"])
        way = outlets.traces(chosen, metrics, lambda: 2.0)
        (events,) = outlets.decision_logs(chosen, metrics, lambda: 2.0, lambda lines: lines and None)
        for sent in (
            (SENT,),
            (SENT[:-1] + "0",),
            (SENT, SENT),
            (SENT + "1",),
            (),
            ("ff" + SENT[2:],),
            ("x" * 54 + "1",),
        ):
            headers = {"traceparent": sent} if sent else {}
            way.observe(Request(method="GET", target="/secret", headers=headers), DENIED, 0.25)
        await way.drain(10)
    assert events
    assert log.calls[0][0] == "/v1/traces"
    (span,) = log.bodies[0]["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (span["traceId"], span["parentSpanId"], span["kind"]) == (TRACE, SENT.split("-")[2], 2)
    assert (span["startTimeUnixNano"], span["endTimeUnixNano"]) == ("1750000000", "2000000000")
    assert "secret" not in json.dumps(span)
    assert metrics.spans == {"exported": 1, "malformed": 3}


def test_without_an_address_there_are_no_spans():
    assert outlets.traces(settings.load(flags=["policies=p"]), Metrics("1"), lambda: 0.0) is None


def test_bodies_are_compressed_the_same_each_time():
    body = OPA.body([b"1\n", b"2\n"])
    assert json.loads(gzip.decompress(gzip.compress(body, 1, mtime=0))) == [1, 2]
