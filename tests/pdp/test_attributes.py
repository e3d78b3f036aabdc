"""What the policies of a route read: every kind of source, absent, present, and readable in two ways."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.model import Reason, Request
from authorizer.pdp.attributes import make_extractor
from authorizer.pdp.canonical import read
from authorizer.pdp.query import MAX_PARAMETERS, decoded
from authorizer.pdp.routes import Match
from authorizer.policy.pbac import Source

JSON = {"content-type": ("application/json",)}


def sources(**fields):
    parts = {field: source.partition(".") for field, source in fields.items()}
    return [Source(field, kind, key) for field, (kind, _, key) in parts.items()]


def extract(
    fields,
    *,
    params=None,
    target="/x",
    headers=None,
    body=b"",
    claims=None,
    principal="",
    rows=None,
    table="t",
    doubtful=(),
):
    request = Request(
        method="GET",
        target=target,
        host="a.example",
        headers=headers or {},
        body=body,
        body_state="complete" if body else "absent",
        principal=principal,
    )
    answer = make_extractor(sources(**fields), table)(
        Match(None, params or {}, doubtful=frozenset(doubtful)),
        read(request).query,
        request,
        claims or {},
        lambda name, key: (rows or {}).get((name, key)),
    )
    return answer.code if isinstance(answer, Reason) else answer


@pytest.mark.parametrize(
    ("fields", "given", "expected"),
    [
        ({}, {}, {}),
        ({"a": "path.x"}, {"params": {"x": "7"}}, {"a": "7"}),
        ({"a": "path.x"}, {"params": {"x": "a%20b%C3%A9%2541"}}, {"a": "a bé%41"}),
        ({"a": "path.x"}, {"params": {"x": "b/c%2Fd"}}, {"a": "b/c/d"}),
        ({"a": "path.x"}, {"params": {"x": ""}}, {"a": ""}),
        ({"a": "path.x"}, {"params": {"x": "7"}, "doubtful": {"x"}}, "path_ambiguous"),
        ({"a": "path.x"}, {"params": {"x": "7", "y": "8"}, "doubtful": {"y"}}, {"a": "7"}),
        ({"a": "literal.PL"}, {}, {"a": "PL"}),
        ({"a": "literal.x", "b": "path.x"}, {"params": {"x": "7"}}, {"a": "x", "b": "7"}),
        ({"a": "header.x-a"}, {}, {}),
        ({"a": "header.X-A"}, {"headers": {"x-a": ("v",)}}, {"a": "v"}),
        ({"a": "header.x-a"}, {"headers": {"x-a": ("é",)}}, {"a": "é"}),
        ({"a": "header.x-a"}, {"headers": {"x-a": ("v", "v")}}, "header_repeated"),
        ({"a": "header.x-a"}, {"headers": {"x-a": ("v, w",)}}, "header_repeated"),
        ({"a": "header.x-a"}, {"headers": {"x-a": ("\udcff",)}}, "header_not_text"),
        ({"a": "header.x-a"}, {"headers": {"x_a": ("v",)}}, "header_underscore"),
        ({"a": "header.x-a"}, {"headers": {"x-a": ("v",), "connection": ("X-A",)}}, "header_hop_by_hop"),
        ({"a": "header.x-a"}, {"headers": {"x-b": ("v", "v"), "x_c": ("\udcff",)}}, {}),
        ({"a": "token.tenant"}, {"claims": {"tenant": "acme"}}, {"a": "acme"}),
        ({"a": "token.o.t"}, {"claims": {"o": {"t": ["x"]}}}, {"a": ["x"]}),
        ({"a": "token.https://x.example/t"}, {"claims": {"https://x.example/t": "v"}}, {"a": "v"}),
        ({"a": "token.o.t"}, {"claims": {"o": {}}}, {}),
        ({"a": "token.o.t"}, {"claims": {"o": "x"}}, "token_claims"),
        ({"a": "token.o.t"}, {"claims": {"o": None}}, "token_claims"),
        ({"a": "token.t"}, {"claims": {"t": None}}, "token_claims"),
        ({"a": "token.t"}, {"claims": {"t": False}}, {"a": False}),
        ({"a": "mtls.uri_san"}, {}, {}),
        ({"a": "mtls.uri_san"}, {"principal": "spiffe://td/ns/a"}, {"a": "spiffe://td/ns/a"}),
        ({"a": "mtls.uri_san"}, {"principal": "CN=spiffe://td/ns/a"}, {}),
        ({"a": "mtls.uri_san"}, {"principal": "client.example"}, {}),
        (
            {"id": "path.x", "a": "lookup.owner", "b": "lookup.none"},
            {"params": {"x": "7"}, "rows": {("t", "7"): {"owner": "o", "none": None}}},
            {"id": "7", "a": "o"},
        ),
        ({"id": "path.x", "a": "lookup.o"}, {"params": {"x": "8"}, "rows": {("t", "7"): {"o": "p"}}}, {"id": "8"}),
        ({"a": "lookup.owner"}, {"rows": {("t", "7"): {"owner": "o"}}}, {}),
        ({"id": "body.id", "a": "lookup.owner"}, {"headers": JSON, "body": b'{"id":7}'}, {"id": 7}),
    ],
)  # fmt: skip
def test_source(fields, given, expected):
    assert extract(fields, **given) == expected


@pytest.mark.parametrize("source", ["cookie.a", "mtls.cn", "mtls.", "", "Path.x"])
def test_an_unknown_source_is_no_route(source):
    with pytest.raises(ValueError, match="unknown source"):
        make_extractor(sources(a=source))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("a", {"f": ""}),
        ("a=", {"f": ""}),
        ("a=1", {"f": "1"}),
        ("%61=1", {"f": "1"}),
        ("a=b%20c+d%2Be%C3%A9", {"f": "b c d+eé"}),
        ("a=1=2&&b", {"f": "1=2"}),
        ("a=1&b=1&b=2&c[]=%zz&%zz", {"f": "1"}),
        ("a=1;b=2", "query_ambiguous"),
        ("b=1;b=2", {}),
        ("b=1;a=2", "query_ambiguous"),
        ("a=1&a", "query_ambiguous"),
        ("a=1&%61=1", "query_ambiguous"),
        ("A=1", "query_ambiguous"),
        ("a[]=1", "query_ambiguous"),
        ("a[x]=1", "query_ambiguous"),
        ("+a=1", "query_ambiguous"),
        ("[a]=1", "query_ambiguous"),
        ("a=1&[a][x]=2", "query_ambiguous"),
        ("a=1&[]a=2", "query_ambiguous"),
        ("a=1&a]=2", "query_ambiguous"),
        ("a=1&a%00=2", "query_ambiguous"),
        ("a=1&+A%00b=2", "query_ambiguous"),
        ("a=1&%u0061=2", "query_ambiguous"),
        ("?a=1", "query_ambiguous"),
        ("a=%", "query_ambiguous"),
        ("a=%ff", "query_ambiguous"),
        ("a=%0a", "query_ambiguous"),
        ("a=%C2%85", "query_ambiguous"),
        ("a=1&b%26c=2&b%26a=3", {"f": "1"}),
        ("a=1&b%u0026a=3&%u0061=2", "query_ambiguous"),
        ("a=1&b%26c=2&a%26=3&%61=4", "query_ambiguous"),
        ("a=1" + "&b%26=2" * 999, {"f": "1"}),
        ("a=1&b%1f=2", "query_ambiguous"),
        ("a=%1e&b=%1f", "query_ambiguous"),
        ("a=1" + "&b=2" * (MAX_PARAMETERS - 1), {"f": "1"}),
        ("a=1" + "&b=2" * MAX_PARAMETERS, "query_ambiguous"),
    ],
)
def test_query(query, expected):
    assert extract({"f": "query.a"}, target=f"/x?{query}") == expected


@given(st.lists(st.text("a%6126u0Ee+;\0é", max_size=9), min_size=1, max_size=6))
def test_names_are_decoded_together_as_they_are_alone(names):
    assert decoded(names) == [part for name in names for part in decoded([name])]


def test_query_names_of_other_shapes():
    filters = {"f": "query.filter[name]", "g": "query.page.size"}
    assert extract(filters, target="/x?filter[name]=a&filter[other]=b&page.size=3") == {"f": "a", "g": "3"}
    assert extract(filters, target="/x?filter[name]=a&page_size=3") == "query_ambiguous"


FIELDS = {"f": "body.a.b", "g": "body.c"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{}", {}),
        ("[]", {}),
        ("7", {}),
        ('{"a":1}', {}),
        ('{"a":{"b":"x"},"c":["y","z"]}', {"f": "x", "g": ["y", "z"]}),
        ('{"a":{"b":null}}', {}),
        ('{"a":{"b":false}}', {"f": False}),
        ('{"a":{"b":1.10},"c":-3}', {"f": Decimal("1.10"), "g": -3}),
        ('{"a":{"b":1e2}}', {"f": Decimal("1e2")}),
        ('{"a":{"b":1e309}}', "body_limit"),
        ('{"a":{"b":9e308}}', "body_limit"),
        ('{"a":{"b":0.0001e-305}}', "body_limit"),
        ('{"a":{"b":1e-99999999999999999999}}', "body_limit"),
        ('{"x":[' + "[" * 32 + "]" * 32 + "]}", "body_limit"),
        ('{"x":"' + "[{" * 100 + '"}', {}),
        ('{"x":"' + "[{" * 100, "body_malformed"),
        ('{"a":{"b":1,"B":2}}', "body_duplicate_key"),
        ('{"A":{"b":1}}', "body_duplicate_key"),
        ('{"\u017f":1,"c":2,"\u212a":1}', {"g": 2}),
        ('{"c":1,"c":1}', "body_duplicate_key"),
        ('{"c":"a\\u0000"}', "body_malformed"),
        ('{"c":["\\udfff"]}', "body_malformed"),
        ('{"x":"\\udfff"}', {}),
        ('{"c":"\\ud83d\\ude00\\n"}', {"g": "\U0001f600\n"}),
        ('{"c":1} x', "body_malformed"),
        ('{"c":01}', "body_malformed"),
        ("{'c':1}", "body_malformed"),
        ('{"c":-Infinity}', "body_malformed"),
        (" ", "body_malformed"),
        ('"' + "x" * 70000 + '"', "body_limit"),
    ],
)
def test_body(body, expected):
    assert extract(FIELDS, headers=JSON, body=body.encode()) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"content-type": ('Application/JSON; Charset="UTF-8" ; q=1',)}, {"g": 1}),
        ({"content-type": ("application/merge-patch+json",)}, {"g": 1}),
        ({"content-type": ("application/json",), "content-encoding": ("identity",)}, {"g": 1}),
        ({}, "body_type"),
        ({"content-type": ("application/json", "application/json")}, "body_type"),
        ({"content-type": ("application/json, text/plain",)}, "body_type"),
        ({"content-type": ("application/jsonp",)}, "body_type"),
        ({"content-type": ("application/json;charset=latin-1",)}, "body_type"),
        ({"content-type": ("application/json;charset=utf-8;charset=utf-7",)}, "body_type"),
        ({"content-type": ("application/x-www-form-urlencoded",)}, "body_type"),
        ({"content-type": ("application/json",), "content-encoding": ("gzip",)}, "body_type"),
    ],
)  # fmt: skip
def test_body_type(headers, expected):
    assert extract(FIELDS, headers=headers, body=b'{"c":1}') == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, {}),
        ({"content-length": ("0",)}, {}),
        ({"content-length": ("7",)}, "body_missing"),
        ({"content-length": ("0", "7")}, "body_missing"),
        ({"transfer-encoding": ("chunked",)}, "body_missing"),
    ],
)
def test_a_body_that_was_announced_must_come(headers, expected):
    assert extract(FIELDS, headers=headers) == expected
    assert extract({"f": "path.x"}, headers=headers) == {}


@given(st.binary(max_size=60), st.text("a=&;%[]?.+1fF\x00", max_size=40), st.text(max_size=20))
def test_reading_never_raises(body, query, value):
    fields = {"p": "path.x", "q": "query.a", "b": "body.a"}
    answer = extract(fields, target=f"/x?{query}".replace("\x00", ""), params={"x": value}, headers=JSON, body=body)
    assert isinstance(answer, dict | str)
    assert isinstance(extract({"h": "header.x-a"}, headers={"x-a": (value,)}), dict | str)
