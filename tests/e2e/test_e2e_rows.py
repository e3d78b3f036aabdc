"""The rows of the EmpowerID model, each on the running authorizer behind a real Envoy, with tokens that were minted."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from authorizer.demo.callers import AUDIENCE, ISSUER, token
from authorizer.demo.gateway import Gateway
from authorizer.demo.parts import free_port, start_authorizer, start_control_plane
from authorizer.demo.processes import Children
from authorizer.gateways.envoy import Check
from authorizer.jose.sign import generate, public_jwk
from authorizer.model import KINDS, Decision
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.policy.authoring.access import who_can
from authorizer.policy.pbac.declared import MODELS
from authorizer.service import Authorizer
from authorizer.telemetry.decision_event import maker
from tests.e2e.shop import Clock
from tests.e2e.world import Api, Doors, Reply, envoy, open_doors, send

KEY = generate("ES256")
NOON = 1_795_172_400.0  # 2026-11-20T11:00:00Z, noon in Oslo
ISSUERS = f"""
kind: Issuers
issuers:
  main:
    issuer: "{ISSUER}"
    audiences: [{AUDIENCE}]
    algorithms: [ES256]
    jwks_file: keys.json
    claims: {{collection: collections, business_role: jobs, location: places, business_role_location: posts, management_role_definition: definitions, fields: FIELDS, env: {{risk: risk}}}}
"""


def documents(fields: str, *texts: str) -> dict[str, bytes]:
    keys = json.dumps({"keys": [public_jwk(KEY, "ES256", "demo")]})
    named = {f"{number}.yaml": text.encode() for number, text in enumerate(texts, 1)}
    return {**named, "issuers.yaml": ISSUERS.replace("FIELDS", fields).encode(), "keys.json": keys.encode()}


@dataclass
class Sidecar:
    """An authorizer behind Envoy, whose clock stands still at noon unless a test sets it."""

    authorizer: Authorizer
    clock: Clock
    gateway: Gateway
    doors: Doors
    api: Api
    host: str = "api.example"

    def load(self, fields: str, *texts: str) -> None:
        sources = compile_documents(documents(fields, *texts))
        self.authorizer.snapshot = build(sources.documents(), dict.fromkeys(KINDS, "edition-7"), Options())

    async def ask(
        self, operation: str, *headers: tuple[str, str], body: bytes = b"", **claims: Any
    ) -> tuple[int, Decision]:
        """Send a request, with a token when anything is claimed; return what the client and the authorizer saw."""
        reply = await self.send(operation, *headers, body=body, **claims)
        return reply.status, self.doors.decisions[-1]

    async def send(self, operation: str, *headers: tuple[str, str], body: bytes = b"", **claims: Any) -> Reply:
        method, _, target = operation.partition(" ")
        said = dict(claims)
        sent = list(headers)
        if said:
            sent.append(("Authorization", f"Bearer {token({'sub': 'ann', **said}, KEY, self.clock())}"))
        if body:
            sent.append(("Content-Type", "application/json"))
        return await send(self.gateway.url, method, target, sent, body, host=self.host)


@pytest.fixture
async def sidecar(children: Children, api: Api, tmp_path: Path):
    clock = Clock()
    clock.now = NOON
    authorizer = Authorizer(clock=clock)
    async with open_doors(authorizer) as doors:
        gateway = await envoy(children, tmp_path, Check(address=doors.grpc, body_bytes=8192), api.address)
        yield Sidecar(authorizer, clock, gateway, doors, api)


def application(name: str, model: str, rest: str) -> str:
    return f"kind: Application\nid: {name}\nmodel: {model}\n{rest}\n"


SECTIONS = {
    "rights": "rights: {read: {}}",
    "fields": "fields: {size: {type: int}}",
    "resources": "resourceTypes: {Thing: {}}",
    "points": "http: {hosts: [api.example], routes: {'GET /p/{p}': {right: read, resource: {point: path.p}}}}",
}


async def test_e1_all_models_load_and_each_forbids_what_it_lacks(sidecar: Sidecar) -> None:
    points = "{kind: AssignmentPoints, types: [t], tree: {'t:a': ''}}"
    for model, has in MODELS.items():
        for section, text in SECTIONS.items():
            rights = "" if section == "rights" else SECTIONS["rights"] + "\n"
            found = compile_documents(
                {"a.yaml": application("a", model, rights + text).encode(), "p.yaml": points.encode()}
            )
            places = {(p.code, p.place.file) for p in found.problems if p.severity == "error"}
            if section in has and "rights" in has:
                assert not places, (model, section)
            elif section == "points":
                assert places, (model, section)  # a field that is not linked, for there are no points
            else:
                assert ("A002", "a.yaml") in places, (model, section)
        if "rights" in has:
            routes = "http: {hosts: [api.example], routes: {GET /r: {right: read}}}"
            policy = "{kind: Policies, policies: [{id: p, right: a/read, to: {group: g}}]}"
            sidecar.load("{}", application("a", model, f"rights: {{read: {{}}}}\n{routes}"), policy)
            assert (await sidecar.ask("GET /r", groups=["g"]))[0] == 200
            assert (await sidecar.ask("GET /r", groups=["h"]))[0] == 403


SAP = """
kind: Catalog
fields: {company: {type: enum, values: ["1000", "2000"], scope: [resource, assignee]}}
---
kind: Application
id: sap
model: pbac+fields
system: {type: SAP-ECC, module: SAP_UI}
fields: {plant: {type: string}, posts: {type: string, many: true, scope: assignee}}
rights: {post: {global: Write, fields: [company, plant]}}
http: {hosts: [api.example], routes: {'POST /book': {right: post, resource: {company: body.company, plant: body.plant}, trust: acted_on}}}
---
kind: Policies
policies: [{id: own, right: sap/post, to: {group: clerks}, where: {resource.company: {eq: $assignee.company}, resource.plant: {in: $assignee.posts}, env.risk: {lt: 50}}}]
"""


async def test_e2_field_types_universal_and_owned_in_three_scopes(sidecar: Sidecar) -> None:
    sidecar.load("{company: company, posts: plants}", SAP)
    ann = {"groups": ["clerks"], "company": "1000", "plants": ["p1", "p2"], "risk": 5}
    for body, expected in [
        ({"company": "1000", "plant": "p1"}, 200),
        ({"company": "2000", "plant": "p1"}, 403),
        ({"company": "1000", "plant": "p9"}, 403),
        ({"company": "3000", "plant": "p1"}, 403),
        ({"company": "1000"}, 403),
    ]:
        assert (await sidecar.ask("POST /book", body=json.dumps(body).encode(), **ann))[0] == expected
    other = application("hr", "pbac+fields", "rights: {see: {fields: [plant]}}")
    found = compile_documents({"sap.yaml": SAP.encode(), "hr.yaml": other.encode()})
    assert [(p.code, p.place.file) for p in found.problems if p.severity == "error"] == [("C003", "hr.yaml")]


ROLES = """
kind: Application
id: app
model: pbac
rights: {read: {global: Read}, write: {global: Write}}
roles: {Reader: [read], Editor: [EDITOR]}
http: {hosts: [api.example], routes: {GET /r: {right: read}, PUT /r: {right: write}}}
---
kind: Policies
policies: [{id: editors, role: app/Editor, to: {group: editors}}]
"""


async def test_e3_only_local_rights_are_granted_and_a_role_changes_at_once(sidecar: Sidecar) -> None:
    sidecar.load("{}", ROLES.replace("EDITOR", "read"))
    assert [(await sidecar.ask(f"{method} /r", groups=["editors"]))[0] for method in ("GET", "PUT")] == [200, 403]
    sidecar.load("{}", ROLES.replace("EDITOR", "read, write"))
    assert [(await sidecar.ask(f"{method} /r", groups=["editors"]))[0] for method in ("GET", "PUT")] == [200, 200]
    granted = ROLES.replace("EDITOR", "read").replace("role: app/Editor", "right: app/Read")
    assert "R004" in [problem.code for problem in compile_documents({"a.yaml": granted.encode()}).problems]


ASSIGNEES = {
    "person": ("ann", {"sub": "ann"}),
    "client": ("web", {"sub": "web", "client_id": "web"}),
    "group": ("g", {"groups": ["g"]}),
    "management_role": ("m", {"roles": ["m"]}),
    "management_role_definition": ("d", {"definitions": ["d"]}),
    "business_role": ("b", {"jobs": ["b"]}),
    "location": ("oslo", {"places": ["oslo"]}),
    "business_role_location": ("{role: b, location: oslo}", {"posts": [["b", "oslo"]]}),
    "collection": ("c", {"collections": ["c"]}),
    "scope": ("s.read", {"scope": "openid s.read"}),
}


async def test_e4_one_right_or_role_for_one_assignee_of_every_type(sidecar: Sidecar) -> None:
    routes = ", ".join(f"GET /{kind}: {{right: {kind}}}" for kind in ASSIGNEES)
    rights = ", ".join(f"{kind}: {{}}" for kind in ASSIGNEES)
    text = application("app", "pbac", f"rights: {{{rights}}}\nhttp: {{hosts: [api.example], routes: {{{routes}}}}}")
    window = "from: 2026-11-01T00:00:00Z, until: 2026-12-01T00:00:00Z"
    policies = [
        f"{{id: p-{kind}, right: app/{kind}, to: {{{kind}: {name}}}, {window}}}"
        for kind, (name, _) in ASSIGNEES.items()
    ]
    sidecar.load("{}", text, f"kind: Policies\npolicies: [{', '.join(policies)}]")
    for kind, (_, claims) in ASSIGNEES.items():
        status, decision = await sidecar.ask(f"GET /{kind}", **claims)
        assert (status, decision.policies) == (200, (f"p-{kind}",))
        assert (await sidecar.ask(f"GET /{kind}", sub="zoe", groups=["x"]))[0] == 403
    for moment, reason in ((1_793_000_000.0, "not_yet"), (1_798_000_000.0, "expired")):
        sidecar.clock.now = moment
        status, decision = await sidecar.ask("GET /group", groups=["g"])
        assert (status, decision.reason.code) == (403, reason)


COLLECTED = """
kind: Catalog
fields: {level: {type: int, scope: assignee}}
collections: {seniors: {where: {assignee.level: {gte: 5}}}}
---
{kind: Application, id: app, model: pbac+fields, rights: {see: {}}, http: {hosts: [api.example], routes: {GET /r: {right: see}}}}
---
{kind: Policies, policies: [{id: seniors, right: app/see, to: {collection: seniors}}]}
"""


async def test_e5_a_collection_is_computed_again_by_the_control_plane(
    children: Children, api: Api, tmp_path: Path
) -> None:
    policies = tmp_path / "policies"
    policies.mkdir()
    facts = "{kind: Facts, max_age: 1h, subjects: {ann: {attributes: {level: LEVEL}}}}"
    for name, content in documents("{}", COLLECTED, facts.replace("LEVEL", "4")).items():
        (policies / name).write_bytes(content)
    door = f"127.0.0.1:{free_port()}"
    gateway = await envoy(children, tmp_path, Check(address=door), api.address)
    plane = await start_control_plane(children, tmp_path)
    await start_authorizer(children, tmp_path, plane, door, gateway.admin)
    bearer = [("Authorization", f"Bearer {token({'sub': 'ann', 'collections': ['seniors']}, KEY, time.time())}")]
    assert (await send(gateway.url, "GET", "/r", bearer, host="api.example")).status == 403
    (policies / "2.yaml").write_text(facts.replace("LEVEL", "5"))
    deadline = time.monotonic() + 30
    while (await send(gateway.url, "GET", "/r", bearer, host="api.example")).status != 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


TREES = """
kind: AssignmentPoints
id: entra
types: [tenant, subscription, resource_group]
tree: {"tenant:contoso": {"subscription:s-pay": {"resource_group:rg-db": ""}, "subscription:s-ops": {"resource_group:rg-mon": ""}}}
---
kind: AssignmentPoints
id: sites
types: [country, plant]
tree: {"country:no": {"plant:oslo": ""}, "country:pl": {"plant:gdansk": ""}}
---
kind: Application
id: app
model: azure+pbac
rights: {read: {}}
http: {hosts: [api.example], routes: {'GET /{rg}/{plant}': {right: read, resource: {point: {entra: path.rg, sites: path.plant}}}}}
---
kind: Policies
policies:
  - {id: pay, right: app/read, to: {group: pay}, at: {subscription: s-pay}}
  - {id: north, right: app/read, to: {group: crew}, at: {country: "no"}}
  - {id: stop, effect: deny, right: app/read, at: {plant: gdansk}, reason: strike}
"""


async def test_e6_points_of_two_trees_are_inherited_downwards_only(sidecar: Sidecar) -> None:
    sidecar.load("{}", TREES)
    for target, group, expected in [
        ("/rg-db/oslo", "pay", "allowed"),
        ("/rg-mon/oslo", "pay", "no_matching_policy"),
        ("/contoso/oslo", "pay", "no_matching_policy"),
        ("/rg-mon/oslo", "crew", "allowed"),
        ("/rg-db/gdansk", "pay", "strike"),
        ("/rg-db/nowhere", "pay", "unknown_point"),
        ("/oslo/rg-db", "pay", "unknown_point"),
    ]:
        status, decision = await sidecar.ask(f"GET {target}", groups=[group])
        assert (decision.reason.code, status) == (expected, 200 if expected == "allowed" else 403)


INTANGIBLE = """
kind: Application
id: insure
model: pbac+fields
fields:
  line: {type: enum, values: [motor, home]}
  agency: {type: string, scope: [resource, assignee]}
  value: {type: decimal}
  limit: {type: decimal, scope: assignee}
rights: {change: {fields: [line, agency, value]}}
http:
  hosts: [api.example]
  routes:
    POST /agencies/{agency}/contracts/{id}: {right: change, resource: {id: path.id, agency: path.agency, line: lookup.line, value: body.value}, trust: acted_on}
---
kind: Policies
policies: [{id: own, right: insure/change, to: {group: agents}, where: {resource.agency: {eq: $assignee.agency}, resource.line: {eq: motor}, resource.value: {lte: $assignee.limit}}}]
"""


async def test_e7_intangible_resources_are_known_by_path_body_and_lookup(sidecar: Sidecar) -> None:
    facts = "{kind: Facts, lookups: {insure: {c1: {line: motor}, c2: {line: home}}}}"
    sidecar.load("{agency: agency, limit: limit}", INTANGIBLE, facts)
    ann = {"groups": ["agents"], "agency": "a-17", "limit": "250000.00"}
    for target, value, expected in [
        ("/agencies/a-17/contracts/c1", "250000", 200),
        ("/agencies/a-17/contracts/c1", "250000.01", 403),
        ("/agencies/a-18/contracts/c1", "1", 403),
        ("/agencies/a-17/contracts/c2", "1", 403),
        ("/agencies/a-17/contracts/c3", "1", 403),
        ("/agencies/a-17/contracts/c1", '"much"', 403),
    ]:
        assert (await sidecar.ask(f"POST {target}", body=f'{{"value": {value}}}'.encode(), **ann))[0] == expected


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


def test_every_row_has_a_test() -> None:
    shown: Mapping[str, Any] = globals()
    for row in range(1, 14):
        assert any(name.startswith(f"test_e{row}_") for name in shown)
