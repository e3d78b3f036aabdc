"""Rules on routes: what they let through, what they become, which mistakes are told. Scopes: trees and wildcards."""

import pytest

from authorizer.model import ANYONE, AUTHENTICATED, Identity, assignee_token
from authorizer.policy import pbac
from authorizer.policy.pbac import patterns

from .asking import compiled, nodes, program

APP = """
kind: Application
id: shop
http:
  hosts: [api.example]
  routes:
    GET /x: {rule}
"""


def caller(scopes: str = "", roles: str = "", groups: str = "", *, known: bool = True) -> Identity:
    tokens = {ANYONE, AUTHENTICATED} if known else {ANYONE}
    for kind, names in (("scope", scopes), ("management_role", roles), ("group", groups)):
        tokens |= {assignee_token(kind, name) for name in names.split()}
    return Identity(tokens=frozenset(tokens))


def passes(loaded: pbac.Program, identity: Identity, **resource: str) -> bool:
    (route,) = loaded.routes
    found = loaded.subject("shop", identity)
    assert isinstance(found, pbac.Subject)
    return loaded.decide(pbac.Question(route, found.tokens, found.fields, resource, {}, 0.0)).allow


NOBODY, SOMEBODY = caller(known=False), caller()


@pytest.mark.parametrize(
    ("rule", "in_", "out"),
    [
        ("public", [NOBODY, SOMEBODY], []),
        ("{public: true}", [NOBODY], []),
        ("authenticated", [SOMEBODY], [NOBODY]),
        ("{scopes: [a]}", [caller("a b")], [SOMEBODY, caller("b")]),
        ("{scopes: [a, b]}", [caller("a b")], [caller("a"), caller("b")]),
        ("{scopes: {any: [a, b]}}", [caller("a"), caller("b")], [caller("c")]),
        ("{roles: [a, b]}", [caller(roles="a"), caller(roles="b")], [caller("a"), SOMEBODY]),
        ("{roles: {all: [a, b]}}", [caller(roles="a b")], [caller(roles="a"), caller(roles="b")]),
        ("{scopes: [a], roles: [b, c]}", [caller("a", "c")], [caller("a"), caller(roles="b c")]),
        ("{any: [{scopes: [a]}, {roles: [b]}]}", [caller("a"), caller(roles="b")], [caller("b")]),
        (
            "{any: [{all: [{scopes: [a]}, {roles: [b]}]}, {groups: [g], scopes: [c]}]}",
            [caller("a", "b"), caller("c", groups="g")],
            [caller("a c"), caller("a", groups="g"), caller("c", "b")],
        ),
        (
            "{all: [{any: [{scopes: [a]}, {roles: [b]}]}, {any: [{scopes: [c]}, {groups: [d]}]}]}",
            [caller("a c"), caller("a", groups="d"), caller("c", "b"), caller(roles="b", groups="d")],
            [caller("a", "b"), caller("c", groups="d"), SOMEBODY],
        ),
        ("{authenticated: true, where: {not: {is: {group: blocked}}}}", [SOMEBODY], [NOBODY, caller(groups="blocked")]),
    ],
)
def test_whom_a_rule_lets_in(rule, in_, out):
    loaded = program(APP.replace("{rule}", rule))
    assert [passes(loaded, one) for one in in_] == [True] * len(in_)
    assert [passes(loaded, one) for one in out] == [False] * len(out)


def test_a_rule_is_short_for_policies():
    short = APP.replace("{rule}", "{scopes: [a], roles: [b, c], require: {max_age: 5m}}")
    long = APP.replace(" {rule}", "") + """---
kind: Policies
policies:
  - id: shop.GET.x
    right: shop/GET /x
    to: {scope: a}
    where: {is: {management_role: [b, c]}}
    require: {max_age: 5m}
"""  # fmt: skip
    first, second = compiled(short), compiled(long)
    for data in (first, second):
        data.pop("files", None)

    def decided(text: str) -> list[bool]:
        loaded = program(text)
        return [passes(loaded, one) for one in (caller("a", "b"), caller("a"), caller(roles="b"))]

    assert first["applications"] == {**second["applications"]}
    assert decided(short) == decided(long) == [False, False, False]  # nobody's login is known to be fresh
    places = {policy.id: policy.place for policy in pbac.check_and_compile(nodes(short)).estate.policies}
    assert {name: str(place) for name, place in places.items()} == {"shop.GET.x": "1.yaml:7:23"}


def test_ids_tell_the_route_and_the_name():
    text = APP.replace(
        "GET /x: {rule}", "'* /a/{id}': {roles: [b, c d]}\n    GET /a/{id}: public\n    GET /a/_id_: public"
    )
    found = pbac.check_and_compile(nodes(text))
    assert sorted(policy.id for policy in found.estate.policies) == [
        "shop.GET.a._id_", "shop.GET.a._id_-2", "shop.any.a._id_.b", "shop.any.a._id_.c_d",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("{scopes: []}", "A018"),
        ("{scopes: a}", "AZ209"),
        ("{roles: {some: [a]}}", "AZ204 A018"),
        ("{scopes: ['a b']}", "A005"),
        ("{scopes: [a], right: GET /x}", "A018 R004"),
        ("{public: false}", "A018"),
        ("{any: [{scope: [a]}]}", "AZ204 A018"),
        ("{any: [{scopes: [a], where: {}}]}", "AZ204"),
        ("{any: [maybe]}", "A018"),
        ("{where: {env.risk: {lt: 5}}}", "A018"),
        ("{authenticated: true, where: {env.risc: {lt: 5}}}", "C001"),
        ("{any: " * 8 + "[]" + "}" * 8, "A018 AZ209"),
        ("{roles: [" + ", ".join(f"r{n}" for n in range(300)) + "]}", "A018"),
        ("{any: [" * 8 + "{scopes: [a]}" + "]}" * 8, "A018"),
    ],
)
def test_mistakes(rule, expected):
    found = pbac.check_and_compile(nodes(APP.replace("{rule}", rule)))
    assert {problem.code for problem in found.problems} == set(expected.split())


SCOPES = """
kind: Application
id: shop
model: pbac+fields
fields: {users: {type: string, many: true, scope: assignee}}
scopes:
  admin: [orders, "users.*"]
  orders: [orders.read, orders.write]
  users.*: {as: users, implies: [profile]}
  billing:
http: {hosts: [api.example], routes: {'GET /users/{id}': {resource: {id: path.id}, RULE}}}
"""


@pytest.mark.parametrize(
    ("rule", "scopes", "expected"),
    [
        ("scopes: [orders.read]", "orders", True),
        ("scopes: [orders.read]", "admin", True),
        ("scopes: [orders.read]", "orders.write", False),
        ("scopes: [orders]", "orders.read orders.write", False),
        ("scopes: ['users.*']", "users.joe", True),
        ("scopes: ['users.*']", "admin", True),
        ("scopes: ['users.*']", "users. users", False),
        ("scopes: [profile]", "users.joe", True),
        ("scopes: [billing]", "billing", True),
        ("scopes: ['users.*'], where: {resource.id: {in: $assignee.users}}", "users.joe users.ann", True),
        ("scopes: ['users.*'], where: {resource.id: {in: $assignee.users}}", "users.bob", False),
        ("scopes: ['users.*'], where: {resource.id: {in: $assignee.users}}", "admin", False),
        ("authenticated: true, where: {is: {scope: orders.read}}", "orders", True),
    ],
)
def test_scopes_imply_others(rule, scopes, expected):
    assert passes(program(SCOPES.replace("RULE", rule)), caller(scopes), id="joe") is expected


@pytest.mark.parametrize(
    ("scopes", "rule", "expected"),
    [
        ("{a: }", "scopes: [a]", ""),
        ("{a: [b]}", "scopes: [b]", ""),
        ("{orders: [orders.read]}", "scopes: [order.read]", "A019"),
        ("{a: }", "authenticated: true, where: {is: {scope: b}}", "A019"),
        ("{a: [a]}", "public: true", "A020"),
        ("{'a b': }", "public: true", "A020"),
        ("{'*.*': }", "public: true", "A020"),
        ("{a: {as: users}}", "public: true", "A020"),
        ("{'a.*': {as: usrs}}", "public: true", "C001"),
        ("{'a.*': {as: plan}}", "public: true", "A020"),
        ("{a: {imply: [b]}}", "public: true", "AZ204"),
    ],
)
def test_mistakes_in_scopes(scopes, rule, expected):
    start, _, end = SCOPES.partition("scopes:\n")
    fields = start.replace("fields: {", "fields: {plan: {type: string, scope: assignee}, ")
    text = f"{fields}scopes: {scopes}\nhttp:{end.partition('http:')[2]}".replace("RULE", rule)
    found = pbac.check_and_compile(nodes(text))
    assert {problem.code for problem in found.problems} == set(expected.split())


@pytest.mark.parametrize(
    ("pattern", "fits", "unfit"),
    [
        ("admin-*", ["admin-", "admin-x"], ["admin", "xadmin-"]),
        ("*@acme.example", ["a@acme.example"], ["a@acme.example.evil"]),
        ("a*b*c", ["abc", "a1b2c", "abbcc"], ["acb", "ab", "abcd"]),
        ("a*a", ["aa", "aba"], ["a"]),
        (r"\*", ["*"], ["x", ""]),
        (r"a\\*", ["a\\", "a\\b"], ["ab"]),
        ("plain", ["plain"], ["plain "]),
        ("*", ["", "x"], []),
    ],
)
def test_patterns(pattern, fits, unfit):
    made = patterns.parse(pattern)
    assert made is not None
    assert str(made) == pattern
    assert [made.matches(text) for text in fits + unfit] == [True] * len(fits) + [False] * len(unfit)


@pytest.mark.parametrize("bad", ["a\\", "\\d", "*" * 9])
def test_bad_patterns(bad):
    assert patterns.fault(bad)
    assert patterns.parse(bad) is None
