"""A way that is remembered is the way that would be found, and nothing is refused less or otherwise for it."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from authorizer.model import Request
from authorizer.pdp import ways
from authorizer.pdp.finding import find
from authorizer.pdp.recent import Recent
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents

POLICIES = b"""
kind: Application
id: api
model: azure
http:
  hosts: [api.example, '*.wide.example']
  accept: [method_override, path_parameters]
  routes: {GET /: , GET /a: , PUT /a: , 'GET /a/{id}': , 'GET /files/{path=**}': , 'GET /files/': }
---
kind: Application
id: strict
model: azure
http: {hosts: [strict.example], routes: {GET /a: , '* /b': }}
"""
SNAPSHOT = build(compile_documents({"policies.yaml": POLICIES}).documents(), {}, Options())

REQUESTS = st.builds(
    Request,
    method=st.sampled_from(["GET", "PUT", "get", "", "CONNECT"]),
    target=st.builds(
        str.__add__,
        st.sampled_from(["/", "/a", "/a/", "/a/1", "/a/..", "/a/%31", "/a;x", "/b", "/files/x", "/files/", "//", "", "/" + "a" * 300]),
        st.sampled_from(["", "?", "?x=1", "?_method=PUT", "?%5fmethod=PUT", "?a#b", "?a b", "?\u00e9", "?" + "a" * 8190, "#x"]),
    ),
    host=st.sampled_from(["api.example", "API.example:80", "strict.example", "x.wide.example", "none", "", "a,b"]),
    headers=st.sampled_from([{}, {"a": ("b",)}, {"x-http-method": ("PUT",)}, {"x_method_override": ("PUT",)}, {"a": ("\n",)}, {"A b": ("",)}]),
    context=st.sampled_from([{}, {"application": "strict"}]),
)  # fmt: skip


@settings(max_examples=200)
@given(st.lists(REQUESTS, min_size=2, max_size=40), st.sampled_from([2, 1000]))
def test_what_is_remembered_is_what_is_found(requests, most):
    snapshot = replace(SNAPSHOT, ways=Recent(most))
    for request in (*requests, *requests):
        assert find(snapshot, request) == find(replace(SNAPSHOT, ways=Recent(2)), request)
        assert len(snapshot.ways) <= most


def test_only_plain_requests_are_remembered():
    snapshot = replace(SNAPSHOT, ways=Recent(100))
    for target in ("/a", "/a?x=1", "/a?_method=PUT", "/a;x", "/none", "/a/" + "1" * ways.LONGEST):
        find(snapshot, Request(method="GET", target=target, host="api.example"))
    assert len(snapshot.ways) == 1


def test_what_is_in_use_stays_among_what_is_seen_once():
    recent = Recent(4)
    recent.keep("used", 1)
    for number in range(100):
        recent.keep(number, number)
        assert recent.find("used") == 1
        assert len(recent) <= 4
    assert recent.find(0) is None
