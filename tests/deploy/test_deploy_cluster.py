"""The chart, installed by Helm on a real API server: every object is taken without a warning, every pod is `restricted`."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from tests.deploy import rendering
from tests.deploy.installing import account, helm, installed, manifest, space
from tests.deploy.rendering import CASES, CHART
from tests.discovery.cluster import ApiServer, api_server

pytestmark = [pytest.mark.interop_kubernetes, pytest.mark.asyncio(loop_scope="module")]

NAMES = [case.name.removesuffix("-values.yaml") for case in CASES]
NEEDED = ("guarded", "gateways", "istio-system", "orders", "payments")
"""Namespaces that values files name."""

POD = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "api",
            "image": "registry.example/api:1",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    ],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiServer]:
    rendering.tool("helm")
    async with api_server(tmp_path_factory.mktemp("cluster")) as running:
        await running.apply(*map(space, NEEDED))
        await running.apply(*map(account, NEEDED))
        yield running


def pods(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the pods that controllers would make of objects."""
    made = []
    for value in objects:
        if "template" in value.get("spec", {}):
            template = value["spec"]["template"]
            at = {"name": value["metadata"]["name"], "namespace": value["metadata"]["namespace"]}
            spec = {**template["spec"]}
            volumes = [
                {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}
                for claim in value["spec"].get("volumeClaimTemplates", [])
            ]
            spec["volumes"] = [*spec.get("volumes", []), *volumes]
            made.append({"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], **at}, "spec": spec})
    return made


@pytest.mark.parametrize("name", [name for name in NAMES if name != "daemonset-socket"])
async def test_every_mode_is_installed_without_a_warning(server: ApiServer, name: str) -> None:
    namespace = f"t-{name}"
    await server.apply(space(namespace))
    await server.apply(account(namespace), account(namespace, "discoverer"))
    server.warned.clear()
    objects = await installed(server, namespace, CHART, f"--values={CHART}/ci/{name}-values.yaml")
    try:
        await server.apply(*objects, dry=True)
        await server.apply(*pods(objects), *await manifest(server, namespace, "hooks"), dry=True)
        assert server.warned == []
        assert bool(pods(objects)) != name.startswith("sidecar")
    finally:
        await helm(server, "uninstall", "x", f"--namespace={namespace}")
    left = [path for each in objects if (await server.ask("GET", path := await server.path_of(each)))[0] != 404]
    assert left == []


async def test_a_socket_of_the_node_is_what_the_standard_refuses(server: ApiServer) -> None:
    words = ("install", "x", CHART, f"--values={CHART}/ci/daemonset-socket-values.yaml")
    await server.apply(space("socket"), account("socket"))
    done = await asyncio.to_thread(rendering.helm, *words, "--namespace=socket", f"--kubeconfig={server.kubeconfig()}")
    assert (done.returncode, "would violate PodSecurity" in done.stderr) == (0, True)
    objects = await manifest(server, "socket")
    server.warned.clear()
    await server.apply(*objects, dry=True)
    assert len(server.warned) == 1
    (said,) = await server.refused(*pods(objects), dry=True)
    assert 'violates PodSecurity "restricted:latest": restricted volume types (volume "authorizer-socket"' in said
    assert said.count("(") == 1, said
    await server.apply(space("socket", "privileged"))
    server.warned.clear()
    await server.apply(*objects, *pods(objects), dry=True)
    assert server.warned == []


@pytest.mark.parametrize("name", ["sidecar", "sidecar-plain"])
async def test_a_pod_with_the_sidecar_stays_restricted(server: ApiServer, name: str) -> None:
    namespace = f"with-{name}"
    labels = {"app": "orders"}
    template = {"metadata": {"labels": labels}, "spec": POD}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "orders", "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    await server.apply(space(namespace))
    await server.apply(account(namespace))
    server.warned.clear()
    await server.apply(deployment)
    (found,) = (
        each
        for each in rendering.objects(name)
        if each["metadata"]["name"].endswith("-sidecar") and "patch.yaml" in each.get("data", {})
    )
    patch = yaml.safe_load(found["data"]["patch.yaml"])
    path = await server.path_of(deployment)
    status, patched = await server.ask("PATCH", path, patch, "application/strategic-merge-patch+json")
    assert status == 200, patched
    spec = patched["spec"]["template"]["spec"]
    assert {each["name"] for each in (*spec["containers"], *spec.get("initContainers", []))} == {"api", "authorizer"}
    await server.apply(*pods([patched]), dry=True)
    assert server.warned == []


@pytest.mark.parametrize("name", ["gateway", "follower", "daemonset", "control-plane"])
async def test_a_new_version_of_the_chart_takes_over(server: ApiServer, name: str, tmp_path: Path) -> None:
    namespace = f"new-{name}"
    await server.apply(space(namespace))
    values = f"--values={CHART}/ci/{name}-values.yaml"
    await helm(server, "package", CHART, "--version=99.0.0", "--app-version=99.0.0", f"--destination={tmp_path}")
    package = tmp_path / "authorizer-99.0.0.tgz"
    before = await installed(server, namespace, CHART, values)
    after = await installed(server, namespace, package, values, "--set=drainSeconds=20", verb="upgrade")
    assert [each["metadata"]["name"] for each in before] == [each["metadata"]["name"] for each in after]
    assert before != after
    await helm(server, "rollback", "x", "1", f"--namespace={namespace}")
    await helm(server, "uninstall", "x", f"--namespace={namespace}")
