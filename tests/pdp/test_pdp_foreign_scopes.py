"""Scopes that a partner's issuer asserts are the partner's, whoever is told of them: policies, rules, APIs."""

import json

import pytest

from authorizer.jose import sign
from authorizer.jose.encoding import decode_base64url
from authorizer.model import KINDS, Request
from authorizer.pdp.assertions import Asserting
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer

NOW = 1_795_000_000.0
MAIN, PARTNER = "https://main.example", "https://partner.example"
PEM = sign.generate("ES256")
FILES = {
    "a.yaml": b"""
kind: Application
id: api
http: {hosts: [api.example], routes: {GET /: {groups: [staff, partner/staff]}}}
---
kind: Application
id: ruled
rego: {entrypoint: acp/authz/allow, input: cloudentity}
http: {hosts: [ruled.example]}
""",
    "rules/acp.rego": b'package acp.authz\nallow if input.contexts.scopes["admin"]\n',
}


@pytest.fixture(scope="module")
def authorizer():
    jwks = {"keys": [sign.public_jwk(PEM, "ES256", "k")]}
    row = {"audiences": ["api"], "algorithms": ["ES256"], "jwks": jwks}
    issuers = {"main": row | {"issuer": MAIN}, "partner": row | {"issuer": PARTNER, "namespace": "partner/"}}
    documents = compile_documents(FILES | {"i.yaml": json.dumps({"kind": "Issuers", "issuers": issuers}).encode()})
    key = sign.load_private(PEM, "ES256")
    options = Options(
        identity_headers={"x-scopes": "scopes", "x-assertion": "assertion"},
        asserting=Asserting(key=key, key_id="k", algorithm="ES256", issuer="us", seconds=60),
    )
    return Authorizer(build(documents.documents(), dict.fromkeys(KINDS, "1"), options), clock=lambda: NOW)


def ask(authorizer, issuer, host, **claims):
    body = {"iss": issuer, "aud": "api", "sub": "eve", "iat": int(NOW), "exp": int(NOW) + 60, "groups": ["staff"]}
    headers = {"authorization": (f"Bearer {sign.sign(body | claims, PEM, 'ES256', 'k')}",)}
    return authorizer.check(Request(method="GET", target="/", host=host, scheme="https", headers=headers))


@pytest.mark.parametrize(
    ("issuer", "claims", "told", "ruled"),
    [
        (MAIN, {"scope": "admin read"}, "admin read", "allowed"),
        (PARTNER, {"scope": "admin read"}, "partner/admin partner/read", "rego_undefined"),
        (PARTNER, {"scp": ["admin"]}, "partner/admin", "rego_undefined"),
    ],
)
def test_they_have_the_namespace(authorizer, issuer, claims, told, ruled):
    upstream = dict(ask(authorizer, issuer, "api.example", **claims).upstream)
    said = json.loads(decode_base64url(upstream["x-assertion"].split(".")[1]))
    assert (upstream["x-scopes"], said["scope"]) == (told, told)
    assert ask(authorizer, issuer, "ruled.example", **claims).reason.code == ruled


@pytest.mark.parametrize("claims", [{"scp": ["x admin"]}, {"scope": "x\u00a0admin"}, {"scp": ["x", "\u3000"]}])
def test_one_scope_is_never_two(authorizer, claims):
    for host in ("api.example", "ruled.example"):
        assert ask(authorizer, PARTNER, host, **claims).reason.code == "token_claims"
