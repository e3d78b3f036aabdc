"""Mistakes in policies and in rules of eligibility."""

import pytest

from authorizer.policy import pbac
from authorizer.policy.documents import load
from tests.policy.checking import APP, problems


def test_condition_fields_must_be_linked_to_every_right():
    policy = "{kind: Policies, policies: [{id: p, role: app/R, to: {group: g}, where: {resource.line: {eq: motor}}}]}"
    assert [p.split()[0] for p in problems(APP, policy) if "L003" not in p] == ["C004"]
    policy = policy.replace("resource.line: {eq: motor}", "resource.country: {eq: PL}")
    assert [p.split()[0] for p in problems(APP, policy) if "L003" not in p] == []


@pytest.mark.parametrize(
    ("where", "dead"),
    [
        ("resource.value: {gt: 5, lt: 5}", True),
        ("resource.value: {gte: 5, lte: 5}", False),
        ("resource.value: {gt: 5, lte: 5.0}", True),
        ("resource.value: {eq: 5.00, gte: 5}", False),
        ("resource.value: {eq: 4, gte: 5}", True),
        ("resource.line: {eq: motor, ne: motor}", True),
        ("resource.line: {in: [motor], not_in: [life]}", False),
        ("resource.line: {not_in: [life, motor], ne: life}", True),
        ("resource.note: {eq: a, in: [b, c]}", True),
        ("resource.note: {ne: a, eq: a}", True),
        ("resource.note: {ne: a, not_in: [b]}", False),
        ("resource.size: {gt: m, lt: l}", True),
        ("resource.size: {gte: m, lt: l}", False),
        ("resource.note: {exists: false, eq: a}", True),
        ("resource.note: {exists: true, eq: a}", False),
        ("resource.value: {gt: 5}, any: [{resource.value: {lt: 5}}]", True),
        ("resource.value: {gt: 5}, any: [{resource.value: {lt: 5}}, {resource.value: {lt: 7}}]", False),
        ("resource.value: {gt: $assignee.limit, lt: 5}", False),
    ],
)
def test_dead_policies(where, dead):
    policy = f"{{kind: Policies, policies: [{{id: p, right: app/r, to: {{group: g}}, where: {{{where}}}}}]}}"
    assert [p.split()[0] for p in problems(APP, policy) if "L003" not in p] == ["D001"] * dead


DENY = "{id: d, effect: deny, right: app/r, reason: no, overridable: true}"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("{right: app/r, to: {group: g}}", "AZ210"),
        ("{id: p q, right: app/r, to: {group: g}}", "A005"),
        ("{id: p, to: {group: g}}", "R002"),
        ("{id: p, right: app/r}", "R005"),
        ("{id: p, right: app/r, to: {}}", "R005"),
        ("{id: p, right: app/r, to: g}", "AZ209"),
        ("{id: p, right: app/r, to: {team: g}}", "R006"),
        ("{id: p, right: app/r, to: {group: ''}}", "AZ209"),
        ("{id: p, right: app/r, to: {business_role_location: {role: r}}}", "AZ210"),
        ("{id: p, right: app/r, to: {business_role: r}}", ""),
        ("{id: p, right: app/r, to: {location: oslo}}", ""),
        ("{id: p, right: app/r, to: {anyone: true}}", ""),
        ("{id: p, right: ap/r, to: {group: g}}", "R001"),
        ("{id: p, right: r, to: {group: g}}", "R001"),
        ("{id: p, right: app/x, to: {group: g}}", "R004"),
        ("{id: p, role: app/X, to: {group: g}}", "R007"),
        ("{id: p, right: app/*, to: {group: g}}", "R008"),
        ("{id: p, effect: forbid, right: app/r, to: {group: g}}", "R003"),
        ("{id: p, right: app/r, to: {group: g}, reason: x}", "R003"),
        ("{id: p, right: app/r, to: {group: g}, overridable: true}", "R003"),
        ("{id: p, right: app/r, to: {group: g}, whre: {}}", "AZ204"),
        ("{id: p, effect: deny, right: app/*, reason: x}", "D003"),
        ("{id: p, effect: deny, right: app/r}", "R017"),
        ("{id: p, effect: deny, right: app/r, reason: Not Now}", "R017"),
        ("{id: p, effect: deny, right: app/r, reason: allowed}", "R017"),
        ("{id: p, effect: deny, right: app/r, reason: bad_path}", "R017"),
        ("{id: p, effect: deny, right: app/r, reason: x, require: {acr: otp}}", "R003"),
        ("{id: p, effect: gate, on: app/*, reason: x}", "R018"),
        ("{id: p, effect: gate, on: app/*, reason: x, require_feature: true}", ""),
        ("{id: p, effect: gate, on: app/r, reason: x, where: {env.risk: {lt: 5}}}", ""),
        ("{id: p, effect: gate, right: app/r, reason: x, where: {env.risk: {lt: 5}}}", "AZ210 R003"),
        ("{id: p, effect: gate, on: app/r, to: {group: g}, reason: x, where: {env.risk: {lt: 5}}}", "R003"),
        ("{id: p, right: app/r, to: {group: g}, until: 2026-01-01}", "R011"),
        ("{id: p, right: app/r, to: {group: g}, until: 2026-01-01T00:00:00}", "R011"),
        ("{id: p, right: app/r, to: {group: g}, from: 2026-01-01T01:00:00+01:00, until: 2026-01-01T00:00:00Z}", "R011"),
        ("{id: p, right: app/r, to: {group: g}, require: {}}", "R012"),
        ("{id: p, right: app/r, to: {group: g}, require: {acr: fido}}", "R012"),
        ("{id: p, right: app/r, to: {group: g}, require: {max_age: 5 min}}", "R012"),
        ("{id: p, right: app/r, to: {group: g}, require: {max_age: 5m}}", ""),
        ("{id: p, right: app/r, to: {group: g}, overrides: [q], obligations: [{id: o, type: notification}]}", "R013"),
        ("{id: p, right: app/r, to: {group: g}, overrides: [d]}", "R015"),
        ("{id: p, right: app/r, to: {group: g}, overrides: [d], obligations: [{id: o, type: notification}]}", ""),
        ("{id: d, right: app/r, to: {group: g}}", "R009"),
        (
            "{id: p, right: app/r, to: {group: g}, obligations: [{id: o, type: notification}, {id: o, type: notification}]}",
            "R016",
        ),
        ("{id: p, right: app/r, to: {group: g}, obligations: [{id: o}]}", "AZ210"),
        ("{id: p, right: app/r, to: {group: g}, obligations: [{id: o, type: notificaton}]}", "R020"),
        ("{id: p, right: app/r, to: {group: g}, advice: [{id: o, type: anything}]}", ""),
        ("{id: p, effect: deny, right: app/r, to: {anyone: false}, reason: x}", "R019"),
        ("{id: p, right: app/r, to: {anyone: no}}", "AZ209"),
        ("{id: p, right: app/r, to: {group: 'g '}}", "A005"),
        ("{id: p, right: app/r, to: {person: '\u00a0kim'}}", "A005"),
        ("{id: p, right: app/r, to: {business_role_location: {role: r, location: ' x'}}}", "A005"),
        ("{id: p, right: app/r, to: {group: g}, where: {env.time: {gt: 10:00}}}", ""),
        (
            "{id: p, right: app/r, to: {group: g}, obligations: [{id: shown, type: notification, properties: {to: boss}}]}",
            "R016",
        ),
        ("{id: p, right: arm/vm.read, to: {group: g}, at: {}}", "S001"),
        ("{id: p, right: arm/vm.read, to: {group: g}, at: {planet: earth}}", "S002"),
        ("{id: p, right: arm/vm.read, to: {group: g}, at: {tenant: umbrella}}", "S005"),
        ("{id: p, right: arm/vm.read, to: {group: g}, at: {tenant: s-pay}}", "S004"),
        ("{id: p, right: arm/vm.read, to: {group: g}, at: {tenant: contoso}}", ""),
    ],
)
def test_policy_mistakes(policy, expected):
    other = "{id: z, right: app/r, to: {group: g}, obligations: [{id: shown, type: notification}]}"
    found = problems(APP, f"{{kind: Policies, policies: [{DENY}, {other}, {policy}]}}")
    assert " ".join(sorted(problem.split()[0] for problem in found if "L003" not in problem)) == expected


def test_override_of_a_denial_that_cannot_be():
    policies = DENY.replace(", overridable: true", "") + ", {id: p, right: app/r, to: {group: g}, overrides: [d], "
    policies += "obligations: [{id: o, type: notification}]}"
    found = problems(APP, f"{{kind: Policies, policies: [{policies}]}}")
    assert [problem.split()[0] for problem in found if "L003" not in problem] == ["R014"]


@pytest.mark.parametrize(
    ("where", "good"),
    [
        ("resource.country: {eq: PL}", True),
        ("resource.country: {eq: $assignee.country}", True),
        ("resource.country: {ne: PL}", False),
        ("resource.country: {exists: true}", False),
        ("any: [{resource.country: {eq: PL}}, {resource.country: {eq: NO}}]", True),
        ("any: [{resource.country: {eq: PL}}, {resource.line: {eq: life}}]", False),
        ("not: {resource.country: {eq: PL}}", False),
        ("resource.line: {eq: life}", False),
    ],
)
def test_constraints_that_must_be(where, good):
    text = APP.replace("note]}", "note], must_constrain: [country]}")
    policy = f"{{kind: Policies, policies: [{{id: p, right: app/r, to: {{group: g}}, where: {{{where}}}}}]}}"
    assert [p.split()[0] for p in problems(text, policy) if "L003" not in p] == ([] if good else ["R010"])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("{id: e, type: eligible, right: app/r, to: {group: g}}", ""),
        ("{id: e, type: exclusion, role: app/R, to: {anyone: true}}", ""),
        ("{id: e, type: elligible, right: app/r, to: {group: g}}", "R003"),
        ("{id: e, type: eligible, right: app/*, to: {group: g}}", "R008"),
        ("{id: e, type: eligible, right: app/r}", "R005"),
        ("{id: e, type: eligible, right: app/r, to: {group: g}, where: {}}", "AZ204"),
    ],
)
def test_eligibility_mistakes(rule, expected):
    found = problems(APP, f"{{kind: Eligibility, rules: [{rule}]}}")
    assert " ".join(problem.split()[0] for problem in found if "L003" not in problem) == expected


def test_plan_gate_needs_plans_and_the_field():
    gate = "{kind: Policies, policies: [{id: p, effect: gate, on: app/*, reason: x, require_feature: true}]}"
    catalog = "{kind: Catalog, fields: {plan: {type: enum, values: [free], scope: assignee}}}"
    plans = "{kind: Plans, plans: {free: {}, pro: {}}}"
    app = "{kind: Application, id: app, model: pbac+fields, rights: {r: {}}}"

    def codes(*texts: str) -> list[str]:
        nodes = [node for text in texts for node in load(text, "f.yaml")]
        return [problem.code for problem in pbac.check_and_compile(nodes).problems]

    assert codes(app, gate) == ["P003"]
    assert codes(app, gate, catalog) == ["P003"]
    assert codes(app, gate, catalog, plans) == ["C011"]
    assert codes(app, gate, catalog.replace("[free]", "[free, pro]"), plans) == []
