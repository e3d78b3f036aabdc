"""Operations on the APIs that are meant: as clients ask for them, and nothing that is described is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.discovery import refining
from authorizer.discovery.refining import Described, Operation, asked_for, refine
from authorizer.model import Api, ApiRoute


def api(*routes: ApiRoute, hosts=("shop.example",), name="orders", **more) -> Api:
    return Api(
        id=f"gateway/{name}/{','.join(hosts)}", name=name, hosts=hosts, routes=routes, sources=("gateway",), **more
    )


def route(path, kind="prefix", seen=None, **more) -> ApiRoute:
    return ApiRoute(path=path, kind=kind, cluster="shop/orders:80", seen=seen, **more)


REWRITE = ("rewrite",)


@pytest.mark.parametrize(
    ("way", "path", "expected"),
    [
        (route("/"), "/orders/{id}", "/orders/{id}"),
        (route("/orders"), "/orders/{id}", "/orders/{id}"),
        (route("/orders"), "/payments", None),
        (route("/orders/me"), "/orders/{id}", "/orders/{id}"),
        (route("/orders", "segments"), "/ordersx", None),
        (route("/orders", "segments"), "/orders", "/orders"),
        (route("/orders", "exact"), "/orders", "/orders"),
        (route("/orders", "exact"), "/orders/x", None),
        (route("/Orders", flags=("case_insensitive",)), "/orders/x", "/orders/x"),
        (route("/shop", "segments", "/"), "/orders/{id}", "/shop/orders/{id}"),
        (route("/shop", "segments", "/"), "/", "/shop"),
        (route("/shop/", "prefix", "/"), "/orders", "/shop/orders"),
        (route("/shop", "segments", "/v2"), "/v2/orders", "/shop/orders"),
        (route("/shop", "segments", "/v2"), "/v2", "/shop"),
        (route("/shop", "segments", "/v2"), "/v22", None),
        (route("/", "prefix", "/v2"), "/v2", "/"),
        (route("/a", "exact", "/b"), "/b", "/a"),
        (route("/a", "exact", "/b"), "/a", None),
        (route("/x.*", "regex"), "/orders", "/orders"),
    ],
)
def test_a_path_of_the_api_becomes_what_clients_ask_for(way, path, expected):
    assert asked_for(way, path) == expected


def described(*operations: Operation, name="shop/orders", source="openapi a", notes=()) -> Described:
    return Described(source, name, operations, notes)


GET = Operation("GET", "/orders/{id}", "getOrder", ("shop.example",))


@pytest.mark.parametrize(
    "name", ["orders", "gateway/orders/shop.example", "SHOP.example", "shop/orders", "shop/orders:80"]
)
def test_an_api_has_many_names(name):
    found = refine([api(route("/")), api(name="other", hosts=("o.example",))], [described(GET, name=name)])
    (orders, other) = found.apis
    assert [(one.method, one.path, one.id, one.flags) for one in orders.operations] == [
        ("GET", "/orders/{id}", "getOrder", ())
    ]
    assert (orders.sources, other.operations) == (("gateway", "openapi a"), ())


@pytest.mark.parametrize(
    ("routes", "flags"),
    [
        ((route("/payments"),), ("unreached",)),
        ((route("/", methods=("POST",)),), ("unreached",)),
        ((route("/shop", flags=REWRITE),), ("path_unknown",)),
        ((route("/shop", flags=REWRITE), route("/")), ()),
        ((route("/", flags=("ext_authz_disabled", "header_match")),), ("ext_authz_disabled",)),
    ],
)
def test_what_is_not_served_as_described_is_flagged(routes, flags):
    (found,) = refine([api(*routes)], [described(GET)]).apis
    assert [(one.path, one.flags) for one in found.operations] == [("/orders/{id}", flags)]


def test_two_ways_are_two_operations_and_two_descriptions_of_one_request_are_told():
    ways = api(route("/"), route("/shop", "segments", "/"))
    again = described(Operation("GET", "/orders/{id}", "other"), source="openapi b")
    (found,) = refine([ways], [described(GET, GET), again]).apis
    assert [(one.path, one.id, one.flags) for one in found.operations] == [
        ("/orders/{id}", "getOrder", ("described_twice",)),
        ("/shop/orders/{id}", "getOrder", ("described_twice",)),
    ]


def test_hosts_tell_where_no_api_is_named_and_what_fits_nowhere_stands_alone():
    elsewhere = Operation("GET", "/x", "", ("elsewhere.example",))
    nowhere = Operation("GET", "/y", "", ("*",))
    star = api(route("/"), name="star", hosts=("*",))
    found = refine([api(route("/"), hosts=("*.example",)), star], [described(GET, elsewhere, nowhere, name="")])
    told = {one.id: [each.path for each in one.operations] for one in found.apis}
    assert told == {
        "gateway/orders/*.example": ["/orders/{id}", "/x"],
        "gateway/star/*": [],
        "described/openapi a/*": ["/y"],
    }
    assert found.notes == ("openapi a: 1 operations name no host: say which API is meant",)
    (alone,) = refine([], [described(GET, notes=("what else",))]).apis
    assert (alone.routes, alone.flags, alone.asking) == ((), ("ask_unknown", "only_described"), "unknown")


def test_too_much_is_told_and_never_taken_for_known(monkeypatch):
    monkeypatch.setattr(refining, "MAX_OPERATIONS", 1)
    found = refine([api(route("/"))], [described(GET), described(GET, source="openapi b")])
    assert found.notes == ("openapi b: left out: there are more than 1 operations",)
    monkeypatch.setattr(refining, "MAX_PAIRS", 0)
    (one,) = refine([api(route("/"))], [described(GET)]).apis
    assert one.operations[0].flags == ("path_unknown",)


PATHS = st.lists(st.sampled_from(["a", "{b}", "", "c"]), max_size=3).map(lambda parts: "/" + "/".join(parts))
ROUTES = st.builds(
    route,
    PATHS,
    st.sampled_from(["exact", "prefix", "segments", "regex", "any", "template"]),
    st.none() | PATHS,
    flags=st.sampled_from([(), REWRITE]),
    methods=st.sampled_from([(), ("GET",), ("POST",)]),
)


@given(
    st.lists(ROUTES, max_size=3), st.lists(st.builds(Operation, st.sampled_from(["GET", "POST"]), PATHS), max_size=4)
)
def test_no_operation_is_lost(routes, operations):
    (found,) = refine([api(*routes)], [described(*operations, name="orders")]).apis
    assert {one.method for one in found.operations} == {one.method for one in operations}
    assert all(one.path.startswith("/") for one in found.operations)
    assert len(found.operations) >= len({one.method for one in operations})


def test_hosts_are_compared_within_bounds(monkeypatch):
    """Twenty thousand operations, each on hosts of its own, took minutes."""
    monkeypatch.setattr(refining, "MAX_PAIRS", 10)
    operations = [Operation("GET", "/", hosts=(f"h{number}.example",)) for number in range(20)]
    found = refine([api(route("/"))], [Described("openapi x", "", tuple(operations))])
    assert sum(len(one.operations) for one in found.apis) == 20
    assert found.notes == ("openapi x: too many hosts to find out which API is meant: say it",)
