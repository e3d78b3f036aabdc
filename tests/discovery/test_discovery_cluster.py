"""The catalogue of a real API server: what manifests of others describe, worked out by other means, and ours."""

import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from authorizer.discovery.kubernetes import files, objects, reading
from authorizer.discovery.kubernetes.reading import Reading
from authorizer.gateways import mesh
from authorizer.gateways.site import Site
from authorizer.model import Api
from tests.discovery.cluster import ApiServer, api_server
from tests.discovery.expected import KINDS, Way, World, group, key, source
from tests.discovery.watched import Watched, until

pytestmark = [pytest.mark.interop_kubernetes, pytest.mark.asyncio(loop_scope="module")]

CHECKS = Path(__file__).parents[3] / "shared" / "checks"
DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiServer]:
    async with api_server(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def space(name: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}}


def texts(archive: str) -> Iterator[str]:
    path = CHECKS / "gateways" / archive
    if not path.exists():
        pytest.skip(f"{path} is absent: outside test data is not part of this repository")
    with tarfile.open(path) as tar:
        for entry in tar:
            if entry.isfile() and entry.name.endswith((".yaml", ".yml")):
                file = tar.extractfile(entry)
                assert file is not None
                yield file.read().decode()


def parsed(text: str) -> list[dict[str, Any]]:
    """Return the objects of a file that discovery reads; nothing for what is no file of Kubernetes, or a template."""
    try:
        found = list(yaml.safe_load_all(text))
    except yaml.YAMLError:
        return []
    return [
        each for each in found if isinstance(each, dict) and "kind" in each and (group(each), each["kind"]) in KINDS
    ]


def apart(text: str, place: str) -> list[dict[str, Any]]:
    """Return the objects of a file, moved to namespaces of its own: the files of an archive use the same names."""

    def moved(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: _renamed(said) if name == "namespace" else moved(said) for name, said in value.items()}
        return [moved(each) for each in value] if isinstance(value, list) else value

    def _renamed(said: Any) -> Any:
        return f"{place}-{said}" if isinstance(said, str) else moved(said)

    found = [moved(each) for each in parsed(text)]
    for count, each in enumerate(found):
        each["metadata"]["name"] = each["metadata"].get("name") or f"unnamed-{count}"
        if each["kind"] == "Namespace":
            each["metadata"]["name"] = f"{place}-{each['metadata']['name']}"
        else:
            each["metadata"].setdefault("namespace", f"{place}-default")
        if each["kind"] == "Service":
            # The cluster gives addresses out; those of the files belong to another.
            each.get("spec", {}).pop("clusterIP", None)
    return found


def conformance() -> list[dict[str, Any]]:
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for path in sorted((CHECKS / "gateway-api").rglob("*.yaml")):
        for each in parsed(path.read_text().replace("{GATEWAY_CLASS_NAME}", "test")):
            found[each["kind"], key(each)] = each
    if not found:
        pytest.skip("the outside checks are not here")
    return list(found.values())


def samples(archive: str) -> list[dict[str, Any]]:
    return [each for number, text in enumerate(texts(archive)) for each in apart(text, f"{archive[0]}{number}")]


async def load(server: ApiServer, values: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Send objects; return those that the API server has now, and what it has against others."""
    held = {each["metadata"]["name"] for each in values if each["kind"] == "Namespace"}
    used = {key(each)[0] for each in values if each["kind"] != "Namespace"}
    await server.apply(*(space(name) for name in sorted(used - held)))
    values = sorted(values, key=lambda each: each["kind"] != "Namespace")
    refused = await server.refused(*values)
    there = [each for each in values if (await server.ask("GET", await server.path_of(each)))[0] == 200]
    return there, refused


def ways(found: Reading) -> dict[str, set[Way]]:
    told: dict[str, set[Way]] = {}
    for api in found.apis:
        for route in api.routes:
            for method in route.methods or ("",):
                told.setdefault(api.sources[0], set()).add((route.path, route.kind, method, route.cluster))
    return told


def hosts(found: Reading, world: World, names: set[str]) -> dict[str, frozenset[str]]:
    told: dict[str, frozenset[str]] = {}
    for api in found.apis:
        if api.sources[0] in names:
            exact = frozenset(host for host in api.hosts if ".svc" in host or host.count(".") == 1)
            told[api.sources[0]] = told.get(api.sources[0], frozenset()) | world.named(api.hosts) | exact
    return told


@pytest.mark.parametrize(
    ("manifests", "most", "refused"),
    [
        (conformance, 110, 0),
        (lambda: samples("istio-samples.tar.gz"), 35, 0),
        (lambda: samples("traefik-dynamic.tar.gz"), 20, 15),
    ],
    ids=["gateway-api", "istio", "traefik"],
)
async def test_the_catalogue_is_what_the_manifests_describe(
    server: ApiServer, manifests: Any, most: int, refused: int
) -> None:
    values, against = await load(server, manifests())
    assert len(against) == refused, "\n".join(against)
    world = World(values)
    expected = world.ways()
    alone = world.alone()
    wanted = set(expected) | alone
    async with Watched(server) as cluster:
        # Just after a kind was defined the API server may turn a watch away for a moment.
        found = await until(
            cluster,
            lambda found: cluster.whole and not found.notes and wanted <= {api.sources[0] for api in found.apis},
        )
        again = await cluster.list_once()
    assert found == again
    told = ways(found)
    assert {name: told[name] for name in expected} == expected
    assert len(expected) > most
    by_host = world.hosts()
    assert hosts(found, world, set(by_host)) == by_host
    spaces = {key(each)[0] for each in values if each["kind"] != "Namespace"}
    mesh = {
        api.sources[0]
        for api in found.apis
        if api.id.startswith("kubernetes/Service/") and api.id.split("/")[2] in spaces
    }
    assert mesh == alone
    entries = {source(each) for each in world.of("ServiceEntry", "networking.istio.io")}
    assert entries <= {api.sources[0] for api in found.apis}


def shape(api: Api) -> tuple[Any, ...]:
    """Return what objects alone say: whether pods answer is known to a cluster that runs some."""
    routes = [(each.path, each.kind, each.methods, set(each.flags) - {"no_endpoints"}) for each in api.routes]
    return api.hosts, routes, api.flags


async def test_the_server_gives_the_same_as_the_files(server: ApiServer) -> None:
    values, _ = await load(server, conformance())
    told, _ = files.read(yaml.safe_dump_all(values).encode(), "all")
    expected = reading.read(objects.by_kind(told), ["authorizer"], whole=True)
    ids = {api.id for api in expected.apis}
    async with Watched(server) as cluster:
        found = await until(cluster, lambda found: cluster.whole and not found.notes)
    assert {api.id: shape(api) for api in found.apis if api.id in ids} == {api.id: shape(api) for api in expected.apis}


SITES = (
    Site(grpc=("authorizer.example:9191",), identity=("x-user",)),
    Site(grpc=("10.0.0.1:9191", "10.0.0.2:9191"), tls=True, client_certificate=True, body_bytes=8192, timeout=0.05),
)


@pytest.mark.parametrize("printed", [mesh.istio, mesh.envoy_gateway])
@pytest.mark.parametrize("site", SITES, ids=["one", "many"])
async def test_whatever_is_printed_is_as_the_schema_of_its_kind_says(
    server: ApiServer, printed: Any, site: Site
) -> None:
    await server.apply(space("istio-system"))
    values = [each for text in printed(site).values() for each in yaml.safe_load_all(text) if "kind" in each]
    assert len(values) >= 3
    server.warned.clear()
    await server.apply(*values, dry=True)
    assert server.warned == []


async def test_what_the_printed_gateways_apply_is_accepted_and_asks(server: ApiServer) -> None:
    await server.apply(space("istio-system"))
    for name in ("istio", "envoy-gateway"):
        for value in yaml.safe_load_all((DEPLOY / name / "authorizer.yaml").read_text()):
            await server.apply(value)
    async with Watched(server) as cluster:
        found = await cluster.read()
    assert "kubernetes/ServiceEntry/istio-system/authorizer" in {api.id for api in found.apis}
