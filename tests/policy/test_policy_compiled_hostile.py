"""A compiled policy that means harm though it is signed: no memory by a number alone, no lines within a header."""

import copy

import pytest

from authorizer.errors import AuthorizerError
from authorizer.pdp.snapshot import Options, build
from authorizer.policy.pbac.emitting import is_sound
from authorizer.policy.pbac.form import EmitForm
from tests.policy.asking import compiled

APPLICATION = """
kind: Application
id: shop
http: {hosts: [api.example], routes: {GET /orders: {scopes: [read]}}}
"""


@pytest.mark.parametrize("cases", [2, 2**31, 10**30])
def test_cases_without_parameters_are_not_many(cases):
    document = copy.deepcopy(compiled(APPLICATION))
    (body,) = document["policies"]["bodies"]
    body[-1] = cases
    with pytest.raises(AuthorizerError):
        build({"policy": document}, {"policy": "1"}, Options())


@pytest.mark.parametrize(
    ("header", "value"), [("x\r\ny", "a"), ("x y", "a"), ("", "a"), ("x", "a\r\ny: b"), ("x", "a\x00"), ("x", "\ud800")]
)
def test_what_would_end_a_header_is_not_emitted(header, value):
    emit = EmitForm("upstream", header, "literal", value)
    assert not is_sound(emit, {})
    assert is_sound(EmitForm("upstream", "x", "literal", "a b"), {})
