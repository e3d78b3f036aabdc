"""The rows of the EmpowerID model, each on the running authorizer behind a real Envoy, with tokens that were minted.

Those from the moment of access on are in ``test_e2e_rows_decided``.
"""

import asyncio
import json
import time
from pathlib import Path

from authorizer.demo.callers import token
from authorizer.demo.parts import free_port, start_authorizer, start_control_plane
from authorizer.demo.processes import Children
from authorizer.gateways.envoy import Check
from authorizer.pdp.sources import compile_documents
from authorizer.policy.pbac.declared import MODELS
from tests.e2e.sidecar import INTANGIBLE, KEY, ROLES, Sidecar, documents
from tests.e2e.world import Api, envoy, send


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


def test_every_row_has_a_test() -> None:
    shown = "".join(file.read_text() for file in Path(__file__).parent.glob("test_e2e_rows*.py"))
    assert [row for row in range(1, 14) if f"def test_e{row}_" not in shown] == []
