"""docs/workers.md names every series by worker, and shows the settings that are printed for Envoy."""

import re
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

from authorizer.gateways import envoy
from authorizer.telemetry.exposition import renderer
from authorizer.telemetry.metrics import MemoUse, Metrics
from authorizer.telemetry.numbers import FleetNumbers, Numbers, WorkerState

PAGE = (Path(__file__).parents[2] / "docs" / "workers.md").read_text(encoding="utf-8")


def test_every_series_by_worker_is_named():
    found = Numbers(memo=MemoUse(0, 0, 0))
    fleet = FleetNumbers(found, {0: WorkerState(True, 0, found)})
    text = renderer(Metrics("1"), lambda: 0.0, lambda: fleet)("")[0].decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    shown = set(re.findall(r"^\| `(\w+)` \| `worker` \|", PAGE, re.MULTILINE))
    assert {sample.name for sample in samples if "worker" in sample.labels} == shown


def test_the_settings_for_envoy_are_those_that_are_tested():
    cluster, service = (
        yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    )
    assert service["retry_policy"] == envoy.retry()
    assert cluster == {**envoy.SPREAD, "health_checks": [envoy.HEALTH]}
