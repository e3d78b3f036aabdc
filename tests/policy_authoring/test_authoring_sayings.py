"""What a change of facts and of trust gives and takes."""

import pytest

from authorizer.pdp.sources import compile_documents
from authorizer.policy.authoring.sayings import fact_changes, trust_changes
from tests.policy_authoring.estates import sources

KEYS = [
    '{kty: OKP, crv: Ed25519, kid: a, alg: EdDSA, x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}',
    '{kty: OKP, crv: Ed25519, kid: b, alg: EdDSA, x: "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"}',
]
ISSUER = f"issuer: https://login.example, audiences: [shop], algorithms: [EdDSA], jwks: {{keys: [{KEYS[0]}]}}"
HASH = f"sha256:{'0' * 64}"
APP = """
kind: Catalog
fields: {level: {type: enum, values: [junior, senior], scope: assignee}, tenant: {type: string, scope: assignee}}
---
{kind: Application, id: app, model: pbac+fields, fields: {line: {type: string}}, rights: {r: {fields: [line]}, s: {fields: [line]}}, roles: {R: [r, s]},
 http: {hosts: [h], routes: {"GET /{id}": {right: r, resource: {id: path.id, line: lookup.line}}, "PUT /s": {right: s}}}}
---
kind: Policies
policies:
  - {id: one, role: app/R, to: {group: staff}, where: {assignee.level: {eq: senior}, resource.line: {eq: a}}}
  - {id: two, right: app/s, to: {authenticated: true}, where: {is: {group: both}}}
  - {id: no, effect: deny, right: app/*, to: {group: frozen}, reason: frozen}
"""


def issuers(rest: str, issuer: str = ISSUER) -> str:
    return f"{{kind: Issuers, issuers: {{main: {{{issuer}{rest}}}}}}}"


def told(found) -> list[str]:
    return [f"{one.way}: {one.what}" for one in found]


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        (issuers(""), issuers(""), []),
        (issuers(""), issuers("", ISSUER.replace("[shop]", "[shop, bank]")), ["gained: issuer main: audience bank"]),
        (
            issuers(""),
            issuers("", ISSUER.replace("[shop]", "[bank]")),
            ["gained: issuer main: audience bank", "lost: issuer main: no more: audience shop"],
        ),
        (
            issuers(""),
            issuers("", ISSUER.replace(KEYS[0], f"{KEYS[0]}, {KEYS[1]}")),
            ["gained: issuer main: key b (FtIu-VbGrfe_KB6C)"],
        ),
        (issuers(", required: [jti]"), issuers(""), ["gained: issuer main: no more: requires claim jti"]),
        (issuers(""), issuers(", binding: required"), ["lost: issuer main: requires bound tokens"]),
        (issuers(""), issuers(", leeway: 60s"), ["gained: issuer main: leeway is 60s, was 30s"]),
        (issuers(", max_lifetime: 1h"), issuers(", max_lifetime: 5m"), ["lost: issuer main: max_lifetime is 300s, was 3600s"]),
        (
            issuers(", attributes: {tenant: acme}"),
            issuers(""),
            [f"{way}: issuer main: attributes.tenant is not said, was acme" for way in ("gained", "lost")],
        ),
        (
            issuers(""),
            issuers(", claims: {group: teams}"),
            [f"{way}: issuer main: claim of group is teams, was groups" for way in ("gained", "lost")],
        ),
        ("{kind: Issuers, issuers: {}}", issuers(""), ["gained: issuer main: [algorithm EdDSA, audience shop, "]),
        (issuers(""), "{kind: Issuers, issuers: {}}", ["lost: no more: issuer main"]),
        (
            f"{{kind: ApiKeys, keys: {{aaaaaaaaaaaaaaaa: {{hash: {HASH}, is: {{client: [job]}}, expires: 2026-01-01T00:00:00Z}}}}}}",
            f"{{kind: ApiKeys, keys: {{aaaaaaaaaaaaaaaa: {{hash: {HASH}, is: {{client: [job]}}, scopes: [all]}}}}}}",
            [
                "gained: API key aaaaaaaaaaaaaaaa: its end is none, was 2026-01-01T00:00:00Z",
                "gained: API key aaaaaaaaaaaaaaaa: scope all",
            ],
        ),
        (
            "{kind: Certificates, certificates: {mesh: {trust_domain: a.example}}}",
            "{kind: Certificates, certificates: {mesh: {trust_domain: b.example}}}",
            ["gained: certificate rule mesh: b.example", "lost: certificate rule mesh: no more: a.example"],
        ),
    ],
)  # fmt: skip
def test_what_trust_gives(old, new, changes):
    before, after = (sources(one).documents()["trust"] for one in (old, new))
    found = told(trust_changes(before, after))
    assert len(found) == len(changes)
    assert all(one.startswith(expected) for one, expected in zip(found, changes, strict=True)), found


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("memberships: {ann: {group: [staff]}}", "memberships: {ann: {group: [staff]}}", []),
        ("memberships: {ann: {group: [x]}}", "memberships: {ann: {group: [y]}}", []),
        (
            "memberships: {ann: {group: []}}",
            "memberships: {ann: {group: [staff]}}",
            ["gained: ann is group staff (app/r, app/s)"],
        ),
        (
            "memberships: {ann: {group: [staff, frozen]}}",
            "memberships: {ann: {group: []}}",
            ["gained: no more: ann is group frozen", "lost: no more: ann is group staff (app/r, app/s)"],
        ),
        (
            "memberships: {ann: {group: []}}",
            "memberships: {ann: {group: [both]}}",
            ["gained: ann is group both (app/s)", "lost: ann is group both"],
        ),
        (
            "memberships: {ann: {group: []}}",
            "memberships: {}",
            ["gained: ann: group as tokens say", "lost: ann: group as tokens say"],
        ),
        (
            "subjects: {ann: {attributes: {level: junior}}}",
            "subjects: {ann: {attributes: {level: senior}}}",
            [f"{way}: ann: attributes.level is senior, was junior" for way in ("gained", "lost")],
        ),
        (
            "lookups: {app: {'7': {line: a}}}",
            "lookups: {app: {'8': {line: a}}}",
            [
                f"{way}: app {name}"
                for way in ("gained", "lost")
                for name in ("7: line is not said, was a", "8: line is a, was not said")
            ],
        ),
        (
            "revoked: {sub: {eve: {until: 2026-02-01T00:00:00Z}, old: {until: 2025-12-31T00:00:00Z}}}",
            "memberships: {}",
            ["gained: no more: sub eve revoked until 2026-02-01T00:00:00Z"],
        ),
        (
            "max_age: 10m",
            "max_age: 10m, on_stale: last_known(1h)",
            ["gained: how long facts serve is 4200s, was 600s"],
        ),
        ("max_age: 10m", "memberships: {}", ["gained: how long facts serve is for ever, was 600s"]),
    ],
)
def test_what_facts_give(old, new, changes):
    made = [sources(APP, f"{{kind: Facts, {one}}}") for one in (old, new)]
    before, after = ((one.estate, one.documents()["facts"]) for one in made)
    assert told(fact_changes(before, after, 1_767_225_600.0)) == changes  # 2026-01-01T00:00:00Z


def test_where_rules_decide_each_membership_may_matter():
    rego = {"acme.rego": b"package acme\n\nok := true\n"}
    found = []
    for group in ("x", "y"):
        text = APP + "  - {id: three, effect: deny, right: app/r, rego: data.acme.ok, reason: ruled}\n"
        facts = f"{{kind: Facts, memberships: {{ann: {{group: [{group}]}}}}}}"
        files = {"1.yaml": text.encode(), "2.yaml": facts.encode(), **rego}
        made = compile_documents(files)
        assert made.estate is not None, made.problems
        found.append((made.estate, made.documents()["facts"]))
    assert told(fact_changes(*found, 0.0)) == [
        "gained: ann is group y",
        "gained: no more: ann is group x",
        "lost: ann is group y",
        "lost: no more: ann is group x",
    ]
