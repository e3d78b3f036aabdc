"""What is remembered of decisions is never another answer than the policies would give now."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from authorizer.model import ANYONE, Decision, Identity, Request
from authorizer.pdp.answers import LONGEST, LONGEST_HEADERS, MOST, MOST_NAMES, Answers, key_of, may_be_kept
from authorizer.pdp.decide import _judged, environment, judge, numbered
from authorizer.pdp.finding import find
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.reasons import reason

NOW = 1_800_000_000.0
T = "resource.tenant: {eq: t1}"

# application, right, sources, more of its policy; and what a decision about it hangs on besides the caller
CASES = [
    ("api", "plain", "{id: path.id}", "", ()),
    (
        "api",
        "own",
        "{id: path.id, tenant: query.tenant}",
        "where: {resource.tenant: {eq: $assignee.tenant}}",
        ("tenant",),
    ),
    ("api", "named", "{id: path.id}", "where: {resource.id: {prefix: a}}", ("id",)),
    ("api", "number", "{number: path.id}", "", ("number",)),
    ("api", "header", "{id: path.id, tenant: header.x-tenant}", f"where: {{{T}}}", ("tenant",)),
    ("api", "queried", "{id: query.id}", "", ("id",)),
    ("api", "looked", "{id: path.id, tenant: lookup.tenant}", f"where: {{{T}}}", ("tenant",)),
    ("api", "token", "{id: path.id, tenant: token.tenant}", f"where: {{{T}}}", ()),
    ("api", "point", "{point: path.id}", "at: {site: a}", ("point",)),
    ("api", "duty", "{id: path.id}", "obligations: [{id: o, type: notification}]", ()),
    ("api", "body", "{tenant: body.tenant}", f"where: {{{T}}}", None),
    ("api", "window", "{id: path.id}", "until: 2027-01-15T08:00:10Z", None),
    ("api", "login", "{id: path.id}", "require: {acr: high}", None),
    ("api", "fresh", "{id: path.id}", "require: {max_age: 5m}", None),
    ("late", "timed", "{id: path.id}", "where: {env.now: {lt: 2027-01-15T08:00:10Z}}", None),
    ("late", "addressed", "{id: path.id}", "where: {env.source_ip: {in: [10.0.0.0/8]}}", None),
    ("late", "untimed", "{id: path.id}", "", ()),  # others of its application read the moment, it does not
]


def _application(name: str) -> str:
    own = [(right, sources) for application, right, sources, *_ in CASES if application == name]
    rights = ", ".join(f"{right}: {{fields: [tenant, number]}}" for right, _ in own)
    routes = ", ".join(f"'GET /{right}/{{id}}': {{right: {right}, resource: {sources}}}" for right, sources in own)
    return (
        f"kind: Application\nid: {name}\nmodel: azure+pbac\nrights: {{{rights}}}\n"
        f"http: {{hosts: [{name}.example], routes: {{{routes}}}}}\n"
    )


DOCUMENTS = {
    "policies.yaml": "---\n".join(
        [
            "kind: Catalog\nacr: [low, high]\nfields: {tenant: {type: string, scope: [resource, assignee]}, number: {type: int}}\n",
            'kind: AssignmentPoints\ntypes: [tenant, site]\ntree: {"tenant:t": {"site:a": "", "site:b": ""}}\n',
            _application("api"),
            _application("late"),
            "kind: Policies\npolicies:\n"
            + "".join(
                f"  - {{id: {right}, right: {application}/{right}, to: {{group: g}}{', ' + more if more else ''}}}\n"
                for application, right, _, more, _ in CASES
            ),
        ]
    ).encode(),
    "facts.yaml": b"kind: Facts\nlookups: {api: {a1: {tenant: t1}, b1: {tenant: t2}}}\n",
}
OPTIONS = Options(identity_headers={"x-subject": "subject", "x-decision": "decision_id"})
SNAPSHOT = build(compile_documents(DOCUMENTS).documents(), {"policy": "r1"}, OPTIONS)
G = frozenset({ANYONE, "group:g"})
CALLERS = [
    SNAPSHOT.anonymous,
    Identity(subject="alice", tokens=G, attributes={"tenant": "t1"}, claims={"tenant": "t1"}, env={"acr": "high"}),
    Identity(subject="bob", tokens=G, attributes={"tenant": "t2"}, claims={"tenant": "t2"}, auth_time=NOW),
    Identity(subject="carol", tokens=G, attributes={"tenant": ["?"]}),
    Identity(subject="dave"),
]


@pytest.mark.parametrize(("application", "right", "depends"), [(app, right, last) for app, right, _, _, last in CASES])
def test_what_a_decision_hangs_on(application, right, depends):
    found = next(r for r in SNAPSHOT.program.routes if (r.application, r.right) == (application, right))
    assert SNAPSHOT.program.depends(found) == depends


def ask(snapshot, caller, application, right, id_, tenant, now):
    request = Request(
        method="GET",
        target=f"/{right}/{id_}?tenant={tenant}&id={id_}",
        host=f"{application}.example",
        headers={"x-tenant": (tenant,), "content-type": ("application/json",)},
        body=b'{"tenant": "%s"}' % tenant.encode(),
        body_state="complete",
        peer="10.0.0.1",
    )
    operation = find(snapshot, request)
    guard = operation.guard
    resource = guard.extract(operation.match, operation.query, request, caller.claims, snapshot.facts.lookup)
    fresh = judge(snapshot, guard, caller, resource, environment(snapshot, request, caller, now), now)
    return _judged(snapshot, operation, caller, resource, request, now), fresh


QUESTIONS = st.tuples(
    st.sampled_from(CALLERS),
    st.sampled_from([(application, right) for application, right, *_ in CASES]),
    st.sampled_from(["a1", "b1", "17", "site:a", "a", "x" * (LONGEST + 1)]),
    st.sampled_from(["t1", "t2", "x" * (LONGEST + 1)]),
    st.sampled_from([NOW, NOW + 9, NOW + 11, NOW + 1000]),
)


@settings(max_examples=60)
@given(st.lists(QUESTIONS, min_size=20, max_size=60), st.sampled_from([2, 6, 1000]))
def test_what_is_remembered_is_what_the_policies_say(questions, most):
    snapshot = replace(SNAPSHOT, answers=Answers(most))
    for caller, (application, right), id_, tenant, now in questions:
        remembered, fresh = ask(snapshot, caller, application, right, id_, tenant, now)
        assert remembered == fresh
        assert len(snapshot.answers) <= most


def test_equal_questions_are_decided_once():
    snapshot = replace(SNAPSHOT, answers=Answers(MOST))
    one, two = (ask(snapshot, CALLERS[1], "api", "own", id_, "t1", NOW)[0] for id_ in ("1", "2"))
    assert one is two
    assert one.allowed
    other, _ = ask(snapshot, CALLERS[2], "api", "own", "1", "t1", NOW)
    assert not other.allowed


def test_what_hangs_on_a_long_or_other_value_is_not_remembered():
    short = Decision(reason=reason("no_route"))
    assert may_be_kept((1, 1, ("t", None, "x" * LONGEST)), CALLERS[0], short)
    for value in ("x" * (LONGEST + 1), ("a", "b"), 7):
        assert not may_be_kept((1, 1, ("t", value)), CALLERS[0], short)


def test_what_says_much_is_not_remembered():
    half = LONGEST_HEADERS // 2
    for upstream, response, kept in ((half, half, True), (half + 1, half, False), (0, LONGEST_HEADERS + 1, False)):
        made = replace(
            Decision(reason=reason("no_route")), upstream=(("a", "x" * upstream),), response=(("b", "x" * response),)
        )
        assert may_be_kept((1, 1, ()), CALLERS[0], made) is kept
    many = G | {f"group:{number}" for number in range(MOST_NAMES)}
    for names, kept in ((many, False), (frozenset(list(many)[:MOST_NAMES]), True)):
        assert may_be_kept((1, 1, ()), Identity(tokens=names), Decision(reason=reason("no_route"))) is kept
    snapshot = replace(SNAPSHOT, answers=Answers(MOST), options=Options(identity_headers={"x-scopes": "scopes"}))
    for scopes, kept in (({"a"}, 1), ({"a" * LONGEST_HEADERS, "b"}, 1)):
        caller = Identity(subject="alice", tokens=G, scopes=frozenset(scopes))
        assert ask(snapshot, caller, "api", "plain", "1", "t1", NOW)[0].allowed
        assert len(snapshot.answers) == kept


def test_a_number_is_not_found_by_another_identity():
    answers, decision = Answers(MOST), Decision(reason=reason("no_route"))
    route = SNAPSHOT.program.routes[0]
    for number in range(100):
        identity = Identity(subject=f"{number}")
        key = key_of(identity, route, (), {})
        assert answers.find(key) is None
        answers.keep(key, (identity, decision))


def test_each_use_has_its_own_id_also_in_the_headers():
    allowed, _ = ask(replace(SNAPSHOT, answers=Answers(MOST)), CALLERS[1], "api", "plain", "1", "t1", NOW)
    first, second = (numbered(SNAPSHOT, allowed, name) for name in ("d-1", "d-2"))
    assert (first.id, second.id, allowed.id) == ("d-1", "d-2", "")
    assert first.upstream == (("x-subject", "alice"), ("x-decision", "d-1"))
    assert second.upstream == (("x-subject", "alice"), ("x-decision", "d-2"))
    denied, _ = ask(replace(SNAPSHOT, answers=Answers(MOST)), CALLERS[4], "api", "plain", "1", "t1", NOW)
    assert numbered(SNAPSHOT, denied, "d-3").upstream == ()
