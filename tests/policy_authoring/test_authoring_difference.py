"""What a change of policies gives and takes."""

import pytest

from authorizer.policy.authoring.access import assignee, what_can, who_can
from authorizer.policy.authoring.difference import differences
from authorizer.policy.authoring.operations import operations, readings
from tests.policy_authoring.estates import sources

SHARED = """\
kind: Catalog
acr: [pwd, otp]
env: {risk: {default: 0}}
fields: {plan: {type: enum, scope: assignee, values: [free, pro]}}
---
kind: Plans
plans: {free: {}, pro: {features: [f]}}
---
kind: AssignmentPoints
types: [site, room]
tree: {"site:s": {"room:r": "", "room:q": ""}}
---
kind: Application
id: app
model: azure+pbac
fields: {line: {type: enum, values: [a, b, c]}, value: {type: int}, own: {type: string, scope: [resource, assignee]}}
rights: {r: {fields: [line, value, own], feature: f}, s: {fields: [line, value, own]}}
roles: {R: [r], RS: [r, s]}
http:
  hosts: [h]
  routes:
    GET /{p}/{id}: {right: r, resource: {id: path.id, point: path.p, line: lookup.line, value: lookup.value, own: lookup.own}}
    PUT /{p}/{id}: {right: s, resource: {id: path.id, point: path.p}}
---
kind: Policies
policies:
"""
ALLOW = "  - {id: p, right: app/s, to: {group: g}"
DENY = "  - {id: d, effect: deny, right: app/s, reason: no_way"


def told(old: str, new: str) -> list[str]:
    shared = (SHARED + one for one in (old, new))
    before, after = (sources(one).estate for one in shared)
    lines = []
    for one in differences(before, after):
        may = "" if one.sureness == "sure" else "perhaps "
        lines.append(f"{assignee(one.token)} {may}{one.way} {one.right}" + (f" when {one.when}" if one.when else ""))
    return lines


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        (f"{ALLOW}}}", f"{ALLOW}}}", []),
        (f"{ALLOW}}}", f"{ALLOW.replace('p,', 'q,')}}}", []),
        (f"{ALLOW}, where: {{resource.line: {{in: [a, b]}}, is: {{group: [x, y]}}}}}}", f"{ALLOW}, where: {{resource.line: {{in: [b, a]}}, is: {{group: [y, x]}}}}}}", []),
        (f"{ALLOW}}}", "  - {id: p, right: app/s, to: {anyone: true}}", ["anyone gained s"]),
        (f"{ALLOW}}}", f"{ALLOW}}}\n  - {{id: q, role: app/RS, to: {{group: g}}}}", ["group g gained r"]),
        (f"{ALLOW}, where: {{resource.line: {{eq: a}}}}}}", f"{ALLOW}, where: {{resource.line: {{in: [a, b]}}}}}}", ["group g gained s when resource.line = b"]),
        (f"{ALLOW}, where: {{resource.value: {{lt: 5}}}}}}", f"{ALLOW}, where: {{resource.value: {{lte: 5}}}}}}", ["group g gained s when resource.value = 5"]),
        (f"{ALLOW}, where: {{resource.line: {{ne: a}}}}}}", f"{ALLOW}, where: {{resource.line: {{in: [b, c]}}}}}}", []),
        (f"{ALLOW}, where: {{any: [{{resource.line: {{eq: a}}}}, {{resource.value: {{gt: 3}}}}]}}}}", f"{ALLOW}, where: {{resource.value: {{gt: 3}}}}}}", ["group g lost s when resource.line = a and resource.value <= 3 or resource.value does not exist"]),
        (f"{ALLOW}, at: {{room: r}}}}", f"{ALLOW}, at: {{site: s}}}}", ["group g gained s when resource.point in [room:q, site:s]"]),
        (f"{ALLOW}, until: 2026-01-01T00:00:00Z}}", f"{ALLOW}}}", ["group g gained s when env.now >= 2026-01-01T00:00:00Z"]),
        (f"{ALLOW}, require: {{acr: otp}}}}", f"{ALLOW}}}", ["group g gained s when env.acr = pwd or env.acr does not exist"]),
        (f"{ALLOW}, require: {{max_age: 10}}}}", f"{ALLOW}, require: {{max_age: 5}}}}", ["group g lost s when env.auth_age > 5s and env.auth_age <= 10s"]),
        (f"{ALLOW}}}\n{DENY}}}", f"{ALLOW}}}", ["group g gained s"]),
        (f"{ALLOW}}}\n{DENY}}}", f"{ALLOW}}}\n{DENY}, where: {{resource.line: {{eq: a}}}}}}", ["group g gained s when resource.line in [b, c]"]),
        (f"{ALLOW}}}\n{DENY}, to: {{group: g}}}}", f"{ALLOW}}}", ["group g gained s"]),
        (f"{ALLOW}}}\n{DENY}, to: {{group: h}}}}", f"{ALLOW}}}", ["group g gained s when (holds group h) is true"]),
        (f"{ALLOW}}}", f"{ALLOW}}}\n{DENY}, at: {{room: r}}}}", ["group g lost s when resource.point = room:r"]),
        # what a denial holds back entirely is not gained
        (f"{ALLOW}, where: {{resource.line: {{eq: a}}}}}}\n{DENY}, where: {{resource.line: {{ne: a}}}}}}", f"{ALLOW}, where: {{resource.line: {{in: [a, b]}}}}}}\n{DENY}, where: {{resource.line: {{ne: a}}}}}}", []),
        # an override is a way round the denial
        (f"{ALLOW}}}\n{DENY}, overridable: true}}", f"{ALLOW}, overrides: [d], obligations: [{{id: o, type: notification}}]}}\n{DENY}, overridable: true}}", ["group g gained s"]),
        # comparisons with fields: equal texts are equal, with another part on the same field nothing is sure
        (f"{ALLOW}, where: {{resource.own: {{eq: $assignee.own}}}}}}", f"{ALLOW}, where: {{resource.own: {{eq: $assignee.own}}}}, until: 2026-01-01T00:00:00Z}}", ["group g lost s when env.now >= 2026-01-01T00:00:00Z and (resource.own eq $assignee.own) is true"]),
        (f"{ALLOW}, where: {{resource.own: {{eq: $assignee.own, prefix: x}}}}}}", f"{ALLOW}, where: {{resource.own: {{eq: $assignee.own}}}}}}", ["group g perhaps gained s when (resource.own eq $assignee.own) is true and (resource.own prefix x) is not true or unknown"]),
        # gates, features
        ("  - {id: g, effect: gate, on: app/*, require_feature: true, reason: no_plan}\n  - {id: p, right: app/r, to: {group: g}}", "  - {id: p, right: app/r, to: {group: g}}", ["group g gained r when assignee.plan < pro or assignee.plan > pro or assignee.plan does not exist"]),
    ],
)  # fmt: skip
def test_what_changes(old, new, changes):
    assert told(old, new) == changes


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        (
            "pro: {features: [f]}",
            "pro: {features: [f]}, gold: {features: [f]}",
            "group g gained r when assignee.plan = gold",
        ),
        ("RS: [r, s]", "RS: [s]", "group h lost r"),
        ('"room:r": "", "room:q": ""', '"room:r": {}', "group at lost s when resource.point = room:q"),
        ("risk: {default: 0}", "risk: {default: 90}", "group low lost s when env.risk does not exist"),
        ("acr: [pwd, otp]", "acr: [otp, pwd]", "group acr gained s when env.acr = pwd"),
    ],
)
def test_what_the_ground_changes(old, new, change):
    policies = """\
  - {id: f, effect: gate, on: app/*, require_feature: true, reason: no_plan}
  - {id: p1, right: app/r, to: {group: g}}
  - {id: p2, role: app/RS, to: {group: h}}
  - {id: p3, right: app/s, to: {group: at}, at: {site: s}}
  - {id: p4, right: app/s, to: {group: low}, where: {env.risk: {lt: 50}}}
  - {id: p5, right: app/s, to: {group: acr}, require: {acr: otp}}
"""
    text = SHARED.replace("values: [free, pro]", "values: [free, pro, gold]") + policies
    before, after = sources(text).estate, sources(text.replace(old, new)).estate
    lines = [
        f"{assignee(one.token)} {one.way} {one.right} when {one.when}".removesuffix(" when ")
        for one in differences(before, after)
    ]
    assert change in lines


def test_too_complex_counts_as_gained():
    parts = ", ".join(f"{{any: [{{resource.value: {{eq: {n}}}}}, {{resource.own: {{eq: x{n}}}}}]}}" for n in range(12))
    wide = f"{ALLOW}, where: {{any: [{{not: {{any: [{parts}]}}}}, {{resource.line: {{eq: a}}}}]}}}}"
    assert told(wide, wide.replace("eq: a}", "eq: b}"))[0].startswith("group g")
    several = ", ".join(f"{{resource.value: {{eq: {n}}}, resource.own: {{eq: x{n}}}}}" for n in range(12))
    assert told(
        f"{ALLOW}}}\n{DENY}, where: {{any: [{several}]}}}}",
        f"{ALLOW}}}\n{DENY}, where: {{any: [{several}], resource.line: {{eq: a}}}}}}",
    ) == ["group g perhaps gained s", "group g perhaps lost s"]


def test_operations():
    old = sources(SHARED + f"{ALLOW}}}").estate
    text = SHARED.replace("PUT /{p}/{id}: {right: s", "PUT /{p}/{id}: {right: r").replace(
        "GET /{p}/{id}: {right: r", "GET /{p}/{id}: {right: s"
    )
    new = sources(text + f"{ALLOW}}}").estate
    assert [(one.way, one.operation, one.right) for one in operations(old, new)] == [
        ("gained", "GET h/{p}/{id}", "s"),
        ("lost", "PUT h/{p}/{id}", "s"),
    ]
    assert operations(old, old) == ()


def test_who_and_what():
    estate = sources(
        SHARED
        + f"{ALLOW}, at: {{room: r}}}}\n{DENY}, at: {{room: q}}}}\n  - {{id: q, role: app/RS, to: {{person: ann}}}}\n"
    ).estate
    assert [(one.allow.id, [rule.id for rule in one.denials]) for one in who_can(estate, "app", "s")] == [
        ("p", ["d"]),
        ("q", ["d"]),
    ]
    assert [(one.allow.id, one.denials) for one in who_can(estate, "app", "s", "room:r")] == [("p", ()), ("q", ())]
    assert [one.allow.id for one in who_can(estate, "app", "s", "room:q")] == ["q"]
    assert [(one.right, one.allow.id) for one in what_can(estate, frozenset({"person:ann"}))] == [
        ("r", "q"),
        ("s", "q"),
    ]


def test_readings():
    old = sources(SHARED + f"{ALLOW}}}").estate
    new = sources(
        SHARED.replace("kind: Application\n", "kind: Application\nscopes: {a: [b], c: []}\n") + f"{ALLOW}}}"
    ).estate
    assert [(one.way, one.what) for one in readings(old, new)] == [("gained", "scope a implies b")]
    assert [(one.way, one.what) for one in readings(new, old)] == [("lost", "scope a implies b")]


def test_each_tree_has_points_of_its_own():
    trees = """\
kind: AssignmentPoints
id: places
types: [site, room]
tree: {"site:s": {"room:r": ""}}
---
kind: AssignmentPoints
id: units
types: [unit]
tree: {"unit:u": ""}
---
kind: Application
id: app
model: azure+pbac
rights: {r: {}}
http: {hosts: [h], routes: {"GET /{p}/{u}": {right: r, resource: {point: {places: path.p, units: path.u}}}}}
---
kind: Policies
policies:
"""
    both = "  - {id: p, right: app/r, to: {group: g}, at: {room: r}}\n  - {id: q, right: app/r, to: {group: g}, at: {unit: u}}"
    before, after = sources(trees + both).estate, sources(trees + both.replace("room: r", "site: s")).estate
    assert [one.when for one in differences(before, after)] == [
        "resource.point:places = site:s and resource.point:units does not exist"
    ]


OPEN = """
kind: Catalog
fields: {level: {type: int, scope: assignee}}
collections: {seniors: {where: {assignee.level: {gte: LEVEL}}}}
---
{kind: Application, id: app, rights: {r: {}}, http: {hosts: [h], HTTProutes: {GET /r: {right: r}}}}
---
{kind: Policies, policies: [{id: p, right: app/r, to: {collection: seniors}}]}
"""


@pytest.mark.parametrize(
    ("old", "new", "gained"),
    [
        (("5", ""), ("5", ""), []),
        (("5", ""), ("4", ""), ["collection seniors where assignee.level gte 4"]),
        (("5", ""), ("5", "accept: [encoded_slash], "), ["requests that are doubtful: encoded_slash"]),
        (("5", "issuers: [main], "), ("5", "issuers: [main, other], "), ["tokens of other"]),
        (("5", "issuers: [main], "), ("5", ""), ["tokens of every issuer"]),
        (("5", ""), ("5", "issuers: [main], "), []),
    ],
)
def test_what_applications_accept_and_collections_are_compared(old, new, gained):
    before, after = (sources(OPEN.replace("LEVEL", level).replace("HTTP", http)).estate for level, http in (old, new))
    assert [one.what for one in readings(before, after) if one.way == "gained"] == gained


TREES = """
{kind: AssignmentPoints, id: e, types: [sub], tree: {"sub:x": , "sub:y": }}
---
{kind: AssignmentPoints, id: s, types: [land], tree: {"land:no": }}
---
kind: Application
id: app
model: azure+pbac
rights: {r: {}}
http: {hosts: [h], routes: {"GET /{p}/{q}": {right: r, resource: {point: {e: path.p, s: path.q}}}}}
---
kind: Policies
policies:
  - {id: one, right: app/r, to: {group: g}, at: {sub: x}}
  - {id: two, right: app/r, to: {group: g}, at: {land: "no"}}
  - {id: stop, effect: deny, right: app/r, at: {land: "no"}, reason: stop}
"""


@pytest.mark.parametrize(("at", "ids"), [("sub:x", ["one", "two"]), ("sub:y", ["two"]), ("land:no", ["one", "two"])])
def test_who_can_at_a_point_knows_of_grants_in_other_trees(at, ids):
    found = who_can(sources(TREES).estate, "app", "r", at)
    assert [one.allow.id for one in found] == ids
    assert {denial.id for one in found for denial in one.denials} == {"stop"}
