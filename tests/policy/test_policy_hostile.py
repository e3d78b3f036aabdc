"""Documents that mean harm or make no sense: an answer with a code, soon, and never an exception."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authorizer.errors import DocumentError
from authorizer.pdp.sources import compile_documents
from authorizer.policy.documents import load

GOOD = """
kind: Catalog
acr: [pwd, otp]
env: {risk: {default: 0}, time: {zone: Europe/Oslo}}
fields: {tenant: {type: string, scope: [resource, assignee]}, plan: {type: enum, values: [a, b], scope: assignee}}
conditions: {calm: {env.risk: {lt: 5}}}
collections: {all: {where: {assignee.tenant: {exists: true}}}}
---
kind: Plans
plans: {a: {features: [x]}, b: {includes: [a]}}
---
kind: AssignmentPoints
types: [top, sub]
tree: {"top:a": {"sub:b": ""}}
---
kind: Application
id: app
model: azure+resources+pbac
fields: {own: {type: int}}
resourceTypes: {Thing: {fields: [tenant, own]}}
appResources: {Thing: {t1: {own: 5}}}
rights: {r: {on: Thing, feature: x, emit: {upstream: {x-a: $assignee.tenant}}}}
roles: {R: [r]}
scopes: {a: [b], "c.*": }
claims: {rights: authz}
emit: {response: {x-b: $decision.id}}
http:
  hosts: [h.example]
  routes:
    GET /t/{id}: {right: r, resource: {id: path.id, own: lookup.own, point: literal.b}, on_miss: deny}
    GET /s/{id}: {any: [{scopes: [b]}, {roles: [x]}], where: {use: calm}}
---
kind: Policies
policies:
  - {id: g, effect: gate, on: app/*, require_feature: true, reason: plan}
  - {id: d, effect: deny, right: app/r, to: {group: bad}, where: {any: [{resource.own: {gt: 5}}, {not: {use: calm}}]}, reason: no, overridable: true}
  - {for each: {t: [p, q]}, id: e-<t>, role: app/R, to: {group: <t>}, at: {sub: b}, until: 2030-01-01T00:00:00Z, require: {acr: otp}}
  - {id: o, right: app/r, to: {person: kim}, overrides: [d], obligations: [{id: n, type: notification}]}
---
kind: Eligibility
rules: [{id: el, type: eligible, right: app/r, to: {anyone: true}}]
---
kind: Facts
memberships: {kim: {group: [p]}}
subjects: {kim: {attributes: {tenant: acme}}}
max_age: 1h
---
kind: Tests
suite: s
now: 2026-01-01T00:00:00Z
subjects: {kim: {is: {person: [kim]}, attrs: {plan: b}}}
cases: [{name: n, as: kim, http: GET h.example/t/t1, expect: {decision: allow}}]
"""
PIECES = [
    "kind:", "Application", "Policies", "id:", "model: pbac", "policies:", "- {", "}", "[", "]", "where:", "{any: [", "not:", "use:", "$assignee.", "<t>",
    "for each:", "right:", "app/r", "to:", "group:", "&a", "*a", "!!python/object:os.system", "<<:", "\t", "\n", "\n  ", ": ", "---\n", "%YAML 1.1", "|", ">",
    "'", '"', "#", "\x00", "\ufeff", "\u2028", "?", "-", "null", "~", "true", "1e999", "-0", "9" * 400, "a" * 9000, "http:", "routes:", "GET /a/{x}", "{id=**}",
]  # fmt: skip


def codes(text: str) -> set[str]:
    found = compile_documents({"f.yaml": text.encode("utf-8", "surrogatepass")})
    assert bool(found.compiled) is not any(problem.severity == "error" for problem in found.problems)
    return {problem.code for problem in found.problems}


def test_the_seed_is_good():
    assert not {code for code in codes(GOOD) if not code.startswith(("D", "L", "T4"))}


@settings(max_examples=150)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join))
def test_any_text_has_an_answer(text):
    codes(text)


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 6))
def test_good_documents_with_pieces_swapped_have_an_answer(seed, changes):
    chance = random.Random(seed)
    text = GOOD
    for _ in range(changes):
        start = chance.randrange(len(text))
        end = min(len(text), start + chance.choice([0, 1, 3, 9, 40]))
        other = chance.randrange(len(text))
        text = (
            text[:start]
            + chance.choice([chance.choice(PIECES), text[other : other + chance.choice([2, 8, 30])]])
            + text[end:]
        )
    codes(text)


DEEP = 10_000


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: " + "[" * DEEP + "]" * DEEP, "AZ205"),
        ("a: " + "{a: " * DEEP + "}" * DEEP, "AZ205"),
        ("".join("  " * level + "a:\n" for level in range(400)), "AZ205"),
        ("- " * DEEP + "a", "AZ205"),
        (
            "a: &a [x, x]\n"
            + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(9)),
            "AZ203",
        ),
        ("kind: " + "x" * 1_000_000, "A001"),
        ("kind: Application\nid: " + "x" * 1_000_000, "A005"),
        ("kind: Catalog\n" + "".join(f"k{n}: 1\n" for n in range(5000)), "AZ204"),
        ("{kind: Policies, policies: [" + "{id: a}, " * 3000 + "]}", "R009"),
        (
            "kind: Policies\npolicies:\n  - {for each: {"
            + ", ".join(f"v{n}: [a, b, c]" for n in range(40))
            + "}, id: p}",
            "R022",
        ),
    ],
)
def test_bombs_are_refused(text, code):
    assert code in codes(text)


LARGE = "{any: [" + ", ".join(f"{{assignee.a: {{eq: x{n}}}}}" for n in range(1000)) + "]}"
USING = f"""
{{kind: Catalog, fields: {{a: {{type: string, scope: assignee}}}}, conditions: {{large: {LARGE}}}}}
---
{{kind: Application, id: app, model: pbac+fields, rights: {{r: {{}}}}}}
---
kind: Policies
policies:
"""


@pytest.mark.parametrize(
    ("used", "policies", "where", "message"),
    [
        (500_000, 1, "{any: [" + ", ".join(["{use: large}"] * 300) + "]}", "a condition of more than 2000 comparisons"),
        (2500, 3, "{use: large}", "all uses of named conditions make more than 2500 comparisons"),
    ],
)
def test_few_lines_cannot_ask_for_very_many_comparisons(used, policies, where, message, monkeypatch):
    monkeypatch.setattr("authorizer.policy.pbac.conditions.MAX_USED", used)
    text = USING + "".join(
        f"  - {{id: p{n}, right: app/r, to: {{group: g}}, where: {where}}}\n" for n in range(policies)
    )
    errors = [one for one in compile_documents({"f.yaml": text.encode()}).problems if one.severity == "error"]
    assert [(one.code, one.message) for one in errors] == [("C015", message)]


def test_there_is_an_end_to_plans():
    plans = ", ".join(f"p{n}: {{includes: [p{n + 1}]}}" for n in range(20_000))
    assert codes(f"{{kind: Plans, plans: {{{plans}, p20000: {{}}}}}}") == {"P005"}


def test_a_million_characters_are_no_name_in_a_message():
    long = "x" * 1_000_000
    for text in (
        f"kind: {long}",
        f"{{kind: Application, id: {long}}}",
        f"{{kind: Policies, policies: [{{id: p, right: {long}/r, to: {{{long}: g}}}}]}}",
    ):
        found = compile_documents({"f.yaml": text.encode()})
        assert sum(len(str(problem)) for problem in found.problems) < 10_000


def test_an_error_names_its_file_alone():
    files = {
        f"{number:03}.yaml": f"kind: Policies\npolicies:\n  - {{id: p{number}, right: app/r, to: {{group: g}}}}\n".encode()
        for number in range(60)
    }
    files["app.yaml"] = b"{kind: Application, id: app, rights: {r: {}}}"
    files["030.yaml"] = files["030.yaml"].replace(b"app/r", b"app/rr")
    assert {problem.place.file for problem in compile_documents(files).problems if problem.severity == "error"} == {
        "030.yaml"
    }


def test_loading_is_quick_about_many_tabs_and_controls():
    with pytest.raises(DocumentError):
        load("\t\n" * 200_000, "f.yaml")
    with pytest.raises(DocumentError):
        load('a: "\\x01"\n' * 1000, "f.yaml")
