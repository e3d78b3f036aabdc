"""What an allow sets and takes off, what becomes of requests without a route, and of lookups that find nothing."""

import pytest
from msgspec.structs import replace

from authorizer.model import ANYONE, Decision, Identity, Request
from authorizer.pdp.decide import decide, environment, judge, numbered
from authorizer.pdp.finding import find
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.reasons import UNMAPPED

NOW = 1_800_000_000.0
SHOP = """
kind: Application
id: shop
model: pbac+fields
fields:
  tenant: {type: string, scope: [resource, assignee]}
  regions: {type: string, many: true, scope: assignee}
  limit: {type: decimal, scope: assignee}
rights: {read: {fields: [tenant], emit: {response: {x-read: yes it was}}}, write: {fields: [tenant]}}
emit: {upstream: {x-tenant: $assignee.tenant, x-regions: $assignee.regions, x-call: $decision.id}, response: {x-id: $decision.id}}
http:
  hosts: [shop.example]
  routes:
    GET /t/{tenant}/{id}: {right: read, resource: {tenant: path.tenant, id: path.id}}
    PUT /t/{tenant}/{id}: {right: write, on_miss: deny, resource: {id: path.id, tenant: lookup.tenant}}
---
kind: Policies
policies:
  - {id: readers, right: shop/read, to: {group: g},
     emit: {upstream: {x-rights: $decision.policies, x-of: $resource.id, x-limit: $assignee.limit, x-who: $decision.subject}}}
  - {id: also, right: shop/read, to: {group: g}, where: {resource.id: {prefix: a}}}
  - {id: writers, right: shop/write, to: {group: g}}
---
kind: Facts
lookups: {shop: {known: {tenant: acme}}}
"""
OTHERS = """
{kind: Application, id: open, emit: {upstream: {x-mine: mine}}, rights: {r: {}},
 http: {unmapped: allow, hosts: [open.example, "*.open.example"], routes: {GET /guarded: {right: r}, "GET /all/{rest=**}": {right: r}, POST /form: {right: r}}}}
---
{kind: Application, id: seen, rights: {r: {}}, http: {unmapped: observe, hosts: [seen.example], routes: {GET /r: {right: r}}}}
---
{kind: Application, id: half, rights: {r: {}}, http: {unmapped: allow, hosts: [seen.example], routes: {GET /h: {right: r}}}}
"""
OPTIONS = Options(identity_headers={"x-auth-subject": "subject", "x-auth-decision": "decision_id"})
ANN = Identity(
    subject="ann",
    tokens=frozenset({ANYONE, "group:g"}),
    attributes={"tenant": "zażółć", "regions": ("no", "p,l"), "limit": "10.50"},
)
EMPTY = Identity(subject="eve", tokens=ANN.tokens)


def compiled(text: str):
    found = compile_documents({"a.yaml": text.encode()})
    assert found.compiled, "\n".join(map(str, found.problems))
    return replace(build(found.documents(), {}, OPTIONS), ready=True)


SNAPSHOT = compiled(SHOP)
STRAY = compiled(OTHERS)


def asked(identity: Identity, method: str, target: str) -> Decision:
    request = Request(method=method, target=target, host="shop.example")
    found = find(SNAPSHOT, request)
    resource = found.guard.extract(found.match, found.query, request, {}, SNAPSHOT.facts.lookup)
    env = environment(SNAPSHOT, request, identity, NOW)
    return numbered(SNAPSHOT, judge(SNAPSHOT, found.guard, identity, resource, env, NOW), "d-1")


def test_headers_are_filled_in():
    found = asked(ANN, "GET", "/t/acme/a%20b")
    assert found.allowed
    assert dict(found.upstream) == {
        "x-auth-subject": "ann",
        "x-auth-decision": "d-1",
        "x-call": "d-1",
        "x-tenant": "za%C5%BC%C3%B3%C5%82%C4%87",
        "x-regions": "no,p%2Cl",
        "x-rights": "also,readers",
        "x-of": "a%20b",
        "x-limit": "10.50",
        "x-who": "ann",
    }
    assert dict(found.response) == {"x-id": "d-1", "x-read": "yes it was"}
    assert found.remove == ()


def test_what_is_not_set_is_taken_off():
    found = asked(EMPTY, "GET", "/t/acme/b")
    assert dict(found.upstream) == {
        "x-auth-subject": "eve", "x-auth-decision": "d-1", "x-call": "d-1", "x-rights": "readers", "x-of": "b",
        "x-who": "eve",
    }  # fmt: skip
    assert found.remove == ("x-limit", "x-regions", "x-tenant")
    found = asked(EMPTY, "PUT", "/t/acme/known")
    assert found.allowed
    assert found.remove == ("x-limit", "x-of", "x-regions", "x-rights", "x-tenant", "x-who")


def test_a_denial_sets_nothing():
    found = asked(Identity(subject="joe"), "GET", "/t/acme/b")
    assert (found.allowed, found.upstream, found.response, found.numbers) == (False, (), (), ())


def test_a_callers_copy_in_another_spelling_is_refused():
    request = Request(method="GET", target="/t/acme/b", host="shop.example", headers={"x_tenant": ("acme",)})
    assert decide(SNAPSHOT, request, NOW, "d").reason.code == "header_underscore"


def test_a_lookup_that_finds_nothing_denies_where_the_route_says_so():
    request = Request(method="PUT", target="/t/acme/other", host="shop.example")
    found = find(SNAPSHOT, request)
    missed = found.guard.extract(found.match, found.query, request, {}, SNAPSHOT.facts.lookup)
    assert missed.code == "lookup_miss"


@pytest.mark.parametrize(
    ("method", "host", "target", "allowed"),
    [
        ("GET", "open.example", "/new", True),
        ("PUT", "a.open.example", "/new?x=1", True),
        ("PUT", "open.example", "/guarded", True),
        ("POST", "open.example", "/all/x", True),
        ("GET", "open.example", "/guarded", False),
        ("GET", "open.example", "/guarded/", False),
        ("HEAD", "open.example", "/guarded", False),
        ("HEAD", "open.example", "/guarded/", False),
        ("HEAD", "open.example", "/form", True),
        ("GET", "open.example", "/a//b", False),
        ("GET", "open.example", "/a%2fb", False),
        ("GET", "seen.example", "/new", False),
        ("GET", "elsewhere.example", "/new", False),
    ],
)
def test_requests_without_a_route(method, host, target, allowed):
    found = decide(STRAY, Request(method=method, target=target, host=host), NOW, "d-1")
    assert found.allowed is allowed, found
    if allowed:
        assert (found.reason, found.application, found.operation, found.subject) == (UNMAPPED, "open", "unmapped", "")
        assert found.remove == ("x-auth-subject", "x-mine")
        assert "unmapped: allow" in found.detail


def test_observed_requests_are_told_in_the_log():
    found = decide(STRAY, Request(method="GET", target="/new", host="seen.example"), NOW, "d-1")
    assert (found.reason.code, "observed" in found.detail) == ("no_route", True)
