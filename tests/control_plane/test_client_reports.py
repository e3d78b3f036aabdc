"""Reports: their form on the wire, what is made of the answer, and when they are sent."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from aiohttp import test_utils, web

from authorizer.control_plane import client
from authorizer.control_plane.client import Endpoint, Link, Progress
from authorizer.control_plane.server.answers import answer, problem_list
from authorizer.errors import ControlPlaneError, Place, Problem
from authorizer.model import Api, ApiRoute

PROGRESS = Progress(
    kind="policy", serial=7, revision="abc", outcome="refused", code="AZ330", message="older", size=9,
    asked=1.5, answered=2.0, downloaded=2.0, activated=1.0,
)  # fmt: skip


class Inbox:
    def __init__(self) -> None:
        self.posts: list[tuple[str, object]] = []
        self.reporters: list[str | None] = []
        self.reply: web.Response | bytes = b""

    async def take(self, request: web.Request) -> web.Response:
        self.posts.append((request.path, json.loads(await request.read())))
        self.reporters.append(request.headers.get("x-authorizer-id"))
        assert request.content_type == "application/json"
        return web.Response(body=self.reply, content_type="application/json")


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
async def link(inbox: Inbox) -> AsyncIterator[Link]:
    app = web.Application()
    app.router.add_post("/{tail:.*}", inbox.take)
    async with (
        test_utils.TestServer(app, host="127.0.0.1") as running,
        client.connect(Endpoint(url=str(running.make_url("")))) as opened,
    ):
        yield opened


def test_status_has_the_form_of_opa() -> None:
    told = client.status({"id": "one", "version": "0"}, [PROGRESS, Progress(kind="facts")])
    assert told == {
        "labels": {"id": "one", "version": "0"},
        "bundles": {
            "policy": {
                "name": "policy",
                "type": "snapshot",
                "size": 9,
                "active_revision": "abc",
                "serial": 7,
                "code": "AZ330",
                "message": "older",
                "last_request": "1970-01-01T00:00:01.500000Z",
                "last_successful_request": "1970-01-01T00:00:02Z",
                "last_successful_download": "1970-01-01T00:00:02Z",
                "last_successful_activation": "1970-01-01T00:00:01Z",
            },
            "facts": {"name": "facts", "type": "snapshot", "size": 0},
        },
    }


async def test_status_brings_the_problems_back(inbox: Inbox, link: Link) -> None:
    inbox.reply = b'{"problems":[{"code":"R101","file":"a.yaml","line":3,"column":5,"message":"m","new":1}]}'
    problems = await client.report_status(link, {"id": "one"}, [PROGRESS])
    assert problems == (Problem("R101", "m", Place("a.yaml", 3, 5)),)
    assert inbox.posts == [("/v1/status", client.status({"id": "one"}, [PROGRESS]))]


@pytest.mark.parametrize("reply", [b"", b"{}", b'{"problems":[]}', b'{"labels":{}}'])
async def test_no_problems(inbox: Inbox, link: Link, reply: bytes) -> None:
    inbox.reply = reply
    assert await client.report_status(link, {}, []) == ()


@pytest.mark.parametrize(
    "problem", [Problem("R1", "m", Place("a")), Problem("R1", "m", Place("a", 3, 5), "h", "warning", "x: y")]
)
async def test_a_problem_is_the_same_on_both_sides(inbox: Inbox, link: Link, problem: Problem) -> None:
    inbox.reply = answer({"problems": problem_list([problem])}).body
    assert await client.report_status(link, {}, []) == (problem,)


async def test_problems_are_bounded(inbox: Inbox, link: Link) -> None:
    one = {"code": "R1", "file": "a", "line": 1, "column": 1, "message": "m"}
    inbox.reply = json.dumps({"problems": [one] * 1000}).encode()
    assert len(await client.report_status(link, {}, [])) == 200


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b"[]", "AZ506"),
        (b"{", "AZ506"),
        (b"\xff", "AZ506"),
        (b'{"problems":[{}]}', "AZ506"),
        (b'{"problems":[{"code":1,"file":"a","line":1,"column":1,"message":"m"}]}', "AZ506"),
        (bytes(2 << 20), "AZ507"),
    ],
)
async def test_malformed_answers(inbox: Inbox, link: Link, reply: bytes, code: str) -> None:
    inbox.reply = reply
    with pytest.raises(ControlPlaneError) as caught:
        await client.report_status(link, {}, [])
    assert caught.value.code == code


async def test_apis_are_sent_as_they_are(inbox: Inbox, link: Link) -> None:
    api = Api(
        id="a", name="Orders", hosts=("orders.example",), sources=("envoy",), flags=("ext_authz_disabled",),
        routes=(ApiRoute(path="/orders", kind="prefix", methods=("GET",)),),
    )  # fmt: skip
    assert await client.report_apis(link, [api]) is None
    inbox.reply = b'{"unguarded":3}'
    assert await client.report_apis(link, [api], reporter="one") == 3
    assert inbox.reporters == [None, "one"]
    path, body = inbox.posts[0]
    assert path == "/v1/apis"
    assert body[0]["hosts"] == ["orders.example"]
    sent = {"path": "/orders", "kind": "prefix", "methods": ["GET"], "cluster": "", "flags": [], "seen": None}
    assert body[0]["routes"] == [sent]


async def test_news_are_gathered_and_failures_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "authorizer.control_plane")
    news, sent, enough = asyncio.Event(), [], asyncio.Event()

    async def report() -> None:
        sent.append(asyncio.get_running_loop().time())
        if len(sent) == 4:
            enough.set()
        raise ControlPlaneError("AZ501", "not there")

    task = asyncio.create_task(client.report_forever(report, news, every=0.5, gather=0.05))
    await asyncio.sleep(0.02)
    for _ in range(10):
        news.set()
        await asyncio.sleep(0.002)
    await asyncio.wait_for(enough.wait(), 30)
    task.cancel()
    gaps = [later - earlier for earlier, later in pairwise(sent)]
    assert gaps[0] < 0.4 < min(gaps[1:])
    assert [record.getMessage() for record in caplog.records] == ["the report failed: AZ501 not there"]
