"""How long a decision may be kept, and by which attributes."""

import pytest
from msgspec.structs import replace

from authorizer.model import ANYONE, Identity, Request
from authorizer.pdp.decide import environment
from authorizer.pdp.finding import find
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.pdp.standing import Standing, standing

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z, 09:00 in Oslo
FOREVER = float("inf")
RULES = {
    "plain": ("", FOREVER, ()),
    "field": ("where: {resource.word: {eq: $assignee.own}}", FOREVER, ("assignee.own", "resource.word")),
    "begins": ("from: 2027-01-15T08:00:07Z", 7, ()),
    "ends": ("until: 2027-01-15T08:00:09Z", 9, ()),
    "ended": ("until: 2027-01-15T07:00:00Z", FOREVER, ()),
    "now": ("where: {env.now: {lt: 2027-01-15T08:00:05Z}}", 5, ("env.now",)),
    "contract": ("where: {assignee.till: {gt: $env.now}}", 30, ("assignee.till", "env.now")),
    "hours": ("where: {env.time: {between: [08:00, 17:00]}}", 8 * 3600, ("env.time",)),
    "night": ("where: {any: [{not: {env.time: {gte: 09:01}}}]}", 60, ("env.time",)),
    "evening": ("where: {env.time: {gte: 08:30}}", 15 * 3600, ("env.time",)),
    "fresh": ("require: {max_age: 60s}", 50, ("env.auth_age",)),
    "strong": ("require: {acr: high}", FOREVER, ("env.acr",)),
    "aged": ("where: {env.auth_age: {lt: 15}}", 5, ("env.auth_age",)),
    "risky": ("where: {env.risk: {lt: 50}}", 0, ("env.risk",)),
    "placed": ("where: {env.source_ip: {in: [10.0.0.0/8]}}", FOREVER, ("env.source_ip",)),
}
DOCUMENT = (
    "kind: Catalog\nacr: [low, high]\nenv: {time: {zone: Europe/Oslo}}\n---\n"
    "kind: Application\nid: app\nmodel: pbac+fields\n"
    "fields: {word: {type: string}, own: {type: string, scope: assignee}, till: {type: timestamp, scope: assignee}}\n"
    f"rights: {{{', '.join(f'{name}: {{fields: [word]}}' for name in RULES)}}}\n"
    "http:\n  hosts: [h.example]\n  routes:\n"
    + "".join(f"    GET /{name}/{{w}}: {{right: {name}, resource: {{word: path.w}}}}\n" for name in RULES)
    + "---\nkind: Policies\npolicies:\n"
    + "".join(
        f"  - {{id: {name}, right: app/{name}, to: {{group: g}}{', ' + more if more else ''}}}\n"
        for name, (more, _, _) in RULES.items()
    )
)
FOUND = compile_documents({"a.yaml": DOCUMENT.encode()})
SNAPSHOT = replace(build(FOUND.documents(), {}, Options()), ready=True)
ANN = Identity(
    subject="ann",
    tokens=frozenset({ANYONE, "group:g"}),
    attributes={"own": "x", "till": "2027-01-15T08:00:30Z"},
    auth_time=NOW - 10,
)


def kept(name: str, identity: Identity, now: float = NOW) -> Standing:
    request = Request(method="GET", target=f"/{name}/x", host="h.example", peer="10.1.1.1")
    operation = find(SNAPSHOT, request)
    env = environment(SNAPSHOT, request, identity, now)
    return standing(SNAPSHOT, operation.guard, identity, {"word": "x"}, env, now)


@pytest.mark.parametrize("name", RULES)
def test_a_decision_stands_until_time_could_turn_it(name):
    _, seconds, attributes = RULES[name]
    found = kept(name, ANN)
    assert (found.seconds, found.attributes) == (seconds, attributes)


@pytest.mark.parametrize(
    ("now", "turned"),
    [
        (1_806_189_600.0, 6000),  # 2027-03-28T00:20:00+01:00 in Oslo, where 02:00 is 03:00
        (1_824_936_000.0, 8400),  # 2027-10-31T00:40:00+02:00, where 03:00 is 02:00
    ],
)
def test_the_time_of_day_is_not_reckoned_beyond_a_change_of_the_clocks(now, turned):
    assert turned - 1 <= kept("hours", ANN, now).seconds <= turned
    assert kept("plain", ANN, now).seconds == FOREVER


def test_nothing_stands_longer_than_the_credential():
    assert kept("plain", replace(ANN, expires=NOW + 3)).seconds == 3
    assert kept("plain", replace(ANN, expires=NOW - 3)).seconds == 0


def test_a_caller_whose_attributes_are_malformed_has_nothing_kept():
    assert kept("contract", Identity(attributes={"till": "soon"})).seconds == 0
