"""docs/metrics.md names every metric with its labels, and no other."""

import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from authorizer.control_plane.server import metrics as control_plane
from authorizer.errors import Place, Problem
from authorizer.model import Decision, Request
from authorizer.reasons import ALLOWED
from authorizer.telemetry.exposition import renderer
from authorizer.telemetry.metrics import DROPS, MemoUse, Metrics

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
PROBLEM = Problem("R004", "unknown right", Place("a.yaml", 1, 1))


def told(section: str) -> dict[str, set[str]]:
    """Return the metrics of a section's table with their labels."""
    table = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", table, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def exposed(text: str) -> dict[str, set[str]]:
    """Return the metrics of an exposition with their labels; a histogram goes by the name of its family."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = family.name if family.type == "histogram" else sample.name
            found.setdefault(name, set()).update(sample.labels.keys() - {"le"})
    return found


def of_an_authorizer() -> dict[str, set[str]]:
    metrics = Metrics("1")
    metrics.observe(Request(), Decision(reason=ALLOWED), 0.0)
    metrics.decisions_dropped("file", "buffer_full", 1)
    metrics.decisions_written("file", 1)
    metrics.log_failed("file")
    metrics.spans_ended("exported", 1)
    metrics.breached("connections")
    metrics.certified("ext_authz", 1.0)
    metrics.asked_provider("keys", "fetched")
    metrics.memo = lambda: MemoUse(0, 0, 0)
    metrics.bundle_activated("policy", "r", 0.0)
    metrics.bundle_refused("policy", "AZ300")
    metrics.discovered(1, 1)
    metrics.discovery_notes = 1
    metrics.read_gateway("envoy", failed=True)
    metrics.asked_control_plane("status", answered=True)
    metrics.reported([PROBLEM])
    metrics.lacks_clients(1)
    metrics.trusted_keys({"https://login.example": 0.0})
    return exposed(renderer(metrics, lambda: 0.0)("")[0].decode())


def of_a_control_plane() -> dict[str, set[str]]:
    bundle = SimpleNamespace(revision="r", published=0.0)
    publisher = SimpleNamespace(problems=[PROBLEM], bundles={"policy": bundle}, publications=0, refusals=0)
    requests = Counter({("GET", "/livez", 200): 1})
    return exposed(control_plane.renderer(publisher, requests, lambda: 0)()[0].decode())


@pytest.mark.parametrize(
    ("section", "metrics"),
    [("authorizer serve", of_an_authorizer), ("authorizer control-plane", of_a_control_plane)],
)
def test_the_page_names_each_metric_with_its_labels(section, metrics):
    assert {name: labels for name, labels in metrics().items() if not name.startswith("process_")} == told(section)


def test_the_reasons_of_lost_events():
    page = (Path(__file__).parents[2] / "docs" / "decision-log.md").read_text(encoding="utf-8")
    table = page.partition("## What is lost is counted\n")[2]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))[1:] == DROPS


def test_the_page_names_the_metrics_of_the_process():
    shown = {name for name in of_an_authorizer() if name.startswith("process_")}
    assert shown in (set(), set(re.findall(r"`(process_\w+)`", PAGE)))  # none where there is no /proc
