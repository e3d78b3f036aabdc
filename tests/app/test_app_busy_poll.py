"""The event loop stays awake only where decisions come quickly one after another, and only for a moment."""

import asyncio
import os

import pytest

from authorizer.app.busy_poll import BusyPoll


@pytest.fixture
def rounds(monkeypatch):
    counted = []
    monkeypatch.setattr(os, "sched_yield", lambda: counted.append(1))
    return counted


async def test_one_decision_alone_keeps_nobody_awake(rounds):
    BusyPoll(0.05).decided()
    await asyncio.sleep(0.01)
    assert not rounds


async def test_decisions_far_apart_keep_nobody_awake(rounds):
    poll = BusyPoll(0.001)
    poll.decided()
    await asyncio.sleep(0.02)
    poll.decided()
    await asyncio.sleep(0.01)
    assert not rounds


async def test_quick_decisions_keep_it_awake_for_a_moment(rounds):
    poll = BusyPoll(0.2)
    poll.decided()
    poll.decided()
    await asyncio.sleep(0.4)
    seen = len(rounds)
    assert seen > 1
    await asyncio.sleep(0.05)
    assert len(rounds) == seen
    poll = BusyPoll(10.0)
    poll.decided()
    poll.decided()
    await asyncio.sleep(0.05)  # others are not kept waiting
    assert len(rounds) > seen
