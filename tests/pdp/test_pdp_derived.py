"""Catalogued resources and query-based collections become facts; their mistakes are told."""

import json

import pytest

from authorizer.jose.sign import generate, public_jwk
from authorizer.pdp.sources import compile_documents

KEYS = json.dumps({"keys": [public_jwk(generate("ES256"), "ES256", "k")]}).encode()

APP = """
kind: Catalog
fields:
  level: {type: enum, values: [junior, senior, lead], ordered: true, scope: assignee}
  tenant: {type: string, scope: assignee}
  plan: {type: string, scope: assignee}
collections:
  seniors: {where: {assignee.level: {gte: senior}}}
  paying: {where: {assignee.plan: {ne: free}, not: {is: {group: guests}}}}
---
kind: Application
id: shop
model: pbac+resources+fields
fields: {secret: {type: bool}, tags: {type: string, many: true}}
resourceTypes: {Page: {fields: [secret, tags]}, Button: {}}
appResources:
  Page: {start: {secret: false, tags: [a, b]}, admin: {secret: true}, plain: }
  Button: [save, delete]
rights: {view: {on: Page}, press: {on: Button}}
http: {hosts: [h], routes: {'GET /{id}': {right: view, resource: {id: path.id, secret: lookup.secret}}, 'PUT /{id}': {right: press, resource: {id: path.id}}}}
---
kind: Policies
policies:
  - {id: all, right: shop/view, to: {collection: seniors}, where: {resource.secret: {eq: false}}}
  - {id: admin, right: shop/view, to: {group: admins}, where: {resource.id: {in: [admin, start]}}}
  - {id: press, right: shop/press, to: {collection: paying}}
"""
FACTS = """
kind: Facts
memberships: {ann: {group: [guests]}, bob: {collection: [board]}, kim: {group: [staff]}}
subjects: {ann: {attributes: {level: senior, tenant: acme}}, bob: {attributes: {level: junior, tenant: acme}}, lee: {attributes: {level: lead}}}
subscriptions: {acme: {plan: pro}}
"""


def compiled(*texts: str):
    return compile_documents({f"{number}.yaml": text.encode() for number, text in enumerate(texts, 1)})


def test_members_are_computed():
    found = compiled(APP, FACTS)
    assert found.problems == ()
    listed = {name: member["collection"] for name, member in found.documents()["facts"]["memberships"].items()}
    assert listed == {"ann": ["seniors"], "bob": ["board", "paying"], "kim": [], "lee": ["seniors"]}


def test_catalogued_resources_are_looked_up():
    lookups = compiled(APP, FACTS).documents()["facts"]["lookups"]
    assert lookups == {
        "shop/Page": {"start": {"secret": "false", "tags": ("a", "b")}, "admin": {"secret": "true"}, "plain": {}},
        "shop/Button": {"save": {}, "delete": {}},
    }


def test_facts_say_what_the_catalogue_does_not():
    found = compiled(APP, FACTS + "lookups: {shop/Page: {plain: {secret: 'false'}}}\n")
    assert found.problems == ()
    assert found.documents()["facts"]["lookups"]["shop/Page"]["plain"] == {"secret": "false"}
    (problem,) = compiled(APP, FACTS + "lookups: {shop/Page: {start: {secret: 'false'}}}\n").problems
    assert problem.code == "T202"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("assignee.level: {gte: senior}", "assignee.level: {gte: boss}", ["C011"]),
        ("assignee.level: {gte: senior}", "env.risk: {gte: 5}", ["A024"]),
        ("assignee.level: {gte: senior}", "resource.id: {eq: x}", ["A024"]),
        ("assignee.level: {gte: senior}", "is: {collection: paying}", ["A024"]),
        ("seniors: {where: {assignee.level: {gte: senior}}}", "seniors: {}", ["AZ210"]),
        ("  Page: {start", "  Pages: {start", ["A009"]),
        ("secret: true", "secret: maybe", ["C010"]),
        ("secret: true", "sekret: true", ["C001"]),
        ("secret: true", "tenant: x", ["C004"]),
        ("{in: [admin, start]}", "{in: [admin, strat]}", ["C018"]),
        ("{in: [admin, start]}", "{prefix: a}", []),
        (
            "model: pbac+resources+fields\nfields: {secret: {type: bool}, tags: {type: string, many: true}}",
            "model: pbac+fields",
            ["A002"],
        ),
    ],
)
def test_mistakes(old, new, expected):
    found = {problem.code for problem in compiled(APP.replace(old, new)).problems}
    assert found >= set(expected) if "A002" in expected else found == set(expected)


def test_what_the_facts_say_too():
    found = compiled(APP, FACTS + "lookups: {shop/Page: {start: {secret: false}}}\n")
    assert [problem.code for problem in found.problems] == ["T202"]


@pytest.mark.parametrize(("issuer", "expected"), [("https://login.example", []), ("https://login.exmaple", ["T406"])])
def test_claims_are_taken_from_declared_issuers(issuer, expected):
    text = f"{{kind: Application, id: app, rights: {{r: {{}}}}, claims: {{issuers: ['{issuer}'], rights: r}}}}"
    trusted = "{kind: Issuers, issuers: {main: {issuer: 'https://login.example', audiences: [a], algorithms: [ES256], jwks_file: k.json}}}"
    found = compile_documents({"a.yaml": text.encode(), "i.yaml": trusted.encode(), "k.json": KEYS})
    assert [problem.code for problem in found.problems] == expected
