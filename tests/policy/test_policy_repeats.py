"""``for each``: one policy written, many meant."""

import pytest

from authorizer.policy import pbac
from authorizer.policy.pbac import repeats
from authorizer.policy.pbac.declared import Policy

from .asking import compiled, nodes

APP = """
kind: Catalog
fields: {region: {type: string}, agency: {type: string}}
---
{kind: Application, id: app, model: pbac+fields, rights: {r: {fields: [region, agency]}, s: {}}}
"""


def policies(text: str) -> list[Policy]:
    found = pbac.check_and_compile(nodes(APP, f"kind: Policies\npolicies:\n  - {text}"))
    assert found.estate is not None, "\n".join(map(str, found.problems))
    return sorted(found.estate.policies, key=lambda policy: policy.id)


def codes(text: str) -> list[str]:
    return [one.code for one in pbac.check_and_compile(nodes(APP, f"kind: Policies\npolicies:\n  - {text}")).problems]


def test_each_combination():
    found = policies(
        "{for each: {right: [r, s], team: [a, b]}, id: <team>-<right>, right: app/<right>, to: {group: team-<team>}}"
    )
    assert [(one.id, one.target, one.token) for one in found] == [
        ("a-r", "r", "group:team-a"), ("a-s", "s", "group:team-a"), ("b-r", "r", "group:team-b"), ("b-s", "s", "group:team-b"),
    ]  # fmt: skip
    assert {str(one.place) for one in found} == {"2.yaml:3:5"}


def test_row_by_row_with_lists():
    found = policies(
        "{for each: [{name: x, regions: [no, pl]}, {name: y, regions: [de]}], id: p-<name>, right: app/r, to: {group: <name>},"
        " where: {resource.region: {in: <regions>}, resource.agency: {eq: a-<name>}}}"
    )
    assert [[leaf.texts for leaf in one.condition.parts] for one in found] == [
        [("no", "pl"), ("a-x",)],
        [("de",), ("a-y",)],
    ]


def test_the_order_of_values_does_not_matter():
    text = "kind: Policies\npolicies:\n  - {for each: {t: [LIST]}, id: p-<t>, right: app/s, to: {group: <t>}}"
    assert compiled(APP, text.replace("LIST", "a, b")) == compiled(APP, text.replace("LIST", "b, a"))


def test_eligibility_too():
    rules = "{kind: Eligibility, rules: [{for each: {t: [a, b]}, id: e-<t>, type: eligible, right: app/r, to: {group: <t>}}]}"
    found = pbac.check_and_compile(nodes(APP, rules))
    assert sorted(rule.id for rule in found.estate.eligibility) == ["e-a", "e-b"]


REST = "right: app/s, to: {group: g}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{for each: {t: [a, b]}, id: p, right: app/s, to: {group: <t>}}", ["R009"]),
        ("{for each: {t: [a]}, id: p-<u>, " + REST, ["R022"]),
        ("{for each: {t: [a], u: [b]}, id: p-<t>, " + REST, ["R022"]),
        ("{for each: {t: []}, id: p-<t>, " + REST, ["R022"]),
        ("{for each: {}, id: p, " + REST, ["R022"]),
        ("{for each: [], id: p, " + REST, ["R022"]),
        ("{for each: t, id: p, " + REST, ["R022"]),
        ("{for each: {t: a}, id: p-<t>, " + REST, ["AZ209"]),
        ("{for each: {t: [{a: b}]}, id: p-<t>, " + REST, ["R022"]),
        ("{for each: [{t: a}, {u: a}], id: p-<t>, " + REST, ["R022"]),
        ("{for each: [{t-x: a}], id: p-<t>, " + REST, ["R022"]),
        ("{for each: {t: [a, b]}, id: p-<t>, right: app/q<t>, to: {group: g}}", ["R004"]),
        ("{id: p, right: app/s, to: {group: <t>}}", []),
    ],
)
def test_mistakes(text, expected):
    assert sorted(codes(text)) == sorted(expected)


def test_all_rows_together_have_a_bound(monkeypatch):
    monkeypatch.setattr(repeats, "MAX_TOTAL", 3)
    one = "{for each: {t: [a, b]}, id: <n>-<t>, right: app/s, to: {group: <t>}}"
    both = one.replace("<n>", "p") + "\n  - " + one.replace("<n>", "q")
    assert codes(both) == ["R022"]
    monkeypatch.setattr(repeats, "_filled", None)
    assert codes(both) == ["R022"], "counted before a row is written out"


@pytest.mark.parametrize(("most", "expected"), [(19, ["R022"]), (20, [])])
def test_what_is_written_out_has_a_bound(monkeypatch, most, expected):
    monkeypatch.setattr(repeats, "MAX_NODES", most)
    found = codes("{for each: {t: [a, b]}, id: p-<t>, right: app/s, to: {group: <t>}}")
    assert found == expected


@pytest.mark.parametrize("variables", [14, 20_000])
def test_a_product_without_end_is_told_at_once(variables):
    each = ", ".join(f"v{n}: [a, b]" for n in range(variables))
    assert codes("{for each: {" + each + "}, id: p, " + REST) == ["R022"]
