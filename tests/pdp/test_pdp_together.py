"""A token and a key or certificate beside it: what is whose, and that nobody gains by showing more."""

import pytest
from msgspec.structs import replace

from authorizer.jose import sign
from authorizer.model import AUTHENTICATED, Identity, Reason, Request
from authorizer.pdp.api_keys import make
from authorizer.pdp.decide import decide
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.pdp.together import Joined, join
from tests.forge.world import world

NOW = 1_800_000_000.0
WORLD = world(NOW)
JOB, TRIAL = (make(bytes([seed]) * 42, b"") for seed in (101, 102))
DOCUMENTS = f"""
kind: Catalog
fields: {{tenant: {{type: string, scope: assignee}}, plan: {{type: string, scope: assignee}}}}
---
kind: Application
id: border
model: pbac+fields
fields: {{country: {{type: enum, values: [PL, NO], scope: assignee}}}}
claims: {{fields: {{country: authz.country}}}}
rights: {{read: {{}}}}
http: {{hosts: [border.example], client_by: api_key, routes: {{GET /: {{right: read}}}}}}
---
kind: Application
id: shop
model: pbac+fields
rights: {{read: {{}}, bulk: {{}}, quit: {{}}, pro: {{}}}}
http:
  hosts: [shop.example]
  client_by: api_key
  routes: {{GET /read: {{right: read}}, GET /bulk: {{right: bulk}}, GET /quit: {{right: quit}}, GET /pro: {{right: pro}}}}
---
kind: Policies
policies:
  - {{id: ann, right: shop/read, to: {{person: ann}}}}
  - {{id: not-portal, effect: deny, right: shop/read, to: {{client: portal}}, reason: portal_closed}}
  - {{id: job, right: shop/bulk, to: {{client: job}}}}
  - {{id: jobs, right: shop/quit, to: {{group: jobs}}}}
  - {{id: poles, right: border/read, to: {{person: ann}}, where: {{assignee.country: {{eq: PL}}}}}}
  - {{id: pro, right: shop/pro, to: {{person: ann}}, where: {{assignee.plan: {{eq: pro}}}}}}
---
kind: Facts
subscriptions: {{acme: {{plan: pro}}}}
revoked: {{client: {{trial: {{until: 2100-01-01T00:00:00Z}}}}}}
---
kind: ApiKeys
keys:
  {JOB[1]}: {{hash: "{JOB[2]}", is: {{client: [job], group: [jobs]}}, attributes: {{tenant: acme, country: PL}}}}
  {TRIAL[1]}: {{hash: "{TRIAL[2]}", is: {{client: [trial]}}}}
---
kind: Issuers
issuers:
  main: {{issuer: "https://login.example", audiences: [api], algorithms: [ES256], jwks_file: keys.json,
    claims: {{fields: {{tenant: tenant}}}}}}
"""
FILES = {"a.yaml": DOCUMENTS.encode(), "keys.json": WORLD.documents["keys.json"]}
OPTIONS = Options(identity_headers={"x-client": "client", "x-subject": "subject"})
SNAPSHOT = build(compile_documents(FILES).documents(), {"policy": "1"}, OPTIONS)


def token(**claims):
    body = {"iss": "https://login.example", "aud": "api", "sub": "ann", "iat": int(NOW), "exp": int(NOW) + 600} | claims
    return f"Bearer {sign.sign(body, WORLD.pem, 'ES256', 'main')}"


ANN, OF_PORTAL, OF_ACME, OF_ZETA = token(), token(azp="portal"), token(tenant="acme"), token(tenant="zeta")


@pytest.mark.parametrize(
    ("path", "authorization", "key", "code"),
    [
        ("/read", ANN, JOB, "allowed"),
        ("/read", OF_PORTAL, None, "portal_closed"),
        ("/read", OF_PORTAL, JOB, "portal_closed"),
        ("/bulk", ANN, None, "no_matching_policy"),
        ("/bulk", ANN, JOB, "allowed"),
        ("/quit", None, JOB, "allowed"),
        ("/quit", ANN, JOB, "no_matching_policy"),
        ("/pro", ANN, None, "no_matching_policy"),
        ("/pro", ANN, JOB, "allowed"),
        ("/pro", OF_ACME, JOB, "allowed"),
        ("/pro", OF_ZETA, JOB, "credential_conflict"),
        ("/read", ANN, TRIAL, "credential_revoked"),
        ("/read", token(exp=int(NOW) - 60), JOB, "token_expired"),
    ],
)  # fmt: skip
def test_the_token_says_who_and_the_key_through_which_client(path, authorization, key, code):
    shown = {"authorization": authorization, "x-api-key": key and key[0]}
    headers = {name: (value,) for name, value in shown.items() if value}
    request = Request(method="GET", target=path, host="shop.example", headers=headers)
    for _ in range(2):  # found anew, and remembered
        decision = decide(SNAPSHOT, request, NOW, "id")
        assert decision.reason.code == code
        if decision.allowed:
            assert decision.client == dict(decision.upstream).get("x-client", "")
            assert dict(decision.upstream).get("x-client", "") == ("job" if key else "")
            assert dict(decision.upstream)["x-subject"] == ("ann" if authorization else "job")


ONE = Identity(
    subject="ann", client="portal", tokens=frozenset({AUTHENTICATED, "person:ann"}), expires=100.0, bound_key="k"
)
OTHER = Identity(
    subject="job", client="job", tokens=frozenset({AUTHENTICATED, "client:job", "group:jobs"}), expires=50.0
)


@pytest.mark.parametrize(
    ("country", "alone", "together"),
    [
        (None, "no_matching_policy", "allowed"),
        ("PL", "allowed", "allowed"),
        ("NO", "no_matching_policy", "credential_conflict"),
        ("XX", "bad_attribute", "bad_attribute"),
    ],
)
def test_what_only_the_application_takes_from_a_token_counts_too(country, alone, together):
    authorization = (token(**({"authz": {"country": country}} if country else {})),)
    for key, code in ((None, alone), (JOB[0], together)):
        headers = {"authorization": authorization} | ({"x-api-key": (key,)} if key else {})
        request = Request(method="GET", target="/", host="border.example", headers=headers)
        assert decide(SNAPSHOT, request, NOW, "id").reason.code == code


def joined(caller, holder, known=None):
    return join(caller, holder, "shop", SNAPSHOT.program, Joined(8) if known is None else known)


def test_what_is_joined_ends_with_the_first_and_keeps_its_bond():
    known = Joined(8)
    found = joined(ONE, OTHER, known)
    assert isinstance(found, Identity)
    assert (found.expires, found.bound_key, found.client) == (50.0, "k", "job")
    assert found.tokens == ONE.tokens | {"client:job"}
    assert joined(ONE, OTHER, known) is found


@pytest.mark.parametrize(
    ("caller", "holder"),
    [
        (ONE, replace(OTHER, subject="eve")),
        (ONE, replace(OTHER, subject="eve", client="")),
        (replace(ONE, subject="svc", client="svc"), OTHER),
        (replace(ONE, attributes={"tenant": "acme"}), replace(OTHER, attributes={"tenant": "zeta"})),
        (replace(ONE, env={"risk": "1"}), replace(OTHER, env={"risk": "9"})),
    ],
)
def test_what_does_not_go_together_is_refused(caller, holder):
    found = joined(caller, holder)
    assert isinstance(found, Reason)
    assert found.code == "credential_conflict"


def test_a_clients_own_token_goes_with_its_own_key():
    assert isinstance(joined(replace(ONE, subject="job", client="job"), OTHER), Identity)
