"""What issuers and facts say is held against what the policies can read."""

import json

import pytest

from authorizer.jose import sign
from authorizer.pdp.sources import compile_documents

POLICIES = """
kind: Catalog
fields: {tenant: {type: string, scope: [resource, assignee]}, plan: {type: string, scope: assignee}}
env: {channel: {type: string}}
---
kind: Application
id: app
model: pbac+resources+fields
fields: {size: {type: string}}
resourceTypes: {Box: {fields: [tenant, size]}}
rights: {read: {on: Box}, list: {}}
http:
  hosts: [h]
  routes: {"GET /b/{b}": {right: read, resource: {id: path.b, tenant: lookup.owner}}, "GET /l": {right: list}}
"""
JWK = sign.public_jwk(sign.generate("ES256"), "ES256", "k")
ISSUER = f"issuer: x, audiences: [a], algorithms: [ES256], jwks: {json.dumps({'keys': [JWK]})}"


def codes(*documents: str) -> str:
    text = "\n---\n".join(documents)
    problems = compile_documents({"a.yaml": text.encode()}).problems
    return " ".join(f"{found.code} {text.splitlines()[found.place.line - 1][found.place.column - 1 :].split(':')[0]}"
                    for found in problems)  # fmt: skip


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("attributes: {tenant: acme}", ""),
        ("attributes: {tennant: acme}", "T401 tennant"),
        ("attributes: {size: big}", "T401 size"),
        ("claims: {fields: {plan: p, tenant: t}, env: {channel: c, mfa: m}}", ""),
        ("claims: {fields: {plan: p, tenat: t}, env: {chanel: c}}", "T401 tenat T402 chanel"),
    ],
)
def test_what_an_issuer_says(said: str, expected: str) -> None:
    assert codes(POLICIES, f"kind: Issuers\nissuers:\n  i: {{{ISSUER},\n    {said}}}") == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("subjects: {kim: {attributes: {plan: a}, env: {risk: 1}}}", ""),
        ("subjects: {kim: {attributes: {plam: a}, env: {riks: 1}}}", "T401 plam T402 riks"),
        ("subscriptions: {acme: {plan: pro}}", ""),
        ("subscriptions: {acme: {pln: pro}}", "T401 pln"),
        ("lookups: {app/Box: {b1: {owner: acme, size: l}}, app: {x: {tenant: acme}}}", ""),
        ("lookups: {app/Box: {b1: {ownr: acme, colour: red}}}", "T401 ownr T401 colour"),
        ("lookups: {app/Bx: {b1: {owner: acme}}, ap: {x: {tenant: acme}}}", "T403 app/Bx T403 ap"),
    ],
)
def test_what_facts_say(said: str, expected: str) -> None:
    assert codes(POLICIES, f"kind: Facts\n{said}") == expected


def test_what_is_never_read_is_an_error_that_names_what_was_meant() -> None:
    issuers = f"kind: Issuers\nissuers:\n  i: {{{ISSUER}, attributes: {{tennant: acme}}}}"
    found = compile_documents({"a.yaml": POLICIES.encode(), "i.yaml": issuers.encode()})
    assert found.compiled == {}
    (problem,) = found.problems
    assert (problem.severity, problem.place.file, problem.place.line) == ("error", "i.yaml", 3)
    assert problem.message == ("unknown field 'tennant' in the attributes of issuer 'i'; did you mean 'tenant'?")


def test_issuers_and_facts_alone_are_not_held_against_nothing() -> None:
    assert codes(f"kind: Issuers\nissuers: {{i: {{{ISSUER}, attributes: {{tennant: acme}}}}}}") == ""
    assert codes("kind: Facts\nsubjects: {kim: {attributes: {anything: a}}}") == ""


@pytest.mark.parametrize(
    ("to", "known"),
    [
        ("person: kim", True),
        ("group: staff", True),
        ("group: partner/staff", True),
        ("anyone: true", True),
        ("management_role: boss", True),
        ("management_role: partner/boss", False),
        ("client: partner/robot", True),
        ("location: oslo", False),
        ("management_role_definition: boss", False),
        ("business_role_location: {role: clerk, location: oslo}", True),
        ("collection: vip", False),
        ("collection: other", True),
    ],
)
def test_whom_a_policy_can_be_for(to: str, known: bool) -> None:
    policy = f"kind: Policies\npolicies:\n- {{id: d, effect: deny, right: app/read, to: {{{to}}}, reason: x}}"
    issuers = (
        f"kind: Issuers\nissuers:\n  i: {{{ISSUER}, claims: {{business_role_location: brl}}}}\n"
        f"  p: {{{ISSUER.replace('issuer: x', 'issuer: y')}, namespace: partner/, claims: {{management_role: ''}}}}"
    )
    facts = "kind: Facts\nmemberships: {kim: {collection: [other]}}"
    assert codes(POLICIES, policy, issuers, facts) == ("" if known else "T404 {id")
    assert codes(POLICIES, policy, facts) == ""


def test_a_name_outside_all_namespaces_is_nobody() -> None:
    policy = "kind: Policies\npolicies:\n- {id: d, effect: deny, right: app/read, to: {group: partnr/bad}, reason: x}"
    issuers = f"kind: Issuers\nissuers: {{i: {{{ISSUER}, namespace: partner/}}}}"
    assert codes(POLICIES, policy, issuers) == "T404 {id"
    assert codes(POLICIES, policy.replace("partnr", "partner"), issuers) == ""


TYPED = """
kind: Catalog
fields:
  tenant: {type: string, scope: [resource, assignee]}
  plan: {type: string, scope: assignee}
  shelf: {type: enum, values: [reference, lending], scope: [resource, assignee]}
  until: {type: timestamp, scope: assignee}
  customers: {type: string, many: true, scope: assignee}
env: {channel: {type: enum, values: [shop, web]}}
---
kind: Plans
plans: {free: {}, pro: {}}
---
kind: AssignmentPoints
types: [country, city]
tree: {"country:no": {"city:oslo": {}}}
---
kind: Application
id: app
model: azure+resources+pbac
resourceTypes: {Box: {fields: [tenant, shelf]}}
rights: {read: {on: Box}}
fields: {level: {type: int, scope: assignee}}
http:
  hosts: [h]
  routes: {"GET /b/{b}": {right: read, resource: {id: path.b, shelf: lookup.rack, point: lookup.place}}}
---
kind: Application
id: other
model: pbac+fields
fields: {level: {type: bool, scope: assignee}}
rights: {see: {}}
"""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("subjects: {kim: {attributes: {shelf: reference, until: 2030-01-01T00:00:00Z, customers: [c-1]}}}", ""),
        ("subjects: {kim: {attributes: {shelf: refrence}}}", "did you mean 'reference'?"),
        ("subjects: {kim: {attributes: {until: 2030-01-01}}}", "is not a valid timestamp"),
        ("subjects: {kim: {attributes: {tenant: [acme]}}}", "takes one value"),
        ("subjects: {kim: {attributes: {customers: c-1}}}", "takes a list"),
        ("subjects: {kim: {attributes: {level: 3}}}", ""),
        ("subjects: {kim: {attributes: {level: true}}}", ""),
        ("subjects: {kim: {attributes: {level: high}}}", "is not a valid int"),
        ("subjects: {kim: {env: {risk: 0.5, channel: web}}}", ""),
        ("subjects: {kim: {env: {risk: low}}}", "is not a valid decimal"),
        ("subjects: {kim: {env: {channel: wep}}}", "did you mean 'web'?"),
        ("subscriptions: {acme: {plan: free}}", ""),
        ("subscriptions: {acme: {plan: gold}}", "unknown value 'gold' of field 'plan' of subscription 'acme' (free, pro)"),
        ("lookups: {app/Box: {b: {rack: lending, place: oslo}, c: {place: city:oslo}}}", ""),
        ("lookups: {app/Box: {b: {rack: landing}}}", "did you mean 'lending'?"),
        ("lookups: {app/Box: {b: {place: olso}}}", "did you mean 'oslo'?"),
        ("lookups: {app/Box: {b: {shelf: [lending]}}}", "takes one value"),
    ],
)  # fmt: skip
def test_a_value_that_no_field_could_take_is_an_error(said: str, expected: str) -> None:
    problems = compile_documents({"p.yaml": TYPED.encode(), "f.yaml": f"kind: Facts\n{said}".encode()}).problems
    assert [problem.code for problem in problems] == (["T405"] if expected else [])
    assert not expected or (expected in str(problems[0]) and problems[0].place.file == "f.yaml")


def test_an_issuer_cannot_fix_a_value_that_no_field_could_take() -> None:
    issuers = f"kind: Issuers\nissuers:\n  i: {{{ISSUER},\n    attributes: {{shelf: refrence}}}}"
    assert codes(TYPED, issuers) == "T405 refrence}}"
