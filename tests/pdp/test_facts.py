"""Facts documents: what they compile to, how several join, and every way in which one is wrong."""

import json

import pytest

from authorizer.errors import BundleError
from authorizer.pdp import facts
from authorizer.policy import documents

GOOD = """kind: Facts
memberships:
  ann: {group: [sales], management_role: [], business_role_location: [[underwriter, oslo], {role: a, location: b}]}
subjects: {ann: {attributes: {tenant: acme, customers: [c-1]}, env: {risk: 85}}}
subscriptions: {acme: {plan: pro, contract_end: 2026-12-15T00:00:00Z, note: ""}}
lookups: {saas/Order: {"9": {customer: c-1}}, insure: {"1": {country: NO}}}
"""


def compiled(*texts: str):
    return facts.compile_facts(
        [node for number, text in enumerate(texts) for node in documents.load(text, f"{number}.yaml")]
    )


def test_what_is_written_is_what_is_known() -> None:
    result, problems = compiled(GOOD)
    assert problems == []
    known = facts.load(json.loads(json.dumps(result)))
    assert known.lookup("saas/Order", "9") == {"customer": "c-1"}
    assert known.lookup("insure", "1") == {"country": "NO"}
    assert known.lookup("saas/Order", "8") is None
    assert known.lookup("other", "9") is None
    assert known.memberships["ann"]["group"] == ("sales",)
    assert known.memberships["ann"]["management_role"] == ()
    assert known.memberships["ann"]["business_role_location"] == (("underwriter", "oslo"), ("a", "b"))
    assert known.subscriptions["acme"]["note"] == ""
    assert known.subjects["ann"].env == {"risk": "85"}


def test_documents_join_and_their_order_does_not_matter() -> None:
    more = "kind: Facts\nmemberships: {ann: {collection: [x]}}\nlookups: {insure: {'1': {line: home}}}\n"
    one, problems = compiled(GOOD, more)
    other, _ = compiled(more, GOOD)
    assert problems == []
    assert one == other
    assert one["lookups"]["insure"]["1"] == {"country": "NO", "line": "home"}


def test_the_same_thing_twice_names_both_places() -> None:
    _, problems = compiled(GOOD, "kind: Facts\nsubscriptions: {acme: {plan: pro}}\n")
    (problem,) = problems
    assert str(problem).startswith("1.yaml:2:24: error T202: subscriptions.acme.plan is already at 0.yaml:5:24")


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("membership: {}", "AZ204", "0.yaml:2:1"),
        ("memberships: []", "AZ209", "0.yaml:2:14"),
        ("memberships: {ann: [sales]}", "AZ209", "0.yaml:2:20"),
        ("memberships: {ann: {groups: [sales]}}", "AZ204", "0.yaml:2:21"),
        ("memberships: {ann: {person: [ann]}}", "AZ204", "0.yaml:2:21"),
        ("memberships: {ann: {group: sales}}", "AZ209", "0.yaml:2:28"),
        ("memberships: {ann: {group: [[sales]]}}", "AZ209", "0.yaml:2:29"),
        ("memberships: {ann: {group: [a, a]}}", "AZ202", "0.yaml:2:32"),
        ("memberships: {ann: {business_role_location: a}}", "AZ209", "0.yaml:2:45"),
        ("memberships: {ann: {business_role_location: [a]}}", "AZ209", "0.yaml:2:46"),
        ("memberships: {ann: {business_role_location: [[a]]}}", "AZ209", "0.yaml:2:46"),
        ("memberships: {ann: {business_role_location: [[a, b, c]]}}", "AZ209", "0.yaml:2:46"),
        ("memberships: {ann: {business_role_location: [{role: a, place: b}]}}", "AZ209", "0.yaml:2:46"),
        ("subjects: {ann: {tenant: acme}}", "AZ204", "0.yaml:2:18"),
        ("subjects: {ann: {env: {acr: phr}}}", "T203", "0.yaml:2:29"),
        ("subjects: {ann: {attributes: {tenant: {a: b}}}}", "AZ209", "0.yaml:2:39"),
        ("subjects: {ann: {attributes: {tenant: }}}", "AZ209", "0.yaml:2:39"),
        ("lookups: {saas: {'1': x}}", "AZ209", "0.yaml:2:23"),
        ("memberships: {ann: {group: ['suspended ']}}", "T204", "0.yaml:2:21"),
        ("memberships: {ann: {business_role_location: [[a, ' b']]}}", "T204", "0.yaml:2:21"),
        ("memberships: {'ann ': {group: [a]}}", "T204", "0.yaml:2:24"),
        ("subjects: {' ann': {attributes: {tenant: a}}}", "T204", "0.yaml:2:34"),
        ("subscriptions: {'acme ': {plan: pro}}", "T204", "0.yaml:2:27"),
    ],
)
def test_problems(text: str, code: str, place: str) -> None:
    _, problems = compiled(f"kind: Facts\n{text}\n")
    assert (code, place) in {(problem.code, str(problem.place)) for problem in problems}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"format": 2},
        {"more": 1},
        {"memberships": {"ann": {"person": ["x"]}}},
        {"memberships": {"ann": {"group": "x"}}},
        {"memberships": {"ann": {"group": [["a", "b"]]}}},
        {"memberships": {"ann": {"business_role_location": ["a"]}}},
        {"memberships": {"ann": {"group": ["a\x1fb"]}}},
        {"memberships": {"ann": {"business_role_location": [["a"]]}}},
        {"memberships": {"ann": {"business_role_location": [["a", "b\n"]]}}},
        {"subjects": {"ann": {"attributes": {"x": 1}}}},
        {"subscriptions": {"acme": "pro"}},
        {"lookups": {"saas": {"1": {"x": {}}}}},
    ],
)
def test_a_compiled_document_is_not_taken_on_faith(document: object) -> None:
    with pytest.raises(BundleError) as caught:
        facts.load(document)
    assert caught.value.code == "AZ315"


@pytest.mark.parametrize(
    ("text", "lifetime"),
    [
        ("max_age: 10m", 600),
        ("max_age: 10m\non_stale: deny", 600),
        ("max_age: 10m\non_stale: last_known(1h)", 4200),
        ("subjects: {}", float("inf")),
    ],
)
def test_how_long_facts_serve(text: str, lifetime: float) -> None:
    result, problems = compiled(GOOD, f"kind: Facts\n{text}\n")
    assert problems == []
    assert facts.load(result).lifetime == lifetime


@pytest.mark.parametrize(
    "text",
    [
        "on_stale: deny",
        "max_age: 0s",
        "max_age: soon",
        "max_age: 1h\non_stale: last_known(soon)",
        "max_age: 1h\non_stale: wait",
    ],
)
def test_mistakes_in_the_age(text: str) -> None:
    _, problems = compiled(f"kind: Facts\n{text}\n")
    assert [problem.code for problem in problems] == ["T205"]


def test_the_age_is_said_once() -> None:
    _, problems = compiled("{kind: Facts, max_age: 1h}", "{kind: Facts, max_age: 1h}")
    assert [problem.code for problem in problems] == ["T202"]
