"""Discovery in the name of the chart's service account: each right that the chart grants is used, and no other."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from authorizer import settings
from authorizer.discovery.kubernetes.access import access
from authorizer.discovery.kubernetes.following import Following
from tests.deploy import rendering
from tests.deploy.installing import account, installed, space
from tests.deploy.rendering import CHART
from tests.discovery.cluster import READER, ApiServer, api_server
from tests.discovery.watched import WAIT, Watched, until

pytestmark = [pytest.mark.interop_kubernetes, pytest.mark.asyncio(loop_scope="module")]

Right = tuple[str, str, str, str]
"""Namespace ("" for all), group, resource, verb."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiServer]:
    rendering.tool("helm")
    async with api_server(tmp_path_factory.mktemp("cluster")) as running:
        await running.apply(space("orders"), space("payments"), space("apps"))
        yield running


def granted(objects: list[dict[str, Any]]) -> set[Right]:
    return {
        (value["metadata"]["namespace"] if value["kind"] == "Role" else "", group, resource, verb)
        for value in objects
        if value["kind"] in {"Role", "ClusterRole"}
        for rule in value["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(server: ApiServer, user: str) -> set[Right]:
    found = set()
    for event in server.audited(user):
        asked = event.get("objectRef", {})
        if asked.get("resource") == "selfsubjectaccessreviews":
            continue  # the test's own
        if "resource" in asked:
            # Just after a kind was defined its objects cannot be had for a moment.
            assert event["responseStatus"]["code"] in {200, 429}, event
            found.add((asked.get("namespace", ""), asked.get("apiGroup", ""), asked["resource"], event["verb"]))
        else:
            # Which kinds there are may be read by everybody who is logged in (system:discovery).
            assert (event["verb"], event["requestURI"].split("/")[1]) == ("get", "apis"), event
    return found


async def acted(server: ApiServer, token: str, right: Right) -> None:
    """Wait until the API server acts by a right of an account."""
    namespace, group, resource, verb = right
    asked = {"namespace": namespace, "group": group, "resource": resource, "verb": verb}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    async with asyncio.timeout(WAIT):
        while True:
            path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
            _, said = await server.ask("POST", path, review, token=token)
            if said["status"]["allowed"]:
                return
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(("name", "who"), [("discovery", "x-authorizer"), ("discovery-namespaces", "discoverer")])
async def test_every_right_is_used_and_no_other_is_needed(
    server: ApiServer, name: str, who: str, tmp_path: Path
) -> None:
    await server.apply(account("apps", "discoverer"))
    objects = await installed(
        server, "apps", CHART, f"--values={CHART}/ci/{name}-values.yaml", "--install", verb="upgrade"
    )
    (config,) = (each for each in objects if "authorizer.yaml" in each.get("data", {}))
    told = settings.load(config["data"]["authorizer.yaml"], "authorizer.yaml").discovery
    token = await server.token("apps", who)
    for right in granted(objects):
        await acted(server, token, right)
    (tmp_path / "token").write_text(token)
    (tmp_path / "ca.crt").write_text(server.authority())
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)}
    reached = access(told.kubernetes, account=tmp_path, environment=environment)
    cluster = Following(reached, told.namespaces, told.asked_as)
    task = asyncio.create_task(cluster.follow())
    user = f"system:serviceaccount:apps:{who}"
    try:
        found = await until(cluster, lambda found: cluster.settled and not found.notes)
        async with asyncio.timeout(WAIT):
            while used(server, user) != granted(objects):
                assert used(server, user) <= granted(objects)
                await asyncio.sleep(0.2)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert cluster.whole == (not told.namespaces)
    assert {feed.state for feed in cluster.feeds} == {"current"}
    assert found.notes == ()


def lacking(right: Right, rights: set[Right], name: str) -> Iterator[dict[str, Any]]:
    """Yield an account with all rights but one."""
    group = "rbac.authorization.k8s.io"
    rules = [{"apiGroups": [each[1]], "resources": [each[2]], "verbs": [each[3]]} for each in sorted(rights - {right})]
    yield account("apps", name)
    yield {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}
    yield {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "apps"}],
    }


async def test_a_right_that_is_taken_away_is_told(server: ApiServer) -> None:
    rights = granted(rendering.objects("discovery"))
    turn = asyncio.Semaphore(3)

    async def without(number: int, right: Right) -> None:
        async with turn, asyncio.timeout(WAIT):
            name = f"without-{number}"
            await server.apply(*lacking(right, rights, name))
            token = await server.token("apps", name)
            await acted(server, token, max(rights - {right}))
            async with Watched(server, token) as cluster:
                kind = f"{right[2]}.{right[1]}".rstrip(".")
                found = await until(cluster, lambda found: bool(found.notes))
                assert [note for note in found.notes if not note.startswith(f"{kind}: the account may not")] == []
                assert not cluster.whole
                assert cluster.known

    assert len(rights) == 34
    await asyncio.gather(*(without(number, right) for number, right in enumerate(sorted(rights))))


async def test_an_account_without_rights_sees_nothing_and_says_so(server: ApiServer) -> None:
    async with Watched(server, READER) as cluster:
        found = await cluster.read()
        assert not cluster.whole
        assert not cluster.known
    assert found.apis == ()
    assert len(found.notes) == len(cluster.feeds)
