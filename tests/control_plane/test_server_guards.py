"""The guards of a compiled policy: which policies are about a route, and that a broken one hides nothing."""

import json

import pytest

from authorizer.control_plane.server.guards import guards_of
from authorizer.errors import DocumentError
from authorizer.pdp.sources import compile_documents

TEXT = b"""\
kind: Application
id: shop
model: azure+pbac
fields: {tenant: {type: string}}
rights: {read: {fields: [tenant]}, write: {}, close: {}}
roles: {clerk: [read, write]}
http:
  hosts: [a.example, b.example]
  routes:
    GET /orders: {right: read, resource: {tenant: query.tenant}}
    POST /orders: {right: write}
    DELETE /orders: {right: close}
---
kind: Policies
policies:
  - {id: everybody, effect: deny, right: shop/*, reason: closed_today, to: {group: banned}}
  - {id: gate, effect: gate, on: shop/read, where: {resource.tenant: {in: [a, b]}}, reason: wrong_tenant}
  - {id: clerks, role: shop/clerk, to: {group: clerks}}
  - {id: readers, right: shop/read, to: {group: readers}, where: {resource.tenant: {in: [a, b]}}}
"""


def document() -> dict:
    return json.loads(json.dumps(compile_documents({"a.yaml": TEXT}).documents()["policy"]))


def told(document: dict) -> dict[tuple[str, str], tuple[str, ...]]:
    return {(guard.method, guard.host): guard.policies for guard in guards_of(document)}


def test_a_guard_names_all_policies_about_its_right():
    guards = told(document())
    assert len(guards) == 6
    assert guards["GET", "a.example"] == guards["GET", "b.example"] == ("clerks", "everybody", "gate", "readers")
    assert guards["POST", "a.example"] == ("clerks", "everybody")
    assert guards["DELETE", "a.example"] == ("everybody",)


@pytest.mark.parametrize("template", [99, 0])
def test_an_unreadable_policy_leaves_all_routes_guarded(template):
    spoiled = document()
    for body in spoiled["policies"]["bodies"]:
        body[0] = template
    assert told(spoiled) == told(document())


def test_what_is_no_policy_has_no_guards():
    with pytest.raises(DocumentError):
        list(guards_of({"format": 1}))
