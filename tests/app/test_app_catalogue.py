"""What is found is reported: a Kong and a document over real sockets, a real control plane, faults on the way."""

import asyncio
import contextlib

import aiohttp
import pytest
from aiohttp import web

from authorizer.app import catalogue
from authorizer.app.catalogue import Reporting, Survey, following
from authorizer.control_plane import client
from authorizer.control_plane.server.running import Config, running
from authorizer.discovery.catalogue import Catalogue
from authorizer.discovery.describing import Place
from authorizer.discovery.kubernetes.access import Access
from authorizer.discovery.kubernetes.following import Following
from authorizer.discovery.kubernetes.reading import Reading
from authorizer.errors import DiscoveryError
from authorizer.model import Api
from authorizer.settings import DescribedApi, Discovery
from authorizer.telemetry.metrics import Metrics
from tests.served import served

TOKENS = {"authorizer": "an-authorizer-for-the-tests", "admin": "an-admin-for-all-the-tests"}
POLICY = """
kind: Application
id: shop
model: pbac
rights: {read: {}}
http: {hosts: [shop.example], routes: {"GET /shop/orders/{id}": {right: read}}}
"""


class World:
    """What the gateway and the API say; ``down`` is answered with 500."""

    def __init__(self) -> None:
        self.paths = {"/orders/{id}": {"get": {"operationId": "getOrder"}}}
        self.hash = "a" * 32
        self.down = False

    async def answer(self, request: web.Request) -> web.Response:
        if self.down:
            return web.Response(status=500)
        service = {"id": "s", "name": "orders", "host": "o"}
        route = {"id": "r", "hosts": ["shop.example"], "paths": ["/shop"], "service": {"id": "s"}}
        route["tags"] = [self.hash]
        return web.json_response(
            {
                "/status": {"configuration_hash": self.hash},
                "/services": {"data": [service]},
                "/routes": {"data": [route]},
                "/plugins": {"data": [{"id": "p", "name": "opa"}]},
                "/openapi.json": {"openapi": "3.0.0", "paths": self.paths},
            }[request.path]
        )


@pytest.fixture
async def world():
    made = World()
    async with served(made.answer) as made.url:
        yield made


def settings(world, **more) -> Discovery:
    described = {"shop": DescribedApi(api="orders", url=f"{world.url}/openapi.json")}
    return Discovery(kong=world.url, described=described, interval_seconds=1, describe_seconds=1, **more)


def states(metrics):
    return dict(metrics.gateway.states.keys())


async def until(true):
    for _ in range(300):
        if true():
            return
        await asyncio.sleep(0.1)
    pytest.fail("it never came true")


async def shown(server, true):
    headers = {"authorization": f"Bearer {TOKENS['admin']}"}
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{server.url}/v1/apis", headers=headers) as answer:
                body = await answer.json()
            if body["apis"] and true(body["apis"][0]):
                return body
            await asyncio.sleep(0.1)


async def test_what_is_described_is_compared_with_the_policies_and_stays_while_the_sources_fail(world, tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "shop.yaml").write_text(POLICY)
    (tmp_path / "token").write_text(TOKENS["authorizer"])
    config = Config(state=tmp_path / "plane", policies=tmp_path / "policies", tokens=TOKENS)
    metrics = Metrics("test")
    async with running(config) as server:
        endpoint = client.Endpoint(url=server.url, token_file=str(tmp_path / "token"))
        async with client.connect(endpoint) as link:
            reporting = Reporting(link, "me", lambda: "1", metrics)
            task = asyncio.create_task(following(settings(world), reporting)())
            try:
                body = await shown(server, lambda api: api["operations"])
                (one,) = body["apis"][0]["operations"]
                assert (one["method"], one["path"], one["id"]) == ("GET", "/shop/orders/{id}", "getOrder")
                # Who Kong's plugin asks is not known, so nothing is claimed.
                assert (one["guard"], one["why"], one["possible"][0]["right"]) == (
                    "unguarded",
                    "ext_authz_unread",
                    "read",
                )
                assert body["operations"] == {"whole": 0, "partial": 0, "unguarded": 1}
                assert states(metrics) == {"kong": "current", "shop": "current"}
                world.down = True
                await until(lambda: states(metrics) == {"kong": "failing", "shop": "failing"})
                assert (await shown(server, lambda _: True))["apis"][0]["operations"] == [one]
                world.down, world.paths = False, {"/orders/{id}": {"delete": {}}}
                body = await shown(server, lambda api: api["operations"][0]["method"] == "DELETE")
                assert body["apis"][0]["sources"] == ["kong service orders", "openapi shop"]
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


async def test_places_of_annotations_come_and_go(world):
    metrics = Metrics("test")
    survey = Survey(settings(world, annotated=True), Reporting(None, "me", lambda: "1", metrics))
    place = Place("of shop/orders", "shop/orders", "url", f"{world.url}/openapi.json")
    gone = Place("of shop/gone", "shop/gone", "url", f"{world.url}/openapi.json")
    with contextlib.suppress(asyncio.CancelledError):
        async with asyncio.TaskGroup() as group:
            survey.annotated.point(group, (place, gone))
            await until(lambda: all(each.asked for each in survey.annotated.places.values()))
            survey.annotated.point(group, (place,))
            found = survey._together(Reading())
            assert [(api.name, len(api.operations), api.flags) for api in found.apis] == [
                ("shop/orders", 1, ("ask_unknown", "only_described"))
            ]
            survey.annotated.point(group, ())
    assert states(metrics) == {"annotations": "current"}


@pytest.mark.parametrize(
    "found",
    [
        Discovery(kong="http://kong.example:8001"),
        Discovery(traefik="traefik:8080"),
        Discovery(described={"a": DescribedApi(api="a", url="file:///etc/passwd")}),
        Discovery(described={"a": DescribedApi(api="a", grpc="unix:/run/a")}),
    ],
)
def test_an_address_that_cannot_be_asked_is_said_at_once(found):
    with pytest.raises(DiscoveryError, match="AZ610"):
        following(found, Reporting(None, "me", lambda: "1", Metrics("test")))


SERVED = Api(id="served", name="served", hosts=(), routes=(), sources=("envoy",))


async def test_a_gateway_that_does_not_answer_keeps_its_apis(monkeypatch):
    says = [DiscoveryError("AZ604", "no"), (Catalogue((SERVED,), "1"), True), DiscoveryError("AZ604", "no")]

    async def discover_once(_admin, _previous):
        said = says.pop(0)
        if isinstance(said, DiscoveryError):
            raise said
        return said

    monkeypatch.setattr(catalogue, "discover_once", discover_once)
    metrics = Metrics("1")
    survey = Survey(Discovery(envoy_admin="http://127.0.0.1:1"), Reporting(None, "", lambda: "1", metrics))
    async with asyncio.TaskGroup() as group:
        for expected in (None, (1, None), (1, None)):
            await survey.gateways[0].look_once()
            await survey.report_once(group)
            assert metrics.apis == expected
    assert (states(metrics), metrics.gateway.failures) == ({"envoy": "failing"}, {"envoy": 2})


async def test_a_cluster_that_tells_nothing_has_no_catalogue():
    metrics = Metrics("1")
    survey = Survey(Discovery(), Reporting(None, "", lambda: "1", metrics))
    survey.cluster = Following(Access("http://127.0.0.1:1", None, lambda: ""), (), ["authorizer"])
    async with asyncio.TaskGroup() as group:
        await survey.report_once(group)
        assert metrics.discovery_notes is None
        for feed in survey.cluster.feeds:
            for _ in range(5):
                feed.failed()
        await survey.report_once(group)
    assert metrics.discovery_notes == len(survey.cluster.feeds)
    # Nothing was seen: that is no catalogue without APIs.
    assert metrics.apis is None
