"""The parser of Envoy's configuration: what it finds, what it flags, and that nothing breaks it."""

import ast
import contextlib
import json
import tarfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from authorizer.discovery import envoy
from authorizer.discovery.catalogue import catalogue
from authorizer.discovery.flags import MEANING, ON_APIS, ON_ROUTES
from authorizer.errors import DiscoveryError

OUTSIDE = Path(__file__).parents[3] / "shared" / "checks" / "gateways"
SAFE_HCM = {
    "normalize_path": True,
    "merge_slashes": True,
    "path_with_escaped_slashes_action": "REJECT_REQUEST",
    "use_remote_address": True,
    "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
}
SAFE_GUARD = {"grpc_service": {"timeout": "0.200s"}, "encode_raw_headers": True, "validate_mutations": True}


def any_(kind: str, config: dict) -> dict:
    return {"@type": f"type.googleapis.com/envoy.{kind}", **config}


def guard(config: dict | None = None, **entry: object) -> dict:
    block = any_("extensions.filters.http.ext_authz.v3.ExtAuthz", SAFE_GUARD if config is None else config)
    return {"name": "authz", "typed_config": block, **entry}


def per_route(**config: object) -> dict:
    return {"typed_per_filter_config": {"authz": any_("extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute", config)}}


def dump(
    *routes: dict, hcm: dict | None = None, filters: list | None = None, extra: list | None = None, **host: object
):
    virtual_host = {"name": "shop", "domains": ["shop.example"], "routes": list(routes), **host}
    manager = any_(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        {
            **(SAFE_HCM if hcm is None else hcm),
            "http_filters": [guard()] if filters is None else filters,
            "rds": {"route_config_name": "main"},
        },
    )
    listener = {"name": "front", "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]}
    return {
        "configs": [
            any_("admin.v3.ListenersConfigDump", {"dynamic_listeners": [{"active_state": {"listener": listener}}]}),
            any_(
                "admin.v3.RoutesConfigDump",
                {"dynamic_route_configs": [{"route_config": {"name": "main", "virtual_hosts": [virtual_host]}}]},
            ),
            *(extra or []),
        ]
    }


def to(cluster: str = "orders", match: dict | None = None, **entry: object) -> dict:
    return {"match": match or {"prefix": "/"}, "route": {"cluster": cluster}, **entry}


def only_route(*args: dict, **kwargs: object):
    (api,) = envoy.read(dump(*args, **kwargs))
    (route,) = api.routes
    return route


def test_a_safe_gateway_has_no_flags() -> None:
    (api,) = envoy.read(dump(to()))
    assert (api.name, api.hosts, api.flags) == ("orders", ("shop.example",), ())
    assert api.id == "envoy/front/main/shop/orders"
    assert api.routes[0].flags == ()


@pytest.mark.parametrize(
    ("match", "path", "kind"),
    [
        ({"prefix": "/a"}, "/a", "prefix"),
        ({"path": "/a"}, "/a", "exact"),
        ({"path_separated_prefix": "/a"}, "/a", "segments"),
        ({"pathSeparatedPrefix": "/a"}, "/a", "segments"),
        ({"safe_regex": {"regex": "/a.*"}}, "/a.*", "regex"),
        (
            {
                "path_match_policy": {
                    "typed_config": any_(
                        "extensions.path.match.uri_template.v3.UriTemplateMatchConfig", {"path_template": "/a/{x}"}
                    )
                }
            },
            "/a/{x}",
            "template",
        ),
        ({"connect_matcher": {}}, "", "any"),
    ],
)
def test_paths(match: dict, path: str, kind: str) -> None:
    route = only_route(to(match=match))
    assert (route.path, route.kind) == (path, kind)


@pytest.mark.parametrize(
    ("matcher", "methods", "flag"),
    [
        ({"string_match": {"exact": "GET"}}, ("GET",), None),
        ({"exact_match": "GET"}, ("GET",), None),
        ({"string_match": {"safe_regex": {"regex": "^(GET|PURGE)$"}}}, ("GET", "PURGE"), None),
        ({"string_match": {"safe_regex": {"regex": "GET|POST"}}}, ("GET", "POST"), None),
        ({"string_match": {"safe_regex": {"regex": "G.*"}}}, (), "method_unread"),
        ({"string_match": {"prefix": "G"}}, (), "method_unread"),
        ({"string_match": {"exact": "GET"}, "invert_match": True}, (), "method_unread"),
        ({"string_match": {"exact": "GET", "ignore_case": True}}, (), "method_unread"),
        ({"present_match": True}, (), "method_unread"),
    ],
)
def test_methods(matcher: dict, methods: tuple[str, ...], flag: str | None) -> None:
    route = only_route(to(match={"prefix": "/", "headers": [{"name": ":method", **matcher}]}))
    assert route.methods == methods
    assert route.flags == ((flag,) if flag else ())


@pytest.mark.parametrize(
    ("entry", "cluster", "flags"),
    [
        (to("a", {"prefix": "/", "headers": [{"name": "x", "present_match": True}]}), "a", ("header_match",)),
        (to("a", {"prefix": "/", "query_parameters": [{"name": "q"}]}), "a", ("query_match",)),
        (to("a", {"prefix": "/", "case_sensitive": False}), "a", ("case_insensitive",)),
        (to("a", {"prefix": "/", "grpc": {}}), "a", ("grpc_only",)),
        (to("a", {"prefix": "/", "runtime_fraction": {"runtime_key": "r"}}), "a", ("runtime_fraction",)),
        (to("a", {"something_new": {}}), "a", ("match_unread",)),
        (to("a", {"path_match_policy": {"typed_config": any_("x", {})}}), "a", ("match_unread",)),
        ({"match": {"prefix": "/"}, "direct_response": {"status": 200}}, "", ("direct_response",)),
        ({"match": {"prefix": "/"}, "redirect": {}}, "", ("redirect",)),
        ({"match": {"prefix": "/"}, "filter_action": {}}, "", ("action_unread",)),
        ({"match": {"prefix": "/"}, "route": {"cluster_header": "x-c"}}, "x-c", ("cluster_chosen_at_runtime",)),
        ({"match": {"prefix": "/"}, "route": {"cluster": "a", "prefix_rewrite": "/"}}, "a", ("rewrite",)),
        (
            {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": [{"name": "a"}, {"name": "b"}]}}},
            "a,b",
            ("weighted",),
        ),
        (to("a", **per_route(disabled=True)), "a", ("ext_authz_disabled",)),
        (to("a", **per_route(check_settings={"context_extensions": {"api": "a"}})), "a", ()),
        (
            to("a", typed_per_filter_config={"authz": any_("config.route.v3.FilterConfig", {"disabled": True})}),
            "a",
            ("ext_authz_disabled",),
        ),
        (to("a", typed_per_filter_config={"other": any_("config.route.v3.FilterConfig", {"disabled": True})}), "a", ()),
        (
            {
                "match": {"prefix": "/"},
                "route": {
                    "weighted_clusters": {"clusters": [{"name": "a"}, {"name": "b", **per_route(disabled=True)}]}
                },
            },
            "a,b",
            ("ext_authz_disabled", "weighted"),
        ),
    ],
)
def test_route_flags(entry: dict, cluster: str, flags: tuple[str, ...]) -> None:
    route = only_route(entry)
    assert (route.cluster, route.flags) == (cluster, flags)


def test_the_most_specific_switch_counts() -> None:
    on = per_route(check_settings={})
    assert only_route(to(), **per_route(disabled=True)).flags == ("ext_authz_disabled",)
    assert only_route(to(**on), **per_route(disabled=True)).flags == ()
    asleep = [guard(disabled=True)]
    assert only_route(to(), filters=asleep).flags == ("ext_authz_disabled",)
    assert only_route(to(**on), filters=asleep).flags == ()


@pytest.mark.parametrize(
    ("hcm", "filters", "flag"),
    [
        ({**SAFE_HCM, "normalize_path": False}, None, "normalisation_off"),
        ({**SAFE_HCM, "merge_slashes": False}, None, "merge_slashes_off"),
        ({**SAFE_HCM, "path_with_escaped_slashes_action": "KEEP_UNCHANGED"}, None, "escaped_slashes_kept"),
        ({**SAFE_HCM, "common_http_protocol_options": {}}, None, "underscores_kept"),
        ({**SAFE_HCM, "use_remote_address": False}, None, "remote_address_unset"),
        (None, [], "ext_authz_absent"),
        (None, [guard({**SAFE_GUARD, "failure_mode_allow": True})], "failure_mode_allow"),
        (None, [guard({**SAFE_GUARD, "encode_raw_headers": False})], "raw_headers_off"),
        (None, [guard({**SAFE_GUARD, "validate_mutations": False})], "mutations_unvalidated"),
        (None, [guard({**SAFE_GUARD, "shadow_mode": True})], "ext_authz_shadow"),
        (None, [guard({**SAFE_GUARD, "filter_enabled": {}})], "ext_authz_conditional"),
        (None, [guard({**SAFE_GUARD, "grpc_service": {"timeout": "600s"}})], "timeout_long"),
        (None, [guard({**SAFE_GUARD, "grpc_service": {"timeout": "0s"}})], "no_timeout"),
        (
            None,
            [guard({"http_service": {"server_uri": {"timeout": "1s"}}, "validate_mutations": True})],
            "ext_authz_http",
        ),
    ],
)
def test_listener_flags(hcm: dict | None, filters: list | None, flag: str) -> None:
    (api,) = envoy.read(dump(to(), hcm=hcm, filters=filters))
    assert api.flags == (flag,)


def test_filters_wrapped_in_a_matcher_or_discovered_are_read() -> None:
    wrapped = {
        "name": "authz",
        "typed_config": any_(
            "extensions.common.matching.v3.ExtensionWithMatcher", {"extension_config": guard(), "xds_matcher": {}}
        ),
    }
    (api,) = envoy.read(dump(to(), filters=[wrapped]))
    assert api.flags == ("ext_authz_conditional",)
    by_name = {"name": "authz", "config_discovery": {"type_urls": [guard()["typed_config"]["@type"]]}}
    (api,) = envoy.read(dump(to(), filters=[by_name]))
    assert api.flags == ("ext_authz_unread",)
    ecds = any_("admin.v3.EcdsConfigDump", {"ecds_filters": [{"ecds_filter": guard()}]})
    (api,) = envoy.read(dump(to(), filters=[by_name], extra=[ecds]))
    assert api.flags == ()


def test_one_api_for_each_cluster_in_the_gateways_order() -> None:
    first, second = envoy.read(dump(to("b", {"path": "/2"}), to("a", {"path": "/1"}), to("b", {"prefix": "/"})))
    assert [first.name, second.name] == ["a", "b"]
    assert [route.path for route in second.routes] == ["/2", "/"]


def test_what_cannot_be_joined_is_reported() -> None:
    missing = dump(to())
    missing["configs"].pop()
    (api,) = envoy.read(missing)
    assert (api.name, api.flags) == ("main", ("routes_missing",))
    (api,) = envoy.read({"configs": [dump(to())["configs"][1]]})
    assert api.flags == ("listener_unknown",)
    tcp = {"dynamic_listeners": [{"active_state": {"listener": {"name": "db"}}}]}
    (api,) = envoy.read({"configs": [tcp]})
    assert (api.name, api.flags) == ("db", ("not_http",))
    assert "matcher_unread" in only_route(matcher={}).flags


def test_the_weakest_filter_chain_counts() -> None:
    two = dump(to())
    chains = two["configs"][0]["dynamic_listeners"][0]["active_state"]["listener"]["filter_chains"]
    manager = chains[0]["filters"][0]["typed_config"]
    chains.append({"filters": [{"name": "hcm", "typed_config": {**manager, "http_filters": []}}]})
    (api,) = envoy.read(two)
    assert api.flags == ("ext_authz_absent",)


@pytest.mark.parametrize(
    "broken",
    [{"configs": 1}, {"configs": [1]}, {"configs": [{"static_listeners": {}}]}, dump({"match": [], "route": {}})],
)
def test_another_shape_is_a_coded_error(broken: dict) -> None:
    with pytest.raises(DiscoveryError) as caught:
        envoy.read(broken)
    assert caught.value.code == "AZ602"


def test_too_many_routes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoy, "MAX_ROUTES", 2)
    with pytest.raises(DiscoveryError, match="AZ603"):
        envoy.read(dump(to(), to(), to()))


def words_of(code: str) -> set[str]:
    """Find what a module yields, adds to a set or shows as flags: there a flag comes into being."""
    found: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Yield(value=value):
                found.append(value)
            case ast.Call(func=ast.Attribute(attr="add"), args=args):
                found += args
            case ast.Set(elts=items) | ast.keyword(arg="flags", value=ast.Tuple(elts=items)):
                found += items
    words = {each.value for each in found if isinstance(each, ast.Constant)}
    return {word for word in words if isinstance(word, str) and word.islower()}


def test_every_flag_in_the_code_has_a_meaning_and_no_other() -> None:
    rooms = [Path(envoy.__file__).with_name(f"{name}.py") for name in ("envoy", "envoy_filters", "envoy_routes")]
    said = set().union(*(words_of(path.read_text()) for path in rooms))
    assert said <= set(MEANING)
    others = "".join(path.read_text() for path in Path(envoy.__file__).parent.rglob("*.py") if path.name != "flags.py")
    assert {word for word in set(MEANING) - said if f'"{word}"' not in others} == set()
    assert not set(ON_APIS) & set(ON_ROUTES)


NAMES = [
    *("configs", "static_listeners", "listener", "filter_chains", "filters", "typed_config", "@type", "rds", "name"),
    *("route_config", "virtual_hosts", "domains", "routes", "match", "route", "static_route_configs", "http_filters"),
]
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.text(max_size=5), st.integers()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)),
    max_leaves=25,
)


@given(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4))
def test_no_json_breaks_the_parser(value: dict) -> None:
    with contextlib.suppress(DiscoveryError):
        assert catalogue(envoy.read(value)) == catalogue(envoy.read(value))


def outside(archive: str):
    path = OUTSIDE / archive
    if not path.exists():
        pytest.skip(f"{path} is absent: outside test data is not part of this repository")
    with tarfile.open(path) as tar:
        for entry in tar:
            if entry.isfile():
                yield entry.name, tar.extractfile(entry).read()


def test_a_mesh_dump_from_outside() -> None:
    (dumped,) = [json.loads(data) for name, data in outside("envoy-config-dump-istio.tar.gz") if name.endswith(".json")]
    apis = envoy.read(dumped)
    assert catalogue(apis) == catalogue(envoy.read(dumped))
    assert {"agent", "inbound-vip|8000|http|httpbin.default.svc.cluster.local"} <= {api.name for api in apis}
    assert all("ext_authz_absent" in api.flags for api in apis)


def test_route_configurations_from_outside() -> None:
    seen = 0
    for name, data in outside("envoy-gateway-xds-routes.tar.gz"):
        if not name.endswith(".routes.yaml"):
            continue
        configs = yaml.safe_load(data) or []
        value = {"configs": [{"dynamic_route_configs": [{"route_config": config} for config in configs]}]}
        apis = envoy.read(value)
        written = [route for config in configs for host in config.get("virtualHosts", ()) for route in host["routes"]]
        assert sum(len(api.routes) for api in apis) == len(written)
        assert apis == envoy.read(value)
        seen += len(written)
    assert seen > 50
