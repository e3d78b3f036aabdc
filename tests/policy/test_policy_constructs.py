"""Claims in, headers out, unmapped requests, misses and filters: what they compile to, and which mistakes are told."""

import pytest

from authorizer.model import ANYONE, AUTHENTICATED, Identity
from authorizer.policy import pbac

from .asking import compiled, nodes, program

APP = """
kind: Catalog
fields:
  tenant: {type: string, scope: [resource, assignee]}
  country: {type: enum, values: [PL, NO], scope: assignee}
---
kind: Application
id: shop
model: pbac+resources+fields
resourceTypes: {Order: {fields: [tenant]}}
rights: {read: {on: Order}, write: {on: Order}}
roles: {Clerk: [read, write]}
http:
  hosts: [api.example]
  routes:
    GET /orders/{id}: {right: read, resource: {id: path.id, tenant: lookup.tenant}}
    POST /orders/{id}: {right: write, resource: {id: path.id}}
"""


def codes(*texts: str) -> list[str]:
    return [problem.code for problem in pbac.check_and_compile(nodes(*texts)).problems]


def caller(claims: dict, issuer: str = "https://login.example", namespace: str = "") -> Identity:
    tokens = frozenset({ANYONE, AUTHENTICATED})
    return Identity(issuer=issuer, namespace=namespace, tokens=tokens, claims=claims)


def allowed(claims: str, identity: Identity, extra: str = "") -> list[str] | str:
    """Return the rights that the caller has, or the attribute that is bad."""
    loaded = program(APP + f"claims: {claims}\n", *([extra] if extra else []))
    found = loaded.subject("shop", identity)
    if isinstance(found, pbac.BadAttribute):
        return found.field
    questions = [pbac.Question(route, found.tokens, found.fields, {}, {}, 0.0) for route in loaded.routes]
    return sorted(one.route.right for one in questions if loaded.decide(one).allow)


RIGHTS = "{rights: authz.rights, roles: authz_roles, fields: {country: authz_country}}"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"authz": {"rights": ["read"]}}, ["read"]),
        ({"authz": {"rights": ["shop/write", "other/read"]}}, ["write"]),
        ({"authz_roles": ["Clerk"]}, ["read", "write"]),
        ({"authz_roles": ["Boss"], "authz": {}}, []),
        ({"authz": {"rights": "read"}}, "claim authz.rights"),
        ({"authz": {"rights": [1]}}, "claim authz.rights"),
        ({"authz_country": "XX"}, "assignee.country"),
        ({}, []),
    ],
)
def test_claims_give_rights(said, expected):
    assert allowed(RIGHTS, caller(said)) == expected


def test_whose_claims_count():
    said = {"authz": {"rights": ["read"]}}
    assert allowed(RIGHTS, caller(said, namespace="partner/")) == []
    listed = '{issuers: ["https://partner.example"], rights: authz.rights}'
    assert allowed(listed, caller(said)) == []
    assert allowed(listed, caller(said, "https://partner.example", "partner/")) == ["read"]


def test_claimed_rights_stand_below_denials_and_gates():
    said = {"authz": {"rights": ["read"]}, "authz_country": "NO"}
    deny = "{kind: Policies, policies: [{id: d, effect: deny, right: shop/*, where: {assignee.country: {eq: NO}}, reason: x}]}"
    assert allowed(RIGHTS, caller(said), deny) == []
    assert allowed(RIGHTS, caller({**said, "authz_country": "PL"}), deny) == ["read"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("claims: {issuers: []}", ["A023"]),
        ("claims: {right: x}", ["AZ204"]),
        ("claims: {fields: {contry: x}}", ["C001"]),
        ("claims: {fields: {tenant: x}}", []),
        ("emit: {upstream: {x-tenant: $assignee.tenant, x-by: $decision.policies, x-gate: 'yes'}}", []),
        ("emit: {response: {x-t: $resource.tenant, x-ip: $env.source_ip}}", []),
        ("emit: {upstram: {x-t: a}}", ["AZ204"]),
        ("emit: {upstream: {authorization: a}}", ["A022"]),
        ("emit: {upstream: {Host: a}}", ["A022"]),
        ("emit: {upstream: {x-auth-subject: a}}", ["A022"]),
        ("emit: {upstream: {x_tenant: a}}", ["A022"]),
        ("emit: {upstream: {'x y': a}}", ["A022"]),
        ("emit: {response: {set-cookie: a}}", ["A022"]),
        ("emit: {upstream: {x-t: 'a\u00e9'}}", ["A022"]),
        ("emit: {upstream: {x-t: $assignee.tenat}}", ["C001"]),
        ("emit: {upstream: {x-t: $resource.country}}", ["C005"]),
        ("emit: {upstream: {x-t: $decision.policy}}", ["C001"]),
        ("emit: {upstream: {x-t: $token.sub}}", ["C002"]),
        ("emit: {upstream: {x-t: '$token.sub'}}", []),
        ("emit: {upstream: {x-t: $env.risc}}", ["C001"]),
        ("emit: {upstream: {" + ", ".join(f"x-{n}: a" for n in range(33)) + "}}", ["A022"]),
    ],
)
def test_sections(text, expected):
    assert codes(APP + text + "\n") == expected


POLICY = "{kind: Policies, policies: [{id: p, right: shop/read, to: {group: g}, EMIT}, {id: q, right: shop/write, to: {group: g}}]}"


@pytest.mark.parametrize(
    ("application", "right", "policy", "expected"),
    [
        ("x-a: a", "x-a: a", "x-a: a", []),
        ("x-a: a", "x-a: b", "x-b: c", ["R021"]),
        ("x-a: a", "x-b: b", "x-a: b", ["R021"]),
        ("x-a: a", "x-b: b", "x-b: c", ["R021"]),
        ("x-a: a, X-A: b", "x-b: b", "x-c: c", ["R021"]),
        ("x-a: a", "x-b: b", "x-c: $resource.tenant", []),
    ],
)
def test_a_header_has_one_value(application, right, policy, expected):
    text = APP.replace("read: {on: Order}", f"read: {{on: Order, emit: {{upstream: {{{right}}}}}}}")
    text += f"emit: {{upstream: {{{application}}}}}\n"
    assert codes(text, POLICY.replace("EMIT", f"emit: {{upstream: {{{policy}}}}}")) == expected


def test_only_an_allow_emits():
    deny = POLICY.replace("to: {group: g}, EMIT", "effect: deny, reason: x, emit: {upstream: {x-a: b}}")
    assert codes(APP, deny) == ["R003"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("  hosts:", "  unmapped: observe\n  hosts:", []),
        ("  hosts:", "  unmapped: permit\n  hosts:", ["A013"]),
        ("lookup.tenant}}", "lookup.tenant}, on_miss: deny}", []),
        ("lookup.tenant}}", "lookup.tenant}, on_miss: wait}", ["A012"]),
        ("write, resource: {id: path.id}}", "write, resource: {id: path.id}, on_miss: deny}", ["A012"]),
        ("write, resource: {id: path.id}}", "write, resource: {id: path.id}, mode: filter}", []),
        ("write, resource: {id: path.id}}", "write, resource: {id: path.id}, mode: list}", ["A021"]),
        ("lookup.tenant}}", "lookup.tenant}, mode: filter}", ["A021"]),
    ],
)
def test_routes(old, new, expected):
    assert codes(APP.replace(old, new)) == expected


def test_the_compiled_form():
    text = APP.replace("  hosts:", "  unmapped: allow\n  hosts:").replace(
        "lookup.tenant}}", "lookup.tenant}, on_miss: deny}"
    )
    text = text.replace("write, resource: {id: path.id}}", "write, resource: {id: path.id}, mode: filter}")
    data = compiled(text + "emit: {upstream: {x-b: $decision.id, x-a: 'a'}}\nclaims: {rights: r}\n")
    shop = data["applications"]["shop"]
    assert shop["emit"] == [["upstream", "x-a", "literal", "a"], ["upstream", "x-b", "decision", "id"]]
    assert (shop["unmapped"], shop["claims"]) == ("allow", {"rights": "r"})
    assert [(one.get("on_miss"), one.get("mode")) for one in data["routes"]] == [("deny", None), (None, "filter")]


def test_claims_cannot_grant_what_needs_a_constraint():
    text = APP.replace("write: {on: Order}", "write: {on: Order, must_constrain: [tenant]}")
    assert codes(text + "claims: {rights: r}\n") == ["R010"]
    assert codes(text + "claims: {roles: r}\n") == ["R010"]
