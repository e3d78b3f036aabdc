"""Discovery against a real API server: what is there is found, changes arrive, restarts lose nothing."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from authorizer.discovery.kubernetes import files, objects, reading
from authorizer.discovery.kubernetes.access import access
from authorizer.discovery.kubernetes.following import Following
from authorizer.discovery.kubernetes.reading import Reading
from authorizer.model import Api
from tests.discovery.cluster import READER, ApiServer, api_server

pytestmark = [pytest.mark.interop_kubernetes, pytest.mark.asyncio(loop_scope="module")]

CHECKS = Path(__file__).parents[3] / "shared" / "checks"
DEPLOY = Path(__file__).parents[2] / "deploy"
WAIT = 60


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiServer]:
    async with api_server(tmp_path_factory.mktemp("cluster")) as running:
        yield running


class Running:
    def __init__(self, server: ApiServer, token: str | None = None, namespaces: tuple[str, ...] = ()) -> None:
        config = server.kubeconfig(token) if token else server.kubeconfig()
        self.cluster = Following(access(str(config)), namespaces, ["authorizer"])

    async def __aenter__(self) -> Following:
        self.task = asyncio.create_task(self.cluster.follow())
        async with asyncio.timeout(WAIT):
            while not self.cluster.settled:
                self.cluster.news.clear()
                await self.cluster.news.wait()
        return self.cluster

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def until(cluster: Following, true: Callable[[Reading], bool]) -> Reading:
    async with asyncio.timeout(WAIT):
        while True:
            cluster.news.clear()
            if true(found := await cluster.read()):
                return found
            await cluster.news.wait()


def space(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def route(number: int, path: str = "/", namespace: str = "histories") -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": f"route-{number}", "namespace": namespace},
        "spec": {
            "hostnames": [f"h{number}.example"],
            "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": path}}]}],
        },
    }


def paths(found: Reading) -> dict[str, str]:
    return {
        api.hosts[0]: api.routes[0].path for api in found.apis if api.id.startswith("kubernetes/HTTPRoute/histories/")
    }


def conformance() -> list[dict[str, Any]]:
    texts = [path.read_text() for path in sorted((CHECKS / "gateway-api").rglob("*.yaml"))]
    if not texts:
        pytest.skip("the outside checks are not here")
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for value in (
        value for text in texts for value in yaml.safe_load_all(text.replace("{GATEWAY_CLASS_NAME}", "test"))
    ):
        if value and value["kind"] not in {"Deployment", "ConfigMap"}:
            at = value["metadata"]
            found[value["kind"], at.get("namespace"), at["name"]] = value
    return sorted(found.values(), key=lambda value: value["kind"] != "Namespace")


def shape(api: Api) -> tuple[Any, ...]:
    """Return what objects alone say: whether pods answer is known to a cluster that runs some."""
    routes = [(each.path, each.kind, each.methods, set(each.flags) - {"no_endpoints"}) for each in api.routes]
    return api.hosts, routes, api.flags


async def test_the_conformance_manifests_give_the_same_from_the_server_as_from_their_files(server: ApiServer) -> None:
    values = conformance()
    held = {value["metadata"]["name"] for value in values if value["kind"] == "Namespace"}
    used = {value["metadata"].get("namespace", "default") for value in values if value["kind"] != "Namespace"}
    await server.apply(*(space(name) for name in sorted(used - held)), *values)
    parsed, _ = files.read(yaml.safe_dump_all(values).encode(), "all")
    expected = reading.read(objects.by_kind(parsed), ["authorizer"], whole=True)
    told = {api.id for api in expected.apis}
    async with Running(server) as cluster:
        # Just after a kind was defined the API server may turn a watch away for a moment.
        found = await until(cluster, lambda found: cluster.whole and not found.notes)
        again = await cluster.read()
    assert found == again
    mine = {api.id: shape(api) for api in found.apis if api.id in told}
    assert mine == {api.id: shape(api) for api in expected.apis}
    assert len(mine) > 100


async def test_what_the_printed_gateways_apply_is_accepted_and_asks(server: ApiServer) -> None:
    await server.apply(space("istio-system"))
    for name in ("istio", "envoy-gateway"):
        for value in yaml.safe_load_all((DEPLOY / name / "authorizer.yaml").read_text()):
            await server.apply(value)
    async with Running(server) as cluster:
        found = await cluster.read()
    assert "kubernetes/ServiceEntry/istio-system/authorizer" in {api.id for api in found.apis}


async def test_changes_arrive_and_restarts_lose_nothing(server: ApiServer) -> None:
    await server.apply(space("histories"))
    chance = random.Random(0)
    truth: dict[int, str] = {}
    async with Running(server) as cluster:
        for history in range(200):
            steps = chance.randrange(1, 4)
            # Three restarts among the histories: the API server is gone while nothing can change, and its watch cache
            # begins anew, so that versions from before are too old.
            if history in {50, 100, 150}:
                server.stop()
                assert paths(await cluster.read()) == expected(truth)
                await server.start()
            for _ in range(steps):
                number = chance.randrange(8)
                if number in truth and chance.random() < 0.4:
                    await server.delete(route(number))
                    del truth[number]
                else:
                    truth[number] = f"/p{chance.randrange(100)}"
                    await server.apply(route(number, truth[number]))
            await until(cluster, lambda found: paths(found) == expected(truth))


def expected(truth: dict[int, str]) -> dict[str, str]:
    return {f"h{number}.example": path for number, path in truth.items()}


async def test_an_expired_version_starts_over(server: ApiServer) -> None:
    await server.apply(space("histories"), route(99, "/kept"))
    async with Running(server) as cluster:
        for feed in cluster.feeds:
            if feed.objects:
                feed.version = "1"
        server.stop()
        await server.start()
        await server.apply(route(99, "/new"))
        await until(cluster, lambda found: paths(found).get("h99.example") == "/new" and not found.notes)


async def test_what_the_account_may_not_see_is_told(server: ApiServer) -> None:
    async with Running(server, READER) as cluster:
        found = await cluster.read()
        assert not cluster.whole
    assert found.apis == ()
    assert any("httproutes" in note and "may not" in note for note in found.notes)
