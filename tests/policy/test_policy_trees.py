"""Several trees of points at once: a request has a point in each, a grant stands in one and is inherited downwards."""

import pytest

from authorizer.policy import pbac

from .asking import nodes, program, verdict

TREES = """
kind: AssignmentPoints
id: entra
types: [tenant, group]
tree: {"tenant:contoso": {"group:prod": "", "group:dev": ""}}
---
kind: AssignmentPoints
id: sites
types: [country, plant]
tree: {"country:no": {"plant:oslo": ""}, "country:pl": {"plant:gdansk": "", "plant:prod": ""}}
---
kind: Application
id: app
model: azure+pbac
rights: {r: {}}
http:
  hosts: [h]
  routes:
    GET /{g}/{p}: {right: r, resource: {point: {entra: path.g, sites: path.p}}}
"""
GRANTS = """
kind: Policies
policies:
  - {id: cloud, right: app/r, to: {group: cloud}, at: {tenant: contoso}}
  - {id: crew, right: app/r, to: {group: crew}, at: {country: "no"}}
  - {id: plant, right: app/r, to: {group: crew}, at: {plant: prod}}
"""
DENY = """
kind: Policies
policies: [{id: stop, effect: deny, right: app/r, at: {plant: oslo}, reason: maintenance}]
"""


@pytest.mark.parametrize(
    ("group", "place", "by"),
    [
        ("cloud", ("prod", "gdansk"), ("cloud",)),
        ("crew", ("dev", "oslo"), ("crew",)),
        ("crew", ("prod", "gdansk"), ()),
        ("crew", ("prod", "prod"), ("plant",)),
        ("crew", ("prod", "nowhere"), None),
        ("crew", ("oslo", "oslo"), None),
        ("crew", ("dev", None), None),
    ],
)
def test_each_tree_has_its_points(group, place, by):
    asked = program(TREES, GRANTS)
    resource = {"point:entra": place[0], "point:sites": place[1]}
    found = verdict(asked, "GET /{g}/{p}", f"group:{group}", resource={k: v for k, v in resource.items() if v})
    assert (found.reason == "unknown_point") is (by is None)
    assert found.by == (by or ())


def test_a_denial_in_one_tree_stands_over_a_grant_in_the_other():
    asked = program(TREES, GRANTS, DENY)
    resource = {"point:entra": "prod", "point:sites": "oslo"}
    found = verdict(asked, "GET /{g}/{p}", "group:cloud", resource=resource)
    assert (found.allow, found.reason, found.by) == (False, "maintenance", ("stop",))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("point: {entra: path.g, sites: path.p}", "point: path.g", ["S007", "S008"]),
        ("point: {entra: path.g, sites: path.p}", "point: {entra: path.g}", ["S007"]),
        ("point: {entra: path.g, sites: path.p}", "point: {sites: path.p}", []),
        ("point: {entra: path.g, sites: path.p}", "point: {sites: path.p, site: path.g}", ["S007", "S008"]),
        ("id: sites", "id: Sites!", ["A005", "S002", "S007", "S008"]),
        ("id: sites\n", "", ["S007", "S008"]),
    ],
)
def test_mistakes(old, new, expected):
    found = {problem.code for problem in pbac.check_and_compile(nodes(TREES.replace(old, new), DENY)).problems}
    assert found <= set(expected)
    assert bool(found) is bool(expected)


def test_a_tree_without_a_name_needs_none():
    text = TREES.replace("id: sites\n", "").replace("point: {entra: path.g, sites: path.p}", "point: path.p")
    asked = program(text, GRANTS)
    assert verdict(asked, "GET /{g}/{p}", "group:crew", resource={"point": "oslo"}).by == ("crew",)


def test_an_allow_where_no_route_gives_its_tree_is_told():
    placed = 'kind: Policies\npolicies: [{id: p, right: app/r, to: {group: g}, at: {country: "no"}}]'
    assert [problem.code for problem in pbac.check_and_compile(nodes(TREES, placed)).problems] == []
    other = TREES.replace("entra: path.g, sites: path.p", "entra: path.g")
    assert [problem.code for problem in pbac.check_and_compile(nodes(other, placed)).problems] == ["D007"]
    unrouted = TREES[: TREES.index("http:")]
    assert [problem.code for problem in pbac.check_and_compile(nodes(unrouted, placed)).problems] == []
