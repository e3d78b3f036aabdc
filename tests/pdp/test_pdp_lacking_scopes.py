"""Who gets a challenge for scopes: whom they would let pass, and who can get them."""

import json

import pytest

from authorizer.jose import sign
from authorizer.model import KINDS, Request
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer

NOW = 1_795_000_000.0
MAIN, PARTNER = "https://main.example", "https://partner.example"
POLICIES = """
kind: Application
id: api
http:
  hosts: [api.example]
  routes:
    GET /scope: {scopes: [read]}
    GET /both: {scopes: [read], roles: [admin]}
    GET /all: {scopes: [read, write]}
    GET /role: {roles: [admin]}
    GET /partner: {scopes: [partner/read]}
"""
PEM = sign.generate("ES256")


@pytest.fixture(scope="module")
def authorizer():
    jwks = {"keys": [sign.public_jwk(PEM, "ES256", "k")]}
    row = {"audiences": ["api"], "algorithms": ["ES256"], "jwks": jwks}
    issuers = {"main": row | {"issuer": MAIN}, "partner": row | {"issuer": PARTNER, "namespace": "partner/"}}
    documents = {
        "a.yaml": POLICIES.encode(),
        "i.yaml": json.dumps({"kind": "Issuers", "issuers": issuers}).encode(),
    }
    snapshot = build(compile_documents(documents).documents(), dict.fromkeys(KINDS, "1"), Options())
    return Authorizer(snapshot, clock=lambda: NOW)


@pytest.mark.parametrize(
    ("path", "issuer", "claims", "asked"),
    [
        ("/scope", MAIN, {}, "read"),
        ("/scope", MAIN, {"scope": "other"}, "read"),
        ("/scope", PARTNER, {}, None),
        ("/both", MAIN, {}, None),
        ("/both", MAIN, {"scope": "read"}, None),
        ("/both", MAIN, {"roles": ["admin"]}, "read"),
        ("/all", MAIN, {"scope": "write"}, "read write"),
        ("/role", MAIN, {}, None),
        ("/partner", MAIN, {}, None),
        ("/partner", PARTNER, {"scope": "write"}, "read"),
    ],
)
def test_scopes_are_asked_for_where_they_are_all_that_is_lacking(authorizer, path, issuer, claims, asked):
    body = {"iss": issuer, "aud": "api", "sub": "ann", "iat": int(NOW), "exp": int(NOW) + 60} | claims
    headers = {"authorization": (f"Bearer {sign.sign(body, PEM, 'ES256', 'k')}",)}
    decision = authorizer.check(Request(method="GET", target=path, host="api.example", headers=headers))
    expected = "" if asked is None else f'Bearer realm="api", error="insufficient_scope", scope="{asked}"'
    assert (decision.reason.code, decision.challenge) == ("no_matching_policy", expected)
