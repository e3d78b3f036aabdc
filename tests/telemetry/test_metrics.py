"""The counts, as a scraper reads them."""

import asyncio
import sys
import time

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from authorizer.errors import Place, Problem
from authorizer.model import ANONYMOUS, Decision, Reason, Request
from authorizer.pdp.memo import Memo
from authorizer.reasons import ALLOWED, authored, reason
from authorizer.telemetry.exposition import renderer
from authorizer.telemetry.loop_lag import measure_once
from authorizer.telemetry.metrics import API_LIMIT, BUCKETS, DROPS, OTHER_API, PROBLEM_LIMIT, Feeds, MemoUse, Metrics

GRPC = Request(method="GET", target="/orders/1", transport="grpc")
HTTP = Request(method="GET", target="/orders/1", transport="http")


def samples(metrics: Metrics, now: float = 0.0) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    body, _ = renderer(metrics, lambda: now)("")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def series(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


def decision(application: str = "orders", code: str = "no_route", why: Reason | None = None) -> Decision:
    return Decision(reason=why or reason(code), application=application, allowed=code == "allowed")


def test_decisions_are_counted_by_api_answer_family_and_transport():
    metrics = Metrics("1.2.3")
    for _ in range(3):
        metrics.observe(GRPC, decision(code="allowed"), 0.0)
    metrics.observe(HTTP, decision(application="", code="path_encoded_slash"), 0.0)
    metrics.observe(HTTP, decision(why=authored("wrong_tenant")), 0.0)
    seen = samples(metrics)
    expected = {
        ("orders", "allow", "allowed", "grpc"): 3,
        ("none", "deny", "bad_path", "http"): 1,
        ("orders", "deny", "policy", "http"): 1,
    }
    for (api, answer, category, transport), count in expected.items():
        labels = {"api": api, "decision": answer, "reason_class": category, "transport": transport}
        assert seen[series("authorizer_decisions_total", **labels)] == count


def test_apis_beyond_the_cap_share_one_label():
    metrics = Metrics("1")
    for number in range(API_LIMIT + 50):
        metrics.observe(GRPC, decision(application=f"api-{number}"), 0.0)
        metrics.observe(GRPC, decision(application=f"api-{number}"), 0.0)
    labels = {dict(key[1])["api"] for key in samples(metrics) if key[0] == "authorizer_decisions_total"}
    assert len(labels) == API_LIMIT + 1
    assert sum(metrics.decisions.values()) == 2 * (API_LIMIT + 50)
    assert metrics.decisions[next(key for key in metrics.decisions if key.api == OTHER_API)] == 100


@pytest.mark.parametrize(
    ("seconds", "bound"),
    [(0.0, "5e-05"), (0.00005, "5e-05"), (0.00006, "0.0001"), (1.0, "1.0"), (1.5, "+Inf"), (float("inf"), "+Inf")],
)
def test_a_duration_falls_into_the_bucket_that_includes_it(seconds, bound):
    metrics = Metrics("1")
    metrics.observe(GRPC, decision(), seconds)
    seen = samples(metrics)
    name = "authorizer_decision_duration_seconds"
    bounds = [str(b) for b in BUCKETS] + ["+Inf"]
    counts = [seen[series(f"{name}_bucket", transport="grpc", le=le)] for le in bounds]
    assert counts == [0.0] * bounds.index(bound) + [1.0] * (len(bounds) - bounds.index(bound))
    assert seen[series(f"{name}_count", transport="grpc")] == 1
    assert seen[series(f"{name}_sum", transport="grpc")] == seconds


def test_bundles_keys_apis_memo_log_and_loop():
    metrics = Metrics("1")
    metrics.bundle_activated("policy", "aa", 100.0)
    metrics.bundle_activated("policy", "bb", 200.0)
    metrics.bundle_refused("facts", "AZ301")
    metrics.bundle_refused("facts", "AZ301")
    metrics.trusted_keys({"https://idp": 150.0, "https://clock-ahead": 900.0})
    metrics.discovered(7, 2)
    metrics.memo = lambda: MemoUse(5, 90, 10)
    metrics.decisions_dropped("file", "buffer_full", 4)
    metrics.decisions_written("file", 6)
    metrics.log_waiting = lambda: 3
    metrics.loop_lagged(0.5)
    metrics.loop_lagged(0.001)
    metrics.track(1)
    seen = samples(metrics, now=250.0)
    assert {key: value for key, value in seen.items() if "bundle" in key[0]} == {
        series("authorizer_bundle_last_activation_timestamp_seconds", bundle="policy"): 200.0,
        series("authorizer_bundle_info", bundle="policy", revision="bb"): 1.0,
        series("authorizer_bundle_activation_failures_total", bundle="facts", code="AZ301"): 2.0,
    }
    assert seen[series("authorizer_jwks_age_seconds", issuer="https://idp")] == 100.0
    assert seen[series("authorizer_jwks_age_seconds", issuer="https://clock-ahead")] == 0.0
    assert seen[series("authorizer_apis_discovered")] == 7
    assert seen[series("authorizer_apis_without_policy")] == 2
    assert seen[series("authorizer_token_memo_entries")] == 5
    assert seen[series("authorizer_token_memo_hits_total")] == 90
    assert seen[series("authorizer_token_memo_misses_total")] == 10
    assert seen[series("authorizer_decision_log_dropped_total", sink="file", reason="buffer_full")] == 4
    assert seen[series("authorizer_decision_log_written_total", sink="file")] == 6
    assert seen[series("authorizer_decision_log_waiting")] == 3
    assert seen[series("authorizer_event_loop_lag_seconds")] == 0.5
    assert seen[series("authorizer_requests_in_flight")] == 1


def test_each_sink_has_every_reason_from_the_start():
    metrics = Metrics("1")
    metrics.decisions_written("opa", 0)
    metrics.decisions_dropped("opa", "refused", 2)
    seen = {
        dict(key[1])["reason"]: value for key, value in samples(metrics).items() if key[0].endswith("dropped_total")
    }
    assert seen == {**dict.fromkeys(DROPS, 0.0), "refused": 2.0}


def test_calls_to_the_control_plane_and_feeds_of_discovery():
    metrics = Metrics("1")
    metrics.asked_control_plane("policy", answered=True)
    metrics.asked_control_plane("policy", answered=False)
    for failed in (True, True, False):
        metrics.read_gateway("envoy", failed=failed)
    metrics.cluster = lambda: Feeds({("services", "failing"): 2}, {"services": 5})
    seen = samples(metrics)
    assert {key: value for key, value in seen.items() if "control_plane" in key[0] or "discovery" in key[0]} == {
        series("authorizer_control_plane_calls_total", call="policy", outcome="answered"): 1.0,
        series("authorizer_control_plane_calls_total", call="policy", outcome="failed"): 1.0,
        series("authorizer_discovery_feeds", source="envoy", state="current"): 1.0,
        series("authorizer_discovery_feeds", source="services", state="failing"): 2.0,
        series("authorizer_discovery_failures_total", source="envoy"): 2.0,
        series("authorizer_discovery_failures_total", source="services"): 5.0,
    }


def test_the_memo_of_tokens_is_counted():
    memo = Memo()
    metrics = Metrics("1")
    metrics.memo = lambda: MemoUse(len(memo), memo.hits, memo.misses)
    memo.find(b"a", 1)
    memo.keep(b"a", 1, ANONYMOUS)
    memo.find(b"a", 1)
    memo.find(b"a", 1)
    seen = samples(metrics)
    counts = [seen[series(f"authorizer_token_memo_{name}")] for name in ("entries", "hits_total", "misses_total")]
    assert counts == [1, 2, 1]


def test_problems_of_the_control_plane_name_their_place_and_go_when_cured():
    metrics = Metrics("1")
    places = [Place("orders.yaml", 14, 7), Place("orders.yaml", 14, 7), Place("x\n.yaml")]
    metrics.reported(Problem("AZ204", f"message {index}", place) for index, place in enumerate(places))
    name = "authorizer_control_plane_problem"
    assert [key for key in samples(metrics) if key[0] == name] == [
        series(name, code="AZ204", file="orders.yaml", line="14", column="7"),
        series(name, code="AZ204", file="x\\x0a.yaml", line="0", column="0"),
    ]
    metrics.reported(Problem("AZ204", "m", Place("many.yaml", line)) for line in range(5000))
    assert len([key for key in samples(metrics) if key[0] == name]) == PROBLEM_LIMIT
    metrics.reported(())
    assert not [key for key in samples(metrics) if key[0] == name]


def test_openmetrics_is_served_on_request_and_is_well_formed():
    metrics = Metrics("1.2.3")
    metrics.observe(GRPC, Decision(reason=ALLOWED, allowed=True), 0.0001)
    metrics.trusted_keys({'quote"\\new\nline': 0.0})
    body, content_type = renderer(metrics, lambda: 1.0)("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    names = {family.name for family in openmetrics.text_string_to_metric_families(body.decode())}
    assert {"authorizer_decisions", "authorizer_build_info", "authorizer_jwks_age_seconds"} <= names
    if sys.platform == "linux":
        assert "process_resident_memory_bytes" in names


def test_two_processes_in_one_interpreter_do_not_clash():
    renderer(Metrics("1"), lambda: 0.0)
    renderer(Metrics("1"), lambda: 0.0)


async def test_the_lag_is_by_how_much_the_loop_is_late():
    before = time.monotonic()
    idle = await measure_once(0.01)
    assert 0.0 <= idle <= time.monotonic() - before - 0.01
    asyncio.get_running_loop().call_later(0.001, time.sleep, 0.2)
    assert await measure_once(0.01) > 0.15
