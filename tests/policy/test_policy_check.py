"""Every mistake has its code, at the place where it was made, and all of them are told at once."""

import pytest

from authorizer.policy import pbac
from authorizer.policy.documents import load
from tests.policy.checking import APP, DOCUMENTS, SHARED, application, problems

REPORT = """\
bad.yaml:4:1: error A002: model 'pbac' has no field types (models that have: pbac+fields, pbac+resources+fields, azure+pbac, azure+resources+pbac)
bad.yaml:10:12: error R004: unknown right 'contract.veiw' in 'insure'; did you mean 'contract.view'?
bad.yaml:17:24: error C006: operator 'in' does not apply to decimal field 'value' (use eq, gt, gte, lt, lte, ne)
bad.yaml:18:35: error C011: 'UK' is not a value of 'country' (values: PL, DE, FR, NO)
bad.yaml:19:27: error C009: type mismatch: 'line' is enum, '$assignee.agency' is string
bad.yaml:20:5: error R002: policy 'p3' must name exactly one right or one role (has 2)
bad.yaml:26:9: error R005: policy 'p4' must have exactly one assignee (has 2)
bad.yaml:34:13: error C003: field type 'line' belongs to application 'insure'; make it universal to share it
bad.yaml:35:5: error R010: policy 'p7' grants 'contract.view', which requires a constraint on 'country'
bad.yaml:35:5: warning D001: policy 'p7' can never match: conditions on resource.value exclude each other
bad.yaml:42:24: error S004: 'rg-db' is a resource_group, not a subscription"""


def test_report():
    nodes = load(SHARED, "shared.yaml") + load((DOCUMENTS / "bad.yaml").read_text(), "bad.yaml")
    found = pbac.check_and_compile(nodes)
    assert "\n".join(map(str, found.problems)) == REPORT
    assert found.data is None
    assert found == pbac.check_and_compile(nodes[::-1])


def test_shared_documents_are_good():
    assert problems() == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a", "A001 1:1"),
        ("name: x", "A001 1:1"),
        ("kind: Polices", "A001 1:7"),
        ("{kind: Catalog, fields: {country: {type: string}}}", "A007 1:26"),
        ("{kind: Catalog, acr: [a, b]}", "A007 1:22"),
        ("{kind: Catalog, env: {risk: {default: 1}}}", "A007 1:23"),
        ("{kind: Catalog, env: {mood: {type: sting}}}", "A006 1:36"),
        ("{kind: Catalog, env: {auth_age: {default: soon}}}", "A016 1:43"),
        ("{kind: Catalog, env: {now: {default: 1}}}", "AZ204 1:29 A016 1:38"),
        ("{kind: Catalog, colour: red}", "AZ204 1:17"),
        ("{kind: Catalog, fields: {Size: {type: int}}}", "A005 1:26"),
        ("{kind: Catalog, fields: {size: {type: number}}}", "A006 1:39"),
        ("{kind: Catalog, fields: {size: {type: enum}}}", "A006 1:32"),
        ("{kind: Catalog, fields: {size: {type: int, values: [1]}}}", "A006 1:32"),
        ("{kind: Catalog, fields: {size: {type: int, ordered: true}}}", "A006 1:32"),
        ("{kind: Catalog, fields: {size: {type: int, scope: envs}}}", "A008 1:51"),
        ("{kind: Catalog, fields: {size: {many: true}}}", "AZ210 1:32"),
        ("{kind: Plans, plans: {max: {includes: [prof]}}}", "P001 1:40"),
        ("{kind: Plans, plans: {free: {features: []}}}", "A007 1:23"),
        ("{kind: Plans, plans: {a: {includes: [b]}, b: {includes: [a]}}}", "P002 1:38 P002 1:58"),
        ("{kind: AssignmentPoints, types: [x], tree: {y: ''}}", "S001 1:45"),
        ("{kind: AssignmentPoints, types: [x], tree: {'y:1': ''}}", "S002 1:45"),
        ("{kind: AssignmentPoints, types: [x, y], tree: {'y:1': {'x:1': ''}}}", "S006 1:56"),
        ("{kind: AssignmentPoints, types: [x, y], tree: {'x:1': {'y:1': ''}, 'x:2': {'y:1': ''}}}", "S003 1:76"),
        ("{kind: AssignmentPoints, types: [tenant], tree: {}}", "A007 1:1"),
    ],
)
def test_shared_mistakes(text, expected):
    assert " ".join(problems(text)) == expected


MODELS = {
    "none": "A002 fields resourceTypes rights roles http",
    "pbac": "A002 fields resourceTypes",
    "pbac+resources": "A002 fields",
    "pbac+fields": "A002 resourceTypes",
    "pbac+resources+fields": "",
    "azure": "A002 fields resourceTypes",
    "azure+pbac": "A002 resourceTypes",
    "azure+resources+pbac": "",
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("section", ["fields", "resourceTypes", "rights", "roles", "http"])
def test_models_forbid_what_they_lack(model, section):
    value = "{hosts: [h]}" if section == "http" else "{}"
    lacking = section in MODELS[model].split()
    assert problems(application(model, f"{section}: {value}")) == (["A002 2:1"] if lacking else [])


@pytest.mark.parametrize(
    ("model", "rest", "forbidden"),
    [
        ("azure", "where: {env.risk: {lt: 5}}", "A002"),
        ("azure", "require: {acr: otp}", "A002"),
        ("azure", "effect: deny, reason: x", "A002"),
        ("azure", "at: {tenant: contoso}", ""),
        ("azure+pbac", "at: {tenant: contoso}, where: {assignee.country: {eq: PL}}", ""),
        ("pbac", "at: {tenant: contoso}", "A002"),
        ("pbac", "where: {env.risk: {lt: 5}}", ""),
        ("pbac", "where: {assignee.country: {eq: PL}}", "A002"),
        ("pbac+resources", "where: {assignee.country: {eq: PL}}", "A002"),
        ("pbac+fields", "where: {assignee.country: {eq: PL}}", ""),
        ("pbac+resources+fields", "where: {assignee.country: {eq: PL}}", ""),
        ("pbac+resources+fields", "at: {tenant: contoso}", "A002"),
    ],
)
def test_models_forbid_policies_what_they_lack(model, rest, forbidden):
    policies = f"{{kind: Policies, policies: [{{id: p, right: app/r, to: {{group: g}}, {rest}}}]}}"
    found = problems(application(model, "rights: {r: {}}"), policies)
    assert [problem.split()[0] for problem in found] == ([forbidden] if forbidden else [])


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("id: again", "AZ202"),
        ("rights: {r: {on: Order}}", "A009 2:18"),
        ("resourceTypes: {O: {}}, rights: {r: {on: O, fields: [country]}}", "A009 2:53"),
        ("rights: {r: {fields: [contry]}}", "C001 2:23"),
        ("rights: {r: {fields: [plan]}}", "C005 2:23"),
        ("rights: {r: {fields: [sensitivity]}}", "C003 2:23"),
        ("rights: {r: {must_constrain: [country]}}", "C004 2:31"),
        ("rights: {r: {features: x}}", "AZ204 2:14"),
        ("rights: {r: {feature: x}}", "P004 2:10"),
        ("rights: {'a b': {}}", "A005 2:10"),
        ("rights: {r: {}}, roles: {R: [s]}", "R004 2:30"),
        ("fields: {country: {type: int}}", "A007 2:10"),
        ("fields: {point: {type: int}}", "A007 2:10"),
        ("rights: {r: {}}, http: {routes: {}}", "AZ210 2:24"),
        ("http: {hosts: ['https://h']}", "A017 2:16"),
        ("http: {hosts: [h], accept: [encoded_slashes]}", "A014 2:29"),
        ("http: {hosts: [h], unmapped: allow}", ""),
        ("http: {hosts: [h], unmapped: watch}", "A013 2:30"),
        ("http: {hosts: [h], unmapped: deny}", ""),
        ("http: {hosts: [h], routes: {GET: }}", "A010 2:29"),
        ("http: {hosts: [h], routes: {get /a: }}", "A010 2:29"),
        ("http: {hosts: [h], routes: {'GET /a/../b': }}", "A010 2:29"),
        ("http: {hosts: [h], routes: {GET /a: }}", ""),
        ("http: {hosts: [h], routes: {GET /a: {right: r}}}", "R004 2:45"),
        ("http: {hosts: [h], routes: {GET /a: , GET /a: }}", "AZ202"),
        ("http: {hosts: [h], routes: {'GET /a/{x}': , 'GET /a/{y}': }}", "A011 2:45"),
        ("http: {hosts: [arm.example], routes: {'GET /rg/{a}/vms/{b}': }}", "A011 25:5"),
        ("http: {hosts: [h], routes: {'GET /{x}': {resource: {id: path.y}}}}", "A012 2:57"),
        ("http: {hosts: [h], routes: {'GET /{x}': {resource: {id: cookie.y}}}}", "A012 2:57"),
        ("http: {hosts: [h], routes: {'GET /{x}': {resource: {id: mtls.cn}}}}", "A012 2:57"),
        ("http: {hosts: [h], routes: {'GET /{x}': {resource: {id: header.}}}}", "A012 2:57"),
        ("http: {hosts: [h], routes: {'GET /{x}': {resource: {country: path.x}}}}", "C004 2:53"),
        ("http: {hosts: [h], routes: {'GET /{x}': {resource: {point: path.x}}}}", "C004 2:53"),
        ("http: {hosts: [h], routes: {'GET /{x}': {trust: me}}}", "A012 2:49"),
        (
            "rights: {r: {fields: [country]}}, http: {hosts: [h], routes: {'GET /': {right: r, resource: {country: lookup.c}}}}",
            "A012 2:103",
        ),
        (
            "rights: {r: {fields: [country]}}, http: {hosts: [h], routes: {'GET /': {right: r, resource: {country: literal.X}}}}",
            "C010 2:103",
        ),
    ],
)
def test_application_mistakes(rest, expected):
    if expected == "AZ202":
        with pytest.raises(Exception, match="AZ202"):
            problems(application("pbac+resources+fields", rest))
    else:
        assert " ".join(problems(application("pbac+resources+fields", rest))) == expected


def test_application_ids():
    assert problems("{kind: Application, id: arm, model: pbac}") == ["A004 1:25"]
    assert problems("{kind: Application, id: app, model: pbca}") == ["A003 1:37"]
    assert problems("{kind: Application, model: pbac}") == ["AZ210 1:1"]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("{}", "C008"),
        ("{any: []}", "C008"),
        ("{resource.line: {}}", "C008"),
        ("[a]", "AZ209"),
        ("{line: {eq: motor}}", "C002"),
        ("{resource.: {eq: motor}}", "C002"),
        ("{resource.lin: {eq: motor}}", "C001"),
        ("{env.mood: {eq: x}}", "C001"),
        ("{resource.limit: {eq: 1}}", "C005"),
        ("{assignee.line: {eq: motor}}", "C005"),
        ("{resource.line: {equals: motor}}", "C007"),
        ("{resource.line: {gt: motor}}", "C006"),
        ("{resource.size: {gt: m}}", ""),
        ("{resource.note: {gt: m}}", "C006"),
        ("{resource.note: {prefix: m}}", ""),
        ("{resource.value: {lte: much}}", "C010"),
        ("{resource.value: {lte: 1e3}}", "C010"),
        ("{resource.value: {lte: $assignee.limit}}", ""),
        ("{resource.value: {lte: $assignee.limits}}", "C001"),
        ("{resource.value: {lte: $limit}}", "C002"),
        ("{resource.value: {lte: '$assignee.limit'}}", "C017"),
        ("{resource.note: {eq: assignee.country}}", "C017"),
        ("{resource.note: {in: [$assignee.country, evil]}}", "C017"),
        ("{resource.note: {in: ['$assignee.country', evil]}}", "C017"),
        ("{resource.note: {in: [$country, evil]}}", "C017"),
        ("{resource.note: {ne: 'env.source_ip'}}", "C017"),
        ("{resource.note: {prefix: resource.id}}", "C017"),
        ("{resource.note: {in: ['$country', $5.00, env.colour, resource.]}}", "C017"),
        ("{resource.note: {in: ['$country', '$5.00', env.colour, resource.]}}", ""),
        ("{resource.country: {eq: $resource.country}}", "C016"),
        ("{resource.value: {lte: $resource.value}}", "C016"),
        ("{not: {env.risk: {ne: $env.risk}}}", "C016"),
        ("{resource.country: {eq: $assignee.country}}", ""),
        ("{resource.value: {eq: $resource.note}}", "C009"),
        ("{resource.line: {eq: $resource.country}}", "C009"),
        ("{resource.line: {in: $assignee.lines}}", ""),
        ("{resource.line: {in: $assignee.country}}", "C009"),
        ("{resource.line: {in: motor}}", "C010"),
        ("{resource.line: {in: []}}", "C010"),
        ("{resource.line: {in: [motor, boat]}}", "C011"),
        ("{assignee.lines: {has: motor}}", ""),
        ("{assignee.lines: {has: $resource.line}}", ""),
        ("{assignee.lines: {eq: motor}}", "C006"),
        ("{resource.opened: {between: [21:00, 09:00]}}", ""),
        ("{resource.opened: {between: [21:00]}}", "C010"),
        ("{resource.opened: {between: [21:00, 21:00]}}", "C010"),
        ("{resource.opened: {between: [21:00, 25:00]}}", "C010"),
        ("{resource.opened: {between: $env.time}}", "C012"),
        ("{resource.address: {in: [10.0.0.0/8]}}", ""),
        ("{resource.address: {in: $assignee.home}}", ""),
        ("{resource.address: {in: [10.0.0.1/8]}}", "C010"),
        ("{resource.address: {eq: 10.0.0.1}}", ""),
        ("{resource.note: {exists: maybe}}", "C010"),
        ("{resource.note: {exists: true}}", ""),
        ("{env.acr: {gte: otp}}", ""),
        ("{env.acr: {gte: fido}}", "C011"),
        ("{env.channel: {eq: web}}", ""),
        ("{env.source_ip: {not_in: [10.0.0.0/8]}}", ""),
        ("{env.amr: {has: mfa}}", ""),
        ("{use: office}", ""),
        ("{use: ofice}", "C013"),
        ("{use: twice}", "C014"),
        ("{use: odd}", "C014"),
        ("{not: {use: office}}", ""),
        ("{not: " * 13 + "{use: office}" + "}" * 13, "C015"),
        ("{any: [{resource.line: {eq: motor}}, {resource.line: {equals: life}}]}", "C007"),
        ("{resource.line: {eq: motor}, not: {resource.line: {eq: life}}}", ""),
    ],
)
def test_conditions(where, expected):
    found = problems(APP, f"{{kind: Policies, policies: [{{id: p, right: app/r, to: {{group: g}}, where: {where}}}]}}")
    assert [problem.split()[0] for problem in found if not problem.startswith("L003")] == [expected] * bool(expected)


def test_warnings():
    read = "{kind: Policies, policies: [{id: p, role: arm/Contributor, to: {group: g}, where: {resource.sensitivity: {eq: public}}}]}"
    assert problems(read) == ["L002 26:99"]
    trusted = SHARED.replace("body.sensitivity}}", "body.sensitivity}, trust: acted_on}")
    nodes = load(trusted, "shared.yaml") + load(read, "f.yaml")
    assert pbac.check_and_compile(nodes).problems == ()
    without_zone = SHARED.replace(", time: {zone: Europe/Oslo}", "")
    timed = read.replace("resource.sensitivity: {eq: public}", "env.time: {gt: 10:00}")
    nodes = load(without_zone, "shared.yaml") + load(timed, "f.yaml")
    assert [problem.code for problem in pbac.check_and_compile(nodes).problems] == ["L004"]


@pytest.mark.parametrize("route", ["/a/:id", "/a/*", "/a/**/b", "/a/{id}/:x"])
def test_parameters_of_other_routers_are_told(route):
    text = "{{kind: Application, id: a, http: {{hosts: [h], routes: {{'GET {}': public}}}}}}"
    assert problems(text.format(route)) == ["L006 1:56"]
    for meant in (route.replace(":", "%3A").replace("*", "%2A"), "/a/x:cancel", "/a/{rest=**}"):
        assert problems(text.format(meant)) == []


def test_routes_without_the_point_that_a_denial_needs():
    deny = "{kind: Policies, policies: [{id: d, effect: deny, right: arm/*, at: {tenant: contoso}, reason: x}]}"
    assert problems(deny) == []
    nodes = load(SHARED.replace("point: path.rg, ", ""), "shared.yaml") + load(deny, "f.yaml")
    assert [problem.code for problem in pbac.check_and_compile(nodes).problems] == ["S007", "S007"]


def test_unknown_zone():
    nodes = load(SHARED.replace("Europe/Oslo", "Europe/Olso"), "shared.yaml")
    assert [str(p) for p in pbac.check_and_compile(nodes).problems] == [
        "shared.yaml:3:40: error A016: unknown time zone 'Europe/Olso' (write an IANA name, as in Europe/Oslo)"
    ]


def test_wide_leaves_are_told():
    policies = ", ".join(
        f"{{id: p{number:02}, right: app/r, to: {{group: g}}, where: {{resource.value: {{lte: {number}}}}}}}"
        for number in range(70)
    )
    found = problems(APP, f"{{kind: Policies, policies: [{policies}]}}")
    assert [problem for problem in found if "L003" not in problem] == ["L001 1:29"]
    told_apart = policies.replace("resource.value: {lte: ", "resource.note: {eq: n")
    found = problems(APP, f"{{kind: Policies, policies: [{told_apart}]}}")
    assert [problem for problem in found if "L003" not in problem] == []


def test_an_unknown_model_is_the_only_error_that_it_causes():
    assert problems(
        "{kind: Application, id: a, model: pbcc, fields: {x: {type: string}}, resourceTypes: {B: {fields: [x]}},"
        " rights: {r: {on: B}}, http: {hosts: [h], routes: {'GET /{i}': {right: r, resource: {id: path.i, x: path.i}}}}}",
        "{kind: Policies, policies: [{id: p, right: a/r, to: {anyone: true}, where: {resource.x: {eq: y}}}]}",
    ) == ["A003 1:35"]


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        ("to: staff", "to: {group: NAME}"),
        ("to: {group: g}, where: x", "{FIELD: {eq: VALUE}}"),
        ("to: {group: g}, where: {env.risk: 3}", "{eq: VALUE}"),
    ],
)
def test_what_must_be_a_mapping_is_shown(rule, hint):
    nodes = load("{kind: Application, id: a, model: pbac, rights: {r: {}}}", "a.yaml")
    nodes += load(f"{{kind: Policies, policies: [{{id: p, right: a/r, {rule}}}]}}", "f.yaml")
    assert [(p.code, p.hint) for p in pbac.check_and_compile(nodes).problems] == [("AZ209", hint)]
