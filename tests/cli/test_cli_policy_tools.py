"""The authors' tools of ``authorizer policy``: what they print and with what status they end."""

import json
from xml.etree import ElementTree as ET

import pytest

from authorizer.cli import main

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
