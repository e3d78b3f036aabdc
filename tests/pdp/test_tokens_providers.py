"""Access tokens in the shapes that well-known providers give them, by the issuers that the page on credentials writes."""

import json
import re
from pathlib import Path

import pytest
import yaml

from authorizer.jose import sign
from authorizer.model import ANYONE, AUTHENTICATED, Identity
from authorizer.pdp import facts, issuers, tokens, trust
from authorizer.pdp.memo import Memo
from authorizer.policy import documents

PAGE = (Path(__file__).parents[2] / "docs" / "credentials.md").read_text()
NOW = 1_800_000_000
PEM = sign.generate("RS256")
KEYS = {"keys": [sign.public_jwk(PEM, "RS256", "k")]}

# Claims, and what the caller is by them. ``iss`` is as the page has it, with its capitals as names.
PROVIDERS = {
    "Keycloak": (
        {"aud": ["orders", "account"], "typ": "Bearer", "azp": "shop", "sub": "u-1", "acr": "1", "scope": "openid read",
         "realm_access": {"roles": ["clerk"]}, "sid": "s"},
        {"person:u-1", "client:shop", "management_role:clerk", "scope:openid", "scope:read"},
    ),
    "Microsoft Entra ID": (
        {"aud": "orders", "azp": "shop", "azpacr": "1", "oid": "o", "roles": ["clerk"], "scp": "read write", "sub": "u-1",
         "tid": "TENANT", "ver": "2.0", "nbf": NOW},
        {"person:u-1", "client:shop", "management_role:clerk", "scope:read", "scope:write"},
    ),
    "Auth0": (
        {"aud": ["orders", "https://TENANT.auth0.com/userinfo"], "azp": "shop", "scope": "read", "sub": "auth0|1",
         "permissions": ["read:orders"], "gty": "password"},
        {"person:auth0|1", "client:shop", "group:read:orders", "scope:read"},
    ),
    "Okta": (
        {"aud": "orders", "cid": "shop", "uid": "u", "scp": ["read"], "sub": "ann@acme.example", "ver": 1, "jti": "AT.1",
         "auth_time": NOW},
        {"person:ann@acme.example", "client:shop", "scope:read"},
    ),
    "Amazon Cognito": (
        {"client_id": "orders", "token_use": "access", "scope": "read", "sub": "u-1", "username": "ann", "jti": "1",
         "cognito:groups": ["clerks"], "auth_time": NOW, "version": 2},
        {"person:u-1", "client:orders", "group:clerks", "scope:read"},
    ),
}  # fmt: skip
ROW = re.compile(r"^\| ([A-Z][^|(]+?) (?:\(.*?\) )?\| `(https://[^`]+)`[^|]*\| (.*) \|$", re.MULTILINE)


def test_the_page_has_them() -> None:
    assert {name for name, _, _ in ROW.findall(PAGE)} == PROVIDERS.keys()


@pytest.mark.parametrize("name", PROVIDERS)
def test_its_tokens_are_understood(name: str) -> None:
    claims, expected = PROVIDERS[name]
    ((_, issuer, more),) = (row for row in ROW.findall(PAGE) if row[0] == name)
    row = {"issuer": issuer, "audiences": ["orders"], "algorithms": ["RS256"], "jwks": KEYS}
    for said in re.findall(r"`((?:claims|audience_claim): [^`]+)`", more):
        row |= yaml.safe_load(said)
    text = json.dumps({"kind": "Issuers", "issuers": {"main": row}})
    compiled, problems = issuers.compile_issuers(documents.load(text, "i.yaml"), lambda _: b"")
    assert problems == []
    token = sign.sign({"iss": issuer, "iat": NOW, "exp": NOW + 3600, **claims}, PEM, "RS256", "k")
    found = tokens.verify(token, trust.load(compiled), facts.NOTHING, Memo(), float(NOW))
    assert isinstance(found, Identity), found
    assert found.tokens == {ANYONE, AUTHENTICATED, *expected}
