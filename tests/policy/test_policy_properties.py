"""What must hold for all policies: the index changes nothing, no order matters, logic is Kleene's, nothing raises."""

import datetime as dt
import itertools
import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authorizer.model import ANYONE, Identity, assignee_token
from authorizer.policy import pbac
from authorizer.policy.documents import load
from authorizer.policy.pbac import index, pack
from authorizer.policy.pbac.templates import build
from authorizer.policy.pbac.types import FieldType
from tests.policy import linear
from tests.policy.asking import program

SHARED = """\
kind: Catalog
acr: [pwd, otp, phr]
---
kind: AssignmentPoints
types: [tenant, site, room]
tree: {"tenant:t": {"site:a": {"room:a1": ""}, "site:b": ""}}
---
kind: Application
id: app
model: azure+pbac
fields:
  word: {type: string}
  size: {type: enum, values: [s, m, l], ordered: true}
  count: {type: int}
  own: {type: string, scope: assignee}
  owned: {type: string, scope: assignee, many: true}
  most: {type: int, scope: assignee}
rights: {r: {fields: [word, size, count]}, s: {fields: [word, size, count]}}
roles: {R: [r], RS: [r, s]}
http:
  hosts: [h]
  routes:
    GET /{p}/r: {right: r, resource: {id: query.i, point: path.p, word: lookup.w, size: lookup.s, count: lookup.c}}
    GET /{p}/s: {right: s, resource: {id: query.i, point: path.p, word: lookup.w, size: lookup.s, count: lookup.c}}
"""
DAY = 86400
WORDS = ["x", "y", "z"]
word, size, count = st.sampled_from(WORDS), st.sampled_from(linear.SIZES), st.integers(0, 3)
LEAVES = st.one_of(
    st.fixed_dictionaries({"resource.word": st.fixed_dictionaries({"eq": word | st.just("$assignee.own")})}),
    st.fixed_dictionaries({"resource.word": st.fixed_dictionaries({"ne": word})}),
    st.fixed_dictionaries({"resource.word": st.fixed_dictionaries({"in": st.lists(word, min_size=1, unique=True)})}),
    st.just({"resource.word": {"in": "$assignee.owned"}}),
    st.fixed_dictionaries({"resource.word": st.fixed_dictionaries({"exists": st.booleans()})}),
    st.fixed_dictionaries({"resource.size": st.dictionaries(st.sampled_from(["gte", "lt"]), size, min_size=1)}),
    st.fixed_dictionaries({"resource.size": st.fixed_dictionaries({"eq": size})}),
    st.fixed_dictionaries({"resource.count": st.dictionaries(st.sampled_from(["gt", "lte"]), count, min_size=1)}),
    st.just({"resource.count": {"lte": "$assignee.most"}}),
    st.fixed_dictionaries({"assignee.own": st.fixed_dictionaries({"eq": word})}),
)
WHERE = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
        st.builds(lambda one, other: {**one, **other}, inner, inner),
    ),
    max_leaves=5,
)
TARGETS = st.sampled_from([{"right": "app/r"}, {"right": "app/s"}, {"role": "app/R"}, {"role": "app/RS"}])
ASSIGNEES = st.sampled_from([{"group": "g"}, {"group": "h"}, {"person": "p"}, {"anyone": True}])
AT = st.sampled_from([{"tenant": "t"}, {"site": "a"}, {"site": "b"}, {"room": "a1"}])
TIMES = st.fixed_dictionaries({}, optional={"from": st.sampled_from([1, 2]), "until": st.sampled_from([3, 4])})
REQUIRE = st.dictionaries(st.just("max_age"), st.sampled_from([60, 600]), max_size=1).flatmap(
    lambda age: st.sampled_from([{"acr": "otp", **age}, {"acr": "phr", **age}])
)


@st.composite
def policy(draw) -> dict:
    effect = draw(st.sampled_from(["allow", "allow", "allow", "deny", "gate"]))
    made = {"effect": effect, **draw(TIMES)}
    if effect == "gate":
        return {**made, "on": draw(st.sampled_from(["app/r", "app/*"])), "where": draw(WHERE)}
    optional = {"where": WHERE, "at": AT}
    made |= draw(TARGETS)
    if effect == "allow":
        return {
            **made,
            "to": draw(ASSIGNEES),
            **draw(st.fixed_dictionaries({}, optional={**optional, "require": REQUIRE})),
        }
    optional |= {"to": ASSIGNEES, "overridable": st.just(True)}
    return {**made, **draw(st.fixed_dictionaries({}, optional=optional))}


@st.composite
def policies(draw) -> list[dict]:
    found = draw(st.lists(policy(), max_size=24))
    for number, one in enumerate(found):
        one["id"] = f"p{number:02}"
        if one["effect"] != "allow":
            one["reason"] = f"because_{number}"
    soft = [one["id"] for one in found if one.get("overridable")]
    for one in found:
        if soft and one["effect"] == "allow" and draw(st.booleans()):
            one["overrides"] = draw(st.lists(st.sampled_from(soft), min_size=1, unique=True))
            one["obligations"] = [{"id": "o", "type": "notification"}]
    return found


SIDES = st.fixed_dictionaries(
    {
        "resource": st.fixed_dictionaries({}, optional={"word": word, "size": size, "count": count}),
        "assignee": st.fixed_dictionaries(
            {}, optional={"own": word, "owned": st.lists(word, unique=True), "most": count}
        ),
    }
)
LOGIN = st.fixed_dictionaries(
    {}, optional={"acr": st.sampled_from(linear.ACR), "auth_age": st.sampled_from([30, 90, 900])}
)
IS = st.fixed_dictionaries({}, optional={"group": st.lists(st.sampled_from(["g", "h"])), "person": st.just(["p"])})
REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["r", "s"]), IS, st.sampled_from(list(linear.PARENTS)), SIDES, LOGIN, st.sampled_from([0, 2, 5])
    ),
    min_size=1,
    max_size=8,
)


def written(found: list[dict]) -> str:
    """Write policies as a document: times as timestamps, references without quotes."""
    rows = []
    for one in found:
        row = dict(one)
        for key in {"from", "until"} & row.keys():
            row[key] = dt.datetime.fromtimestamp(row[key] * DAY, dt.UTC).isoformat()
        rows.append(row)
    return re.sub(r'"(\$[a-z.]+)"', r"\1", json.dumps({"kind": "Policies", "policies": rows}))


def ask(loaded: pbac.Program, request: tuple) -> pbac.Verdict:
    right, is_, point, sides, login, day = request
    tokens = {assignee_token(kind, name) for kind, names in is_.items() for name in names} | {ANYONE}
    route = next(route for route in loaded.routes if route.right == right)
    caller = loaded.subject("app", Identity(tokens=frozenset(tokens), attributes=sides["assignee"]))
    assert isinstance(caller, pbac.Subject)
    resource = {**sides["resource"], "point": point}
    return loaded.decide(pbac.Question(route, caller.tokens, caller.fields, resource, login, float(day * DAY)))


def outcome(found: pbac.Verdict) -> tuple:
    return found.allow, found.reason, found.by, found.overrode


@pytest.mark.parametrize("leaf", [index.LEAF, 1])
@settings(max_examples=150)
@given(found=policies(), requests=REQUESTS)
def test_the_index_decides_as_a_scan_does(leaf, found, requests):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "LEAF", leaf)  # splits at once, so that few policies test it
        patch.setattr(pack, "LEAF", leaf)
        loaded = program(SHARED, written(found))
    for request in requests:
        right, is_, point, sides, login, day = request
        assert outcome(ask(loaded, request)) == linear.decide(found, right, is_, point, sides, login, day)


@settings(max_examples=60)
@given(found=policies(), requests=REQUESTS, seed=st.randoms(use_true_random=False))
def test_no_order_matters(found, requests, seed: random.Random):
    straight = program(SHARED, written(found))
    shuffled = list(found)
    seed.shuffle(shuffled)
    half = len(shuffled) // 2
    documents = [*SHARED.split("---\n"), written(shuffled[:half]), written(shuffled[half:])]
    seed.shuffle(documents)
    other = program(*documents)
    for request in requests:
        one, two = ask(straight, request), ask(other, request)
        assert outcome(one) == outcome(two)
        assert (one.step_up, one.obligations, one.missing) == (two.step_up, two.obligations, two.missing)


@settings(max_examples=40)
@given(found=policies(), seed=st.randoms(use_true_random=False))
def test_the_compiled_form_is_canonical(found, seed: random.Random):
    def form(rows: list[dict]) -> str:
        nodes = load(SHARED, "shared.yaml") + load(written(rows), "f.yaml")
        data = pbac.check_and_compile(nodes).data
        assert data is not None
        for column in ("row_line", "row_column"):
            del data["policies"][column]
        return json.dumps(data)

    shuffled = list(found)
    seed.shuffle(shuffled)
    assert form(found) == form(shuffled)


TRUTH = (True, False, None)


@pytest.mark.parametrize("several", list(itertools.product(TRUTH, repeat=3)))
def test_kleene(several):
    """A field that is a, b or absent stands for true, false and unknown."""
    types = (FieldType("string"),)
    sides = ({f"f{n}": {True: "a", False: "b"}[v] for n, v in enumerate(several) if v is not None}, {}, {})
    parts = [{"op": "eq", "left": ["resource", f"f{n}"], "type": 0, "param": n} for n in range(3)]
    params = ("a", "a", "a")
    conjunction = False if False in several else None if None in several else True
    disjunction = True if True in several else None if None in several else False
    negated = None if conjunction is None else not conjunction
    assert build({"all": parts}, types).test(sides, params) is conjunction
    assert build({"any": parts}, types).test(sides, params) is disjunction
    assert build({"not": {"all": parts}}, types).test(sides, params) is negated
    two = False if False in several[:2] else None if None in several[:2] else True
    assert build({"all": parts[:2]}, types).test(sides, params) is two
    de_morgan = build({"any": [{"not": part} for part in parts]}, types)
    assert de_morgan.test(sides, params) is negated


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.decimals()
    | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
ODD = program(
    SHARED,
    "{kind: Policies, policies: [{id: a, right: app/r, to: {anyone: true}, at: {tenant: t}, require: {acr: otp, max_age: 5},"
    " where: {resource.word: {eq: x}, resource.count: {lt: $assignee.most}, env.risk: {lt: 5}, env.time: {gt: 10:00}}},"
    " {id: d, effect: deny, right: app/*, where: {env.source_ip: {in: [10.0.0.0/8]}, env.amr: {has: x}}, reason: no}]}",
)


@given(
    resource=st.dictionaries(st.sampled_from(["word", "size", "count", "point", "id", "zzz"]), JUNK),
    env=st.dictionaries(st.sampled_from(["risk", "time", "source_ip", "amr", "acr", "auth_age", "now", "zzz"]), JUNK),
    assignee=st.dictionaries(st.sampled_from(["own", "owned", "most"]), JUNK),
)
def test_no_value_makes_it_raise(resource, env, assignee):
    caller = ODD.subject("app", Identity(attributes=assignee))
    typed = {} if isinstance(caller, pbac.BadAttribute) else caller.fields
    for route in ODD.routes:
        found = ODD.decide(pbac.Question(route, frozenset(), typed, resource, env, 0.0))
        assert not found.allow or found.by


SPOILT = json.dumps(pbac.check_and_compile(load(SHARED, "a") + load(written([]), "b")).data)


@given(path=st.integers(0, 10_000), value=JUNK)
def test_no_compiled_form_makes_it_raise_otherwise(path, value):
    from authorizer.errors import DocumentError

    data = json.loads(SPOILT)
    node = data
    for _ in range(6):
        keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        if not keys:
            break
        key = keys[path % len(keys)]
        path //= len(keys)
        if path % 3 == 0 or not isinstance(node[key], (dict, list)):
            node[key] = value
            break
        node = node[key]
    try:
        pbac.load(data)
    except DocumentError as error:
        code = error.code
    else:
        code = "AZ220"
    assert code == "AZ220"
