"""Alerts and dashboards: each names metrics that exist, each alert has a runbook and a test that fires it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RULES = yaml.safe_load((PROMETHEUS / "authorizer.rules.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
CASES = yaml.safe_load((PROMETHEUS / "authorizer.test.yml").read_text(encoding="utf-8"))["tests"]
DASHBOARD = json.loads((ROOT / "deploy/grafana/authorizer.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
DOCS = ROOT / "docs"
RUNBOOK = (DOCS / "what-happens-when.md").read_text(encoding="utf-8")


def documented() -> dict[str, set[str]]:
    """Return the metrics of the reference, each with its labels; a histogram also by the names of its series."""
    found: dict[str, set[str]] = {}
    for page in ("metrics.md", "workers.md"):
        text = (DOCS / page).read_text(encoding="utf-8")
        for name, labels, meaning in re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*)", text, re.MULTILINE):
            found.setdefault(name, set()).update(re.findall(r"`(\w+)`", labels))
            if meaning.startswith("Histogram"):
                found[f"{name}_bucket"] = found[name] | {"le"}
    found |= {name: set() for name in re.findall(r"`(process_\w+)`", (DOCS / "metrics.md").read_text(encoding="utf-8"))}
    return found


METRICS = documented()


def selectors(query: str) -> list[tuple[str, set[str]]]:
    """Return the metrics of a query with the labels that select them."""
    found = re.findall(r"\b((?:authorizer|process)_\w+)(?:\{([^}]*)\})?", query)
    return [(name, set(re.findall(r"(\w+)\s*[=!]", labels))) for name, labels in found]


@pytest.mark.parametrize("query", [*QUERIES, *(rule["expr"] for rule in RULES)])
def test_every_query_selects_metrics_that_exist_by_labels_that_they_have(query):
    assert selectors(query)
    for name, labels in selectors(query):
        assert labels - {"instance"} <= METRICS[name], name


@pytest.mark.parametrize("query", [*QUERIES, *(rule["expr"] for rule in RULES)])
def test_every_query_groups_by_labels_of_its_metrics(query):
    known = {"instance", "le"}.union(*(METRICS[name] for name, _ in selectors(query)))
    for labels in re.findall(r"\bby \(([^)]*)\)", query):
        assert set(labels.split(", ")) <= known


def test_the_dashboard_shows_decisions_reasons_latency_ages_and_coverage():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    shown = {(name, label) for query in QUERIES for name, _ in selectors(query) for label in re.findall(r"\w+", query)}
    assert shown >= {
        ("authorizer_decisions_total", "decision"),
        ("authorizer_decisions_total", "reason_class"),
        ("authorizer_decision_duration_seconds_bucket", "histogram_quantile"),
        ("authorizer_bundle_last_activation_timestamp_seconds", "time"),
        ("authorizer_jwks_age_seconds", "issuer"),
        ("authorizer_apis_without_policy", "max"),
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_has_a_runbook_and_is_tested_silent_and_firing(rule):
    name = rule["alert"]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"]
    assert f"| `{name}` |" in RUNBOOK
    alerts = [alert for case in CASES for alert in case["alert_rule_test"] if alert["alertname"] == name]
    assert {bool(alert.get("exp_alerts")) for alert in alerts} == {True, False}


def test_the_page_knows_no_other_alert():
    assert set(re.findall(r"^\| `(Authorizer\w+)` \|", RUNBOOK, re.MULTILINE)) == {rule["alert"] for rule in RULES}


promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")


@promtool
def test_rules_fire_as_their_cases_say():
    done = subprocess.run(
        ["promtool", "test", "rules", "authorizer.test.yml"],
        check=False,
        cwd=PROMETHEUS,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_every_query_of_the_dashboard_is_promql(tmp_path):
    values = {"$__rate_interval": "5m", "$instance": ".*", "$api": ".*"}
    rules = []
    for number, query in enumerate(QUERIES):
        expr = re.sub("|".join(map(re.escape, values)), lambda found: values[found[0]], query)
        rules.append({"record": f"panel:query{number}", "expr": expr})
    file = tmp_path / "dashboard.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    done = subprocess.run(["promtool", "check", "rules", file], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
