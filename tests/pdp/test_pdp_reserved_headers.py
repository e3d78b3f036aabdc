"""Headers that policies set, from clients behind gateways that neither set nor clean them: forward-auth."""

import pytest

from authorizer.model import Request
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer

NATIVE = b"""
kind: Application
id: api
model: pbac+fields
fields: {owner: {type: string, scope: [resource]}}
emit: {upstream: {x-plan: gold, x-told: gold}}
rights: {list: {fields: [owner]}}
http:
  unmapped: allow
  hosts: [api.example]
  routes: {"GET /rows": {right: list, mode: filter}}
---
kind: Policies
policies: [{id: own, right: api/list, to: {anyone: true}, where: {resource.owner: {eq: me}}}]
"""
REGO = b"""package envoy.authz
allow := {"allowed": true, "headers": {"x-who": "bob", "authorization": "Basic eA=="}, "request_headers_to_remove": ["x-debug"]}
"""
DECIDED = b"""
kind: Application
id: ruled
rego: {input: envoy}
http: {hosts: [ruled.example]}
"""


def code(host, target, transport, header):
    documents = compile_documents({"a.yaml": NATIVE, "b.yaml": DECIDED, "b.rego": REGO}).documents()
    authorizer = Authorizer(build(documents, {"policy": "1"}, Options(identity_headers={"x-told": "subject"})))
    request = Request(method="GET", target=target, host=host, transport=transport, headers={header: ("true",)})
    return authorizer.check(request).reason.code


@pytest.mark.parametrize(
    ("host", "target", "header", "http"),
    [
        ("api.example", "/rows", "x-authz-filter", "header_reserved"),
        ("api.example", "/rows", "x-plan", "header_reserved"),
        ("api.example", "/rows", "x-told", "allowed"),  # the gateway knows of it
        ("api.example", "/rows", "x-else", "allowed"),
        ("api.example", "/else", "x-authz-filter", "header_reserved"),
        ("ruled.example", "/", "x-who", "header_reserved"),
        ("ruled.example", "/", "x_who", "header_reserved"),
        ("ruled.example", "/", "x-debug", "header_reserved"),
        ("ruled.example", "/", "authorization", "allowed"),
    ],
)
def test_a_clients_own_copy_does_not_pass_as_the_policies_word(host, target, header, http):
    assert code(host, target, "http", header) == http
    assert code(host, target, "grpc", header) in {"allowed", "unmapped"}  # Envoy overwrites and removes it
