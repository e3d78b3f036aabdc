"""The index reads few policies and never misses one that counts."""

import random

import pytest

from authorizer.policy.pbac import index
from tests.policy import linear
from tests.policy.asking import program
from tests.policy.test_policy_properties import SHARED, ask, outcome, written

HERE = {"group": ["g"]}


def request(**resource) -> tuple:
    return "r", HERE, "room:a1", {"resource": resource, "assignee": {}}, {}, 2


def allow(number: int, where: dict | None, **more) -> dict:
    row = {"id": f"p{number:04}", "effect": "allow", "right": "app/r", "to": {"group": "g"}, **more}
    return row if where is None else {**row, "where": where}


def deny(number: int, where: dict | None) -> dict:
    return allow(number, where, effect="deny", reason=f"no_{number}")


def scan(found: list[dict], asked: tuple) -> tuple:
    right, is_, point, sides, login, day = asked
    return linear.decide(found, right, is_, point, sides, login, day)


def test_a_missing_value_visits_every_denial_and_no_allow():
    denials = [deny(number, {"resource.word": {"eq": f"w{number}"}}) for number in range(20)]
    loaded = program(SHARED, written([*denials, deny(98, {"resource.count": {"gt": 2}}), allow(99, None)]))
    assert ask(loaded, request(word="none", count=1)).allow
    assert outcome(ask(loaded, request(word="w7", count=1))) == (False, "no_7", ("p0007",), ())
    assert outcome(ask(loaded, request(word="none", count=3))) == (False, "no_98", ("p0098",), ())
    found = ask(loaded, request(count=1))
    assert (found.reason, len(found.by)) == ("indeterminate", 20)
    found = ask(loaded, request())
    assert (found.reason, len(found.by)) == ("indeterminate", 21)


def test_those_without_the_field_stay_candidates():
    rows = [allow(number, {"resource.word": {"eq": f"w{number}"}}) for number in range(20)]
    loaded = program(SHARED, written([*rows, allow(99, None)]))
    assert ask(loaded, request(word="w3")).by == ("p0003", "p0099")
    assert ask(loaded, request(word="none")).by == ("p0099",)
    assert ask(loaded, request()).by == ("p0099",)


@pytest.mark.parametrize("seed", range(40))
def test_many_policies_about_the_same_decide_as_a_scan(seed):
    chance = random.Random(seed)
    found = []
    for number in range(60):
        where: dict = {}
        for field, values in (("word", "xyz"), ("size", linear.SIZES)):
            if chance.random() < 0.6:
                several = sorted(chance.sample(list(values), chance.randint(1, 2)))
                where[f"resource.{field}"] = {"eq": several[0]} if len(several) == 1 else {"in": several}
        if chance.random() < 0.4:
            where["resource.count"] = {"lte": chance.randint(0, 3)}
        make = deny if chance.random() < 0.08 else allow
        found.append(make(number, where or {"resource.count": {"gt": 1}}))
    loaded = program(SHARED, written(found))
    for _ in range(40):
        given = {"word": chance.choice("xyzv"), "size": chance.choice(linear.SIZES), "count": chance.randint(0, 4)}
        asked = request(**{name: value for name, value in given.items() if chance.random() < 0.8})
        assert outcome(ask(loaded, asked)) == scan(found, asked)


def test_few_rows_are_read_however_many_there_are():
    rows = [allow(number, {"resource.word": {"eq": f"w{number}"}}) for number in range(2000)]
    rows += [allow(number, None, to={"group": f"g{number}"}) for number in range(2000, 4000)]
    loaded = program(SHARED, written(rows))
    bucket = bucket_of(loaded)
    read = index.candidates([bucket], frozenset({"group:g", "group:g2001"}), ("",), ({"word": "w7"}, {}, {}))
    assert sorted(map(loaded._shared.rows.id, read)) == ["p0007", "p2001"]
    assert list(loaded.wide_leaves()) == []


def test_a_long_list_is_not_copied_into_every_branch():
    long = [f"w{number}" for number in range(100)]
    rows = [allow(number, {"resource.word": {"in": long}}) for number in range(20)]
    loaded = program(SHARED, written(rows))
    assert not isinstance(bucket_of(loaded)[""]["group:g"], index.Split)
    assert len(ask(loaded, request(word="w99")).by) == 20


def bucket_of(loaded) -> index.Bucket:
    (bucket,) = next(table.right.allows for table in loaded._tables if table.right.name == "r")
    return bucket


@pytest.mark.parametrize("denials", [False, True])
def test_lists_in_many_fields_do_not_multiply(denials):
    chance = random.Random(1)
    names = [(0, f"f{number}") for number in range(20)]
    words = [f"w{number}" for number in range(32)]
    asked = [{name: tuple(chance.sample(words, 4)) for name in names} for _ in range(600)]
    leaf = index.build_leaf(0, 600, names, lambda row, field: asked[row][field], denials=denials)
    assert isinstance(leaf, index.Split)
    parts = list(index.leaves({"": {"": leaf}}))
    assert sum(map(len, parts)) <= 16 * len(asked)
    assert {row for found in parts for row in found} == set(range(600))
