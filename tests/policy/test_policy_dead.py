"""Policies that change nothing are told; those that could matter are not."""

import pytest

from authorizer.policy import pbac
from authorizer.policy.pbac import dead
from authorizer.policy.reading import Findings

from .asking import nodes

APP = """
kind: Catalog
fields: {country: {type: enum, values: [PL, NO, DE]}, amount: {type: int}, own: {type: string, scope: [resource, assignee]}}
---
kind: AssignmentPoints
types: [top, sub]
tree: {"top:a": {"sub:b": ""}}
---
kind: Application
id: app
model: azure+pbac
rights: {r: {fields: [country, amount, own]}, s: {fields: [country, amount, own]}}
roles: {Both: [r, s], One: [r]}
http: {hosts: [h], routes: {'GET /{p}': {right: r, resource: {point: path.p}}, 'PUT /{p}': {right: s, resource: {point: path.p}}}}
"""


def warnings(*policies: str, application: str = APP) -> list[str]:
    found = pbac.check_and_compile(nodes(application, f"kind: Policies\npolicies: [{', '.join(policies)}]"))
    assert found.estate is not None, found.problems
    return [problem.code for problem in found.problems]


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("right: app/r, to: {group: g}", "right: app/r, to: {group: g}, where: {resource.amount: {lt: 5}}", True),
        ("right: app/r, to: {group: g}", "right: app/r, to: {group: h}", False),
        ("right: app/r, to: {anyone: true}", "right: app/r, to: {group: h}", True),
        ("right: app/r, to: {authenticated: true}", "right: app/r, to: {anyone: true}", False),
        ("role: app/Both, to: {group: g}", "right: app/s, to: {group: g}", True),
        ("role: app/One, to: {group: g}", "right: app/s, to: {group: g}", False),
        ("right: app/s, to: {group: g}", "role: app/Both, to: {group: g}", False),
        ("right: app/r, to: {group: g}, at: {top: a}", "right: app/r, to: {group: g}, at: {sub: b}", True),
        ("right: app/r, to: {group: g}, at: {sub: b}", "right: app/r, to: {group: g}, at: {top: a}", False),
        ("right: app/r, to: {group: g}, at: {sub: b}", "right: app/r, to: {group: g}", False),
        (
            "right: app/r, to: {group: g}, until: 2030-01-01T00:00:00Z",
            "right: app/r, to: {group: g}, until: 2029-01-01T00:00:00Z",
            True,
        ),
        ("right: app/r, to: {group: g}, until: 2030-01-01T00:00:00Z", "right: app/r, to: {group: g}", False),
        ("right: app/r, to: {group: g}, require: {max_age: 5m}", "right: app/r, to: {group: g}", False),
        ("right: app/r, to: {group: g}", "right: app/r, to: {group: g}, require: {max_age: 5m}", True),
        (
            "right: app/r, to: {group: g}, obligations: [{id: o, type: notification}]",
            "right: app/r, to: {group: g}",
            False,
        ),
        (
            "right: app/r, to: {group: g}, where: {resource.country: {in: [PL, NO]}}",
            "right: app/r, to: {group: g}, where: {resource.amount: {lt: 5}, resource.country: {in: [NO, PL]}}",
            True,
        ),
        (
            "right: app/r, to: {group: g}, where: {resource.own: {eq: $assignee.own}}",
            "right: app/r, to: {group: g}, where: {resource.own: {eq: me}}",
            False,
        ),
        ("right: app/r, to: {group: g}", "right: app/r, to: {group: g}", True),
    ],
)
def test_what_a_wider_allow_makes_needless(wide, narrow, expected):
    policies = f"{{kind: Policies, policies: [{{id: a-wide, {wide}}}, {{id: b-narrow, {narrow}}}]}}"
    found = [(one.code, one.message.split()[1]) for one in pbac.check_and_compile(nodes(APP, policies)).problems]
    assert (("D004", "'b-narrow'") in found) is expected
    assert {code for code, _ in found} <= {"D004"}


ALLOW = "{id: p, right: app/r, to: {group: g}, where: {resource.country: {eq: PL}}}"


@pytest.mark.parametrize(
    ("wall", "expected"),
    [
        ("{id: w, effect: deny, right: app/r, reason: x}", ["D003"]),
        ("{id: w, effect: deny, role: app/Both, reason: x}", ["D003"]),
        ("{id: w, effect: deny, right: app/*, to: {anyone: true}, reason: x}", ["D003"]),
        ("{id: w, effect: deny, right: app/s, reason: x}", []),
        ("{id: w, effect: deny, right: app/r, to: {group: g}, reason: x}", []),
        ("{id: w, effect: deny, right: app/r, overridable: true, reason: x}", []),
        ("{id: w, effect: deny, right: app/r, until: 2030-01-01T00:00:00Z, reason: x}", []),
        ("{id: w, effect: gate, on: app/*, where: {resource.country: {in: [NO, DE]}}, reason: x}", ["D003"]),
        ("{id: w, effect: gate, on: app/s, where: {resource.country: {in: [NO, DE]}}, reason: x}", []),
        ("{id: w, effect: gate, on: app/r, where: {resource.country: {in: [PL, DE]}}, reason: x}", []),
        ("{id: w, effect: gate, on: app/r, where: {any: [{resource.country: {in: [NO]}}]}, reason: x}", []),
    ],
)
def test_what_always_stands_in_the_way(wall, expected):
    assert warnings(ALLOW, wall) == expected


def test_rights_and_roles_that_lead_nowhere():
    text = APP.replace("roles: {", "roles: {None: [], ").replace(
        ", 'PUT /{p}': {right: s, resource: {point: path.p}}", ""
    )
    assert sorted(warnings(ALLOW, application=text)) == ["D005", "D006"]


def test_what_has_ended():
    found = pbac.check_and_compile(
        nodes(APP, "{kind: Policies, policies: [{id: p, right: app/r, to: {group: g}, until: 2026-01-01T00:00:00Z}]}")
    )
    noted = Findings()
    dead.ended(found.estate.policies, 1_767_225_599.0, noted)
    assert noted.problems == []
    dead.ended(found.estate.policies, 1_767_225_600.0, noted)
    assert [problem.code for problem in noted.problems] == ["D002"]
