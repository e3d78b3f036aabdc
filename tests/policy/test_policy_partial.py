"""A list's filter lets an application see exactly the rows that the algorithm would allow one by one."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authorizer.model import ANYONE, Identity, assignee_token
from authorizer.policy import pbac
from authorizer.policy.pbac import index, pack, partial
from tests.policy import linear
from tests.policy.asking import program
from tests.policy.test_policy_properties import DAY, IS, LOGIN, SHARED, count, policies, size, word, written

FIELDS = {"word": "lookup.w", "size": "lookup.s", "count": "lookup.c"}
ROUTES = """\
    GET /{p}/list: {right: r, mode: filter, resource: {point: path.p}}
    GET /{p}/some: {right: r, mode: filter, resource: {point: path.p, count: query.c}}
"""
ESTATE = SHARED.rstrip() + "\n" + ROUTES
ROWS = st.fixed_dictionaries({}, optional={"word": word, "size": size, "count": count})
CALLERS = st.fixed_dictionaries({}, optional={"own": word, "owned": st.lists(word, unique=True), "most": count})


def fits(rest: Any, row: dict[str, Any]) -> bool:
    """Apply a filter as an application would: a comparison with a missing value is not true."""
    if isinstance(rest, bool):
        return rest
    if "all" in rest:
        return all(fits(part, row) for part in rest["all"])
    if "any" in rest:
        return any(fits(part, row) for part in rest["any"])
    if "not" in rest:
        inner = rest["not"]
        return row.get(inner["field"]) is not None and not fits(inner, row)
    value = row.get(rest["field"])
    if rest["op"] == "exists":
        return (value is not None) is rest["value"]
    other = row.get(rest["other"]) if "other" in rest else rest["value"]
    if value is None or other is None:
        return False
    match rest["op"]:
        case "eq":
            return value == other
        case "ne":
            return value != other
        case "in":
            return value in other
        case "not_in":
            return value not in other
        case "gt":
            return value > other
        case "gte":
            return value >= other
        case "lt":
            return value < other
        case "lte":
            return value <= other
        case "prefix":
            return value.startswith(other)
    raise AssertionError(rest)


def ask(loaded, operation, is_, point, assignee, resource, login, day) -> pbac.Verdict:
    tokens = {assignee_token(kind, name) for kind, names in is_.items() for name in names} | {ANYONE}
    route = next(route for route in loaded.routes if route.template == operation)
    return loaded.decide(
        pbac.Question(
            route, frozenset(tokens), typed(loaded, assignee), {**resource, "point": point}, login, float(day * DAY)
        )
    )


def typed(loaded, assignee):
    found = loaded.subject("app", Identity(attributes=assignee))
    assert not isinstance(found, pbac.BadAttribute)
    return found.fields


def filter_of(found: pbac.Verdict) -> Any:
    return next(json.loads(header.value) for header in found.headers if header.name == "x-authz-filter")


@pytest.mark.parametrize("leaf", [index.LEAF, 1])
@settings(max_examples=150)
@given(
    found=policies(),
    is_=IS,
    point=st.sampled_from(list(linear.PARENTS)),
    assignee=CALLERS,
    rows=st.lists(ROWS, min_size=1, max_size=12),
    login=LOGIN,
    day=st.sampled_from([0, 2, 5]),
)
def test_a_filter_sees_what_the_algorithm_allows(leaf, found, is_, point, assignee, rows, login, day):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "LEAF", leaf)
        patch.setattr(pack, "LEAF", leaf)
        loaded = program(ESTATE, written(found))
    whole = ask(loaded, "/{p}/list", is_, point, assignee, {}, login, day)
    for row in rows:
        one = ask(loaded, "/{p}/r", is_, point, assignee, row, login, day)
        assert (whole.allow and fits(filter_of(whole), row)) is one.allow
        given_ = {"count": row["count"]} if "count" in row else {}
        some = ask(loaded, "/{p}/some", is_, point, assignee, given_, login, day)
        assert (some.allow and fits(filter_of(some), {**row})) is one.allow


KINDS = """
kind: Catalog
acr: [low, high]
---
kind: Application
id: app
model: pbac+fields
fields:
  word: {type: string}
  words: {type: string, many: true}
  size: {type: enum, values: [s, m, l], ordered: true}
  price: {type: decimal}
  at: {type: timestamp}
  hour: {type: timeofday}
  from: {type: ip}
  net: {type: cidr}
  done: {type: bool}
  own: {type: string, scope: assignee}
  owned: {type: string, many: true, scope: assignee}
  rank: {type: enum, values: [s, m, l], ordered: true, scope: assignee}
  most: {type: decimal, scope: assignee}
  host: {type: ip, scope: assignee}
rights: {r: {fields: [word, words, size, price, at, hour, from, net, done]}}
http: {hosts: [h], routes: {"GET /{p}/list": {right: r, mode: filter, resource: {id: path.p}}}}
"""
ME = {"own": "me", "owned": ["b", "a"], "rank": "m", "most": "1.50", "host": "10.1.1.1"}


def remaining(*rows: str, assignee: dict | None = None, login: dict | None = None) -> pbac.Verdict:
    loaded = program(KINDS, "kind: Policies\npolicies:\n" + "".join(f"  - {{{row}}}\n" for row in rows))
    return ask(
        loaded, "/{p}/list", {"group": ["g"]}, "", ME if assignee is None else assignee, {"id": "x"}, login or {}, 2
    )


def where(text: str) -> Any:
    return filter_of(remaining(f"id: a, right: app/r, to: {{group: g}}, where: {{{text}}}"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resource.word: {eq: x}", {"field": "word", "op": "eq", "value": "x"}),
        ("not: {resource.word: {eq: x}}", {"field": "word", "op": "ne", "value": "x"}),
        ("not: {resource.word: {prefix: x}}", {"not": {"field": "word", "op": "prefix", "value": "x"}}),
        ("resource.word: {like: x*}", {"field": "word", "op": "like", "value": "x*"}),
        ("resource.word: {in: $assignee.owned}", {"field": "word", "op": "in", "value": ["a", "b"]}),
        ("assignee.own: {in: $resource.words}", {"field": "words", "op": "has", "value": "me"}),
        ("assignee.own: {not_in: $resource.words}", {"not": {"field": "words", "op": "has", "value": "me"}}),
        ("assignee.owned: {has: $resource.word}", {"field": "word", "op": "in", "value": ["a", "b"]}),
        ("resource.words: {has: $resource.word}", {"field": "words", "op": "has", "other": "word"}),
        ("resource.size: {gt: s}", {"field": "size", "op": "in", "value": ["m", "l"]}),
        ("not: {resource.size: {gt: s}}", {"field": "size", "op": "in", "value": ["s"]}),
        ("assignee.rank: {gte: $resource.size}", {"field": "size", "op": "in", "value": ["s", "m"]}),
        ("assignee.most: {gt: $resource.price}", {"field": "price", "op": "lt", "value": "1.50"}),
        ("resource.at: {lt: 2026-01-01T00:00:00Z}", {"field": "at", "op": "lt", "value": "2026-01-01T00:00:00Z"}),
        ("resource.hour: {between: [22:00, 06:00]}", {"field": "hour", "op": "between", "value": ["22:00", "06:00"]}),
        ("resource.from: {in: [10.0.0.0/8]}", {"field": "from", "op": "in", "value": ["10.0.0.0/8"]}),
        ("resource.from: {eq: $assignee.host}", {"field": "from", "op": "eq", "value": "10.1.1.1"}),
        ("resource.done: {eq: true}", {"field": "done", "op": "eq", "value": True}),
        ("resource.word: {exists: false}", {"field": "word", "op": "exists", "value": False}),
        ("not: {resource.word: {exists: false}}", {"field": "word", "op": "exists", "value": True}),
        ("resource.id: {eq: x}, resource.word: {eq: y}", {"field": "word", "op": "eq", "value": "y"}),
        ("any: [{assignee.own: {eq: me}}, {resource.word: {eq: y}}]", True),
    ],
)
def test_what_remains_is_written_for_applications(text, expected):
    assert where(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "assignee.own: {eq: other}, resource.word: {eq: x}",
        "resource.size: {lt: s}",
        "assignee.host: {in: $resource.net}",
        "resource.word: {eq: $env.channel}",
    ],
)
def test_what_can_never_be_true_denies(text):
    extra = "env: {channel: {type: string}}\n"
    loaded = program(
        KINDS.replace("kind: Catalog\n", f"kind: Catalog\n{extra}"),
        f"kind: Policies\npolicies: [{{id: a, right: app/r, to: {{group: g}}, where: {{{text}}}}}]",
    )
    found = ask(loaded, "/{p}/list", {"group": ["g"]}, "", ME, {}, {}, 2)
    assert (found.allow, found.reason, found.headers) == (False, "no_matching_policy", ())


ALLOW = "id: a, right: app/r, to: {group: g}"


def test_gates_and_denials_stand_in_the_filter():
    gate = "id: b, effect: gate, on: app/r, where: {resource.word: {eq: $assignee.own}}, reason: foreign"
    deny = "id: c, effect: deny, right: app/r, where: {resource.price: {gt: 9}}, reason: dear"
    assert filter_of(remaining(ALLOW, gate, deny)) == {
        "all": [{"field": "price", "op": "lte", "value": "9"}, {"field": "word", "op": "eq", "value": "me"}]
    }
    assert remaining(ALLOW, gate, assignee={}).reason == "foreign"
    everywhere = "id: d, effect: deny, right: app/r, to: {group: g}, reason: closed"
    assert remaining(ALLOW, everywhere).reason == "closed"
    unsure = "id: e, effect: deny, right: app/r, where: {assignee.own: {eq: x}}, reason: never"
    assert remaining(ALLOW, unsure, assignee={}).reason == "indeterminate"


def test_a_weak_login_is_asked_to_step_up():
    strong = ALLOW + ", require: {acr: high}, where: {resource.word: {eq: x}}"
    assert remaining(strong).reason == "step_up"
    assert filter_of(remaining(strong, login={"acr": "high"})) == {"field": "word", "op": "eq", "value": "x"}


def test_a_filter_that_is_too_large_denies(monkeypatch):
    rows = [f"id: a{n}, right: app/r, to: {{group: g}}, where: {{resource.word: {{eq: w{n}}}}}" for n in range(30)]
    assert len(filter_of(remaining(*rows))["any"]) == 30
    monkeypatch.setattr(partial, "MAX_LENGTH", 500)
    assert remaining(*rows).reason == "filter_limit"
    monkeypatch.setattr(partial, "MAX_POLICIES", 29)
    assert remaining(*rows).reason == "filter_limit"
