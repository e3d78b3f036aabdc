"""A real Envoy, told to fail open, in front of the native gRPC door: what no answer of ours may ever let pass."""

import asyncio
import contextlib
import json
import os
import time

import pytest
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from authorizer.demo.gateway import find_envoy
from authorizer.demo.processes import children
from authorizer.doors import native
from authorizer.errors import DemoError
from authorizer.gateways.envoy import Check
from authorizer.http2.limits import Limits
from authorizer.model import Decision, Request
from authorizer.reasons import REASONS
from tests.doors.native_world import Core, serving
from tests.e2e.world import Reply, connection_manager, envoy, sample_api, send


@contextlib.asynccontextmanager
async def gateway(directory, address, change=lambda _: None, **options):
    """Start a sample API and an Envoy in front of it; return the Envoy's URL and what reached the API."""
    try:
        find_envoy()
    except DemoError as error:
        pytest.skip(str(error))
    async with children() as group, sample_api() as api:
        check = Check(address=address, fail_open=True, **options)
        yield (await envoy(group, directory, check, api.address, change)).url, api.seen


def statuses(replies: list[Reply]) -> list[int]:
    return [reply.status for reply in replies]


@pytest.mark.parametrize("address", ["127.0.0.1:0", "unix:{}/door.sock", "unix:@authorizer-envoy-{}"])
async def test_checks_are_obeyed(tmp_path, address):
    address = address.format(os.getpid() if "@" in address else tmp_path)
    async with serving(Core(), address) as door, gateway(tmp_path, door.address) as (url, seen):
        replies = await asyncio.gather(*(send(url, "GET", path) for path in ("/open", "/closed", "/raise") * 20))
        assert statuses(replies) == [200, 403, 503] * 20
        assert len(seen) == 20


async def test_bodies_and_headers_of_any_size_are_decided(tmp_path):
    def patient(config):
        (listener,) = config["static_resources"]["listeners"]
        listener["per_connection_buffer_limit_bytes"] = 16 << 20

    async with (
        serving(Core(), max_message_bytes=4 << 20) as door,
        gateway(tmp_path, door.address, patient, body_bytes=8 << 20, timeout=5) as (url, seen),
    ):
        assert (await send(url, "POST", "/open", body=bytes(3 << 20))).status == 200
        refused = await send(url, "POST", "/open", body=bytes(5_000_000))
        assert (refused.status, len(seen)) == (403, 1)
        assert b"body_limit" in refused.body
        headers = [(f"x-{n}", "v" * 580) for n in range(95)]
        assert (await send(url, "GET", "/open", headers)).status == 200
        assert (await send(url, "GET", "/closed", headers)).status == 403


async def test_bodies_that_are_too_many_are_denied_and_nobody_else_is(tmp_path):
    """Users fill what the door may keep: theirs are denied, the gateway's one connection goes on."""
    breaches = []
    limits = Limits(buffered_bytes=1 << 20)
    async with (
        serving(Core(), max_message_bytes=900_000, limits=limits, breach=breaches.append) as door,
        gateway(tmp_path, door.address, body_bytes=800_000, timeout=5) as (url, seen),
    ):
        replies = await asyncio.gather(*(send(url, "POST", "/open", body=bytes(700_000)) for _ in range(12)))
        assert set(statuses(replies)) <= {200, 503}
        assert len(seen) == statuses(replies).count(200)
        assert (await send(url, "GET", "/open")).status == 200
        assert set(breaches) <= {"buffered"}


def asked_about_health(second: str):
    """Return a change of Envoy's configuration: two authorizers, each asked for its health all the time."""

    def change(config):
        (cluster,) = (c for c in config["static_resources"]["clusters"] if c["name"] == "authorizer")
        host, _, port = second.rpartition(":")
        socket = {"address": host, "port_value": int(port)}
        endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        endpoints.append({"endpoint": {"address": {"socket_address": socket}}})
        cluster["health_checks"] = [
            {"timeout": "1s", "interval": "0.05s", "no_traffic_interval": "0.05s", "unhealthy_threshold": 1,
             "healthy_threshold": 1, "grpc_health_check": {}},
        ]  # fmt: skip
        # Envoy takes up to a second by itself to act on what it has learnt; the authorizer's drain_seconds is longer.
        cluster["common_lb_config"] = {"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"}

    return change


async def until_asked(url: str) -> None:
    """Wait until Envoy has found somebody to ask."""
    async with asyncio.timeout(10):
        while True:
            if (await send(url, "GET", "/closed")).status == 403:
                return
            await asyncio.sleep(0.05)


async def test_rolling_restarts_under_load_lose_no_check(tmp_path):
    doors = [await native.start(Core(), "127.0.0.1:0") for _ in range(2)]
    addresses = [door.address for door in doors]
    failed, passed, stop = [], 0, asyncio.Event()

    async def user(session: ClientSession, url: str) -> None:
        nonlocal passed
        while not stop.is_set():
            async with session.get(f"{url}/closed") as answer:  # a check that fails would let this pass
                if answer.status == 403:
                    passed += 1
                else:
                    failed.append(answer.status)

    try:
        async with gateway(tmp_path, addresses[0], asked_about_health(addresses[1])) as (url, seen):
            async with (
                ClientSession(
                    connector=TCPConnector(limit=0),
                    cookie_jar=DummyCookieJar(),
                    timeout=ClientTimeout(10),
                    trust_env=False,
                ) as session,
                asyncio.TaskGroup() as group,
            ):
                await until_asked(url)
                seen.clear()
                for _ in range(16):
                    group.create_task(user(session, url))
                for turn in range(6):
                    door = doors[turn % 2]
                    await asyncio.sleep(0.4)
                    door.drain()
                    await asyncio.sleep(0.3)
                    await door.close(2)
                    doors[turn % 2] = await native.start(Core(), door.address)
                stop.set()
            assert (failed, seen) == ([], [])
            assert passed > 500
    finally:
        for door in doors:
            await door.close(0)


class Plain(Core):
    """Gives ``/long`` a denial whose body has 3 MB, and takes its time for ``/slow``."""

    def check(self, request):
        if request.target == "/long":
            return Decision(reason=REASONS["no_route"], id="d-5", requestable=("y" * 3_000_000,))
        if request.target == "/slow":
            time.sleep(0.15)
        return super().check(Request(target="/open") if request.target == "/slow" else request)


async def test_large_bodies_denials_and_headers_get_right_answers(tmp_path):
    def roomy(config):
        (listener,) = config["static_resources"]["listeners"]
        manager = connection_manager(config)
        manager["max_request_headers_kb"] = 96
        manager["common_http_protocol_options"]["max_headers_count"] = 200
        listener["per_connection_buffer_limit_bytes"] = 16 << 20
        for cluster in config["static_resources"]["clusters"]:
            if cluster["name"] == "api":
                options = {"common_http_protocol_options": {"max_headers_count": 200}}
                options["explicit_http_config"] = {"http_protocol_options": {}}
                kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
                cluster["typed_extension_protocol_options"] = {
                    kind: {"@type": f"type.googleapis.com/{kind}", **options}
                }

    headers = [(f"x-{number:03}", "v" * 593) for number in range(100)]  # 600 bytes each, with their names
    async with (
        serving(Plain(), max_message_bytes=8 << 20) as door,
        gateway(tmp_path, door.address, roomy, body_bytes=6 << 20, timeout=5) as (url, seen),
    ):
        assert (await send(url, "POST", "/open", body=bytes(5_000_000))).status == 200
        assert (await send(url, "POST", "/closed", body=bytes(5_000_000))).status == 403
        denied = await send(url, "GET", "/long")
        assert (denied.status, json.loads(denied.body)["reason"]) == (403, "no_route")
        assert 3_000_000 < len(denied.body) == int(denied.headers["content-length"])
        assert (await send(url, "GET", "/open", headers)).status == 200
        assert (await send(url, "GET", "/closed", headers)).status == 403
        assert [{name: value for name, value in sent.items() if name[:2] == "x-"}.items() >= dict(headers).items()
                for _, path, sent in seen] == [False, True]  # fmt: skip


async def test_a_deadline_of_200_ms_is_kept_or_denies(tmp_path):
    def closed(config):
        connection_manager(config)["http_filters"][0]["typed_config"]["failure_mode_allow"] = False

    async with serving(Plain()) as door, gateway(tmp_path, door.address, closed, timeout=0.2) as (url, seen):
        replies = await asyncio.gather(*(send(url, "GET", path) for path in ("/open", "/closed") * 50))
        assert set(statuses(replies)) <= {200, 403, 503}  # a busy machine may be late; late is no
        assert len(seen) == statuses(replies).count(200)
        seen.clear()
        # Each takes 150 ms of the one process: the second and all after it are out of time.
        replies = await asyncio.gather(*(send(url, "GET", "/slow") for _ in range(8)))
        assert set(statuses(replies)) <= {200, 503}
        assert statuses(replies).count(503) >= 4
        assert len(seen) == statuses(replies).count(200)
        async with asyncio.timeout(10):
            while (await send(url, "GET", "/open")).status != 200:
                pass
