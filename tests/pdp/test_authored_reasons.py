"""A policy's own word stays its own, also when a later release builds in the same word."""

import pytest

from authorizer import reasons
from authorizer.pdp import rehearsal
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents

SUITE = b"""\
kind: Application
id: app
model: azure+pbac
rights: {r: {}}
http: {hosts: [h], routes: {"GET /r": {right: r}}}
---
kind: Policies
policies: [{id: closed, effect: deny, right: app/r, reason: closed_today}]
---
kind: Tests
suite: s
now: 2030-01-01T00:00:00Z
subjects: {bob: {is: {person: [bob]}}}
cases: [{name: n, as: bob, http: GET h/r, expect: {decision: deny, reason: closed_today}}]
"""


def test_a_word_that_is_built_in_later_does_not_take_over(monkeypatch):
    sources = compile_documents({"a.yaml": SUITE})
    snapshot = build(sources.documents(), {}, Options())
    monkeypatch.setitem(reasons.REASONS, "closed_today", reasons.REASONS["not_ready"])
    (case,) = sources.tests
    decision = rehearsal.ask(snapshot, case)
    assert decision.reason == reasons.Reason("closed_today", "policy", 403, "closed today")
    assert decision.policies == ("closed",)


def test_an_authors_word_is_no_built_in():
    with pytest.raises(KeyError):
        reasons.reason("closed_today")
