"""How an API server may be reached, and a feed against a server that misbehaves."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from authorizer.discovery.kubernetes.access import Access, access
from authorizer.discovery.kubernetes.kinds import HTTP_ROUTE, SERVICE
from authorizer.discovery.kubernetes.watching import MISSES, Feed, Room
from authorizer.errors import DiscoveryError
from tests.served import served


def kubeconfig(path: Path, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> str:
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1/", **(cluster or {})}}],
        "users": [{"name": "c", "user": user if user is not None else {"token": "t"}}],
    }
    file = path / "config"
    file.write_text(yaml.safe_dump(config))
    return str(file)


def test_a_kubeconfig_with_a_token(tmp_path):
    (tmp_path / "token").write_text("first\n")
    found = access(kubeconfig(tmp_path, user={"tokenFile": "token"}))
    assert (found.server, found.token()) == ("https://127.0.0.1:1", "first")
    (tmp_path / "token").write_text("second\n")
    assert found.token() == "second"


@pytest.mark.parametrize(
    ("cluster", "user"),
    [
        ({"server": "http://example.test"}, {}),
        ({"server": "ftp://127.0.0.1"}, {}),
        ({"insecure-skip-tls-verify": True}, {}),
        ({"proxy-url": "http://x"}, {}),
        ({"certificate-authority-data": "%"}, {}),
        ({"certificate-authority": "none"}, {}),
        ({}, {"exec": {"command": "x"}}),
        ({}, {"username": "a", "password": "b"}),
        ({}, {"as": "somebody"}),
        ({}, {"token": "a\nb"}),
        ({}, {"client-certificate-data": "eA==", "client-key-data": "eA=="}),
    ],
)
def test_what_proves_nothing_is_refused(tmp_path, cluster, user):
    with pytest.raises(DiscoveryError, match="AZ607"):
        access(kubeconfig(tmp_path, cluster, user))


@pytest.mark.parametrize("text", ["", "[]", "a: [", "current-context: x", "\x00"])
def test_no_kubeconfig(tmp_path, text):
    (tmp_path / "config").write_text(text)
    with pytest.raises(DiscoveryError, match="AZ607"):
        access(str(tmp_path / "config"))


def test_outside_of_a_pod(tmp_path):
    with pytest.raises(DiscoveryError, match="AZ607"):
        access("in-cluster", account=tmp_path, environment={})
    with pytest.raises(DiscoveryError, match="AZ607"):
        access(
            "in-cluster", account=tmp_path, environment={"KUBERNETES_SERVICE_HOST": "h", "KUBERNETES_SERVICE_PORT": "1"}
        )


def named(name: str, version: int = 1) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "n", "resourceVersion": str(version)}, "spec": {}}


def page(*items: dict[str, Any], cursor: str = "") -> dict[str, Any]:
    return {"metadata": {"resourceVersion": "5", "continue": cursor}, "items": list(items)}


Answer = Callable[[web.Request], web.StreamResponse]


async def against(answer: Answer, use: Callable[[aiohttp.ClientSession, Access], Any]) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return answer(request)

    async with served(handle) as url, aiohttp.ClientSession() as session:
        await use(session, Access(url, None, lambda: ""))


def feed(most: int = 100) -> tuple[Feed, asyncio.Event]:
    news = asyncio.Event()
    return Feed(SERVICE, "", news.set, Room(most)), news


async def test_pages_that_grow_too_old_are_asked_for_again():
    asked: list[str] = []

    def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.query.get("continue", ""))
        if asked == ["", "next"]:
            return web.json_response({}, status=410)
        return web.json_response(page(named("b")) if asked[-1] else page(named("a"), cursor="next"))

    held, _ = feed()
    await against(answer, lambda session, at: held.list_once(session, at, 0))
    assert asked == ["", "next", "", "next"]
    assert sorted(held.objects) == [("n", "a"), ("n", "b")]
    assert (held.state, held.version) == ("current", "5")


async def test_changes_bookmarks_and_errors_of_a_watch():
    events = [
        {"type": "ADDED", "object": named("b", 6)},
        {"type": "DELETED", "object": named("a", 7)},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "8"}}},
    ]
    held, news = feed()
    held.objects, held.version = {("n", "a"): {}}, "5"

    async def use(session: aiohttp.ClientSession, at: Access) -> None:
        await held.watch_once(session, at)
        assert (sorted(held.objects), held.version) == ([("n", "b")], "8")
        events.append({"type": "ERROR", "object": {"code": 410}})
        await held.watch_once(session, at)
        assert held.version == ""

    text = lambda _: web.Response(text="\n".join(map(json.dumps, events)) + "\n")  # noqa: E731
    await against(text, use)
    assert news.is_set()


@pytest.mark.parametrize(("status", "state"), [(403, "forbidden"), (401, "forbidden"), (404, "failing")])
async def test_what_was_known_stays(status, state):
    held, _ = feed()
    held.objects = {("n", "a"): {}}

    async def use(session: aiohttp.ClientSession, at: Access) -> None:
        await held.list_once(session, at, 0)
        assert (held.state, len(held.objects)) == (state, 1)
        for _ in range(MISSES):
            await held.list_once(session, at, 0)
        assert bool(held.objects) == (status != 404)

    await against(lambda _: web.json_response({}, status=status), use)


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", "AZ602"), (b"[]", "AZ602"), (b'{"items": 1}', "AZ602"), (b'{"items": [1]}', "AZ602"), (b'{"items": [{}]}', "AZ602")],
)  # fmt: skip
async def test_lists_in_another_shape(body, code):
    held, _ = feed()
    held.objects = {("n", "a"): {}}

    async def use(session: aiohttp.ClientSession, at: Access) -> None:
        with pytest.raises(DiscoveryError, match=code):
            await held.list_once(session, at, 0)

    await against(lambda _: web.Response(body=body), use)
    assert held.objects


async def test_too_many_objects_and_a_kind_that_is_not_served():
    held, _ = feed(2)

    async def use(session: aiohttp.ClientSession, at: Access) -> None:
        with pytest.raises(DiscoveryError, match="AZ609"):
            await held.list_once(session, at, 0)
        routes = Feed(HTTP_ROUTE, "", lambda: None, Room())
        with pytest.raises(DiscoveryError, match="AZ602"):
            await routes.list_once(session, at, 0)

    await against(lambda _: web.json_response(page(*map(named, "abc"))), use)
    assert held.objects == {}


async def test_a_watch_that_is_refused_is_not_one_that_fails():
    statuses = {"list": 200, "watch": 403}

    def answer(request: web.Request) -> web.StreamResponse:
        status = statuses["watch" if "watch" in request.query else "list"]
        return web.json_response(page(named("a")), status=status)

    held, _ = feed()

    async def use(session: aiohttp.ClientSession, at: Access) -> None:
        await held.list_once(session, at, 0)
        assert (held.state, held.seen) == ("current", True)
        for _ in range(2):
            await held.watch_once(session, at)
            assert (held.state, held.seen, held.version, len(held.objects)) == ("forbidden", False, "", 1)
            # That it may be listed does not make it current again.
            await held.list_once(session, at, 0)
            assert held.state == "forbidden"
        statuses["watch"] = 200
        await held.watch_once(session, at)
        assert (held.state, held.seen) == ("current", True)

    await against(answer, use)


async def test_a_watch_that_breaks_off_keeps_its_place():
    held, _ = feed()
    held.version = "5"
    event = json.dumps({"type": "ADDED", "object": named("b", 6)}) + "\n"

    def answer(_: web.Request) -> web.StreamResponse:
        # More is announced than comes before the connection ends.
        made = web.Response(text=event, headers={"content-length": str(len(event) + 10)})
        made.force_close()
        return made

    await against(answer, held.watch_once)
    assert (held.version, held.state, held.failures) == ("6", "current", 0)


async def test_a_list_that_never_ends_is_given_up():
    held, _ = feed()

    async def use(session: aiohttp.ClientSession, at: Access) -> None:
        with pytest.raises(DiscoveryError, match="does not end"):
            await held.list_once(session, at, 0)

    await against(lambda _: web.json_response(page(named("a"), cursor="again")), use)
    assert held.objects == {}
