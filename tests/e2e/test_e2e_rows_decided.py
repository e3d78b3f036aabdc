"""The rows of the EmpowerID model about decisions: the moment, claims, lists, eligibility, traces, standards, index."""

import json
from pathlib import Path

import pytest

from authorizer.demo.callers import token
from authorizer.pdp.sources import compile_documents
from authorizer.policy.authoring.access import who_can
from authorizer.telemetry.decision_event import maker
from tests.e2e.sidecar import INTANGIBLE, KEY, NOON, ROLES, Sidecar, documents
from tests.e2e.world import send

MOMENT = """
kind: Catalog
acr: [pwd, otp, phr]
env: {time: {zone: Europe/Oslo}}
---
kind: Application
id: app
rights: {hours: {}, risk: {}, home: {}, login: {}}
http: {hosts: [api.example], routes: {GET /hours: {right: hours}, GET /risk: {right: risk}, GET /home: {right: home}, GET /login: {right: login}}}
---
kind: Policies
policies:
  - {id: hours, right: app/hours, to: {authenticated: true}, where: {env.time: {between: [09:00, 17:00]}}}
  - {id: risk, right: app/risk, to: {authenticated: true}, where: {env.risk: {lt: 50}}}
  - {id: home, right: app/home, to: {authenticated: true}, where: {env.source_ip: {in: [127.0.0.0/8]}}}
  - {id: login, right: app/login, to: {authenticated: true}, require: {acr: phr, max_age: 5m}}
"""


async def test_e8_the_moment_is_judged_at_each_request(sidecar: Sidecar) -> None:
    sidecar.load("{}", MOMENT)
    known = [("Authorization", f"Bearer {token({'sub': 'ann', 'risk': 10, 'acr': 'phr'}, KEY, NOON)}")]

    async def answers() -> list[int]:
        return [
            (await send(sidecar.gateway.url, "GET", f"/{what}", known, host="api.example")).status
            for what in ("hours", "risk", "home", "login")
        ]

    assert await answers() == [200, 200, 200, 200]
    sidecar.clock.now = NOON + 301
    assert await answers() == [200, 200, 200, 401]
    sidecar.clock.now = NOON + 5 * 3600
    assert await answers() == [403, 200, 200, 401]
    assert (await sidecar.ask("GET /risk", sub="ann", risk=90))[0] == 403
    assert (await sidecar.ask("GET /risk", sub="ann"))[0] == 403
    reply = await sidecar.send("GET /login", sub="ann", acr="otp")
    assert 'acr_values="phr"' in reply.headers["www-authenticate"]


CLAIMED = """
kind: Catalog
fields: {tenant: {type: string, scope: [resource, assignee]}, country: {type: enum, values: [PL, "NO"], scope: assignee}}
---
kind: Application
id: app
model: pbac+fields
rights: {read: {fields: [tenant]}, write: {fields: [tenant]}}
http: {hosts: [api.example], routes: {GET /r: {right: read}, PUT /r: {right: write}}}
claims: {rights: authz.rights, fields: {country: authz.country}}
emit: {upstream: {x-tenant: $assignee.tenant, x-policies: $decision.policies}, response: {x-country: $assignee.country}}
---
{kind: Policies, policies: [{id: poles, effect: gate, on: app/*, where: {assignee.country: {eq: PL}}, reason: wrong_country}]}
"""


async def test_e9_claims_are_honoured_and_headers_reach_the_api(sidecar: Sidecar) -> None:
    sidecar.load("{tenant: tenant}", CLAIMED)
    said = {"authz": {"rights": ["read"], "country": "PL"}, "tenant": "acme"}
    reply = await sidecar.send("GET /r", ("X-Tenant", "umbrella"), ("x-policies", "all"), **said)
    assert (reply.status, reply.headers["x-country"]) == (200, "PL")
    *_, seen = sidecar.api.seen[-1]
    assert (seen["x-tenant"], seen["x-policies"]) == ("acme", "app.claims.right.read")
    assert (await sidecar.ask("PUT /r", **said))[0] == 403
    status, decision = await sidecar.ask("GET /r", authz={"rights": ["read"], "country": "NO"})
    assert (status, decision.reason.code) == (403, "wrong_country")
    without = {"authz": {"rights": ["read"], "country": "PL"}}
    assert (await sidecar.ask("GET /r", ("X-Tenant", "umbrella"), **without))[0] == 200
    assert "x-tenant" not in {name.lower() for name in sidecar.api.seen[-1][2]}


LISTED = """
kind: Application
id: app
model: pbac+fields
fields: {agency: {type: string, scope: [resource, assignee]}, line: {type: enum, values: [motor, life]}}
rights: {list: {fields: [agency, line]}}
http: {hosts: [api.example], routes: {GET /contracts: {right: list, mode: filter}}}
---
kind: Policies
policies:
  - {id: own, right: app/list, to: {group: agents}, where: {resource.agency: {eq: $assignee.agency}}}
  - {id: wall, effect: deny, right: app/list, to: {group: agents}, where: {resource.line: {eq: life}}, reason: wall}
"""


async def test_e9_list_filters_reach_the_api(sidecar: Sidecar) -> None:
    sidecar.load("{agency: agency}", LISTED)
    assert (await sidecar.ask("GET /contracts", ("x-authz-filter", "true"), groups=["agents"], agency="a-17"))[0] == 200
    asked = json.loads(sidecar.api.seen[-1][2]["x-authz-filter"])
    wanted = [
        {"field": "agency", "op": "eq", "value": "a-17"},
        {"field": "line", "op": "ne", "value": "life"},
    ]
    assert sorted(asked["all"], key=lambda one: one["field"]) == wanted
    assert (await sidecar.ask("GET /contracts", groups=["guests"], agency="a-17"))[0] == 403


ELIGIBLE = """
kind: Application
id: app
rights: {export: {}}
http: {hosts: [api.example], routes: {GET /export: {right: export}}}
---
kind: Eligibility
rules:
  - {id: ask, type: eligible, right: app/export, to: {group: sales}}
  - {id: granted, type: pre_approved, right: app/export, to: {group: sales}}
  - {id: never, type: exclusion, right: app/export, to: {group: interns}}
"""


async def test_e10_eligibility_is_told_and_never_grants(sidecar: Sidecar) -> None:
    sidecar.load("{}", ELIGIBLE)
    for groups, requestable in ((["sales"], ("ask",)), (["sales", "interns"], ()), (["guests"], ())):
        status, decision = await sidecar.ask("GET /export", groups=groups)
        assert (status, decision.requestable) == (403, requestable)


async def test_e11_a_decision_is_traced_to_its_policy_and_edition(sidecar: Sidecar) -> None:
    sidecar.load("{}", ROLES.replace("EDITOR", "read"))
    status, decision = await sidecar.ask("GET /r", groups=["editors"])
    assert (status, decision.policies, decision.revision) == (200, ("editors",), "edition-7")
    assert decision.sources[0].startswith("1.yaml:")
    sidecar.load("{role: role}", RECORDS, RECORD_FACTS)
    for subject in ("alice", "bob"):
        _, decision = await sidecar.ask("PUT /record/record-1", sub=subject)
        assert (decision.allowed, decision.attributes) == (subject == "alice", ("assignee.role", "resource.status"))
    sources = compile_documents(documents("{}", ROLES.replace("EDITOR", "read")))
    assert sources.estate is not None
    assert [access.allow.id for access in who_can(sources.estate, "app", "read")] == ["editors"]
    assert ("D005", "1.yaml") not in {(p.code, p.place.file) for p in sources.problems}
    unrouted = ROLES.replace("EDITOR", "read").replace(", PUT /r: {right: write}", "")
    assert "D005" in [p.code for p in compile_documents(documents("{}", unrouted)).problems]


RECORDS = """
{kind: Catalog, acr: [pwd, phr]}
---
kind: Application
id: records
model: pbac+fields
fields: {status: {type: enum, values: [active, archived]}, soft: {type: bool}, role: {type: string, scope: assignee}}
rights: {read: {}, write: {fields: [status]}, delete: {fields: [soft]}, export: {}, purge: {}}
http:
  hosts: [api.example]
  routes:
    GET /record/{id}: {right: read}
    PUT /record/{id}: {right: write, resource: {id: path.id, status: lookup.status}}
    DELETE /record/{id}: {right: delete, resource: {soft: query.soft}, trust: acted_on}
    POST /export: {right: export}
    POST /purge: {right: purge}
---
kind: Policies
policies:
  - {id: readers, right: records/read, to: {authenticated: true}}
  - {id: alice-writes, right: records/write, to: {person: alice}}
  - {id: admins-write, right: records/write, to: {authenticated: true}, where: {assignee.role: {eq: admin}}}
  - {id: archived, effect: deny, right: records/write, where: {resource.status: {eq: archived}, not: {assignee.role: {eq: admin}}}, reason: archived}
  - {id: soft-deletes, right: records/delete, to: {person: alice}, where: {resource.soft: {eq: true}}}
  - {id: exports, right: records/export, to: {person: alice}, obligations: [{id: tell, type: notification, properties: {to: security}}]}
  - {id: purges, right: records/purge, to: {person: alice}, require: {acr: phr, max_age: 5m}}
"""
RECORD_FACTS = "{kind: Facts, lookups: {records: {record-1: {status: active}, record-2: {status: archived}}}}"
RULES = [
    ("alice", "", "GET /record/record-1", True),
    ("alice", "", "PUT /record/record-1", True),
    ("bob", "", "GET /record/record-1", True),
    ("bob", "", "PUT /record/record-1", False),
    ("alice", "", "PUT /record/record-2", False),
    ("bob", "admin", "PUT /record/record-2", True),
    ("alice", "", "DELETE /record/record-1?soft=true", True),
    ("alice", "", "DELETE /record/record-1?soft=false", False),
]
"""The eight rules of AuthZEN's certification fixture."""


async def test_e12_the_fixture_of_authzen_is_decided_as_it_demands_through_both_gateway_doors(sidecar: Sidecar) -> None:
    sidecar.load("{role: role}", RECORDS, RECORD_FACTS)
    for subject, role, operation, allowed in RULES:
        claims = {"sub": subject, **({"role": role} if role else {})}
        status, decision = await sidecar.ask(operation, **claims)
        assert (status, decision.allowed) == (200 if allowed else 403, allowed), (subject, operation)
        method, _, target = operation.partition(" ")
        bearer = ("Authorization", f"Bearer {token(claims, KEY, NOON)}")
        forwarded = await send(
            f"http://{sidecar.doors.http}", method, f"/authz/envoy{target}", [bearer], host="api.example"
        )
        assert forwarded.status == status, (subject, operation)


AUTHZEN = Path(__file__).parents[3] / "shared" / "checks" / "authzen" / "certification-cases.json"


async def test_e12_certified_evaluations_come_out_as_requests(sidecar: Sidecar) -> None:
    if not AUTHZEN.is_file():
        pytest.skip(f"{AUTHZEN} is not there")
    sidecar.load("{role: role}", RECORDS, RECORD_FACTS)
    methods = {"read": "GET", "write": "PUT", "delete": "DELETE"}
    asked = 0
    for case in json.loads(AUTHZEN.read_text())["cases"]:
        if not case["section"].startswith("c-2-2-") or case.get("expected_status") != 200:
            continue
        subject, action, resource = (case["request"][name] for name in ("subject", "action", "resource"))
        role = subject.get("properties", {}).get("role")
        query = "".join(
            f"?soft={str(value).lower()}" for name, value in action.get("properties", {}).items() if name == "soft"
        )
        operation = f"{methods[action['name']]} /{resource['type']}/{resource['id']}{query}"
        status, _ = await sidecar.ask(operation, sub=subject["id"], **({"role": role} if role else {}))
        assert (status == 200) is case["expected_body"]["decision"], case["title"]
        asked += 1
    assert asked


async def test_e12_denials_step_up_and_obligations_have_the_shapes_of_their_standards(sidecar: Sidecar) -> None:
    sidecar.load("{role: role}", RECORDS, RECORD_FACTS)
    reply = await sidecar.send("PUT /record/record-2", sub="alice", role="user")
    problem = json.loads(reply.body)
    assert (reply.status, reply.headers["content-type"]) == (403, "application/problem+json")
    assert (problem["status"], problem["reason"]) == (403, "archived")
    reply = await sidecar.send("POST /purge", sub="alice", acr="pwd")
    assert reply.status == 401
    for part in ('error="insufficient_user_authentication"', 'acr_values="phr"', 'max_age="300"'):
        assert part in reply.headers["www-authenticate"]
    status, decision = await sidecar.ask("POST /export", sub="alice")
    line = maker({})((NOON, "POST", "api.example", "/export", "127.0.0.1", "grpc", decision, 0.0, ""))
    assert line is not None
    (duty,) = json.loads(line)["result"]["obligations"]
    assert (status, duty) == (200, {"id": "tell", "type": "notification", "properties": {"to": "security"}})


async def test_e13_many_policies_are_told_apart_by_index(sidecar: Sidecar) -> None:
    text = INTANGIBLE.partition("---")[0]
    rows = [
        f"  - {{id: p{n}, right: insure/change, to: {{group: agents}}, where: {{resource.agency: {{eq: a-{n}}}}}}}"
        for n in range(3000)
    ]
    sidecar.load("{agency: agency}", text, "kind: Policies\npolicies:\n" + "\n".join(rows))
    status, decision = await sidecar.ask("POST /agencies/a-2999/contracts/c1", body=b'{"value": 1}', groups=["agents"])
    assert (status, decision.policies) == (200, ("p2999",))
    flat = [row.replace("agency: {eq: a-", "value: {lte: ") for row in rows[:100]]
    found = compile_documents(documents("{agency: agency}", text, "kind: Policies\npolicies:\n" + "\n".join(flat)))
    assert "L001" in [problem.code for problem in found.problems]
