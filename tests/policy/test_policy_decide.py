"""The fixed algorithm, rule by rule."""

import msgspec
import pytest

from authorizer.model import Duty, Missing, StepUp, assignee_token
from authorizer.policy import pbac
from authorizer.policy.pbac import columns
from authorizer.policy.pbac.types import FieldType
from tests.policy.asking import compiled, program, verdict

G, H, BOB = assignee_token("group", "g"), assignee_token("group", "h"), assignee_token("person", "bob")
SHARED = """\
kind: Catalog
acr: [pwd, otp, phr]
env: {risk: {default: 0}, channel: {type: enum, values: [web, branch]}}
fields:
  tenant: {type: string, scope: [resource, assignee]}
  plan: {type: enum, scope: assignee, values: [free, pro, max], ordered: true}
---
kind: Plans
plans: {free: {}, pro: {features: [orders]}, max: {includes: [pro], features: [export]}}
---
kind: AssignmentPoints
types: [tenant, site]
tree: {"tenant:t1": {"site:a": "", "site:b": ""}, "tenant:t2": {"site:c": "", "site:t1": ""}}
---
kind: Application
id: app
model: azure+pbac
fields:
  kind: {type: string}
  value: {type: decimal}
  limit: {type: decimal, scope: assignee}
rights:
  r: {fields: [tenant, kind, value]}
  s: {fields: [tenant, kind, value], feature: export}
roles: {R: [r], RS: [r, s]}
http:
  hosts: [h]
  routes:
    GET /r: {right: r, resource: {tenant: lookup.tenant, kind: lookup.kind, value: lookup.value, id: query.id}}
    GET /s: {right: s, resource: {tenant: lookup.tenant, kind: lookup.kind, value: lookup.value, id: query.id}}
    GET /{site}/r: {right: r, resource: {point: path.site}}
---
kind: Application
id: free
model: pbac
http: {hosts: [h], routes: {GET /free: }}
"""
NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


def asked(policies: str, operation: str = "GET /r", *tokens: str, **given) -> pbac.Verdict:
    return verdict(program(SHARED, f"kind: Policies\npolicies:\n{policies}"), operation, *tokens, **given)


def outcome(found: pbac.Verdict) -> tuple:
    return found.allow, found.reason, found.by


ALLOW = "  - {id: a, right: app/r, to: {group: g}}\n"


def test_allow_needs_the_assignee():
    found = asked(ALLOW, "GET /r", G)
    assert outcome(found) == (True, "allowed", ("a",))
    assert found.sources == ("2.yaml:3:5",)
    assert outcome(asked(ALLOW, "GET /r", H)) == (False, "no_matching_policy", ())
    assert outcome(asked(ALLOW, "GET /r")) == (False, "no_matching_policy", ())
    assert outcome(asked(ALLOW, "GET /s", G)) == (False, "no_matching_policy", ())


@pytest.mark.parametrize(
    ("to", "token"),
    [
        ("person: x", assignee_token("person", "x")),
        ("group: x", assignee_token("group", "x")),
        ("management_role: x", assignee_token("management_role", "x")),
        ("management_role_definition: x", assignee_token("management_role_definition", "x")),
        ("business_role: x", assignee_token("business_role", "x")),
        ("location: x", assignee_token("location", "x")),
        ("business_role_location: {role: x, location: y}", assignee_token("business_role_location", "x", "y")),
        ("collection: x", assignee_token("collection", "x")),
        ("client: x", assignee_token("client", "x")),
    ],
)
def test_every_kind_of_assignee(to, token):
    policy = f"  - {{id: a, right: app/r, to: {{{to}}}}}\n"
    assert asked(policy, "GET /r", token).allow
    assert not asked(policy, "GET /r", assignee_token("other", "x")).allow


def test_anyone():
    assert asked("  - {id: a, right: app/r, to: {anyone: true}}").allow


def test_roles_hold_rights():
    assert outcome(asked("  - {id: a, role: app/RS, to: {group: g}}", "GET /s", G)) == (True, "allowed", ("a",))
    assert outcome(asked("  - {id: a, role: app/R, to: {group: g}}", "GET /s", G)) == (False, "no_matching_policy", ())


def test_a_route_without_a_right_has_its_own():
    policy = "  - {id: a, right: free/GET /free, to: {group: g}}"
    assert asked(policy, "GET /free", G).allow
    assert not asked(policy, "GET /r", G).allow


def test_unknown_allow_does_not_grant():
    policy = "  - {id: a, right: app/r, to: {group: g}, where: {resource.kind: {eq: x}}}"
    assert asked(policy, "GET /r", G, resource={"kind": "x"}).allow
    found = asked(policy, "GET /r", G)
    assert outcome(found) == (False, "no_matching_policy", ())
    assert found.detail == "nearest is a (2.yaml:3:5): resource.kind eq x cannot be told, resource.kind is unknown"
    found = asked(policy, "GET /r", G, resource={"kind": "secret"})
    assert found.detail == "nearest is a (2.yaml:3:5): resource.kind eq x does not hold"


def test_denials_win():
    deny = ALLOW + "  - {id: d, effect: deny, right: app/*, where: {resource.kind: {eq: x}}, reason: not_x}\n"
    assert asked(deny, "GET /r", G, resource={"kind": "y"}).allow
    assert outcome(asked(deny, "GET /r", G, resource={"kind": "x"})) == (False, "not_x", ("d",))
    found = asked(deny, "GET /r", G)
    assert outcome(found) == (False, "indeterminate", ("d",))
    assert "resource.kind is unknown" in found.detail
    both = deny + "  - {id: c, effect: deny, role: app/R, to: {group: g}, reason: no_c}\n"
    assert outcome(asked(both, "GET /r", G, resource={"kind": "x"})) == (False, "no_c", ("c", "d"))
    assert outcome(asked(both, "GET /r", G)) == (False, "no_c", ("c",))
    assert outcome(asked(both, "GET /s", G, resource={"kind": "y"})) == (False, "no_matching_policy", ())


def test_gates():
    gates = (
        "  - {id: z, effect: gate, on: app/*, where: {resource.tenant: {eq: $assignee.tenant}}, reason: wrong_tenant}\n"
        "  - {id: b, effect: gate, on: app/*, require_feature: true, reason: no_plan}\n"
        "  - {id: a, role: app/RS, to: {group: g}}\n"
    )
    good = {"assignee": {"tenant": "t", "plan": "max"}, "resource": {"tenant": "t"}}
    assert asked(gates, "GET /s", G, **good).allow
    found = asked(gates, "GET /s", G, assignee={"tenant": "t", "plan": "max"}, resource={"tenant": "u"})
    assert outcome(found) == (False, "wrong_tenant", ("z",))
    assert found.detail == "gate z (2.yaml:3:5): resource.tenant eq $assignee.tenant does not hold"
    found = asked(gates, "GET /s", G, resource={"tenant": "u"})
    assert outcome(found) == (False, "wrong_tenant", ("z",))  # unknown is not shown to hold; the plan speaks last
    found = asked(gates, "GET /s", G, assignee={"tenant": "t", "plan": "pro"}, resource={"tenant": "t"})
    assert outcome(found) == (False, "no_plan", ("b",))
    assert found.missing == Missing("export", ("max",))
    found = asked(gates, "GET /s", G, assignee={"tenant": "t"}, resource={"tenant": "t"})
    assert found.missing == Missing("export", ("max",))
    assert "plan is unknown" in found.detail
    assert asked(gates, "GET /r", G, assignee={"tenant": "t"}, resource={"tenant": "t"}).allow  # r asks for no feature


def test_gates_alone_grant_nothing():
    gate = "  - {id: g, effect: gate, on: app/r, where: {env.risk: {lt: 5}}, reason: risky}\n"
    assert outcome(asked(gate, "GET /r", G)) == (False, "no_matching_policy", ())


def test_time_windows():
    policy = "  - {id: a, right: app/r, to: {group: g}, from: 2027-01-01T00:00:00Z, until: 2027-02-01T00:00:00+00:00}\n"
    start, end = 1798761600.0, 1801440000.0
    assert asked(policy, "GET /r", G, now=start).allow
    assert asked(policy, "GET /r", G, now=end - 0.001).allow
    assert outcome(asked(policy, "GET /r", G, now=end)) == (False, "expired", ("a",))
    assert outcome(asked(policy, "GET /r", G, now=start - 1)) == (False, "not_yet", ("a",))
    assert outcome(asked(policy, "GET /r", H, now=end)) == (False, "no_matching_policy", ())
    narrowed = policy.replace("from", "where: {resource.kind: {eq: x}}, from")
    assert asked(narrowed, "GET /r", G, now=end, resource={"kind": "y"}).reason == "no_matching_policy"
    assert asked(narrowed, "GET /r", G, now=end, resource={"kind": "x"}).reason == "expired"
    weak = policy.replace("from", "require: {acr: otp}, from")
    assert asked(weak, "GET /r", G, now=end, env={"acr": "pwd"}).reason == "no_matching_policy"
    deny = ALLOW + "  - {id: d, effect: deny, right: app/r, until: 2027-01-01T00:00:00Z, reason: frozen}\n"
    assert asked(deny, "GET /r", G, now=start).allow
    assert asked(deny, "GET /r", G, now=start - 1).reason == "frozen"


def test_step_up_asks_for_the_least():
    policies = (
        "  - {id: a, right: app/r, to: {group: g}, require: {acr: phr}}\n"
        "  - {id: b, right: app/r, to: {group: g}, require: {acr: otp, max_age: 5m}}\n"
        "  - {id: c, right: app/r, to: {group: g}, require: {acr: otp, max_age: 1h}}\n"
    )
    found = asked(policies, "GET /r", G, env={"acr": "pwd"})
    assert outcome(found) == (False, "step_up", ("c",))
    assert found.step_up == StepUp("otp", 3600)
    assert asked(policies, "GET /r", G, env={"acr": "phr"}).by == ("a",)
    assert asked(policies, "GET /r", G, env={"acr": "otp", "auth_age": 300}).by == ("b", "c")
    assert asked(policies, "GET /r", G, env={"acr": "otp", "auth_age": 300.5}).by == ("c",)
    for env, why in (
        ({}, "login; this one tells no acr"),
        ({"acr": "unranked"}, "login; the Catalog's acr has no 'unranked'"),
        ({"acr": 7}, "login; this one tells no acr"),
        ({"acr": "otp"}, "login; this one tells no auth_time"),
        ({"acr": "otp", "auth_age": "x"}, "login; this one tells no auth_time"),
        ({"acr": "otp", "auth_age": 7200}, "login"),
    ):
        found = asked(policies, "GET /r", G, env=env)
        assert (found.reason, found.detail.endswith(why)) == ("step_up", True)


OVERRIDE = (
    "  - {id: a, right: app/r, to: {group: g}}\n"
    "  - {id: d, effect: deny, right: app/r, where: {resource.kind: {eq: x}}, reason: locked, overridable: true}\n"
    "  - {id: o, right: app/r, to: {person: bob}, require: {acr: phr}, overrides: [d],\n"
    "     obligations: [{id: page, type: notification}]}\n"
)


def test_overrides():
    x = {"kind": "x"}
    found = asked(OVERRIDE, "GET /r", G, BOB, resource=x, env={"acr": "phr"})
    assert outcome(found) == (True, "allowed", ("a", "o"))
    assert found.overrode == ("d",)
    assert found.obligations == (Duty("page", "notification"),)
    assert asked(OVERRIDE, "GET /r", G, BOB, env={"acr": "phr"}).overrode == (
        "d",
    )  # what cannot be told is overridden too
    found = asked(OVERRIDE, "GET /r", G, BOB, resource=x, env={"acr": "otp"})
    assert outcome(found) == (False, "locked", ("d",))
    assert found.step_up is None  # a denial does not name the way around it
    assert "o (" not in found.detail
    other = OVERRIDE + "  - {id: e, effect: deny, right: app/r, reason: shut}\n"
    assert outcome(asked(other, "GET /r", BOB, resource=x, env={"acr": "phr"})) == (False, "locked", ("d", "e"))


def test_an_override_counts_for_what_it_names():
    shut = "  - {id: e, effect: deny, right: app/r, reason: shut, overridable: true}\n"
    found = asked(OVERRIDE + shut, "GET /r", BOB, resource={"kind": "x"}, env={"acr": "phr"})
    assert outcome(found) == (False, "shut", ("e",))
    found = asked(OVERRIDE.replace("[d]", "[d, e]") + shut, "GET /r", BOB, resource={"kind": "x"}, env={"acr": "phr"})
    assert (found.allow, found.overrode) == (True, ("d", "e"))


def test_duties_of_all_that_determined_are_joined():
    policies = (
        "  - {id: a, right: app/r, to: {group: g}, obligations: [{id: o1, type: notification, properties: {k: v}}]}\n"
        "  - {id: b, right: app/r, to: {group: h}, obligations: [{id: o1, type: notification, properties: {k: v}}, {id: o0, type: notification}],\n"
        "     advice: [{id: hint, type: t}]}\n"
        "  - {id: d, effect: deny, right: app/r, to: {person: bob}, reason: no_bob, obligations: [{id: tell, type: notification}]}\n"
    )
    found = asked(policies, "GET /r", G, H)
    assert found.obligations == (Duty("o0", "notification"), Duty("o1", "notification", {"k": "v"}))
    assert found.advice == (Duty("hint", "t"),)
    assert asked(policies, "GET /r", G, BOB).obligations == (Duty("tell", "notification"),)


def test_points_inherit_downwards_only():
    policies = (
        "  - {id: t, right: app/r, to: {group: g}, at: {tenant: t2}}\n"
        "  - {id: b, right: app/r, to: {group: g}, at: {site: b}}\n"
    )

    def at(point: object) -> tuple:
        return outcome(asked(policies, "GET /{site}/r", G, resource={"point": point}))

    assert at("c") == (True, "allowed", ("t",))
    assert at("b") == (True, "allowed", ("b",))
    assert at("site:b") == (True, "allowed", ("b",))
    assert at("a") == (False, "no_matching_policy", ())
    assert at("tenant:t1") == (False, "no_matching_policy", ())
    assert at("site:t1") == (True, "allowed", ("t",))
    for point in ("nowhere", "t1", "", None, 7, ["b"]):  # t1 names a tenant and a site
        assert at(point) == (False, "unknown_point", ())
    assert outcome(asked(policies, "GET /r", G)) == (False, "no_matching_policy", ())


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"resource": {"value": "lots"}}, "resource.value is not a valid decimal"),
        ({"resource": {"value": True}}, "resource.value is not a valid decimal"),
        ({"resource": {"kind": ["x"]}}, "resource.kind is not a valid string"),
        ({"resource": {"id": 7}}, "resource.id is not a valid string"),
        ({"assignee": {"limit": "1e3"}}, "assignee.limit is not a valid decimal"),
        ({"assignee": {"plan": "gold"}}, "assignee.plan is not a valid enum"),
        ({"env": {"risk": "high"}}, "env.risk is not a valid decimal"),
    ],
)
def test_bad_attributes(given, field):
    policies = ALLOW + "  - {id: d, effect: deny, right: app/r, where: {env.risk: {gt: 80}}, reason: risky}\n"
    found = asked(policies, "GET /r", G, **given)
    assert outcome(found) == (False, "bad_attribute", ())
    assert found.detail == field


def test_environment():
    policy = "  - {id: a, right: app/r, to: {group: g}, where: {%s}}\n"
    assert asked(policy % "env.risk: {lt: 5}", "GET /r", G).allow  # by its default
    assert not asked(policy % "env.risk: {lt: 5}", "GET /r", G, env={"risk": 5}).allow
    assert asked(policy % "env.now: {lt: 2027-01-15T08:00:01Z}", "GET /r", G, now=NOW).allow
    assert not asked(policy % "env.now: {lt: 2027-01-15T08:00:00Z}", "GET /r", G, now=NOW, env={"now": 0}).allow
    assert asked(policy % "env.acr: {gte: otp}", "GET /r", G, env={"acr": "phr"}).allow
    assert asked(policy % "env.acr: {gte: otp}", "GET /r", G, env={"acr": "0"}).reason == "no_matching_policy"
    assert asked(policy % "env.amr: {has: hwk}", "GET /r", G, env={"amr": ["pin", "hwk"]}).allow
    assert asked(policy % "env.mfa: {eq: true}", "GET /r", G, env={"mfa": True}).allow
    assert asked(policy % "env.source_ip: {in: [10.0.0.0/8]}", "GET /r", G, env={"source_ip": "::ffff:10.1.2.3"}).allow
    assert asked(policy % "env.auth_age: {lte: 10m}", "GET /r", G, env={"auth_age": 600.0}).allow
    assert asked(policy % "env.channel: {eq: web}", "GET /r", G, env={"channel": "web"}).allow
    assert asked(policy % "env.channel: {eq: web}", "GET /r", G, env={"channel": "fax"}).reason == "bad_attribute"
    assert asked(ALLOW, "GET /r", G, env={"channel": "fax"}).allow  # nothing reads it


def test_zone():
    assert program(SHARED).zone is None
    zoned = program(SHARED.replace("risk: {default: 0}", "time: {zone: Europe/Oslo}"))
    assert str(zoned.zone) == "Europe/Oslo"


def test_requestable():
    rules = """\
kind: Eligibility
rules:
  - {id: e1, type: eligible, role: app/RS, to: {group: g}}
  - {id: e2, type: eligible, right: app/r, to: {group: g}}
  - {id: e3, type: suggested, right: app/r, to: {group: g}}
  - {id: e4, type: pre_approved, right: app/r, to: {group: g}}
  - {id: x, type: exclusion, right: app/s, to: {person: bob}}
"""
    policies = program(SHARED, rules)
    assert verdict(policies, "GET /r", G).requestable == ("e1", "e2")
    assert verdict(policies, "GET /s", G).requestable == ("e1",)
    assert verdict(policies, "GET /s", G, BOB).requestable == ()
    assert verdict(policies, "GET /r", G, BOB).requestable == ("e1", "e2")
    assert verdict(policies, "GET /r", H).requestable == ()
    assert not verdict(policies, "GET /r", G).allow


def test_named_conditions():
    shared = SHARED.replace(
        "kind: Plans", "{kind: Catalog, conditions: {big: {resource.value: {gt: 10}}}}\n---\nkind: Plans"
    )
    policies = program(shared, "{kind: Policies, policies: [{id: a, right: app/r, to: {group: g}, where: {use: big}}]}")
    assert verdict(policies, "GET /r", G, resource={"value": "10.01"}).allow
    assert not verdict(policies, "GET /r", G, resource={"value": 10}).allow


BROKEN = (
    ("template", lambda table: table["bodies"][0].__setitem__(0, 99)),
    ("no template", lambda table: table["bodies"][0].__setitem__(0, -1)),
    ("parameter", lambda table: table["sections"][0].__setitem__(2, ["one", columns.pack([3])])),
    ("no literals", lambda table: table["sections"].clear()),
    ("literal", lambda table: table.__setitem__("arguments", columns.pack([7]))),
    ("extras", lambda table: table["bodies"][0].__setitem__(3, 0)),
    ("beginning", lambda table: table["bodies"][0].__setitem__(1, True)),
    ("point", lambda table: table["points"].__setitem__(1, "site:zzz")),
)


@pytest.mark.parametrize("spoil", [spoil for _, spoil in BROKEN], ids=[name for name, _ in BROKEN])
def test_a_broken_policy_denies_its_own_rights_only(spoil):
    policies = (
        "  - {id: a, right: app/r, to: {group: g}, at: {site: t1}, where: {resource.value: {gt: 1}}}\n"
        "  - {id: b, right: app/r, to: {group: g}}\n"
        "  - {id: c, right: app/s, to: {group: g}}\n"
    )
    data = compiled(SHARED, f"kind: Policies\npolicies:\n{policies}")
    spoil(data["policies"])
    loaded = pbac.load(data)
    assert outcome(verdict(loaded, "GET /r", G, resource={"value": 2})) == (False, "indeterminate", ("a",))
    assert verdict(loaded, "GET /s", G).allow


@pytest.mark.parametrize("word", ["allowed", "step_up", "not_ready", "bad_path", "policy"])
def test_a_built_in_word_is_no_authors_reason(word):
    deny = "  - {id: d, effect: deny, right: app/r, reason: own}\n"
    data = compiled(SHARED, f"kind: Policies\npolicies:\n{ALLOW}{deny}")
    found = verdict(pbac.load(data), "GET /r", G)
    assert (found.reason, found.authored) == ("own", True)
    data["policies"]["extras"][0]["reason"] = word
    found = verdict(pbac.load(data), "GET /r", G)
    assert (found.reason, found.by, found.authored) == ("indeterminate", ("d",), False)


def test_a_broken_policy_without_target_denies_its_application():
    data = compiled(SHARED, f"kind: Policies\npolicies:\n{ALLOW}")
    data["policies"]["buckets"][0][3] = "nowhere"
    loaded = pbac.load(data)
    assert verdict(loaded, "GET /r", G).reason == verdict(loaded, "GET /s", G).reason == "indeterminate"


def test_an_effect_that_is_not_known_denies_what_it_is_about():
    policies = ALLOW + "  - {id: b, right: app/s, to: {group: g}}\n"
    data = compiled(SHARED, f"kind: Policies\npolicies:\n{policies}")
    about = next(bucket for bucket in data["policies"]["buckets"] if bucket[3] == "s")
    about[0] = "permit"
    loaded = pbac.load(data)
    assert outcome(verdict(loaded, "GET /s", G)) == (False, "indeterminate", ("b",))
    assert verdict(loaded, "GET /r", G).allow


def test_a_broken_template_denies_those_who_use_it():
    policies = ALLOW + "  - {id: b, right: app/s, to: {group: g}, where: {resource.value: {gt: 1}}}\n"
    data = compiled(SHARED, f"kind: Policies\npolicies:\n{policies}")
    for template in (
        {},
        {"all": []},
        {"all": 1},
        {"op": "gt"},
        {"not": 3},
        {"op": "in", "left": ["x", "y"], "type": 0},
    ):
        data["templates"][0] = template
        loaded = pbac.load(data)
        assert verdict(loaded, "GET /s", G, resource={"value": 2}).reason == "indeterminate"
        assert verdict(loaded, "GET /r", G).allow


def test_a_condition_that_raises_is_unknown():
    policies = (
        "  - {id: a, right: app/r, to: {group: g}, where: {resource.value: {gt: 1}}}\n"
        "  - {id: b, right: app/s, to: {group: g}}\n"
        "  - {id: d, effect: deny, right: app/s, where: {resource.value: {gt: 1}}, reason: x}\n"
    )
    loaded = program(SHARED, f"kind: Policies\npolicies:\n{policies}")
    # A converter that lies, as a fault of ours might.
    fields = (("value", FieldType("decimal"), lambda raw: raw),)
    loaded._tables = tuple(msgspec.structs.replace(table, fields=fields) for table in loaded._tables)
    assert outcome(verdict(loaded, "GET /r", G, resource={"value": "text"})) == (False, "no_matching_policy", ())
    assert outcome(verdict(loaded, "GET /s", G, resource={"value": "text"})) == (False, "indeterminate", ("d",))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.pop("routes"),
        lambda data: data.update(format=1),
        lambda data: data.update(extra=1),
        lambda data: data["routes"][0].update(right="nowhere"),
        lambda data: data["routes"][0].update(application="nowhere"),
        lambda data: data["routes"][0].update(sources=[["colour", "path", "x"]]),
        lambda data: data["types"][0].update(base="number"),
        lambda data: data.update(zone="Europe/Nowhere"),
        lambda data: data.update(zone=""),
        lambda data: data.update(zone="../zone\0"),
        lambda data: data["applications"]["app"]["assignee"].update(plan=99),
        lambda data: data["points"].update({"site:a": "site:b", "site:b": "site:a"}),
        lambda data: data["points"].update({"site:a": "site:zzz"}),
        lambda data: data["policies"]["buckets"][0].__setitem__(1, "nobody"),
        lambda data: data["policies"]["buckets"][0].__setitem__(4, 2),
        lambda data: data["policies"]["buckets"].append(["allow", "app", "right", "r", 0]),
        lambda data: data["policies"]["buckets"].clear(),
        lambda data: data["policies"]["bodies"][0].__setitem__(4, -1),
        lambda data: data["policies"].update(group_assignee=columns.pack([1])),
        lambda data: data["policies"].update(group_point=columns.pack([5])),
        lambda data: data["policies"].update(group_size=columns.pack([2])),
        lambda data: data["policies"].update(group_split=columns.pack([1])),
        lambda data: data["policies"].update(row_case=columns.pack([1])),
        lambda data: data["policies"].update(row_line=columns.pack([1, 2])),
        lambda data: data["policies"].update(row_line="x"),
        lambda data: data["policies"].update(row_line="1!!!!"),
        lambda data: data["policies"].update(row_line="2AA=="),
        lambda data: data["policies"].update(arguments=columns.pack([0])),
        lambda data: data["policies"].update(tokens=["", columns.pack([0])]),
        lambda data: data["policies"].update(ids=["ab", columns.pack([1])]),
        lambda data: data["policies"].update(points=["site:t1"]),
        lambda data: data["policies"].update(moments=columns.pack_moments([float("nan")])),
        lambda data: data["policies"].update(moments=columns.pack([1])),
        lambda data: data["policies"].update(splits=[[["side", "x"]]]),
        lambda data: data["policies"].update(sections=[["some", 0, ["", "1"], ""]]),
        lambda data: data["policies"].update(sections=[["one", 0, ["", "1"], columns.pack([1])]]),
    ],
)
def test_a_form_that_cannot_be_read_is_refused(spoil):
    data = compiled(SHARED, f"kind: Policies\npolicies:\n{ALLOW}")
    spoil(data)
    with pytest.raises(Exception, match="AZ220"):
        pbac.load(data)


def test_nothing():
    assert pbac.NOTHING.routes == ()


def test_routes_tell_what_the_rest_needs():
    rest = "fields: [a]}}, http: {hosts: ['*.x'], accept: [path_parameters], routes: {'POST /a/{i}': {right: r, resource: {id: path.i, a: literal.y}}}}"
    text = f"{{kind: Application, id: one, model: pbac+resources+fields, fields: {{a: {{type: string}}}}, resourceTypes: {{T: {{fields: [a]}}}}, rights: {{q: {{on: T, feature: f}}, r: {{{rest}}}"
    (route,) = program(text).routes
    assert route == pbac.Route(
        index=0,
        application="one",
        hosts=("*.x",),
        method="POST",
        template="/a/{i}",
        right="r",
        feature="",
        sources=(pbac.Source("id", "path", "i"), pbac.Source("a", "literal", "y")),
        lookup_table="one",
        accepts=frozenset({"path_parameters"}),
        place=route.place,
    )
    (route,) = program(text.replace("right: r,", "right: q,")).routes
    assert (route.lookup_table, route.feature) == ("one/T", "f")
