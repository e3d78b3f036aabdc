"""Routes that come, change and go while the API server restarts and forgets: the catalogue becomes the truth each time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from authorizer.discovery.kubernetes.following import Following
from authorizer.discovery.kubernetes.kinds import HTTP_ROUTE
from authorizer.discovery.kubernetes.reading import Reading
from tests.discovery.cluster import ApiServer, Relay, api_server, types
from tests.discovery.watched import Watched, until

pytestmark = [pytest.mark.interop_kubernetes, pytest.mark.asyncio(loop_scope="module")]

SPACE = "histories"
ROUTES = 6
HISTORIES = 200
AT_LEAST = {"failures": 10, "starts": 10, "lists": 15}

Truth = dict[int, str]
Step = tuple[str, int, str]

changes = st.tuples(
    st.sampled_from(["set", "set", "remove"]), st.integers(0, ROUTES - 1), st.sampled_from(["/a", "/b", "/c"])
)
# A start takes seconds, so that it is one trouble in twelve.
troubles = st.tuples(
    st.sampled_from([*["away", "broken off", "forgotten"] * 3, *["seen"] * 2, "stopped"]),
    st.integers(0, 1),
    st.just(""),
)
histories = st.lists(st.one_of(changes, changes, changes, troubles), min_size=1, max_size=8)


class Scene(NamedTuple):
    """``behind`` is who discovery asks; objects change by ``server``, on the same store, also while the other is away.

    ``seen`` counts steps, ``lists`` are the times of lists of all routes.
    """

    server: ApiServer
    behind: ApiServer
    relay: Relay
    cluster: Following
    seen: Counter[str]
    lists: set[float]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with api_server(tmp_path_factory.mktemp("cluster"), kinds=types("gateway-api")) as server:
        # The second one keeps no changes in memory: its watches end with 410 as soon as the store has forgotten.
        behind = server.second("--watch-cache=false")
        relay = Relay(behind.port)
        try:
            await behind.start()
            await behind.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
            await relay.open()
            async with Watched(behind, port=relay.port) as cluster:
                yield Scene(server, behind, relay, cluster, Counter(), set())
            await relay.cut()
        finally:
            behind.stop()


def route(number: int, path: str = "/") -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": f"route-{number}", "namespace": SPACE},
        "spec": {
            "hostnames": [f"h{number}.example"],
            "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": path}}]}],
        },
    }


def paths(found: Reading) -> dict[str, str]:
    return {
        api.hosts[0]: api.routes[0].path for api in found.apis if api.id.startswith(f"kubernetes/HTTPRoute/{SPACE}/")
    }


def expected(truth: Truth) -> dict[str, str]:
    return {f"h{number}.example": path for number, path in truth.items()}


async def act(scene: Scene, step: Step, truth: Truth) -> None:
    """Do one step. ``truth`` becomes what there is then."""
    name, number, path = step
    match name:
        case "set":
            truth[number] = path
            await scene.server.apply(route(number, path))
        case "remove":
            if truth.pop(number, None) is not None:
                await scene.server.delete(route(number))
        case "away":
            await scene.relay.cut()
        case "broken off":
            await scene.relay.drop()
        case "forgotten":
            await scene.server.compact()
        case "stopped":
            scene.behind.stop()
            # With a cache, versions from before the start are too old; without one, those that the store forgot.
            scene.behind.flags = (f"--watch-cache={'true' if number else 'false'}",)
        case _:
            await back(scene)
            await until(scene.cluster, lambda found: paths(found) == expected(truth))


async def back(scene: Scene) -> None:
    if not scene.behind.running:
        await scene.behind.start()
    await scene.relay.cut()
    await scene.relay.open()


@settings(
    max_examples=HISTORIES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(history=histories)
async def test_the_catalogue_becomes_the_truth(scene: Scene, history: list[Step]) -> None:
    truth: Truth = {}
    scene.seen.update(name for name, _, _ in history)
    await until(scene.cluster, lambda found: not paths(found))
    try:
        for step in history:
            known = paths(await scene.cluster.read())
            await act(scene, step, truth)
            # What was known and is still there is not lost, whatever happens.
            assert known.keys() & expected(truth).keys() <= paths(await scene.cluster.read()).keys()
        await back(scene)
        await until(scene.cluster, lambda found: paths(found) == expected(truth))
        scene.lists.update(feed.listed for feed in scene.cluster.feeds if feed.kind is HTTP_ROUTE)
    finally:
        await asyncio.gather(*(scene.server.delete(route(number)) for number in truth))


async def test_much_has_happened_and_all_is_well(scene: Scene) -> None:
    await until(scene.cluster, lambda found: not found.notes)
    assert scene.cluster.whole
    failures = scene.cluster.failures()["httproutes.gateway.networking.k8s.io"]
    # Each list but the first is due to a version that was too old.
    happened = {"failures": failures, "starts": scene.seen["stopped"], "lists": len(scene.lists)}
    assert {name: count for name, count in happened.items() if count < AT_LEAST[name]} == {}, happened
