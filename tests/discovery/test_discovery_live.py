"""Kong's and Traefik's APIs: pages, changes, answers that lie; Traefik is the real one."""

import asyncio
import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest
from aiohttp import web

from authorizer.discovery import kong_admin, traefik_api
from authorizer.errors import DiscoveryError
from tests.served import served

SERVICE = {"id": "s1", "name": "orders", "host": "o", "path": "/v2"}
ROUTES = [
    {"id": f"r{n}", "name": f"r{n}", "hosts": ["o.example"], "paths": [f"/p{n}"], "service": {"id": "s1"}}
    for n in range(5)
]


class Kong:
    """What an Admin API answers, two entities a page."""

    def __init__(self) -> None:
        self.hash = "0" * 32
        self.held = {"services": [SERVICE], "routes": ROUTES, "plugins": []}
        self.asked: list[str] = []
        self.more: dict[str, object] = {}

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if request.path == "/status":
            return web.json_response({"configuration_hash": self.hash, "server": {}})
        assert request.query["size"] == "1000"
        kind = request.path[1:]
        start = int(request.query.get("offset", "0"))
        page: dict[str, object] = {"data": self.held[kind][start : start + 2] or {}, "next": None}
        if start + 2 < len(self.held[kind]):
            page |= {"offset": str(start + 2), "next": "http://169.254.169.254/"}
        return web.json_response({**page, **self.more})


@pytest.fixture
async def kong():
    made = Kong()
    async with served(made.answer) as made.url:
        yield made


async def test_all_pages_of_kong_are_one_configuration(kong):
    kong.held["plugins"] = [
        {"id": "1", "name": "opa", "enabled": True, "service": None, "route": {"id": "r1"}, "consumer": None},
        {"id": "2", "name": "opa", "enabled": True, "service": {"id": "s1"}, "consumer": {"id": "c"}},
        {"id": "3", "name": "cors", "enabled": False, "service": None, "route": None, "consumer": None},
    ]
    seen = await kong_admin.ask(kong.url)
    (api,) = seen.reading.apis
    assert (api.id, [(one.path, one.seen) for one in api.routes]) == (
        "kong/service/orders/o.example",
        [(f"/p{n}", "/v2") for n in range(5)],
    )
    assert [route.path for route in api.routes if "ext_authz_absent" not in route.flags] == ["/p1"]
    assert seen.hash == ""


async def test_kong_without_a_database_is_read_again_only_when_it_says_so(kong):
    kong.hash = "a" * 32
    first = await kong_admin.ask(kong.url)
    kong.asked.clear()
    assert await kong_admin.ask(kong.url, last=first) is first
    assert kong.asked == ["/status"]
    kong.hash, kong.held["routes"] = "b" * 32, ROUTES[:1]
    changed = await kong_admin.ask(kong.url, last=first)
    assert [len(seen.reading.apis[0].routes) for seen in (first, changed)] == [5, 1]


@pytest.mark.parametrize(
    ("more", "code"),
    [({"offset": "0"}, "AZ605"), ({"data": "x"}, "AZ602"), ({"offset": 7}, "AZ602"), ({"data": [{"id": 1}]}, "AZ602")],
)
async def test_an_admin_interface_that_lies_is_coded(kong, more, code):
    kong.more = more
    with pytest.raises(DiscoveryError, match=code):
        await kong_admin.ask(kong.url)


def raw(**more):
    return {
        "routers": {
            "a@file": {
                "rule": "Host(`a.example`)",
                "service": "s",
                "middlewares": ["auth", "strip@file"],
                "status": "enabled",
            },
            "b@docker": {"rule": "Host(`b.example`)", "service": "s", "middlewares": ["auth"], "status": "enabled"},
            "bad@file": {"rule": "Host(", "service": "s", "status": "disabled", "error": ["no rule"]},
        },
        "middlewares": {
            "auth@file": {"chain": {"middlewares": ["inner"]}},
            "inner@file": {"forwardAuth": {"address": "http://authorizer:9192/authz/traefik"}},
            "strip@file": {"stripPrefix": {"prefixes": ["/a"]}},
        },
        "tcpRouters": {"t@file": {"rule": "HostSNI(`*`)"}},
        **more,
    }


async def test_names_of_traefik_are_those_of_their_provider():
    config, notes = traefik_api.configuration(raw())
    found = traefik_api.traefik.read(config, ["authorizer"])
    assert [(api.id, api.asking) for api in found.apis] == [
        ("traefik/a@file/a.example", "asks"),
        ("traefik/b@docker/b.example", "unknown"),
    ]
    assert notes == ("traefik router bad@file: it is disabled: no rule",)
    assert len(found.notes) == 1
    with pytest.raises(DiscoveryError, match="AZ602"):
        traefik_api.configuration(raw(routers=[]))


def program() -> str:
    cached = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "authorizer" / "traefik"
    return str(cached) if cached.exists() else shutil.which("traefik") or ""


@pytest.mark.interop
@pytest.mark.skipif(not program(), reason="no Traefik: .ci/traefik/build makes one")
async def test_a_real_traefik_tells_its_routers_and_their_changes(tmp_path, unused_tcp_port_factory):
    listen, api = unused_tcp_port_factory(), unused_tcp_port_factory()
    write(tmp_path / "a.json", GUARDED, {"auth": {"forwardAuth": {"address": "http://authorizer.internal/"}}})
    arguments = [
        *(
            "--api.insecure=true",
            f"--entrypoints.traefik.address=127.0.0.1:{api}",
            f"--entrypoints.web.address=127.0.0.1:{listen}",
        ),
        *(f"--providers.file.directory={tmp_path}", "--providers.file.watch=true", "--global.sendanonymoususage=false"),
    ]
    process = await asyncio.create_subprocess_exec(
        program(), *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{api}"
    try:
        seen = await until(url, lambda apis: any(one.hosts == ("shop.example",) for one in apis))
        told = {one.id: (one.asking, [(way.path, way.seen) for way in one.routes]) for one in seen.reading.apis}
        assert told["traefik/shop@file/shop.example"] == ("asks", [("/x", None)])
        assert await traefik_api.ask(url, ["authorizer"], last=seen) is seen
        write(tmp_path / "b.json", {"more": {"rule": "Host(`more.example`)", "service": "s@file"}}, {})
        changed = await until(url, lambda apis: any(one.hosts == ("more.example",) for one in apis))
        assert len(changed.reading.apis) == len(seen.reading.apis) + 1
    finally:
        process.terminate()
        await process.wait()


GUARDED = {"shop": {"rule": "Host(`shop.example`) && PathPrefix(`/x`)", "service": "s", "middlewares": ["auth"]}}
SERVICES = {"s": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:1"}]}}}


def write(file, routers, middlewares):
    config = {"routers": routers} | ({"middlewares": middlewares, "services": SERVICES} if middlewares else {})
    made = file.with_suffix(".new")
    made.write_text(json.dumps({"http": config}))
    made.rename(file.with_suffix(".yaml"))


async def until(url, true):
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(DiscoveryError):  # it is still starting
                seen = await traefik_api.ask(url, ["authorizer"])
                if true(seen.reading.apis):
                    return seen
            await asyncio.sleep(0.1)
