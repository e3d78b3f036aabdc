"""The tools of ``authorizer policy`` on directories that hold documents and Rego."""

import json
import shutil
from pathlib import Path

import pytest

from authorizer.cli import main

DOCUMENTS = """\
kind: Application
id: orders
rights: {read: {}}
http: {hosts: [h], routes: {"GET /orders/{id}": {right: read, resource: {id: path.id}}}}
---
kind: Policies
policies:
  - {id: readers, right: orders/read, to: {group: g}}
  - {id: opened, effect: gate, on: orders/*, rego: data.acme.ok, reason: not_open}
---
kind: Tests
suite: s
now: 2026-11-20T10:00:00Z
subjects: {a: {is: {group: [g]}}, b: {is: {group: [h]}}}
cases:
  - {name: one, as: a, http: GET h/orders/1, expect: {decision: allow, by: [readers]}}
  - {name: two, as: a, http: GET h/orders/2, expect: {decision: deny, reason: not_open}}
  - {name: other, as: b, http: GET h/orders/1, expect: {decision: deny, reason: no_matching_policy}}
"""
RULE = "package acme\n\ndefault ok := false\n\nok if input.resource.id in data.opened\n"
TESTS = """\
package acme_test

import data.acme

test_one if acme.ok with input as {"resource": {"id": "1"}}

test_two if not acme.ok with input as {"resource": {"id": "2"}}

todo_test_three if false
"""
DECIDED = """\
kind: Application
id: whole
http: {hosts: [whole.example]}
rego: {entrypoint: acme/ok, input: envoy}
"""


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "old"
    folder.mkdir()
    for name, text in (("a.yaml", DOCUMENTS), ("acme.rego", RULE), ("acme_test.rego", TESTS)):
        (folder / name).write_text(text)
    (folder / "data.json").write_text('{"opened": ["1"]}')
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    status = main(["policy", *map(str, arguments)])
    caught = capsys.readouterr()
    return status, caught.out + caught.err


def test_cases_and_test_rules_run_together(policies, tmp_path, capsys):
    report = tmp_path / "report.xml"
    assert run(capsys, "test", policies, "--junit", report) == (0, "5 passed, 0 failed, 1 skipped\n")
    assert 'name="data.acme_test" tests="3" failures="0" skipped="1"' in report.read_text()
    (policies / "data.json").write_text('{"opened": ["1", "2"]}')
    status, out = run(capsys, "test", policies, "--coverage", "--junit", report)
    assert status == 4
    assert "FAILED s: two" in out
    assert "FAILED data.acme_test.test_two" in out
    assert "3 passed, 2 failed, 1 skipped" in out
    assert "acme.rego: 1 of 2 expressions held" in out
    assert '<failure message="it has no value"/>' in report.read_text()
    shown = json.loads(run(capsys, "test", policies, "--output", "json")[1])
    assert (shown["passed"], shown["failed"], len(shown["cases"]), len(shown["rules"])) == (3, 2, 3, 2)


def test_test_rules_need_no_cases(policies, capsys):
    (policies / "a.yaml").write_text(DOCUMENTS.partition("---\nkind: Tests")[0])
    assert run(capsys, "test", policies) == (0, "2 passed, 0 failed, 1 skipped\n")
    (policies / "acme_test.rego").unlink()
    assert "T304" in run(capsys, "test", policies)[1]


def test_coverage_and_mutants_ask_the_rules(policies, capsys):
    out = run(capsys, "coverage", policies)[1]
    assert out == "2 of 2 policies determine a case, 1 of 1 conditions decide one both ways\n"
    assert run(capsys, "mutate", policies) == (0, "6 mutants, 6 killed, 0 survived\n")


def test_explain_tells_where_a_rule_stopped(policies, capsys):
    status, out = run(capsys, "explain", policies, "--case", "two")
    assert status == 0
    assert "rego data.acme.ok: data.acme.ok is false" in out
    assert f"rule data.acme.ok is false\n    {policies}/acme.rego:5:7: data.acme.ok stopped here" in out
    assert "holds for 0 s; looks at data.acme.ok" in out
    (ruling,) = json.loads(run(capsys, "explain", policies, "--case", "two", "--output", "json")[1])["rules"]
    assert (ruling["rule"], ruling["value"], len(ruling["stops"])) == ("data.acme.ok", "false", 1)
    (policies / "whole.yaml").write_text(DECIDED)
    out = run(capsys, "explain", policies, "--request", "{http: GET whole.example/x}")[1]
    assert "deny: rego_denied by data.acme.ok" in out
    assert "acme.rego:5:7: data.acme.ok stopped here" in out


@pytest.mark.parametrize(
    ("file", "text", "gained"),
    [
        ("acme.rego", RULE + '\nok if input.resource.id == "2"\n', True),
        ("data.json", '{"opened": ["1", "2"]}', True),
        ("acme.rego", "# a remark\n" + RULE.replace("data.opened", "data.opened # another"), False),
        ("acme_test.rego", "package acme_test\n\ntest_nothing if true\n", False),
        ("a.yaml", DOCUMENTS.replace("{id: opened", "{id: renamed"), False),
        ("a.yaml", DOCUMENTS.replace("rego: data.acme.ok", "require_feature: true"), None),
    ],
)
def test_diff_sees_what_rules_open(policies, tmp_path, capsys, file, text, gained):
    new = tmp_path / "new"
    shutil.copytree(policies, new)
    (new / file).write_text(text)
    status, out = run(capsys, "diff", "--no-new-access", policies, new)
    if gained is None:
        assert status == 3
        return
    assert status == (4 if gained else 0), out
    assert ("group g may have gained orders/read by readers" in out) is gained


def test_diff_sees_a_changed_rule_that_decides_all(policies, tmp_path, capsys):
    (policies / "whole.yaml").write_text(DECIDED)
    new = tmp_path / "new"
    shutil.copytree(policies, new)
    assert run(capsys, "diff", "--no-new-access", policies, new) == (0, "0 gained, 0 lost\n")
    (new / "acme.rego").write_text(RULE.replace("false", "true"))
    status, out = run(capsys, "diff", "--no-new-access", policies, new)
    assert status == 4
    assert "application whole may have gained access" in out
    (new / "whole.yaml").write_text(DECIDED.replace("[whole.example]", "[whole.example, more.example]"))
    assert "gained * more.example/{path=**}" in run(capsys, "diff", policies, new)[1]


def test_diff_reads_rules_out_of_bundles(policies, tmp_path, capsys):
    (policies / "whole.yaml").write_text(DECIDED)
    assert main(["bundle", "keygen", "-o", str(tmp_path)]) == 0
    (key,) = (path for path in tmp_path.glob("*.pem") if "PRIVATE" in path.read_text())
    for name in ("one", "two"):
        assert main(["policy", "build", str(policies), "--key", str(key), "-o", str(tmp_path / name)]) == 0
        (policies / "data.json").write_text("{}")
        (policies / "acme.rego").write_text(RULE.replace("in data.opened", '!= ""'))
    capsys.readouterr()
    one, two = (tmp_path / name / "policy.tar.gz" for name in ("one", "two"))
    assert run(capsys, "diff", "--no-new-access", one, one) == (0, "0 gained, 0 lost\n")
    status, out = run(capsys, "diff", "--no-new-access", one, two)
    assert status == 4
    assert out.endswith("2 gained, 2 lost\n")
    assert run(capsys, "diff", "--no-new-access", two, policies) == (0, "0 gained, 0 lost\n")


def test_fmt_lays_both_languages_out(policies, capsys):
    (policies / "acme.rego").write_text(RULE.replace("ok if", "ok   if"))
    status, out = run(capsys, "fmt", "--check", policies)
    assert status == 4
    assert f"{policies}/acme.rego" in out
    run(capsys, "fmt", policies)
    assert (policies / "acme.rego").read_text() == RULE
    assert run(capsys, "fmt", "--check", policies) == (0, "")


def test_another_version_beside_documents_is_refused(policies, capsys):
    for verb in ("check", "test", "fmt"):
        status, out = run(capsys, verb, "--rego-version", 0, policies)
        assert status == 3
        assert "error AZ200: this version is for Rego alone" in out


def test_a_case_has_the_steps_of_a_decision_and_a_test_rule_has_more(tmp_path: Path, capsys) -> None:
    case = "{name: dear, http: GET whole.example/x, expect: {decision: deny, reason: rego_budget}}"
    suite = f"---\nkind: Tests\nsuite: s\nnow: 2026-11-20T10:00:00Z\ncases: [{case}]\n"
    (tmp_path / "a.yaml").write_text(DECIDED + suite)
    rule = "package acme\n\nok if count([n | some n in numbers.range(1, 20000)]) == 20000\n\ntest_ok if ok\n"
    (tmp_path / "acme.rego").write_text(rule)
    assert main(["policy", "test", str(tmp_path)]) == 0
    assert "2 passed, 0 failed" in capsys.readouterr().out
