"""A compiled form unpacked and compiled again is the same form, whatever the documents were."""

import msgspec
import pytest
from hypothesis import given

from authorizer.errors import DocumentError
from authorizer.pdp.sources import compile_documents
from authorizer.policy.authoring.difference import differences
from authorizer.policy.authoring.surgery import comparisons
from authorizer.policy.authoring.unpacking import source_map, unpacked
from authorizer.policy.pbac.compile import compile_form
from tests.policy_oracle.estates import estates, examples, written

SHORT = """\
kind: Application
id: shop
model: pbac+fields
scopes: {admin: [orders.read], "users.*": {as: users}}
fields: {users: {type: string, many: true, scope: assignee}}
claims: {rights: authz}
emit: {upstream: {x-user: $assignee.users}}
http:
  hosts: [api.example]
  unmapped: observe
  routes:
    GET /orders/{id}: {scopes: [orders.read], resource: {id: path.id}}
    GET /users/{id}: {scopes: ["users.*"], where: {resource.id: {in: $assignee.users}}, resource: {id: path.id}}
"""


def back_and_forth(text: str):
    sources = compile_documents({"estate.yaml": text.encode()})
    estate = sources.estate
    if estate is None:
        return
    document = msgspec.json.decode(msgspec.json.encode(sources.compiled["policy"]))
    found = unpacked(document, source_map(estate))
    assert compile_form(found.catalog, found.applications, found.policies, found.eligibility) == document
    places = {policy.id: [leaf.place for _, leaf in comparisons(policy.condition)] for policy in estate.policies}
    assert {policy.id: [leaf.place for _, leaf in comparisons(policy.condition)] for policy in found.policies} == places
    assert {policy.id: policy.place for policy in found.policies} == {
        policy.id: policy.place for policy in estate.policies
    }
    bare = unpacked(document)
    assert all(leaf.place == policy.place for policy in bare.policies for _, leaf in comparisons(policy.condition))
    assert differences(estate, found) == differences(found, estate) == ()


@examples(12, 500)
@given(estates())
def test_estates_come_back(documents):
    back_and_forth(written(documents))


def test_short_forms_come_back():
    back_and_forth(SHORT)


def test_a_map_that_does_not_fit_is_refused():
    sources = compile_documents({"estate.yaml": SHORT.encode()})
    name = next(policy.id for policy in sources.estate.policies if policy.condition is not None)
    for mapped in (
        b"{",
        b"[]",
        msgspec.json.encode({"files": [], "policies": {name: [0, 1]}}),
        msgspec.json.encode({"files": [], "policies": {name: [7, 1, 1]}}),
    ):
        with pytest.raises(DocumentError):
            unpacked(sources.compiled["policy"], mapped)
    with pytest.raises(DocumentError):
        unpacked({})
