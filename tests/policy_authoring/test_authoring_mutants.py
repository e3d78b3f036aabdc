"""Mutants: each kind is made, killed by the case that tells it, and survives without that case."""

from functools import partial

import pytest

from authorizer.errors import DocumentError
from authorizer.policy.authoring.coverage import coverage, summary
from authorizer.policy.authoring.equivalents import read_equivalents
from authorizer.policy.authoring.mutants import mutants
from authorizer.policy.authoring.trials import survivors
from tests.policy_authoring.estates import DATA, EXAMPLES, needs_examples, sources, trials

SHARED = """\
kind: Catalog
acr: [pwd, otp]
env: {time: {zone: UTC}}
---
kind: AssignmentPoints
types: [site, room]
tree: {"site:s": {"room:r": ""}}
---
kind: Application
id: app
model: azure+pbac
fields: {line: {type: enum, values: [a, b, c]}, value: {type: int}, own: {type: string, scope: [resource, assignee]}}
rights: {r: {fields: [line, value, own]}}
http: {hosts: [h], routes: {"GET /{p}/{id}": {right: r, resource: {id: path.id, point: path.p, line: lookup.line, value: lookup.value, own: lookup.own}}}}
---
kind: Policies
policies:
"""
POLICY = "  - {id: p, right: app/r, to: {group: g}, "
TESTS = """
---
kind: Tests
suite: s
now: 2026-06-01T10:00:00Z
subjects: {ann: {is: {group: [g]}, env: {acr: otp, auth_age: 10}}}
cases:
  - {name: yes, as: ann, http: GET h/r/1, data: {line: a, value: 5, own: x}, expect: {decision: allow}}
"""


def names(policy: str, cases: str = "") -> list[str]:
    found = sources(SHARED + policy + TESTS + cases)
    return [mutant.name.removeprefix("p: ") for mutant in survivors(trials(found))[1]]


@pytest.mark.parametrize(
    ("rest", "survive"),
    [
        ("}", ["for anyone"]),
        ("until: 2026-07-01T00:00:00Z}", ["for anyone", "without 'until'", "'until' a second later"]),
        ("from: 2026-05-01T00:00:00Z}", ["for anyone", "without 'from'", "'from' a second later"]),
        ("at: {room: r}}", ["for anyone", "anywhere", "at the point above"]),
        ("require: {acr: otp}}", ["for anyone", "without acr", "with the acr below"]),
        ("require: {max_age: 10}}", ["for anyone", "without max_age", "max_age a second longer"]),
        (
            "where: {resource.line: {in: [a, b]}}}",
            [
                "for anyone",
                "condition 0 (resource.line in [a, b]) dropped",
                "condition 0 (resource.line in [a, b]) without b",
            ],
        ),
        (
            "where: {resource.value: {gte: 5}}}",
            ["for anyone", "condition 0 (resource.value gte 5) dropped"],
        ),
        (
            "where: {any: [{resource.line: {eq: a}}, {resource.value: {gt: 9}}]}}",
            [
                "for anyone",
                "condition 0 (resource.line eq a) dropped",
                "condition 1 (resource.value gt 9) dropped",
                "condition 1 (resource.value gt 9) never true",
                "condition 1 (resource.value gt 9) turned round",
                "condition 1 (resource.value gt 9) at its boundary",
                "condition 1 (resource.value gt 9) a whole further",
            ],
        ),
        (
            "where: {env.time: {between: [09:00, 17:00]}}}",
            [
                "for anyone",
                "condition 0 (env.time between [09:00, 17:00]) dropped",
                "condition 0 (env.time between [09:00, 17:00]) beginning a second later",
                "condition 0 (env.time between [09:00, 17:00]) ending a second later",
            ],
        ),
        (
            "where: {not: {resource.own: {prefix: y}}}}",
            ["for anyone", "condition 0 (resource.own prefix y) never true"],
        ),
    ],
)
def test_one_case_leaves_these(rest, survive):
    assert names(POLICY + rest) == survive


@pytest.mark.parametrize(
    ("rest", "case", "killed"),
    [
        ("}", "{name: n, as: bob, http: GET h/r/1, expect: {decision: deny}}", "for anyone"),
        (
            "until: 2026-07-01T00:00:00Z}",
            "{name: n, as: ann, now: 2026-07-01T00:00:00Z, http: GET h/r/1, expect: {decision: deny}}",
            "'until' a second later",
        ),
        ("at: {room: r}}", "{name: n, as: ann, http: GET h/s/1, expect: {decision: deny}}", "at the point above"),
        (
            "require: {max_age: 10}}",
            "{name: n, as: ann, env: {auth_age: 11}, http: GET h/r/1, expect: {decision: deny}}",
            "max_age a second longer",
        ),
    ],
)
def test_a_case_more_kills(rest, case, killed):
    bob = TESTS.replace("subjects: {", "subjects: {bob: {is: {group: [h]}, env: {acr: otp, auth_age: 10}}, ")
    found = sources(SHARED + POLICY + rest + bob + f"  - {case}\n")
    count, alive = survivors(trials(found))
    assert killed in {mutant.name.removeprefix("p: ") for mutant in mutants(found.estate)}
    assert killed not in {mutant.name.removeprefix("p: ") for mutant in alive}
    assert count > len(alive)


def test_what_no_case_concerns_survives():
    found = sources(SHARED + POLICY + "}\n" + TESTS.replace("h/r/1", "h/r/1/2/3").replace("allow", "deny"))
    count, alive = survivors(trials(found))
    assert count == len(alive) == 3


def test_coverage_is_told_both_ways():
    case = "  - {name: no, as: ann, http: GET h/r/1, data: {line: b, value: 5}, expect: {decision: deny}}\n"
    where = "where: {resource.line: {eq: a}, resource.value: {gt: 1}}}"
    (policy,) = covered = coverage(trials(sources(SHARED + POLICY + where + TESTS + case)))
    assert (policy.id, policy.determines) == ("p", 1)
    shown = [(one.text, one.when_true, one.when_false, one.covered) for one in policy.conditions]
    assert shown == [
        ("resource.line eq a", "s: yes", "s: no", True),
        ("resource.value gt 1", "s: yes", "", False),
    ]
    assert summary(covered) == "1 of 1 policies determine a case, 1 of 2 conditions decide one both ways"


def test_names_of_mutants_are_different():
    found = sources(SHARED + POLICY + "where: {any: [{resource.line: {eq: a}}, {resource.line: {eq: a}}]}}\n")
    listed = [mutant.name for mutant in mutants(found.estate)]
    assert len(set(listed)) == len(listed) > 8


@needs_examples
def test_every_mutant_of_the_examples_is_killed_or_named():
    files = {path.stem: path.read_text() for path in EXAMPLES.glob("*.yaml")}
    found = sources(**files, more=(DATA / "extra_cases.yaml").read_text())
    made = trials(found)
    count, alive = survivors(made)
    equivalent = read_equivalents((DATA / "equivalent.yaml").read_bytes(), "equivalent.yaml")
    assert count > 120
    assert [mutant.name for mutant in alive if mutant.name not in equivalent.reasons] == []
    assert equivalent.stale(mutant.name for mutant in alive) == []
    assert all(condition.covered for policy in coverage(made) for condition in policy.conditions)


def test_equivalents_need_a_reason_and_a_survivor():
    read = partial(read_equivalents, file="e.yaml")
    assert [problem.code for problem in read(b"'p: deleted': because\n").stale([])] == ["T308"]
    assert read(b"").stale(["p: deleted"]) == []
    for bad in (b"- a\n", b"'p: deleted':\n", b"a: b\na: c\n"):
        with pytest.raises(DocumentError):
            read(bad)
