"""The binding of discovered routes is compared with the real route finder over a small world of requests."""

import itertools
import re
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authorizer.control_plane.server.binding import (
    Binding,
    Comparison,
    Guard,
    answering_hosts,
    normalised_host,
    tables,
)
from authorizer.control_plane.server.path_patterns import MAX_STEPS as MAX_PROOF
from authorizer.control_plane.server.path_patterns import Steps, bounds, covered
from authorizer.model import Api, ApiRoute
from authorizer.pdp.routes import Entry, build
from authorizer.policy.templates import parse_template

HOST = "api.example"


def guard(route: str, host: str = HOST, application: str = "shop") -> Guard:
    method, template = route.split(" ")
    return Guard(application, f"right of {route}", ("p1",), host, method, template, parse_template(template))


def bound(route: ApiRoute, *guards: Guard, hosts=(HOST,), flags=()) -> Binding:
    api = Api(id="a", name="a", hosts=hosts, routes=(route,), sources=("t",), flags=flags)
    ((_, answer),) = Comparison(tables(guards)).of(api)
    return answer


def route(kind: str, path: str, *methods: str, flags=()) -> ApiRoute:
    return ApiRoute(path=path, kind=kind, methods=methods, flags=flags)


@pytest.mark.parametrize(
    ("kind", "path", "methods", "guards", "expected"),
    [
        ("exact", "/orders", "GET", ["GET /orders"], "whole"),
        ("exact", "/orders", "GET", ["GET /Orders"], "unguarded"),
        ("exact", "/orders", "GET", ["GET /orders/"], "unguarded"),
        ("exact", "/orders", "GET", ["POST /orders"], "unguarded"),
        ("exact", "/orders", "GET POST", ["GET /orders"], "partial"),
        ("exact", "/orders", "", ["GET /orders", "POST /orders"], "partial"),
        ("exact", "/orders", "", ["* /orders"], "whole"),
        ("exact", "/orders", "CONNECT", ["* /orders"], "unguarded"),
        ("exact", "/orders/7", "GET", ["GET /orders/{id}"], "whole"),
        ("exact", "/pkg.Service/Get", "POST", ["POST /pkg.Service/Get"], "whole"),
        ("exact", "/caf%c3%a9", "GET", ["GET /caf%C3%A9"], "whole"),
        ("prefix", "/", "GET", ["GET /{rest=**}"], "whole"),
        ("prefix", "", "GET", ["GET /{rest=**}"], "whole"),
        ("prefix", "/orders", "GET", ["GET /orders/{rest=**}"], "partial"),
        ("prefix", "/orders", "GET", ["GET /orders", "GET /orders/{rest=**}"], "partial"),
        ("prefix", "/orders/", "GET", ["GET /orders/{rest=**}"], "whole"),
        ("prefix", "/orders/", "GET", ["GET /orders/{id}"], "partial"),
        ("prefix", "/or", "GET", ["GET /orders"], "partial"),
        ("prefix", "/orders/x", "GET", ["GET /orders"], "unguarded"),
        ("prefix", "/caf%C3", "GET", ["GET /{rest=**}"], "unguarded"),
        ("segments", "/orders", "GET", ["GET /orders", "GET /orders/{rest=**}"], "whole"),
        ("segments", "/orders", "GET", ["GET /orders/{rest=**}"], "partial"),
        ("segments", "/orders", "GET", ["GET /ordersx"], "unguarded"),
        ("segments", "/", "GET", ["GET /{rest=**}"], "whole"),
        ("any", "", "", ["* /{rest=**}"], "whole"),
        ("any", "", "", ["GET /a"], "partial"),
        ("template", "/a/*/b", "GET", ["GET /a/{x}/b"], "whole"),
        ("template", "/a/{x}", "GET", ["GET /a/b"], "partial"),
        ("template", "/a/{x=**}", "GET", ["GET /a/{rest=**}"], "whole"),
        ("template", "/a/{x=b/*}", "GET", ["GET /a/b/{c}"], "unguarded"),
        ("template", "/a/**/c", "GET", ["GET /a/{rest=**}"], "unguarded"),
        ("regex", "/orders/[^/]+", "GET", ["GET /orders/{id}"], "whole"),
        ("regex", "^/orders/[0-9]+$", "GET", ["GET /orders/{id}"], "whole"),
        ("regex", "/orders/[a-z_-]+", "GET", ["GET /orders/export"], "unguarded"),
        ("regex", "/orders/[+-9]+", "GET", ["GET /orders/{id}"], "unguarded"),
        ("regex", "/orders/.*", "GET", ["GET /orders/{rest=**}"], "whole"),
        ("regex", "/orders/?x", "GET", ["GET /orders/{rest=**}"], "unguarded"),
        ("regex", "/orders|/x", "GET", ["GET /orders"], "unguarded"),
        ("regex", "(?i)/orders", "GET", ["GET /orders"], "unguarded"),
        ("regex", "/a/\0", "GET", ["GET /a/{x}"], "unguarded"),
        ("regex", ".*", "", ["* /{rest=**}"], "unguarded"),
        ("exact", "orders", "GET", ["GET /orders"], "unguarded"),
    ],
)
def test_the_table(kind: str, path: str, methods: str, guards: list[str], expected: str) -> None:
    answer = bound(route(kind, path, *methods.split()), *map(guard, guards))
    assert answer.guard == expected, answer


@pytest.mark.parametrize(
    ("path", "why"),
    [("/orders/(?:a|b)", "in_doubt"), ("/other", "")],
)
def test_what_cannot_be_ruled_out_is_shown_as_possible(path: str, why: str) -> None:
    answer = bound(route("regex", path, "GET"), guard("GET /orders/{id}"))
    assert (answer.guard, answer.why, bool(answer.possible)) == ("unguarded", why, bool(why))


@pytest.mark.parametrize("flag", ["ext_authz_absent", "ext_authz_disabled", "ext_authz_conditional", "not_http"])
def test_where_the_gateway_does_not_ask_nothing_is_guarded(flag: str) -> None:
    everything = guard("* /{rest=**}")
    on_route = bound(route("any", "", flags=(flag,)), everything)
    on_api = bound(route("any", ""), everything, flags=(flag, "normalisation_off"))
    assert on_route == on_api == Binding("unguarded", (), (everything,), flag)


@pytest.mark.parametrize("flag", ["match_unread", "method_unread", "connect"])
def test_a_match_that_was_not_understood_is_in_doubt(flag: str) -> None:
    answer = bound(route("any", "", flags=(flag,)), guard("* /{rest=**}"))
    assert (answer.guard, answer.why) == ("unguarded", "in_doubt")


def test_a_gateway_that_ignores_case_lets_more_through_than_it_spells() -> None:
    assert bound(route("exact", "/a", "GET", flags=("case_insensitive",)), guard("GET /a")).guard == "partial"
    assert bound(route("exact", "/a", "GET", flags=("case_insensitive",)), guard("GET /{x}")).guard == "whole"


def test_of_one_path_only_the_chosen_guards_are_named() -> None:
    literal, parameter, tail = guard("GET /a/b"), guard("* /a/{x}"), guard("GET /{rest=**}")
    assert bound(route("exact", "/a/b", "GET"), tail, parameter, literal).guards == (literal,)
    assert bound(route("exact", "/a/b", "POST"), tail, parameter, literal).guards == (parameter,)
    assert set(bound(route("exact", "/a/b"), tail, parameter, literal).guards) == {literal, parameter}


@pytest.mark.parametrize(
    ("host", "patterns", "expected"),
    [
        ("api.example", ["api.example", "*.example", "*"], (["api.example"], True)),
        ("API.example.:8443", ["api.example"], (["api.example"], True)),
        ("api.example:*", ["api.example"], (["api.example"], True)),
        ("x.api.example", ["*.example", "*.api.example", "*"], (["*.api.example"], True)),
        ("example", ["*.example"], ([], False)),
        ("[::1]:80", ["[::1]"], (["[::1]"], True)),
        ("[::1]", ["[::1]"], (["[::1]"], True)),
        ("*.example", ["*.example", "a.example", "a.other"], (["*.example", "a.example"], True)),
        ("*.example", ["a.example"], (["a.example"], False)),
        ("*.a.example", ["*.example", "b.example"], (["*.example"], True)),
        ("*", ["*", "*.example", "a.b"], (["*", "*.example", "a.b"], True)),
        ("*", ["a.b"], (["a.b"], False)),
        ("*-eu.example", ["*.example", "a-eu.example", "b.example"], (["*.example", "a-eu.example"], True)),
        ("api.*", ["*", "api.example", "*.example", "b.example"], (["*", "api.example", "*.example"], True)),
        ("api.*", ["*.example"], (["*.example"], False)),
    ],
)
def test_hosts(host: str, patterns: list[str], expected: tuple[list[str], bool]) -> None:
    answering, sure = answering_hosts(normalised_host(host), patterns)
    assert (sorted(answering), sure) == (sorted(expected[0]), expected[1])


def test_each_host_must_be_guarded() -> None:
    one = guard("* /{rest=**}")
    assert bound(route("any", ""), one, hosts=(HOST, "other.example")).guard == "partial"
    assert bound(route("any", ""), one, hosts=()).guard == "partial"
    assert bound(route("any", ""), guard("* /{rest=**}", host="*"), hosts=()).guard == "whole"
    # The exact name answers alone: what is missing there is not found under "*".
    both = (guard("GET /a"), guard("* /{rest=**}", host="*"))
    assert bound(route("any", ""), *both).guard == "partial"


@pytest.mark.parametrize(("names", "proven"), [(5, True), (40, False)])
def test_a_proof_that_takes_too_long_is_given_up(names: int, proven: bool) -> None:
    choices = [[*(f"s{number}" for number in range(names)), f"{{{parameter}}}"] for parameter in "xyz"]
    templates = [parse_template(f"/{'/'.join(parts)}/{{rest=**}}") for parts in itertools.product(*choices)]
    steps = Steps(1_000_000)
    assert covered(bounds(route("template", "/*/*/*/**")).outer, templates, steps) == proven
    assert 0 < 1_000_000 - steps.left <= MAX_PROOF


def test_what_a_report_may_cost_is_bounded_and_the_rest_is_in_doubt() -> None:
    names = [*(f"GET /{'/'.join(f'{{p{n}}}' for n in range(length))}/x" for length in range(1, 60)), "GET /a"]
    known = tables(guard(route, host=host) for host in (HOST, "*.example", "*") for route in names)
    routes = tuple(ApiRoute(path="/a", kind="exact", methods=("GET",), cluster=str(n)) for n in range(60_000))
    hosts = tuple(f"h{number}.example" for number in range(20_000))
    api = Api(id="a", name="a", hosts=hosts, routes=routes, sources=("t",))
    began = process_time()
    answers = [answer for _, answer in Comparison(known).of(api)]
    assert process_time() - began < 10
    assert answers[0].guard == "whole"
    assert answers[-1] == Binding("unguarded", (), (), "in_doubt")


def test_equal_routes_on_equal_hosts_are_compared_once() -> None:
    known = tables([guard("GET /a"), guard("GET /a", host="*")])
    found = route("exact", "/a", "GET")
    comparison = Comparison(known, steps=100)
    for number in range(1000):
        api = Api(id=str(number), name="a", hosts=(HOST, HOST), routes=(found,) * 10, sources=("t",))
        assert {answer.guard for _, answer in comparison.of(api)} == {"whole"}


# --- against the real route finder -----------------------------------------------------------------------------------

WORDS = ["a", "b", "ab", "zz"]
PATHS = [
    "/" + "/".join(parts)
    for length in (1, 2, 3, 4)
    for parts in itertools.product([*WORDS, ""], repeat=length)
    if "" not in parts[:-1]
]


def template(parts: list[str], end: list[str]) -> str:
    named = [f"{{p{number}}}" if part == "*" else part for number, part in enumerate(parts)]
    return "/" + "/".join([*named, *end])


TEMPLATES = st.builds(
    template,
    st.lists(st.sampled_from(["a", "b", "ab", "*"]), max_size=3),
    st.sampled_from([["{rest=**}"], [""], ["{last}"], ["a"]]),
)
PIECES = ["a", "b", "[^/]+", "[a-z]+", "a?b", ".*", "(?:a/)?b", "?b"]
METHODS = ["GET", "POST", "*"]
LITERALS = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=2).map("/".join).map("/".__add__)
ROUTES = st.builds(
    lambda kind_path, methods: ApiRoute(path=kind_path[1], kind=kind_path[0], methods=methods),
    st.one_of(
        st.tuples(st.sampled_from(["exact", "prefix", "segments"]), LITERALS),
        st.tuples(st.sampled_from(["exact", "prefix"]), LITERALS.map(lambda path: path + "/")),
        st.just(("prefix", "/")),
        st.just(("any", "")),
        st.tuples(
            st.just("regex"),
            st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("/".join).map("/".__add__),
        ),
    ),
    st.sampled_from([(), ("GET",), ("GET", "POST")]),
)


def lets_through(found: ApiRoute, path: str) -> bool:
    match found.kind:
        case "exact":
            return path == found.path
        case "prefix":
            return path.startswith(found.path)
        case "segments":
            return path == found.path or path.startswith(found.path + "/")
        case "regex":
            return re.fullmatch(found.path, path) is not None
        case _:
            return True


@settings(max_examples=150)
@given(st.sets(st.tuples(st.sampled_from(METHODS), TEMPLATES), min_size=1, max_size=5), ROUTES)
def test_what_is_claimed_is_true_of_every_request(drawn: set[tuple[str, str]], api_route: ApiRoute) -> None:
    shapes = {(method, re.sub(r"{[a-z0-9]+}", "{}", template)): (method, template) for method, template in drawn}
    guards = [guard(f"{method} {template}") for method, template in shapes.values()]
    routes = build(Entry((HOST,), g.method, g.template, g) for g in guards)
    answer = bound(api_route, *guards)
    sure, thinkable = set(answer.guards), {*answer.guards, *answer.possible}
    met = set()
    for path, method in itertools.product(PATHS, api_route.methods or ("GET", "POST", "PUT")):
        if lets_through(api_route, path):
            found = routes.find(HOST, method, tuple(path[1:].split("/")))
            if found is None:
                assert answer.guard != "whole", (method, path)
            else:
                assert found.payload in thinkable, (method, path)
                met.add(found.payload)
    if sure and api_route.kind == "exact":
        assert sure <= met
    if answer.guard != "unguarded":
        assert met
