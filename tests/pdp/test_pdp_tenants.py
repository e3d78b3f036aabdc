"""Issuers of many tenants, applications that list their issuers, and APIs that do not get credentials."""

import json

import pytest

from authorizer.jose import sign
from authorizer.model import Request
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer

NOW = 1_800_000_000
PEM = sign.generate("ES256")
KEYS = json.dumps({"keys": [sign.public_jwk(PEM, "ES256", "k")]})
DOCUMENTS = """
kind: Catalog
fields: {tenant: {type: string, scope: assignee}}
---
kind: Application
id: home
http: {hosts: [home.example], issuers: [main], routes: {GET /: authenticated}}
---
kind: Application
id: shared
http: {hosts: [shared.example], issuers: [customers], credentials: strip, routes: {GET /: {persons: [acme/ann, ann]}}}
---
kind: Application
id: narrow
http: {hosts: [narrow.example], issuers: [customers/acme, main], routes: {GET /: authenticated}}
---
kind: Application
id: any
model: pbac+fields
http: {hosts: [any.example], routes: {GET /: {authenticated: true, where: {assignee.tenant: {exists: true}}}}}
---
kind: Issuers
issuers:
  main: {issuer: "https://main.example", audiences: [api], algorithms: [ES256], jwks_file: keys.json}
  customers:
    issuer: https://login.example/{tenant}/v2.0
    tenants: [acme, umbrella]
    namespace: "{tenant}/"
    attributes: {tenant: "{tenant}"}
    audiences: [api]
    algorithms: [ES256]
    jwks_file: keys.json
"""
MAIN, ACME, UMBRELLA, OTHER = "https://main.example", *(
    f"https://login.example/{tenant}/v2.0" for tenant in ("acme", "umbrella", "other")
)  # fmt: skip


def compiled(text):
    return compile_documents({"a.yaml": text.encode(), "keys.json": KEYS.encode()})


@pytest.fixture(scope="module")
def authorizer():
    found = compiled(DOCUMENTS)
    assert [problem for problem in found.problems if problem.severity == "error"] == []
    return Authorizer(build(found.documents(), {}, Options()), clock=lambda: float(NOW))


def ask(authorizer, issuer, host):
    claims = {"iss": issuer, "aud": "api", "sub": "ann", "iat": NOW, "exp": NOW + 600}
    headers = {"authorization": (f"Bearer {sign.sign(claims, PEM, 'ES256', 'k')}",)}
    return authorizer.check(Request(method="GET", target="/", host=host, headers=headers))


@pytest.mark.parametrize(
    ("host", "codes"),
    [
        ("home.example", ["allowed", "issuer_not_accepted", "issuer_not_accepted", "token_issuer"]),
        ("shared.example", ["issuer_not_accepted", "allowed", "no_matching_policy", "token_issuer"]),
        ("narrow.example", ["allowed", "allowed", "issuer_not_accepted", "token_issuer"]),
        ("any.example", ["no_matching_policy", "allowed", "allowed", "token_issuer"]),
    ],
)
def test_who_is_accepted_where(authorizer, host, codes):
    for _ in range(2):
        found = [ask(authorizer, issuer, host) for issuer in (MAIN, ACME, UMBRELLA, OTHER)]
        assert [decision.reason.code for decision in found] == codes
    assert 'error="invalid_token"' in found[-1].challenge


def test_what_was_shown_is_taken_off_where_the_api_says_so(authorizer):
    assert {"authorization", "dpop"} <= set(ask(authorizer, ACME, "shared.example").remove)
    assert not {"authorization", "dpop"} & set(ask(authorizer, ACME, "any.example").remove)


@pytest.mark.parametrize(
    ("old", "new", "codes"),
    [
        ("tenants: [acme, umbrella]", "types: [JWT]", {"T118"}),
        ("tenants: [acme, umbrella]", "tenants: []", {"T118"}),
        ("tenants: [acme, umbrella]", "tenants: [../x]", {"T118"}),
        ("tenants: [acme, umbrella]", f"tenants: [{', '.join(f't{n}' for n in range(201))}]", {"T118"}),
        ("tenants: [acme, umbrella]", "tenants: [acme, acme]", {"AZ202"}),
        ('namespace: "{tenant}/"', "namespace: customers/", {"T107"}),
        ("{tenant}/v2.0", "common", {"T118"}),
        ("issuers: [main]", "issuers: [mane]", {"T407"}),
        ("issuers: [main]", "issuers: []", {"A023"}),
        ("credentials: strip", "credentials: drop", {"A025"}),
    ],
)
def test_what_is_wrong_is_refused(old, new, codes):
    found = compiled(DOCUMENTS.replace(old, new))
    assert codes <= {problem.code for problem in found.problems if problem.severity == "error"}


def test_a_fault_is_told_once_and_not_for_each_tenant():
    faulty = DOCUMENTS.replace('attributes: {tenant: "{tenant}"}', "auds: [api]")
    assert [problem.code for problem in compiled(faulty).problems] == ["AZ204"]
