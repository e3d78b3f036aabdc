"""The numbers of several processes as one."""

import pytest

from authorizer.model import Decision, Request
from authorizer.reasons import reason
from authorizer.telemetry.exposition import renderer
from authorizer.telemetry.metrics import API_LIMIT, OTHER_API, DecisionKey, MemoUse, Metrics
from authorizer.telemetry.numbers import FleetNumbers, Histogram, Ledger, Numbers, WorkerState, added, numbers, over

KEY = DecisionKey("orders", True, "allowed", "grpc")
OTHER = KEY._replace(allowed=False)
LEFT = Numbers(
    decisions={KEY: 1, OTHER: 2},
    durations={"grpc": Histogram((1, 2), 0.5), "http": Histogram((1, 0), 0.1)},
    log_written={"file": 5},
    log_dropped={("file", "buffer_full"): 1},
    log_waiting=1,
    breaches={"connections": 2},
    activations={("policy", "aa"): 5.0},
    activation_failures={("policy", "AZ301"): 1},
    memo=MemoUse(10, 20, 30),
    in_flight=1,
    loop_lag=0.1,
)
RIGHT = Numbers(
    decisions={KEY: 10},
    durations={"grpc": Histogram((10, 20), 5.0)},
    log_dropped={("opa", "refused"): 4},
    log_failures={"opa": 2},
    log_waiting=2,
    spans={"exported": 1},
    breaches={"connections": 3},
    activations={("policy", "aa"): 4.0, ("policy", "bb"): 9.0},
    memo=MemoUse(1, 2, 3),
    in_flight=2,
    loop_lag=0.3,
)
BOTH = Numbers(
    decisions={KEY: 11, OTHER: 2},
    durations={"grpc": Histogram((11, 22), 5.5), "http": Histogram((1, 0), 0.1)},
    log_written={"file": 5},
    log_dropped={("file", "buffer_full"): 1, ("opa", "refused"): 4},
    log_failures={"opa": 2},
    log_waiting=3,
    spans={"exported": 1},
    breaches={"connections": 5},
    activations={("policy", "aa"): 5.0, ("policy", "bb"): 9.0},
    activation_failures={("policy", "AZ301"): 1},
    memo=MemoUse(11, 22, 33),
    in_flight=3,
    loop_lag=0.3,
)


def test_numbers_add_up_whichever_comes_first():
    assert added(LEFT, RIGHT) == added(RIGHT, LEFT) == BOTH
    assert added(LEFT, Numbers()) == LEFT


def test_of_a_process_that_ended_the_counts_stay():
    ended = over(LEFT)
    assert (ended.decisions, ended.durations, ended.memo) == (LEFT.decisions, LEFT.durations, MemoUse(0, 20, 30))
    assert (ended.in_flight, ended.loop_lag, ended.activations) == (0, 0.0, {})


def test_numbers_are_a_copy_of_the_metrics():
    metrics = Metrics("1")
    metrics.observe(Request(), Decision(reason=reason("no_route"), application="a"), 0.001)
    metrics.bundle_activated("policy", "aa", 1.0)
    metrics.loop_lagged(0.2)
    before = numbers(metrics)
    metrics.observe(Request(), Decision(reason=reason("no_route"), application="a"), 0.001)
    assert list(before.decisions.values()) == [1]
    assert sum(before.durations["grpc"].counts) == 1
    assert before.activations == {("policy", "aa"): 1.0}
    assert before.loop_lag == 0.2


def test_totals_never_go_backwards_when_a_worker_dies_and_another_takes_its_place():
    ledger = Ledger()
    ledger.heard(0, LEFT)
    ledger.heard(1, RIGHT)
    assert ledger.total().decisions[KEY] == 11
    ledger.ended(1)
    assert ledger.total().decisions[KEY] == 11
    assert ledger.total().in_flight == 1
    assert ledger.present(1) == Numbers()
    ledger.ended(1)
    ledger.heard(1, RIGHT)
    assert ledger.total().decisions[KEY] == 21
    assert ledger.total(own=LEFT).decisions[KEY] == 22


def test_many_workers_with_many_apis_are_shown_with_as_many_labels_as_one():
    ledger = Ledger()
    for worker in range(3):
        names = (f"{worker}-{number}" for number in range(API_LIMIT))
        ledger.heard(worker, Numbers(decisions={KEY._replace(api=name): 1 for name in names}))
    first, again = ledger.total().decisions, ledger.total().decisions
    assert first == again
    assert len(first) == API_LIMIT + 2
    assert sum(first.values()) == 3 * API_LIMIT
    assert first[KEY._replace(api=OTHER_API)] == 3 * API_LIMIT - len(first) + 1


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_a_fleet_is_shown_as_sums_and_by_worker(accept):
    fleet = FleetNumbers(BOTH_WHOLE, {0: WorkerState(True, 0, LEFT), 1: WorkerState(False, 3, Numbers())})
    text = renderer(Metrics("1"), lambda: 0.0, lambda: fleet)(accept)[0].decode()
    for line in (
        'authorizer_decisions_total{api="orders",decision="allow",reason_class="allowed",transport="grpc"} 11.0',
        'authorizer_worker_up{worker="0"} 1.0',
        'authorizer_worker_up{worker="1"} 0.0',
        'authorizer_worker_restarts_total{worker="1"} 3.0',
        'authorizer_requests_in_flight{worker="0"} 1.0',
        'authorizer_token_memo_entries{worker="0"} 10.0',
        'authorizer_event_loop_lag_seconds{worker="0"} 0.1',
        'authorizer_bundle_info{bundle="policy",revision="bb"} 1.0',
        'authorizer_bundle_last_activation_timestamp_seconds{bundle="policy"} 9.0',
    ):
        assert line in text.splitlines()
    assert 'memo_entries{worker="1"}' not in text


BOTH_WHOLE = Numbers(decisions=BOTH.decisions, activations=BOTH.activations, memo=BOTH.memo)
