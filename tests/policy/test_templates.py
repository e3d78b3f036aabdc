"""Route templates, host patterns and methods: what is taken, what is refused, and what counts as the same route."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.policy.templates import (
    MAX_LENGTH,
    MAX_SEGMENTS,
    Segment,
    TemplateError,
    keys,
    parameters,
    parse_host,
    parse_method,
    parse_template,
    shape,
)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("/", [("literal", "")]),
        ("/orders", [("literal", "orders")]),
        ("/orders/", [("literal", "orders"), ("literal", "")]),
        ("/t/{tenant}/{id}", [("literal", "t"), ("parameter", "tenant"), ("parameter", "id")]),
        ("/files/{rest=**}", [("literal", "files"), ("tail", "rest")]),
        ("/{rest=**}", [("tail", "rest")]),
        ("/pkg.Service/Method", [("literal", "pkg.Service"), ("literal", "Method")]),
        ("/caf%C3%A9/v1:run", [("literal", "caf%C3%A9"), ("literal", "v1:run")]),
        ("/...", [("literal", "...")]),
    ],
)  # fmt: skip
def test_template_is_split(text, kinds):
    assert parse_template(text) == tuple(Segment(*kind) for kind in kinds)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "starts with"),
        ("orders", "starts with"),
        ("*", "starts with"),
        ("/a//b", "empty segment"),
        ("//", "empty segment"),
        ("/a/../b", "dot segments"),
        ("/./a", "dot segments"),
        ("/a;v=1", "';'"),
        ("/a b", "character"),
        ("/a?x=1", "character"),
        ("/a#x", "character"),
        ("/a\\b", "character"),
        ("/é", "character"),
        ("/a%zz", "character"),
        ("/a%2Fb", "%2F"),
        ("/a%5cb", "%5c"),
        ("/a%3Bb", "%3B"),
        ("/a%3fb", "%3f"),
        ("/a%23b", "%23"),
        ("/a%2541", "%25"),
        ("/a%00", "%00"),
        ("/a%7f", "%7f"),
        ("/%41dmin", "write 'A'"),
        ("/%2e%2e", "write '.'"),
        ("/%c0%af", "UTF-8"),
        ("/{id}.json", "whole segment"),
        ("/v{id}", "whole segment"),
        ("/{id", "whole segment"),
        ("/id}", "whole segment"),
        ("/{}", "parameter name"),
        ("/{1a}", "parameter name"),
        ("/{a-b}", "parameter name"),
        ("/{a}/{a}", "twice"),
        ("/{a}/{a=**}", "twice"),
        ("/{a=**}/b", "last"),
        ("/{a=*}", "not known"),
        ("/{a=}", "not known"),
        ("/" + "a" * MAX_LENGTH, "at most"),
        ("/a" * (MAX_SEGMENTS + 1), "at most"),
    ],
)
def test_bad_template_is_refused(text, says):
    with pytest.raises(TemplateError, match=re.escape(says)):
        parse_template(text)


@given(st.text(max_size=60) | st.text("/{}=*ab%.;:25Ff", max_size=60))
def test_template_parser_raises_nothing_else(text):
    try:
        segments = parse_template(text)
    except TemplateError:
        return
    assert shape(segments) == shape(parse_template(text))
    assert len(set(parameters(segments))) == len(parameters(segments))


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("API.Example.com", "api.example.com"),
        ("api.example.com.", "api.example.com"),
        ("*.example.com", "*.example.com"),
        ("*", "*"),
        ("10.0.0.1", "10.0.0.1"),
        ("[0:0:0:0:0:0:0:1]", "[::1]"),
        ("under_score.example", "under_score.example"),
    ],
)
def test_host_pattern(text, host):
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text",
    ["", ".", "a..b", ".a", "a.example:80", "::1", "[::1", "[::1%eth0]", "[zz]", "*a.example", "a.*.example", "**",
     "a/b", "a b", "u@h", "é.example", "-a.example", "\u212a.example", "a" * 254],
)  # fmt: skip
def test_bad_host_pattern_is_refused(text):
    with pytest.raises(TemplateError):
        parse_host(text)


def test_method_is_exact():
    assert [parse_method(text) for text in ("GET", "*", "M-SEARCH")] == ["GET", "*", "M-SEARCH"]
    for text in ("get", "", "GE T", "GET\n", "A" * 65):
        with pytest.raises(TemplateError):
            parse_method(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((["a.example"], "GET", "/orders/{id}"), (["A.example."], "GET", "/orders/{number}"), True),
        ((["a.example", "b.example"], "GET", "/"), (["c.example", "b.example"], "GET", "/"), True),
        ((["a.example"], "GET", "/v1:run"), (["a.example"], "GET", "/v1%3Arun"), True),
        ((["a.example"], "GET", "/orders/{id}"), (["a.example"], "POST", "/orders/{id}"), False),
        ((["a.example"], "GET", "/orders/{id}"), (["c.example"], "GET", "/orders/{id}"), False),
        ((["a.example"], "GET", "/orders/{id}"), (["a.example"], "GET", "/orders/{id=**}"), False),
        ((["a.example"], "GET", "/orders/{id}"), (["a.example"], "GET", "/orders/id"), False),
        ((["a.example"], "GET", "/orders"), (["a.example"], "GET", "/orders/"), False),
    ],
)
def test_routes_share_a_key_when_they_answer_for_the_same_requests(one, other, same):
    assert (not set(keys(*one)).isdisjoint(keys(*other))) == same
