"""Each code of the language stands at what is wrong, as file:line:column, and is the only thing told."""

import re
from pathlib import Path

import pytest

from authorizer.pdp.sources import compile_documents

DOCS = Path(__file__).parents[2] / "docs" / "errors.md"
SHARED = """\
kind: Catalog
acr: [pwd, otp]
env: {risk: {default: 0}}
fields: {country: {type: enum, values: [PL, DE], scope: [resource, assignee]}, plan: {type: enum, values: [free], scope: assignee}}
---
{kind: Plans, plans: {free: {features: [f]}}}
---
{kind: AssignmentPoints, types: [sub, rg], tree: {"sub:s": {"rg:a": }}}
---
kind: Application
id: app
model: azure+resources+pbac
fields: {value: {type: int}, note: {type: string}, own: {type: string, scope: assignee}, tags: {type: string, many: true, scope: assignee}, opened: {type: timeofday}}
resourceTypes: {T: {fields: [country, value, note, opened]}}
appResources: {T: [one, two]}
rights: {r: {on: T, feature: f}, s: {fields: [value], must_constrain: [value]}}
roles: {R: [r]}
http:
  hosts: [h]
  routes:
    GET /r/{p}/{id}: {right: r, resource: {id: path.id, point: path.p, country: lookup.country, value: lookup.value}}
    GET /s/{id}: {right: s, resource: {id: path.id, value: lookup.value}}
---
{kind: Application, id: other, model: pbac+fields, fields: {mine: {type: string}}, rights: {o: {fields: [mine]}}, http: {hosts: [o], routes: {GET /o: {right: o}}}}
"""
DENY = "{id: d, effect: deny, right: app/r, at: {sub: s}, reason: no_way"


def app(rest: str, model: str = "pbac+resources+fields") -> str:
    return f"{{kind: Application, id: mine, model: {model}, {rest}}}"


def http(rest: str, rights: str = "") -> str:
    return app(f"{rights}http: {{hosts: [x], {rest}}}")


def policy(rest: str) -> str:
    return f"kind: Policies\npolicies:\n  - {'' if '^' in rest else '^'}{{id: p, {rest}}}"


def where(condition: str) -> str:
    return policy(f"right: app/r, to: {{group: g}}, where: {condition}")


NOTIFY = "obligations: [{id: o, type: notification}]"
ERRORS = [
    ("A001", "{kind: ^Polices}"),
    ("A002", "{kind: Application, id: mine, model: pbac, ^fields: {}}"),
    ("A003", "{kind: Application, id: mine, model: ^pbca}"),
    ("A004", "{kind: Application, id: ^app}"),
    ("A005", app("rights: {^'a b': {}}")),
    ("A006", app("fields: {a: {type: ^number}}")),
    ("A007", app("fields: {^country: {type: int}}")),
    ("A008", app("fields: {a: {type: int, scope: ^envs}}")),
    ("A009", app("rights: {r: {on: ^Order}}")),
    ("A010", http("routes: {^get /a: }")),
    ("A011", http("routes: {'GET /{a}': , ^'GET /{b}': }")),
    ("A012", http("routes: {'GET /{x}': {resource: {id: ^path.y}}}")),
    ("A013", http("unmapped: ^watch")),
    ("A014", http("accept: [^encoded_slashes]")),
    ("A016", "{kind: Catalog, env: {auth_age: {default: ^soon}}}"),
    ("A017", app("http: {hosts: [^'https://x']}")),
    ("A018", http("routes: {GET /a: {scopes: ^[]}}")),
    ("A019", app("scopes: {a: []}, http: {hosts: [x], routes: {GET /a: {scopes: [^b]}}}")),
    ("A020", app("scopes: {a.*: {as: ^country}}")),
    ("A021", http("routes: {GET /a: {mode: ^list}}")),
    ("A022", app("emit: {upstream: {^content-length: x}}")),
    ("A023", app("http: {hosts: [x], issuers: ^[]}")),
    ("A024", "{kind: Catalog, collections: {c: {where: {resource.id: {eq: ^one}}}}}"),
    ("A025", http("credentials: ^keep")),
    ("A027", http("client_by: ^header")),
    ("A026", app("rego: {input: ^opa}", "pbac")),
    ("C001", where("{^resource.valeu: {eq: 1}}")),
    ("C002", where("{^value: {eq: 1}}")),
    ("C003", where("{^resource.mine: {eq: a}}")),
    ("C004", policy("right: app/s, to: {group: g}, where: {resource.value: {eq: 1}, ^resource.note: {eq: a}}")),
    ("C005", where("{^assignee.value: {eq: 1}}")),
    ("C006", where("{resource.value: {^in: [1]}}")),
    ("C007", where("{resource.value: {^equals: 1}}")),
    ("C008", where("^{}")),
    ("C009", where("{resource.value: {eq: ^$assignee.own}}")),
    ("C010", where("{resource.value: {eq: ^much}}")),
    ("C011", where("{resource.country: {eq: ^UK}}")),
    ("C012", where("{resource.opened: {between: ^$resource.opened}}")),
    ("C013", where("{use: ^hours}")),
    (
        "C014",
        "{kind: Catalog, conditions: {a: {env.risk: {lt: 5}}, b: {use: ^a}}}\n---\n"
        + where("{use: [a, b]}").replace("^", ""),
    ),
    ("C015", where("{not: " * 13 + "^{env.risk: {lt: 5}}" + "}" * 13)),
    ("C016", where("{resource.value: {lt: ^$resource.value}}")),
    ("C017", where("{resource.note: {eq: ^'$assignee.own'}}")),
    ("C018", where("{resource.id: {eq: ^three}}")),
    ("R001", policy("right: ^ap/r, to: {group: g}")),
    ("R002", policy("right: app/r, role: app/R, to: {group: g}")),
    ("R003", policy("effect: ^forbid, right: app/r, to: {group: g}")),
    ("R004", policy("right: ^app/x, to: {group: g}")),
    ("R005", policy("right: app/r, to: ^{group: g, person: p}")),
    ("R006", policy("right: app/r, to: {^team: g}")),
    ("R007", policy("role: ^app/X, to: {group: g}")),
    ("R008", policy("right: ^app/*, to: {group: g}")),
    (
        "R009",
        "kind: Policies\npolicies: [{id: p, right: app/r, to: {group: g}}, {id: ^p, right: app/r, to: {group: h}}]",
    ),
    ("R010", policy("right: app/s, to: {group: g}")),
    ("R011", policy("right: app/r, to: {group: g}, until: ^2026-01-01")),
    ("R012", policy("right: app/r, to: {group: g}, require: {acr: ^fido}")),
    ("R013", policy(f"right: app/r, to: {{group: g}}, overrides: [q], {NOTIFY}")),
    (
        "R014",
        f"kind: Policies\npolicies: [{DENY}}}, ^{{id: p, right: app/r, to: {{group: g}}, overrides: [d], {NOTIFY}}}]",
    ),
    (
        "R015",
        f"kind: Policies\npolicies: [{DENY}, overridable: true}}, ^{{id: p, right: app/r, to: {{group: g}}, overrides: [d]}}]",
    ),
    (
        "R016",
        policy(
            "right: app/r, to: {group: g}, obligations: [{id: o, type: notification}, ^{id: o, type: notification}]"
        ),
    ),
    ("R017", policy("effect: deny, right: app/r, at: {sub: s}, reason: ^Not Now")),
    ("R018", policy("effect: gate, on: app/*, reason: x")),
    ("R019", policy("right: app/r, to: {anyone: ^false}")),
    ("R020", policy("right: app/r, to: {group: g}, obligations: [^{id: o, type: mail}]")),
    (
        "R021",
        policy("right: app/r, to: {group: g}, emit: {upstream: {x-a: b}}").replace("^", "")
        + "\n  - {id: q, right: app/r, to: {group: h}, emit: {upstream: {^x-a: c}}}",
    ),
    ("R022", "kind: Policies\npolicies: [{^for each: {a: [x]}, id: p-<b>, right: app/r, to: {group: <a>}}]"),
    (
        "R023",
        "{kind: Application, id: mine, rego: {input: envoy}, http: {hosts: [x], routes: {GET /a: }}}\n---\n"
        + policy("right: mine/GET /a, to: {group: g}"),
    ),
    ("R024", policy("right: app/r, to: {group: g}, rego: ^acme.ok")),
    ("S001", policy("right: app/r, to: {group: g}, at: ^{}")),
    ("S002", policy("right: app/r, to: {group: g}, at: {^planet: s}")),
    ("S003", "{kind: AssignmentPoints, id: z, types: [x, y], tree: {'x:1': {'y:1': }, 'x:2': {^'y:1': }}}"),
    ("S004", policy("right: app/r, to: {group: g}, at: {sub: ^a}")),
    ("S005", policy("right: app/r, to: {group: g}, at: {sub: ^b}")),
    ("S006", "{kind: AssignmentPoints, id: z, types: [x, y], tree: {'y:1': {^'x:1': }}}"),
    (
        "S007",
        "{kind: Application, id: mine, model: azure+pbac, rights: {q: {}}, http: {hosts: [x], routes: {^GET /q: {right: q}}}}\n---\n"
        + policy("effect: deny, right: mine/q, at: {sub: s}, reason: x").replace("^", ""),
    ),
    (
        "S008",
        app(
            "rights: {q: {}}, http: {hosts: [x], routes: {'GET /{x}': {right: q, resource: {point: {^y: path.x}}}}}",
            "azure+pbac",
        ),
    ),
    ("P001", "{kind: Plans, plans: {max: {includes: [^prof]}}}"),
    ("P002", "{kind: Plans, plans: {a: {includes: [^a]}}}"),
    (
        "P003",
        "kind: Policies\npolicies: [{id: p, effect: gate, on: bare/*, reason: x, require_feature: ^true}]\n---\n{kind: Application, id: bare, rights: {r: {}}}",
    ),
    ("P005", "^kind: Plans\nplans: {" + ", ".join(f"p{n}: {{}}" for n in range(1001)) + "}"),
]
MANY = ", ".join(
    f"{{id: p{n}, right: app/r, to: {{group: g}}, where: {{resource.value: {{lte: {n}}}}}}}" for n in range(65)
)
WARNINGS = [
    ("P004", app("rights: {^q: {feature: none}}")),
    ("D001", where("{resource.value: {eq: 1, gt: 2}}")),
    (
        "D003",
        "kind: Policies\npolicies: [{id: w, effect: deny, right: app/r, reason: x}, ^{id: p, right: app/r, to: {group: g}}]",
    ),
    (
        "D004",
        "kind: Policies\npolicies: [{id: p, right: app/r, to: {group: g}}, ^{id: q, right: app/r, to: {group: g}}]",
    ),
    ("D005", app("rights: {^q: {}}, http: {hosts: [x], routes: {GET /a: }}")),
    ("D006", app("roles: {^Q: []}")),
    ("D007", policy("right: app/s, to: {group: g}, at: {sub: s}, where: {resource.value: {eq: 1}}")),
    ("L001", f"kind: Policies\npolicies: [^{MANY}]"),
    (
        "L002",
        app(
            "fields: {n: {type: int}}, rights: {q: {fields: [n]}}, http: {hosts: [x], routes: {GET /a: {right: q, resource: {n: ^query.n}}}}"
        )
        + "\n---\nkind: Policies\npolicies: [{id: p, right: mine/q, to: {group: g}, where: {resource.n: {eq: 1}}}]",
    ),
    ("L003", "{kind: Catalog, conditions: {a: ^{env.risk: {lt: 5}}}}"),
    ("L004", where("{env.time: {lt: 10:00}}")),
    ("L005", http("routes: {^'GET /a/{y}': public, 'GET /{x}/b': public}")),
    ("L006", http("routes: {^'GET /a/:id': public}")),
]

ALONE = {"P003", "P005"}
"""Codes of what the shared documents have."""


def told(text: str, shared: str) -> tuple[list[str], str]:
    """Return ``CODE line:column`` of what is told about a text, and where its ``^`` stands, as ``line:column``."""
    before, mark, after = text.partition("^")
    found = compile_documents({"a.yaml": shared.encode(), "b.yaml": (before + after).encode()})
    assert mark
    assert {problem.place.file for problem in found.problems} == {"b.yaml"}
    assert (found.estate is None) == any(problem.severity == "error" for problem in found.problems)
    where_it_is = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    return [f"{problem.code} {problem.place.line}:{problem.place.column}" for problem in found.problems], where_it_is


@pytest.mark.parametrize(("code", "text"), [*ERRORS, *WARNINGS], ids=[code for code, _ in (*ERRORS, *WARNINGS)])
def test_each_code_is_told_where_the_mistake_is(code, text):
    problems, place = told(text, "" if code in ALONE else SHARED)
    assert problems == [f"{code} {place}"]


def test_every_code_of_the_language_is_here():
    section = DOCS.read_text().split("## Policy language")[1].split("\n## ")[0]
    documented = re.findall(r"^\| ([A-Z]\d{3}) \|", section, re.MULTILINE)
    elsewhere = {"D002"}  # policy check alone knows the time
    assert sorted({code for code, _ in (*ERRORS, *WARNINGS)} | elsewhere) == sorted(documented)
