"""The Authorizer never raises and never allows by accident."""

import pytest
from msgspec.structs import replace

from authorizer.model import Request
from authorizer.pdp.snapshot import EMPTY, Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer

POLICIES = b"""
kind: Application
id: api
model: pbac
rights: {read: {}, write: {}}
http: {hosts: [api.example], routes: {GET /: {right: read}, PUT /: {right: write}}}
---
kind: Policies
policies:
  - {id: everyone, right: api/read, to: {anyone: true}}
  - {id: readers, right: api/write, to: {group: writers}}
"""
OPEN = Request(method="GET", target="/", host="api.example")


@pytest.fixture
def snapshot():
    compiled = compile_documents({"policies.yaml": POLICIES})
    return build(compiled.documents(), {"policy": "r1"}, Options(identity_headers={"x-auth-subject": "subject"}))


def test_nothing_is_allowed_before_there_is_a_policy():
    authorizer = Authorizer()
    assert not authorizer.ready
    decision = authorizer.check(OPEN)
    assert (decision.allowed, decision.reason.code, decision.reason.status) == (False, "not_ready", 503)


def test_an_allow_tells_by_what_and_takes_away_what_it_does_not_set(snapshot):
    decision = Authorizer(snapshot).check(OPEN)
    assert decision.allowed
    assert (decision.policies, decision.sources) == (("everyone",), ("policies.yaml:10:5",))
    assert (decision.upstream, decision.remove) == ((), ("x-auth-subject",))
    assert decision.revision == "r1"


def test_without_a_credential_the_first_answer_is_to_log_in(snapshot):
    decision = Authorizer(snapshot).check(replace(OPEN, method="PUT"))
    assert (decision.reason.code, decision.challenge) == ("no_credential", 'Bearer realm="api"')


@pytest.mark.parametrize("missing", ["policy", "facts", "trust"])
def test_all_three_documents_are_needed(missing):
    documents = compile_documents({"policies.yaml": POLICIES}).documents()
    del documents[missing]
    assert Authorizer(build(documents, {}, Options())).check(OPEN).reason.code == "not_ready"


def test_what_is_too_old_denies_and_is_not_ready(snapshot):
    now = 100.0
    authorizer = Authorizer(snapshot, clock=lambda: now)
    authorizer.stale_after = 100.5
    assert authorizer.ready
    assert authorizer.check(OPEN).allowed
    now = 100.5
    assert not authorizer.ready
    assert authorizer.check(OPEN).reason.code == "stale"


def test_a_denial_tells_which_policies_were_in_force(snapshot):
    authorizer = Authorizer(snapshot, clock=lambda: 100.0)
    assert authorizer.check(replace(OPEN, target="/x")).reason.code == "no_route"
    assert authorizer.check(replace(OPEN, target="/x")).revision == "r1"
    assert authorizer.refuse("bad_check", Request()).revision == "r1"
    authorizer.stale_after = 0.0
    assert authorizer.check(OPEN).revision == "r1"
    assert Authorizer().check(OPEN).revision == ""


@pytest.mark.parametrize("broken", ["snapshot", "clock", "program", "routes"])
def test_a_fault_is_a_denial_and_is_reported(snapshot, broken):
    def fail(*_args):
        raise RuntimeError("secret of the request")

    reported = []
    authorizer = Authorizer(snapshot, report=reported.append)
    if broken == "snapshot":
        authorizer.snapshot = None
    elif broken == "clock":
        authorizer._clock = fail
    else:
        authorizer.snapshot = replace(snapshot, **{broken: type("Broken", (), {"decide": fail, "resolve": fail})()})
    decision = authorizer.check(OPEN)
    assert (decision.allowed, decision.reason.code, decision.reason.status) == (False, "internal_error", 503)
    assert len(reported) == 1


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_observer_that_fails_changes_nothing(snapshot, method):
    def fail(*_args):
        raise RuntimeError

    request = replace(OPEN, method=method)
    reported = []
    with_observer = Authorizer(snapshot, observe=fail, report=reported.append).check(request)
    assert with_observer.allowed is Authorizer(snapshot).check(request).allowed
    assert len(reported) == 1


def test_a_refusal_is_observed_and_has_an_id_of_its_own(snapshot):
    seen = []
    authorizer = Authorizer(snapshot, observe=lambda *event: seen.append(event))
    first, second = authorizer.refuse("bad_check", Request()), authorizer.refuse("bad_check", Request())
    assert [event[1] for event in seen] == [first, second]
    assert first.id != second.id
    assert not first.allowed


def test_the_gateway_and_the_route_must_agree_on_the_application(snapshot):
    authorizer = Authorizer(snapshot)
    assert authorizer.check(replace(OPEN, context={"application": "api"})).allowed
    assert authorizer.check(replace(OPEN, context={"application": "other"})).reason.code == "context_mismatch"


def test_the_empty_snapshot_denies():
    assert not EMPTY.ready


def test_a_grant_whose_obligation_nobody_would_hear_of_does_not_grant():
    told = POLICIES.replace(
        b"to: {anyone: true}}", b"to: {anyone: true}, obligations: [{id: tell, type: notification}]}"
    )
    documents = compile_documents({"policies.yaml": told}).documents()
    assert Authorizer(build(documents, {}, Options())).check(OPEN).allowed
    decision = Authorizer(build(documents, {}, Options(performs=frozenset()))).check(OPEN)
    assert (decision.allowed, decision.reason.code) == (False, "obligation_unknown")


@pytest.mark.parametrize(
    ("asked", "detail"),
    [
        (replace(OPEN, host="other.example"), "no application has the host other.example"),
        (replace(OPEN, method="POST"), "no route of api.example has this method and path"),
    ],
)
def test_the_log_tells_an_unknown_host_from_an_unknown_path(snapshot, asked, detail):
    decision = Authorizer(snapshot).check(asked)
    assert (decision.reason.code, decision.detail) == ("no_route", detail)


def test_a_refusal_says_to_the_log_what_the_door_knows():
    decision = Authorizer().refuse("forwarded_missing", Request(), "no gateway has this address")
    assert decision.detail == "no gateway has this address"
    assert Authorizer().refuse("forwarded_missing", Request()).detail == decision.reason.text
