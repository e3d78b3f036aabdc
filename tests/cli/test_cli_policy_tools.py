"""The authors' tools of ``authorizer policy``: what they print and with what status they end."""

import json
from xml.etree import ElementTree as ET

import pytest

from authorizer.cli import main
from authorizer.model import Decision
from authorizer.reasons import reason
from authorizer.telemetry.decision_event import maker

GOOD = """\
kind: Application
id: app
model: pbac+fields
fields: {line: {type: string}}
rights: {r: {fields: [line]}}
http: {hosts: [h.example], routes: {"GET /r/{id}": {right: r, resource: {id: path.id, line: lookup.line}}}}
---
kind: Policies
policies: [{id: staff, right: app/r, to: {group: staff}, where: {resource.line: {eq: a}}}]
---
kind: Tests
suite: first
now: 2026-01-01T00:00:00Z
subjects: {ann: {is: {group: [staff]}}, bob: {is: {group: [guests]}}}
cases:
  - {name: in, as: ann, http: GET h.example/r/1, data: {line: a}, expect: {decision: allow, by: [staff]}}
  - {name: out, as: bob, http: GET h.example/r/1, data: {line: a}, expect: {decision: deny, reason: no_matching_policy}}
"""
MORE = "  - {name: line b, as: ann, http: GET h.example/r/1, data: {line: b}, expect: {decision: deny}}\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "policies.yaml").write_text(GOOD)
    return tmp_path


def out(capsys) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_junit_and_coverage(folder, capsys):
    report = folder.parent / "report.xml"
    (folder / "policies.yaml").write_text(
        GOOD.replace("name: out", "name: 'out <&\">'").replace("by: [staff]", "by: [x]")
    )
    assert main(["policy", "test", str(folder), "--junit", str(report), "--coverage"]) == 4
    assert out(capsys)[-2:] == [
        f"{folder}/policies.yaml:9:86: no case of 'staff' turns on resource.line eq a being not true",
        "1 of 1 policies determine a case, 0 of 1 conditions decide one both ways",
    ]
    (suite,) = ET.parse(report).getroot()
    assert suite.attrib == {"name": "first", "tests": "2", "failures": "1"}
    assert [case.get("name") for case in suite] == ["in", 'out <&">']
    assert suite[0][0].get("message").startswith("by: expected [x], got [staff]")
    assert main(["policy", "test", str(folder), "--output", "json", "--coverage"]) == 4
    shown = json.loads(capsys.readouterr().out)
    assert shown["coverage"][0]["conditions"][0]["when_true"] == "first: in"


def test_coverage(folder, capsys):
    assert main(["policy", "coverage", str(folder), "--output", "json"]) == 0
    (policy,) = json.loads(capsys.readouterr().out)["policies"]
    assert (policy["id"], policy["determines"], policy["conditions"][0]["when_not_true"]) == ("staff", 1, "")


def test_mutate(folder, capsys):
    assert main(["policy", "mutate", str(folder)]) == 4
    dropped = "staff: condition 0 (resource.line eq a) dropped"
    assert out(capsys) == [f"SURVIVED {dropped} ({folder}/policies.yaml:9:86)", "5 mutants, 4 killed, 1 survived"]
    names = folder.parent / "equal.yaml"
    names.write_text(f'"{dropped}": the line is always a\n')
    assert main(["policy", "mutate", str(folder), "--equivalents", str(names)]) == 0
    assert out(capsys) == ["5 mutants, 4 killed, 1 equivalent, 0 survived"]
    (folder / "policies.yaml").write_text(GOOD + MORE)
    assert main(["policy", "mutate", str(folder), "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"version": 1, "mutants": 5, "equivalent": 0, "survivors": []}
    assert main(["policy", "mutate", str(folder), "--equivalents", str(names)]) == 3
    assert "error T308: " in capsys.readouterr().err


def test_mutants_of_failing_cases_are_not_asked(folder, capsys):
    (folder / "policies.yaml").write_text(GOOD.replace("by: [staff]", "by: [x]"))
    assert main(["policy", "mutate", str(folder)]) == 4
    assert capsys.readouterr().err == "error: 1 cases fail without any mutant; see authorizer policy test\n"


FACTS = "---\nkind: Facts\nmemberships: {eve: {group: [staff]}, kim: {group: [guests]}}\n"
CERTIFICATES = "---\n{{kind: Certificates, certificates: {{mesh: {{trust_domain: {}}}}}}}\n"


def test_who_can(folder, capsys):
    (folder / "policies.yaml").write_text(GOOD + FACTS)
    assert main(["policy", "who-can", "app/r", str(folder)]) == 0
    assert out(capsys) == [f"group staff: staff ({folder}/policies.yaml:9:12), where resource.line eq a: eve"]
    assert main(["policy", "who-can", "app/r", str(folder), "--output", "json"]) == 0
    (grant,) = json.loads(capsys.readouterr().out)["grants"]
    assert (grant["assignee"], grant["members"], grant["policy"]) == ("group staff", ["eve"], "staff")
    assert main(["policy", "who-can", "app/rr", str(folder)]) == 3
    assert capsys.readouterr().err == "the command line: error T306: no right 'app/rr' (did you mean 'app/r'?)\n"
    assert main(["policy", "who-can", "x", str(folder)]) == 3
    assert capsys.readouterr().err.startswith("the command line: error T306: no right 'x' (known: app/r")
    assert main(["policy", "who-can", "app/r", str(folder), "--at", "site:s"]) == 3


GLOBAL = """\
{kind: Application, id: sap, system: {type: SAP-ECC, module: SAP_UI}, rights: {see: {global: Read}, post: {global: Write}}}
---
{kind: Application, id: app, rights: {view: {global: Read}}}
---
{kind: Policies, policies: [{id: a, right: sap/see, to: {group: g}}, {id: b, right: app/view, to: {group: h}}, {id: c, right: sap/post, to: {group: g}}]}
"""


def test_who_can_do_what_is_one_right_in_all_applications(folder, capsys):
    file = folder / "policies.yaml"
    file.write_text(GLOBAL)
    assert main(["policy", "who-can", "Read", str(folder)]) == 0
    assert out(capsys) == [
        f"app/view: group h: b ({file}:5:70)",
        f"sap/see (SAP-ECC, SAP_UI): group g: a ({file}:5:29)",
    ]
    assert main(["policy", "who-can", "Read", str(folder), "--output", "json"]) == 0
    grants = json.loads(capsys.readouterr().out)["grants"]
    assert [(one["right"], one["policy"]) for one in grants] == [("app/view", "b"), ("sap/see", "a")]
    assert main(["policy", "who-can", "Reed", str(folder)]) == 3
    assert capsys.readouterr().err.endswith("error T306: no right 'Reed' (did you mean 'Read'?)\n")
    assert main(["policy", "who-can", "", str(folder)]) == 3


def test_what_can(folder, capsys):
    gate = "  - {id: g, effect: gate, on: app/*, where: {resource.line: {exists: true}}, reason: no_line}"
    (folder / "policies.yaml").write_text(
        GOOD.replace("policies: [", f"policies:\n{gate}\n  - ")
        .replace("]\n---\nkind: Tests", "\n---\nkind: Tests", 1)
        .replace("eq: a}}}]", "eq: a}}}")
        + FACTS
    )
    for subject in ("eve", "group:staff"):
        assert main(["policy", "what-can", subject, str(folder)]) == 0
        shown = out(capsys)
        assert shown[0].startswith("app/r: staff (")
        assert shown[1].startswith("unless gate g (")
    for subject in ("kim", "group:kim"):
        assert main(["policy", "what-can", subject, str(folder)]) == 0
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith(f"nothing is granted to {subject}")
    assert main(["policy", "what-can", "kim", str(folder), "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["grants"] == []


def test_diff(folder, capsys):
    new = folder.parent / "new.yaml"
    new.write_text(GOOD.replace("to: {group: staff}", "to: {group: guests}").replace("GET /r/", "GET /q/"))
    assert main(["policy", "diff", str(folder), str(new)]) == 0
    assert out(capsys) == [
        f"group guests gained app/r by staff ({new}:9:12), when resource.line = a",
        f"group staff lost app/r by staff ({folder}/policies.yaml:9:12), when resource.line = a",
        f"whoever has app/r gained GET h.example/q/{{id}} ({new}:6:37)",
        f"whoever has app/r lost GET h.example/r/{{id}} ({folder}/policies.yaml:6:37)",
        "2 gained, 2 lost",
    ]
    assert main(["policy", "diff", str(folder), str(new), "--no-new-access", "--output", "json"]) == 4
    assert [one["way"] for one in json.loads(capsys.readouterr().out)["rights"]] == ["gained", "lost"]
    assert main(["policy", "diff", str(folder), str(folder), "--no-new-access"]) == 0
    assert out(capsys) == ["0 gained, 0 lost"]


def test_diff_tells_of_facts_and_trust(folder, capsys):
    old, new = folder.parent / "old.yaml", folder.parent / "new.yaml"
    old.write_text(GOOD + FACTS)
    new.write_text(GOOD + FACTS.replace("kim: {group: [guests]}", "kim: {group: [staff]}"))
    assert main(["policy", "diff", str(old), str(new), "--no-new-access"]) == 4
    assert out(capsys) == ["facts may have gained access: kim is group staff (app/r)", "1 gained, 0 lost"]
    assert main(["policy", "diff", str(new), str(old), "--no-new-access", "--output", "json"]) == 0
    (saying,) = json.loads(capsys.readouterr().out)["sayings"]
    assert saying == {"way": "lost", "document": "facts", "what": "no more: kim is group staff (app/r)"}
    old.write_text(GOOD + CERTIFICATES.format("a.example"))
    new.write_text(GOOD + CERTIFICATES.format("b.example"))
    assert main(["policy", "diff", str(old), str(new)]) == 0
    assert [line for line in out(capsys) if line.startswith("trust")] == [
        "trust may have gained access: certificate rule mesh: b.example",
        "trust may have lost access: certificate rule mesh: no more: a.example",
    ]


def test_explain_a_case(folder, capsys):
    assert main(["policy", "explain", "--case", "out", str(folder)]) == 0
    assert out(capsys) == [
        "deny: no_matching_policy",
        "GET /r/{id} asks for app/r",
        "no policy grants r to the caller",
        f"allow staff ({folder}/policies.yaml:9:12) would grant it to group staff",
        "does not depend on the time; looks at resource.line",
    ]
    assert main(["policy", "explain", "--case", "first: in", str(folder), "--output", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["decision"], shown["candidates"][0]["stands"], shown["candidates"][0]["lacking"]) == (
        "allow",
        True,
        [],
    )
    assert main(["policy", "explain", "--case", "inn", str(folder)]) == 3
    assert "error T306: no case 'inn' (did you mean 'in'?)" in capsys.readouterr().err


def test_explain_a_request(folder, capsys):
    request = "{is: {group: [staff]}, http: GET h.example/r/1, data: {line: b}}"
    assert main(["policy", "explain", "--request", request, str(folder)]) == 0
    assert out(capsys)[3:] == [
        f"allow staff ({folder}/policies.yaml:9:12) would grant it with",
        f"    {folder}/policies.yaml:9:86: resource.line eq a: resource.line is b",
        "does not depend on the time; looks at resource.line",
    ]
    denial = "---\n{kind: Policies, policies: [{id: shut, effect: deny, right: app/r, reason: shut}]}\n"
    (folder / "policies.yaml").write_text(GOOD + denial)
    assert main(["policy", "explain", "--request", request.replace("line: b", "line: a"), str(folder)]) == 0
    assert f"allow staff ({folder}/policies.yaml:9:12) holds, but does not count: it is for group staff" in out(capsys)
    for bad in ("{http: GET}", "[]", "{is: {grop: [a]}, http: GET h/r}", "{", ""):
        assert main(["policy", "explain", "--request", bad, str(folder)]) == 3
        assert "error " in capsys.readouterr().err


EVENT = {
    "timestamp": "2026-01-01T00:00:00.000000Z",
    "method": "GET",
    "host": "h.example",
    "path": "/r/1",
    "subject": "eve",
}


def test_recorded_decisions(folder, capsys):
    (folder / "policies.yaml").write_text(GOOD + FACTS)
    log = folder.parent / "decisions.jsonl"
    allowed = {
        **EVENT,
        "decision": "allow",
        "reason": "allowed",
        "policies": ["staff"],
        "data": {"line": "a"},
        "decision_id": "d1",
    }
    denied = {**EVENT, "decision": "deny", "reason": "no_matching_policy", "policies": [], "status": 403}
    log.write_text(f"{json.dumps(allowed)}\n\n{json.dumps(denied)}\n")
    assert main(["policy", "test", "--from-decisions", str(log), str(folder)]) == 0
    assert out(capsys) == ["2 passed, 0 failed"]
    unused = "---\n{kind: Policies, policies: [{id: unused, right: app/r, to: {person: zoe}}]}\n"
    (folder / "policies.yaml").write_text(GOOD + FACTS + unused)
    assert main(["policy", "test", "--from-decisions", str(log), "--coverage", str(folder)]) == 0
    assert [line.split(": ")[1] for line in out(capsys) if line.endswith("determines no case")] == [
        "policy 'unused' determines no case"
    ]
    log.write_text(json.dumps({**denied, "data": {"line": "a"}}))
    assert main(["policy", "test", "--from-decisions", str(log), str(folder)]) == 4
    assert out(capsys)[:2] == [f"FAILED recorded: line 1 ({log}:1:1)", "    decision: expected deny, got allow"]
    assert main(["policy", "explain", "--event", str(log), str(folder)]) == 0
    assert out(capsys)[0] == "allow: allowed by staff"
    for bad in (
        "",
        "{}",
        "[1]\n",
        json.dumps({**denied, "timestamp": "now"}),
        json.dumps({**denied, "decision": "perhaps"}),
        "\x00",
    ):
        log.write_text(bad)
        assert main(["policy", "test", "--from-decisions", str(log), str(folder)]) == 3
        assert f"{log}" in capsys.readouterr().err


def test_what_the_decision_log_writes_can_be_asked_again(folder, capsys):
    (folder / "policies.yaml").write_text(GOOD + FACTS)
    decision = Decision(reason=reason("no_matching_policy"), subject="kim", right="r", application="app")
    log = folder.parent / "decisions.jsonl"
    log.write_bytes(maker({})((1_767_225_600.0, "GET", "h.example", "/r/1", "", "grpc", decision, 0.0, "")))
    assert main(["policy", "test", "--from-decisions", str(log), str(folder)]) == 0
    assert out(capsys) == ["1 passed, 0 failed"]


def test_fmt(folder, capsys):
    file = folder / "policies.yaml"
    file.write_text(GOOD + "# the end\n")
    assert main(["policy", "fmt", "--check", str(folder)]) == 4
    assert out(capsys) == [str(file)]
    assert file.read_text() == GOOD + "# the end\n"
    assert main(["policy", "fmt", str(folder)]) == 0
    assert out(capsys) == [str(file)]
    assert file.read_text().endswith("# the end\n")
    assert main(["policy", "fmt", "--check", str(folder)]) == 0
    assert main(["policy", "test", str(folder)]) == 0
    file.write_text("a: &b c\n")
    assert main(["policy", "fmt", str(folder)]) == 3
    assert file.read_text() == "a: &b c\n"


def test_import(folder, capsys):
    table = folder.parent / "roles.csv"
    table.write_text("user,role,right\nann,Clerk,read\nbob,Ghost,\n")
    assert main(["policy", "import", "csv", str(table), "--id", "docs"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "note: person 'bob': the role 'Ghost' has no rights in these tables: not granted\n"
    (folder / "policies.yaml").write_text(shown.out)
    assert main(["policy", "check", str(folder)]) == 0
    capsys.readouterr()
    assert main(["policy", "what-can", "ann", str(folder)]) == 0
    assert out(capsys)[0].startswith("docs/read: ann-Clerk ")
    api = folder.parent / "api.json"
    api.write_text('{"openapi": "3.0.0", "info": {"title": "a"}, "paths": {"/x": {"get": {}}}}')
    assert main(["policy", "import", "openapi", str(api)]) == 0
    assert "GET /x: {right: get.x}" in capsys.readouterr().out
    api.write_text("[]")
    assert main(["policy", "import", "azure", str(api), str(api)]) == 0
    assert main(["policy", "import", "openapi", str(api)]) == 3


def test_bundles_are_studied_like_documents(folder, capsys):
    (folder / "policies.yaml").write_text(GOOD + FACTS)
    keys, built = folder.parent / "keys", folder.parent / "built"
    assert main(["bundle", "keygen", "-o", str(keys)]) == 0
    build = ["policy", "build", str(folder), "-o", str(built), "--key", str(keys / "signing.pem"), "--source-map"]
    assert main(build) == 0
    capsys.readouterr()
    policy, facts = str(built / "policy.tar.gz"), str(built / "facts.tar.gz")
    assert main(["bundle", "verify", policy, "--key", str(keys / "signing.pub.pem")]) == 0
    capsys.readouterr()
    request = "{is: {group: [staff]}, http: GET h.example/r/1, data: {line: b}}"
    assert main(["policy", "explain", "--request", request, policy]) == 0
    assert out(capsys)[4] == "    policies.yaml:9:86: resource.line eq a: resource.line is b"
    assert main(["policy", "who-can", "app/r", policy, facts]) == 0
    assert out(capsys) == ["group staff: staff (policies.yaml:9:12), where resource.line eq a: eve"]
    assert main(["policy", "diff", str(folder), policy, "--no-new-access"]) == 0
    assert out(capsys) == ["0 gained, 0 lost"]
    for paths in ([policy, policy], [facts], [policy, str(folder)], [str(built / "none.tar.gz")]):
        assert main(["policy", "who-can", "app/r", *paths]) in {1, 3}
        assert "error" in capsys.readouterr().err


LIST = """\
kind: Application
id: a
model: pbac+fields
fields: {x: {type: string}}
rights: {l: {fields: [x]}, e: {}}
http: {hosts: [h], routes: {GET /l: {right: l, mode: filter}, GET /e: {right: e}}}
---
kind: Policies
policies:
  - {id: mine, right: a/l, to: {group: g}, where: {resource.x: {eq: q}}}
  - {id: wall, effect: deny, right: a/l, where: {resource.x: {prefix: sec}}, reason: wall}
---
{kind: Eligibility, rules: [{id: ask, type: eligible, right: a/e, to: {group: g}}]}
"""


def test_explain_tells_which_rows_a_list_shows_and_what_may_be_asked_for(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text(LIST)
    assert main(["policy", "explain", str(tmp_path), "--request", "{is: {group: [g]}, http: GET h/l}"]) == 0
    assert capsys.readouterr().out.splitlines()[2:7] == [
        f"deny wall ({tmp_path}/a.yaml:11:5) holds back the rows where",
        "    resource.x prefix sec",
        f"allow mine ({tmp_path}/a.yaml:10:5) shows the rows where",
        "    resource.x eq q",
        'the rows where {"all":[{"field":"x","op":"eq","value":"q"},{"not":{"field":"x","op":"prefix","value":"sec"}}]}',
    ]
    request = ["policy", "explain", str(tmp_path), "--request", "{is: {group: [g]}, http: GET h/e}"]
    assert main(request) == 0
    assert f"the caller may ask for it: ask ({tmp_path}/a.yaml:13:29)" in capsys.readouterr().out
    assert main([*request, "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["requestable"], told["step_up"], told["headers"]["upstream"]) == (["ask"], None, {})
