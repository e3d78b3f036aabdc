"""Which credential a request carries: one at most, in a form that has one reading."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.model import Reason, Request
from authorizer.pdp.canonical import MAX_CREDENTIAL
from authorizer.pdp.credentials import Credential, KeyPlaces, by_proof, read

BOTH = KeyPlaces("x-api-key", "key")


def told(answer):
    if isinstance(answer, Credential):
        return f"{answer.scheme} {answer.text}"
    return answer.code if isinstance(answer, Reason) else answer


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), None),
        (("Bearer abc.DEF-_~+/==",), "bearer abc.DEF-_~+/=="),
        (("bEaReR   x",), "bearer x"),
        (("Bearer =a",), "credential_malformed"),
        (("Bearer a=b",), "credential_malformed"),
        (("Bearer a ",), "credential_malformed"),
        ((" Bearer a",), "credential_malformed"),
        (("Bearer\u00a0a",), "credential_malformed"),
        (("",), "credential_malformed"),
        (("Bearer a\udcff",), "credential_malformed"),
        (("Bearer a, b",), "credential_repeated"),
        (("Bearer a", "Bearer a"), "credential_repeated"),
        (("DPoP a",), "dpop a"),
        (("dpOP  a",), "dpop a"),
        (("Basic a",), "credential_scheme"),
        (("Basic a, Bearer b",), "credential_scheme"),
        (("Bearer " + "a" * MAX_CREDENTIAL,), "token_too_large"),
    ],
)
def test_credential(values, expected):
    assert told(read(Request(headers={"authorization": values} if values else {}))) == expected


@pytest.mark.parametrize(
    ("headers", "target", "expected"),
    [
        ({}, "/a?b=c", None),
        ({"x-api-key": ("k",)}, "/a", "key k"),
        ({}, "/a?x=1&key=k", "key k"),
        ({}, "/a?k%65y=k", "key k"),
        ({}, "/a?key", "key "),
        ({"x-api-key": ("k", "k")}, "/a", "credential_repeated"),
        ({"x-api-key": ("k",)}, "/a?key=k", "credential_repeated"),
        ({}, "/a?key=k&key=k", "credential_repeated"),
        ({"x-api-key": ("k",), "authorization": ("Bearer t",)}, "/a", "credential_repeated"),
        ({"authorization": ("Bearer t",)}, "/a?key=", "credential_repeated"),
        ({"authorization": ("Bearer t",)}, "/a?keys=k", "bearer t"),
    ],
)
def test_api_keys(headers, target, expected):
    assert told(read(Request(headers=headers, target=target), BOTH)) == expected


def test_where_no_key_is_looked_for_there_is_none():
    request = Request(headers={"x-api-key": ("k",)}, target="/a?key=k")
    assert read(request) is None
    assert told(read(request, KeyPlaces("x-api-key"))) == "key k"
    assert told(read(request, KeyPlaces("", "key"))) == "key k"


@pytest.mark.parametrize(
    ("value", "expected"), [("DPoP x", True), ("dpop ", True), ("Bearer x", False), ("DPoPx", False)]
)
def test_who_speaks_dpop(value, expected):
    assert by_proof(Request(headers={"authorization": (value,)})) is expected


@given(st.text(), st.text())
def test_nothing_makes_it_raise(value, target):
    assert isinstance(
        read(Request(headers={"authorization": (value,)}, target=target), BOTH), Credential | Reason | None
    )
