"""What is reported of gateways: the last word of one that does not answer counts, and problems are counted."""

from typing import Any

import pytest

from authorizer.app import catalogue
from authorizer.discovery.catalogue import Catalogue
from authorizer.discovery.kubernetes.access import Access
from authorizer.discovery.kubernetes.following import Following
from authorizer.errors import DiscoveryError
from authorizer.model import Api
from authorizer.settings import Discovery
from authorizer.telemetry.metrics import Metrics

SERVED = Api(id="served", name="served", hosts=(), routes=(), sources=("envoy",))
DECLARED = Api(id="declared", name="declared", hosts=(), routes=(), sources=("kubernetes",))
ENVOY = Discovery(envoy_admin="http://127.0.0.1:1")


def reporting() -> catalogue.Reporting:
    return catalogue.Reporting(None, "", lambda: "revision", Metrics("1"))


async def test_a_gateway_that_does_not_answer_keeps_its_apis_and_hides_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    says: list[Any] = [DiscoveryError("AZ601", "no"), (Catalogue((SERVED,)), True), DiscoveryError("AZ601", "no")]

    async def discover_once(admin: str) -> Any:
        said = says.pop(0)
        if isinstance(said, DiscoveryError):
            raise said
        return said

    monkeypatch.setattr(catalogue, "discover_once", discover_once)
    to = reporting()
    told = await catalogue.look_once(ENVOY, to, catalogue.Told())
    assert (told, to.metrics.apis) == (catalogue.Told(), None)
    told = await catalogue.look_once(ENVOY, to, told)
    assert (told.served, to.metrics.apis) == ((SERVED,), (1, None))
    told = await catalogue.look_once(ENVOY, to, told, (DECLARED,))
    assert (told.served, to.metrics.apis) == ((SERVED,), (2, None))
    assert to.metrics.gateway is not None
    assert to.metrics.gateway.failures == {"envoy": 2}


async def test_a_cluster_that_tells_nothing_has_no_catalogue() -> None:
    cluster = Following(Access("http://127.0.0.1:1", None, lambda: ""), (), ["authorizer"])
    to, settings = reporting(), Discovery(kubernetes="x")
    told, noted = await catalogue.cluster_once(settings, to, cluster, catalogue.Told(), frozenset())
    assert (told, to.metrics.discovery_notes) == (catalogue.Told(), None)
    for feed in cluster.feeds:
        for _ in range(5):
            feed.failed()
    told, noted = await catalogue.cluster_once(settings, to, cluster, told, noted)
    assert to.metrics.discovery_notes == len(noted) == len(cluster.feeds)
    # Nothing was seen: that is no catalogue without APIs.
    assert to.metrics.apis is None
