"""What the API sees in the place of a gateway's path: as each gateway says it, or not known."""

import pytest
import yaml
from msgspec.structs import replace

from authorizer.discovery import envoy, kong, traefik
from authorizer.discovery.joining import join
from authorizer.discovery.kubernetes import files, objects, reading
from authorizer.model import Api, ApiRoute


def of_envoy(match, action):
    host = {"name": "h", "domains": ["h"], "routes": [{"match": match, "route": {"cluster": "c", **action}}]}
    dump = {"configs": [{"static_route_configs": [{"route_config": {"name": "r", "virtual_hosts": [host]}}]}]}
    return envoy.read(dump)


def of_kong(text):
    return kong.read({"services": [yaml.safe_load(text)]}).apis


def of_traefik(middleware):
    router = {"rule": "PathPrefix(`/a`)", "service": "s", "middlewares": ["m", "cors"]}
    middlewares = {"m": middleware, "cors": {"headers": {}}, "other": {"stripPrefix": {"prefixes": ["/a"]}}}
    return traefik.read({"http": {"routers": {"r": router}, "middlewares": middlewares}}, []).apis


def of_objects(kind, spec):
    group = "gateway.networking.k8s.io/v1" if kind == "HTTPRoute" else "networking.istio.io/v1"
    text = yaml.safe_dump({"apiVersion": group, "kind": kind, "metadata": {"name": "r"}, "spec": spec})
    held, _ = files.read(text.encode(), "a.yaml")
    return reading.read(objects.by_kind(held), ["authorizer"], whole=True).apis


def http_route(path, replaced):
    match = {"path": {"type": "Exact" if path == "/exact" else "PathPrefix", "value": path}}
    return of_objects(
        "HTTPRoute", {"rules": [{"matches": [match], "filters": [{"type": "URLRewrite", "urlRewrite": replaced}]}]}
    )


def virtual_service(uri, rewrite):
    return of_objects(
        "VirtualService", {"hosts": ["h"], "http": [{"match": [{"uri": uri}], "rewrite": rewrite, "route": []}]}
    )


@pytest.mark.parametrize(
    ("apis", "path", "seen"),
    [
        (of_envoy({"prefix": "/a/"}, {"prefix_rewrite": "/"}), "/a/", "/"),
        (of_envoy({"path_separated_prefix": "/a"}, {"prefixRewrite": "/b"}), "/a", "/b"),
        (of_envoy({"prefix": "/a"}, {"regex_rewrite": {}}), "/a", None),
        (of_envoy({"safe_regex": {"regex": "/a.*"}}, {"prefix_rewrite": "/"}), "/a.*", None),
        (of_kong("{name: s, path: /v1/, routes: [{paths: [/a]}]}"), "/a", "/v1"),
        (of_kong("{name: s, url: 'http://h/v1', routes: [{paths: [/a], strip_path: false}]}"), "/a", "/v1/a"),
        (of_kong("{name: s, routes: [{paths: [/a], strip_path: false}]}"), "/a", None),
        (of_kong("{name: s, path: /v1, routes: [{paths: ['~/a$']}]}"), "/a$.*", None),
        (of_traefik({"stripPrefix": {"prefixes": ["/x", "/a/"]}}), "/a", "/"),
        (of_traefik({"addPrefix": {"prefix": "/v1"}}), "/a", "/v1/a"),
        (of_traefik({"chain": {"middlewares": ["other"]}}), "/a", None),
        (of_traefik({"replacePathRegex": {"regex": "x"}}), "/a", None),
        (http_route("/a", {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": ""}}), "/a", "/"),
        (http_route("/a", {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/b"}}), "/a", None),
        (http_route("/exact", {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/b"}}), "/exact", "/b"),
        (http_route("/a", {"hostname": "h"}), "/a", None),
        (virtual_service({"prefix": "/a/"}, {"uri": "/"}), "/a/", "/"),
        (virtual_service({"regex": "/a.*"}, {"uri": "/"}), "/a.*", None),
        (virtual_service({"prefix": "/a"}, {"uriRegexRewrite": {"match": "x", "rewrite": "y"}}), "/a", None),
    ],
)  # fmt: skip
def test_a_prefix_that_is_replaced(apis, path, seen):
    ((one,),) = (api.routes for api in apis)
    assert (one.path, one.seen) == (path, seen)


def test_what_one_side_knows_of_a_rewrite_counts():
    cluster = "httproute/default/r/rule/0"
    declared = ApiRoute(path="/a", kind="segments", flags=("rewrite",), seen="/b")
    served = ApiRoute(path="/a/", kind="segments", cluster=cluster, flags=("case_insensitive",))
    one = Api(id="d", name="d", hosts=("h",), routes=(declared,), sources=("kubernetes HTTPRoute default/r",))
    other = Api(id="e", name="e", hosts=("h",), routes=(served,), sources=("envoy",))
    for first, second in ((declared, served), (replace(declared, seen=None), replace(served, seen="/b"))):
        (both,) = join([replace(one, routes=(first,))], [replace(other, routes=(second,))])
        assert [(way.seen, way.flags) for way in both.routes] == [("/b", ("case_insensitive", "rewrite"))]
