"""What a scraper sees stays small whatever clients send, and is well formed by the judgement of Prometheus's own tool."""

import random
import shutil
import string
import subprocess

import pytest

from authorizer.model import Decision, Request
from authorizer.reasons import ALLOWED, reason
from authorizer.telemetry.exposition import renderer
from authorizer.telemetry.metrics import Metrics


def busy() -> Metrics:
    metrics = Metrics("1")
    metrics.decisions_written("file", 1)
    metrics.decisions_dropped("opa", "buffer_full", 1)
    metrics.log_failed("opa")
    metrics.spans_ended("exported", 1)
    metrics.bundle_activated("policy", "r", 1.0)
    metrics.bundle_refused("policy", "AZ300")
    metrics.trusted_keys({"https://login.example": 0.0})
    metrics.discovered(3, 1)
    metrics.read_gateway("envoy", failed=True)
    metrics.asked_control_plane("policy", answered=False)
    metrics.breached("connections")
    metrics.certified("ext_authz", 1.0)
    metrics.asked_provider("keys", "fetched")
    return metrics


def lines(metrics: Metrics, accept: str = "") -> list[bytes]:
    return [line for line in renderer(metrics, lambda: 9.0)(accept)[0].splitlines() if not line.startswith(b"#")]


def test_no_series_grows_with_paths_subjects_and_tenants():
    chance = random.Random(1)
    metrics = busy()
    answers = [(Decision(reason=ALLOWED, allowed=True), "grpc"), (Decision(reason=reason("no_route")), "http")]

    def word() -> str:
        return "".join(chance.choices(string.ascii_letters, k=12))

    def ask(decision: Decision, transport: str) -> None:
        subject = Decision(
            reason=decision.reason, allowed=decision.allowed, application="a", subject=word(), detail=word()
        )
        headers = {"x-tenant": (word(),), "traceparent": (f"00-{chance.getrandbits(128):032x}-00000000000000ff-01",)}
        request = Request(method=word(), target=f"/{word()}", host=word(), headers=headers, transport=transport)
        metrics.observe(request, subject, 0.0001)

    for answer in answers:
        ask(*answer)
    before = len(lines(metrics))
    for number in range(10_000):
        ask(*answers[number % 2])
    assert len(lines(metrics)) == before < 100


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_finds_nothing():
    metrics = busy()
    metrics.observe(Request(), Decision(reason=ALLOWED, allowed=True), 0.001)
    body, _ = renderer(metrics, lambda: 9.0)("")
    told = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False, timeout=60)
    assert (told.returncode, told.stdout, told.stderr) == (0, b"", b"")


def test_a_bucket_leads_to_a_recorded_trace_where_the_scraper_can_read_it():
    metrics = Metrics("1")
    trace = "0af7651916cd43dd8448eb211c80319c"
    for sent, seconds in (
        (f"00-{trace}-b7ad6b7169203331-01", 0.002),
        (f"00-{trace}-b7ad6b7169203331-00", 0.2),
        ("x" * 54 + "1", 0.3),
    ):
        metrics.observe(Request(headers={"traceparent": (sent,)}), Decision(reason=ALLOWED, allowed=True), seconds)
    told = [line for line in lines(metrics, "application/openmetrics-text; version=1.0.0") if b" # " in line]
    assert len(told) == 1
    assert told[0].endswith(b' # {trace_id="%s"} 0.002' % trace.encode())
    assert not [line for line in lines(metrics) if b" # " in line]
