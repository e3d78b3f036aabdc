"""``authorizer policy``: what it prints and with what status it ends."""

import json

import pytest

from authorizer.cli import main

GOOD = """\
kind: Application
id: app
model: pbac
rights: {r: {}}
http: {hosts: [h.example], routes: {GET /r: {right: r}}}
---
kind: Policies
policies: [{id: staff, right: app/r, to: {group: staff}}]
---
kind: Tests
suite: first
now: 2026-01-01T00:00:00Z
subjects: {ann: {is: {group: [staff]}}, bob: {is: {group: [guests]}}}
cases:
  - {name: in, as: ann, http: GET h.example/r, expect: {decision: allow, by: [staff]}}
  - {name: out, as: bob, http: GET h.example/r, expect: {decision: deny, reason: no_matching_policy}}
  - {name: nobody, http: GET h.example/r, expect: {decision: deny, reason: no_credential}}
"""
HOLDER = """\
---
kind: Certificates
certificates: {jobs: {dns: [job.example]}}
"""


@pytest.fixture
def documents(tmp_path):
    def write(text: str):
        (tmp_path / "policies.yaml").write_text(text)
        return tmp_path

    return write


def test_check(documents, capsys):
    folder = documents(GOOD + HOLDER)
    assert main(["policy", "check", str(folder)]) == 0
    assert capsys.readouterr().out == "0 errors, 0 warnings\n"
    documents(GOOD.replace("right: app/r, to", "right: app/q, to"))
    assert main(["policy", "check", str(folder)]) == 3
    shown = capsys.readouterr()
    assert shown.out == "1 error, 0 warnings\n"
    assert (
        shown.err.splitlines()[0] == f"{folder}/policies.yaml:8:31: error R004: unknown right 'q' in 'app' (known: r)"
    )
    assert shown.err.splitlines()[2].index("^") == 4 + 30


@pytest.mark.parametrize(
    ("text", "warns"),
    [
        (GOOD, True),
        (GOOD + HOLDER, False),
        (GOOD.replace("group: staff}}", "anyone: true}}"), False),
        (
            GOOD.replace("http: {hosts: [h.example], routes: {GET /r: {right: r}}}", "").partition("---\nkind: T")[0],
            False,
        ),
    ],
)
def test_routes_that_need_a_credential_that_nobody_has(documents, capsys, text, warns):
    folder = documents(text)
    assert main(["policy", "check", str(folder)]) == 0
    first, *rest = capsys.readouterr().err.splitlines() or [""]
    assert ("warning T408: 'r' of 'app' takes a credential" in first, len(rest)) == (warns, 2 if warns else 0)


def test_check_as_json(documents, capsys):
    folder = documents("a: {b: *c}\n")
    assert main(["policy", "check", "--output", "json", str(folder)]) == 3
    shown = json.loads(capsys.readouterr().out)
    assert shown["version"] == 1
    assert [(one["code"], one["line"], one["column"]) for one in shown["problems"]] == [("AZ203", 1, 8)]


def test_test(documents, capsys):
    folder = documents(GOOD)
    assert main(["policy", "test", str(folder)]) == 0
    assert capsys.readouterr().out == "3 passed, 0 failed\n"


def test_a_failing_case_tells_why(documents, capsys):
    folder = documents(
        GOOD.replace(
            "as: bob, http: GET h.example/r, expect: {decision: deny",
            "as: bob, http: GET h.example/r, expect: {decision: allow",
        )
    )
    assert main(["policy", "test", str(folder / "policies.yaml")]) == 4
    assert capsys.readouterr().out.splitlines() == [
        f"FAILED first: out ({folder}/policies.yaml:16:5)",
        "    decision: expected allow, got deny",
        "    answer: deny, no_matching_policy",
        "    why: no policy grants r to the caller",
        "2 passed, 1 failed",
    ]
    assert main(["policy", "test", "--output", "json", str(folder)]) == 4
    shown = json.loads(capsys.readouterr().out)
    assert (shown["passed"], shown["failed"]) == (2, 1)
    assert [one["passed"] for one in shown["cases"]] == [True, False, True]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (GOOD.replace("as: ann", "as: anne"), "T302"),
        (GOOD.partition("---\nkind: Tests")[0], "T304"),
        (GOOD.replace("model: pbac", "model: pbca"), "A003"),
        ("", "T304"),
        ("kind: Tests" + GOOD.partition("kind: Tests")[2], "T305"),
    ],
)
def test_what_cannot_be_run_is_refused(documents, capsys, text, code):
    assert main(["policy", "test", str(documents(text))]) == 3
    assert f"error {code}: " in capsys.readouterr().err


def test_paths_must_hold_documents(tmp_path, capsys):
    assert main(["policy", "check", str(tmp_path)]) == 3
    assert main(["policy", "check", str(tmp_path / "nowhere")]) == 3
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path}: error AZ200: no documents in this directory",
        f"{tmp_path}/nowhere: error AZ200: no such file or directory",
    ]


def test_fmt_expand_prints_what_checks_and_tests_alike(documents, capsys, tmp_path):
    short = GOOD.replace("{GET /r: {right: r}}", "{GET /r: {groups: [staff]}}").replace("rights: {r: {}}\n", "")
    short = short.replace("kind: Policies\npolicies: [{id: staff, right: app/r, to: {group: staff}}]\n---\n", "")
    folder = documents(short.replace("by: [staff]", "by: [app.GET.r]"))
    assert main(["policy", "fmt", "--expand", str(folder)]) == 0
    long = capsys.readouterr().out
    assert "  - id: app.GET.r\n    right: app/GET /r\n    to:\n      group: staff\n" in long
    (tmp_path / "policies.yaml").write_text(long)
    assert main(["policy", "test", str(folder)]) == 0


def test_fmt_tells_what_is_wrong(documents, capsys):
    assert main(["policy", "fmt", "--expand", str(documents("kind: &a Catalog"))]) == 3
    assert "AZ203" in capsys.readouterr().err
