"""The route trie: specificity with backtracking, hosts, methods, doubtful paths, and agreement with a plain search."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.model import Reason, Request
from authorizer.pdp.canonical import SOFT_REASONS, read
from authorizer.pdp.routes import Entry, Match, build
from authorizer.policy.templates import TemplateError, parse_template, shape

ALL = frozenset(SOFT_REASONS)


def table(*routes, hosts=("a.example",), accepts=frozenset()):
    return build(Entry(hosts, *route.split(" "), route, accepts) for route in routes)


def find(routes, path, method="GET", host="a.example"):
    match = routes.find(host, method, tuple(path[1:].split("/")))
    return match and (match.payload.partition(" ")[2], match.params)


def resolve(routes, target, method="GET", host="a.example"):
    canonical = read(Request(method=method, target=target, host=host))
    answer = canonical if isinstance(canonical, Reason) else routes.resolve(canonical)
    return answer.payload if isinstance(answer, Match) else answer.code if isinstance(answer, Reason) else None


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/", ("/", {})),
        ("/orders", ("/orders", {})),
        ("/orders/", ("/orders/{tail=**}", {"tail": ""})),
        ("/orders/export", ("/orders/export", {})),
        ("/orders/7", ("/orders/{id}", {"id": "7"})),
        ("/orders/export/lines", ("/orders/{id}/lines", {"id": "export"})),
        ("/orders/7/lines", ("/orders/{id}/lines", {"id": "7"})),
        ("/orders/export/all/x", ("/orders/export/all/{rest=**}", {"rest": "x"})),
        ("/orders/export/other/x", ("/orders/{tail=**}", {"tail": "export/other/x"})),
        ("/orders/7/", ("/orders/{tail=**}", {"tail": "7/"})),
        ("/orders//", ("/orders/{tail=**}", {"tail": "/"})),
        ("/Orders/7", None),
        ("/z/b/c/d", ("/{x}/b/{y}/d", {"x": "z", "y": "c"})),
        ("/a/b/c/d", ("/a/{x=**}", {"x": "b/c/d"})),
        ("/a/b/c/e", ("/a/{x=**}", {"x": "b/c/e"})),
        ("/a/b/d/e", ("/a/{x=**}", {"x": "b/d/e"})),
        ("/b/b/c/e", None),
        ("/nothing", None),
    ],
)
def test_most_specific_first(path, found):
    routes = table(
        "GET /", "GET /orders", "GET /orders/export", "GET /orders/{id}", "GET /orders/{id}/lines",
        "GET /orders/export/all/{rest=**}", "GET /orders/{tail=**}", "GET /{x}/b/{y}/d", "GET /a/{x=**}",
    )  # fmt: skip
    assert find(routes, path) == found


def test_a_literal_without_the_method_hides_nothing():
    routes = table("POST /orders/export", "GET /orders/{id}", "GET /grpc.Svc/Call", "POST /grpc.Svc/{name}")
    assert find(routes, "/orders/export", "POST") == ("/orders/export", {})
    assert find(routes, "/orders/export", "GET") == ("/orders/{id}", {"id": "export"})
    assert find(routes, "/grpc.Svc/Call", "POST") == ("/grpc.Svc/{name}", {"name": "Call"})


def test_methods_are_exact_before_any():
    routes = build(
        Entry(("a.example",), method, template, f"{method} {template}")
        for method, template in (("*", "/x"), ("GET", "/x"), ("CONNECT", "/tunnel"))
    )
    asked = ("GET", "/x"), ("POST", "/x"), ("get", "/x"), ("CONNECT", "/x"), ("CONNECT", "/tunnel"), ("HEAD", "/tunnel")
    answers = [routes.find("a.example", method, (path[1:],)) for method, path in asked]
    payloads = [answer and answer.payload for answer in answers]
    assert payloads == ["GET /x", "* /x", "* /x", None, "CONNECT /tunnel", None]


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("a.example", "exact"),
        ("x.a.example", "short"),
        ("x.b.example", "long"),
        ("x.y.b.example", "long"),
        ("b.example", "short"),
        ("xb.example", "short"),
        ("example", "any"),
        ("other", "any"),
        ("[::1]", "any"),
    ],
)
def test_most_specific_host(host, name):
    patterns = {"exact": "A.example.", "long": "*.b.example", "short": "*.example", "any": "*"}
    routes = build(Entry((pattern,), "GET", "/x", name) for name, pattern in patterns.items())
    assert routes.find(host, "GET", ("x",)).payload == name


def test_no_falling_back_to_a_wider_host():
    routes = build([Entry(("a.example",), "GET", "/x", 1), Entry(("*", "*.example"), "GET", "/y", 2)])
    assert routes.find("a.example", "GET", ("y",)) is None
    assert routes.find("b.example", "GET", ("y",)).payload == 2
    assert build([]).find("a.example", "GET", ("y",)) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [("GET /x/{a}", "GET /x/{b}"), ("GET /x", "GET /x"), ("GET /a%3Ab", "GET /a:b"), ("GET /{a=**}", "GET /{b=**}")],
)
def test_two_routes_for_the_same_requests_are_refused(one, other):
    with pytest.raises(TemplateError, match="the same requests"):
        table(one, other)
    hosts = ("a.example", "A.EXAMPLE")
    assert build([Entry(hosts, "GET", "/x", 1)]).find("a.example", "GET", ("x",)).payload == 1


@pytest.mark.parametrize(
    ("target", "strict", "tolerant"),
    [
        ("/x/7", "GET /x/{id}", "GET /x/{id}"),
        ("/nowhere", None, None),
        ("/x/a%20b", "GET /x/{id}", "GET /x/{id}"),
        ("/x/%3A", "GET /x/{id}", "GET /x/{id}"),
        ("/x/caf%C3%A9", "GET /x/caf%C3%A9", "GET /x/caf%C3%A9"),
        ("/x/caf%c3%a9", "path_ambiguous", "path_ambiguous"),
        ("/x/v1:run", "GET /x/v1:run", "GET /x/v1:run"),
        ("/x/v1%3Arun", "path_ambiguous", "path_ambiguous"),
        ("/y/caf%c3%a9/x", None, None),
        ("/x/a%2fb", "path_encoded_slash", "path_ambiguous"),
        ("/x/a%2flines", "path_encoded_slash", "path_ambiguous"),
        ("/x/a%5Clines", "path_encoded_slash", "path_ambiguous"),
        ("/nowhere%2fx", "path_encoded_slash", "path_encoded_slash"),
        ("/x%2f7", "path_encoded_slash", "path_encoded_slash"),
        ("/x/7;v=1", "path_parameters", "GET /x/{id}"),
        ("/x/v1:run;v=1", "path_parameters", "path_ambiguous"),
        ("/x/v1:run%3bv=1", "path_parameters", "path_ambiguous"),
        ("/x/a%3b%2flines", "path_encoded_slash", "path_ambiguous"),
        ("/x/v1%253Arun", "path_double_encoding", "path_ambiguous"),
        ("/x/a%252flines", "path_double_encoding", "path_ambiguous"),
        ("/x/a%252fb", "path_double_encoding", "path_ambiguous"),
        ("/x/a%2541", "path_double_encoding", "GET /x/{id}"),
        ("/x/a%3fb", "path_encoded_delimiter", "GET /x/{id}"),
        ("/x/v1:run%3fb", "path_encoded_delimiter", "path_ambiguous"),
        ("/x/v1:run%23", "path_encoded_delimiter", "path_ambiguous"),
        ("/x/v1:run%2523b", "path_double_encoding", "path_ambiguous"),
        ("/x/v1:run%2f", "path_encoded_slash", "path_ambiguous"),
        ("/x/7%3fb/lines", "path_encoded_delimiter", "path_ambiguous"),
        ("/x/7%2fdelete", "path_encoded_slash", "path_ambiguous"),
        ("/x/v1:run%3b%3fb", "path_encoded_delimiter", "path_ambiguous"),
        ("/x/v1:run;%3f/lines", "path_encoded_delimiter", "path_ambiguous"),
        ("/t/a%2fb", "path_encoded_slash", "GET /t/{rest=**}"),
        ("/t/a%5Cb%2f/c", "path_empty_segment", "path_empty_segment"),
        ("/x/7?_method=PUT", "method_override", "GET /x/{id}"),
    ],
)
def test_doubtful_paths(target, strict, tolerant):
    paths = "/x/{id}", "/x/caf%C3%A9", "/x/v1:run", "/x/{id}/lines", "/t/{rest=**}"
    assert resolve(table(*(f"GET {path}" for path in paths)), target) == strict
    assert resolve(table(*(f"GET {path}" for path in paths), accepts=ALL), target) == tolerant


@pytest.mark.parametrize(
    ("target", "doubtful"),
    [
        ("/x/7/lines", set()),
        ("/x/a%20b%C3%A9/lines", set()),
        ("/x/100%25/lines", set()),
        ("/x/7;v=1/lines", {"id"}),
        ("/x/7%3bv=1/lines", {"id"}),
        ("/x/4%2532/lines", {"id"}),
        ("/n/7%3fx", {"id"}),
        ("/n/7%23", {"id"}),
        ("/n/7%2523", {"id"}),
        ("/t/a%2fb", set()),
        ("/t/a%5cb", {"rest"}),
        ("/t/a%252fb", {"rest"}),
        ("/t/a;x/b", {"rest"}),
        ("/t/a%3fb", {"rest"}),
        ("/x/7;v=1/n/8", {"id"}),
        ("/x/7/n/8;v=1", {"other"}),
    ],
)
def test_parameters_that_others_may_read_otherwise(target, doubtful):
    routes = table(
        "GET /x/{id}/lines", "GET /n/{id}", "GET /t/{rest=**}", "GET /x/{id}/n/{other}",
        accepts=ALL,
    )  # fmt: skip
    answer = routes.resolve(read(Request(method="GET", target=target, host="a.example")))
    assert answer.doubtful == doubtful


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/open/export", "GET /open/export"),
        ("/open/export/", "path_ambiguous"),
        ("/open/export/;x", "path_ambiguous"),
        ("/open/export;x/", "path_ambiguous"),
        ("/open/other", "GET /open/{rest=**}"),
        ("/open/other/", "GET /open/{rest=**}"),
        ("/open", "path_ambiguous"),
        ("/open/", "GET /open/{rest=**}"),
        ("/list", "GET /list"),
        ("/list/", "path_ambiguous"),
        ("/list/x/", "GET /list/{rest=**}"),
        ("/both", "GET /both"),
        ("/both/", "GET /both/"),
        ("/index", "path_ambiguous"),
        ("/index/", "GET /index/"),
        ("/other", "GET /{page}"),
        ("/other/", None),
        ("/x/7", "GET /x/{id}"),
        ("/x/7/", "path_ambiguous"),
        ("/x/7/y", "GET /x/{id}/{rest=**}"),
        ("/x/new", "path_ambiguous"),
        ("/x/new/", "GET /x/new/"),
    ],
)
def test_a_slash_at_the_end_that_no_template_spells_is_not_another_operation(target, found):
    routes = table(
        "GET /open/export", "GET /open/{rest=**}", "GET /list", "GET /list/{rest=**}", "GET /both", "GET /both/",
        "GET /both/{rest=**}", "GET /index/", "GET /{page}", "GET /x/{id}", "GET /x/{id}/{rest=**}", "GET /x/new/",
        accepts=ALL,
    )  # fmt: skip
    assert resolve(routes, target) == found


def test_what_one_application_accepts_another_does_not():
    routes = build(
        [
            Entry(("a.example",), "GET", "/open/{id=**}", "open", frozenset({"encoded_slash"})),
            Entry(("a.example",), "GET", "/closed/{id}", "closed"),
        ]
    )
    assert resolve(routes, "/open/a%2fb") == "open"
    assert resolve(routes, "/closed/a%2fb") == "path_encoded_slash"


LITERALS = ["a", "b", "", "c"]
template_parts = st.lists(st.sampled_from(["a", "b", "{}", "c"]), max_size=4)
templates = st.builds(
    lambda parts, tail: "/" + "/".join([f"{{p{n}}}" if part == "{}" else part for n, part in enumerate(parts)] + tail),
    template_parts,
    st.sampled_from([[], ["{rest=**}"], [""]]),
)
methods = st.sampled_from(["GET", "POST", "*"])


def plain_search(routes, method, segments):
    """The rule in words: of the routes that match, the one whose kinds come first, then the exact method."""
    order = {"literal": 0, "parameter": 1, "tail": 2}
    fitting = []
    for verb, template in routes:
        parts = parse_template(template)
        pattern = "/".join(
            {"literal": re.escape(part.text), "parameter": "[^/]+", "tail": ".*"}[part.kind] for part in parts
        )
        if verb in {method, "*"} and re.fullmatch(pattern, "/".join(segments)):
            fitting.append(([order[part.kind] for part in parts], verb == "*", (verb, template)))
    return min(fitting)[2] if fitting else None


route_lists = st.lists(
    st.tuples(methods, templates), max_size=12, unique_by=lambda route: (route[0], shape(parse_template(route[1])))
)
question_lists = st.lists(
    st.tuples(st.sampled_from(["GET", "POST", "PUT"]), st.lists(st.sampled_from(LITERALS), min_size=1, max_size=5)),
    max_size=10,
)


@given(route_lists, question_lists)
def test_agrees_with_a_plain_search(routes, questions):
    trie = build(Entry(("*",), method, template, (method, template)) for method, template in routes)
    for method, segments in questions:
        match = trie.find("any.example", method, tuple(segments))
        assert (match and match.payload) == plain_search(routes, method, segments)
        if match:
            kinds = parse_template(match.payload[1])
            filled = [match.params[part.text] if part.kind != "literal" else part.text for part in kinds]
            assert "/".join(filled) == "/".join(segments)


@given(st.lists(templates, max_size=8), st.text("/ab%2fF5C;.3", max_size=20))
def test_resolving_never_raises(paths, target):
    unique = {shape(parse_template(path)): path for path in paths}.values()
    routes = table(*(f"GET {path}" for path in unique), accepts=ALL)
    canonical = read(Request(method="GET", target="/" + target, host="a.example"))
    if not isinstance(canonical, Reason):
        answer = routes.resolve(canonical)
        if isinstance(answer, Match):
            assert all(unquote(value) is not None for value in answer.params.values())


def test_work_is_bounded_by_the_routes():
    """A ladder of literals and parameters: every branch is tried, none of them twice, however long the path is."""
    ladder = [f"GET /{'/'.join('a' if bits >> n & 1 else f'{{p{n}}}' for n in range(8))}/end" for bits in range(256)]
    routes = table(*ladder, "GET /{rest=**}")
    assert find(routes, "/a" * 8 + "/end") == ("/a" * 8 + "/end", {})
    assert find(routes, "/a" * 4000) == ("/{rest=**}", {"rest": "/".join("a" * 4000)})
