"""Traefik's objects in a cluster: what IngressRoutes lead to, and whom the Middlewares on the way ask."""

import pytest
import yaml

from authorizer.discovery import traefik
from authorizer.discovery.joining import join
from authorizer.discovery.kubernetes import files, objects, reading
from authorizer.discovery.kubernetes.kinds import MIDDLEWARE, kept
from authorizer.model import Api

MIDDLEWARES = """
{apiVersion: traefik.io/v1alpha1, kind: Middleware, metadata: {name: asks, namespace: auth-z},
 spec: {forwardAuth: {address: "http://authorizer.auth-z.svc:9192/authz/traefik"}}}
---
{apiVersion: traefik.io/v1alpha1, kind: Middleware, metadata: {name: other, namespace: shop}, spec: {forwardAuth: {address: "http://x/"}}}
---
{apiVersion: traefik.io/v1alpha1, kind: Middleware, metadata: {name: chain, namespace: shop},
 spec: {chain: {middlewares: [{name: strip}, {name: asks, namespace: auth-z}]}}}
---
{apiVersion: traefik.io/v1alpha1, kind: Middleware, metadata: {name: strip, namespace: shop}, spec: {stripPrefix: {prefixes: [/v1]}}}
---
{apiVersion: traefik.io/v1alpha1, kind: Middleware, metadata: {name: loop, namespace: shop}, spec: {chain: {middlewares: [{name: loop}]}}}
---
{apiVersion: traefik.io/v1alpha1, kind: Middleware, metadata: {name: wrong, namespace: shop}, spec: {forwardAuth: {address: 1}}}
---
"""
ROUTE = """
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: web.site, namespace: shop}
spec:
  entryPoints: [websecure]
  routes:
    - {kind: Rule, match: "Host(`A.example`) && PathPrefix(`/v1`)", services: [{name: orders, port: 80}], middlewares: []}
"""


def read(*texts: str) -> reading.Reading:
    found = [each for text in texts for each in files.read(text.encode(), "t")[0]]
    return reading.read(objects.by_kind(found), ["authorizer"], whole=True)


def only(change: tuple[str, str]) -> Api:
    (api,) = read(MIDDLEWARES, ROUTE.replace(*change)).apis
    return api


@pytest.mark.parametrize(
    ("named", "asking", "flag", "seen"),
    [
        ("{name: asks, namespace: auth-z}", "asks", "ext_authz_http", None),
        ("{name: auth-z-asks@kubernetescrd}", "asks", "ext_authz_http", None),
        ("{name: chain}", "asks", "rewrite", None),
        ("{name: other}", "does_not", "asks_another", None),
        ("", "does_not", "ext_authz_absent", None),
        ("{name: strip}", "does_not", "rewrite", "/"),
        ("{name: asks}", "unknown", "ask_unknown", None),
        ("{name: asks@file}", "unknown", "ask_unknown", None),
        ("{name: loop}", "unknown", "ask_unknown", None),
        (f"{{name: {'a-' * 200_000}a@kubernetescrd}}", "unknown", "ask_unknown", None),
        ("{name: wrong}", "unknown", "ask_unknown", None),
        ("{name: other}, {name: asks, namespace: auth-z}", "asks", "ext_authz_http", None),
    ],
)
def test_the_middlewares_on_the_way_tell_who_is_asked(named, asking, flag, seen):
    api = only(("middlewares: []", f"middlewares: [{named}]"))
    assert (api.hosts, api.routes[0].path, api.routes[0].kind) == (("a.example",), "/v1", "prefix")
    assert (api.name, api.routes[0].cluster) == ("orders", "shop/orders:80")
    assert (api.sources, api.asking) == (("kubernetes IngressRoute shop/web.site",), asking)
    assert flag in api.routes[0].flags
    assert api.routes[0].seen == seen


@pytest.mark.parametrize(
    ("change", "flag", "note"),
    [
        (("services: [", "services: [{name: t, kind: TraefikService}, "), "backend_unread", ""),
        (("services: [{name: orders, port: 80}]", "services: [{name: api@internal, kind: TraefikService}]"), "backend_unread", ""),
        (("services: [{name: orders, port: 80}]", "odd: 1"), "no_backend", "the field 'odd' is not known"),
        (("&& PathPrefix", "&& Odd"), "match_unread", ""),
        (("&& PathPrefix", "PathPrefix"), "match_unread", "goes on after its end"),
        (("kind: Rule", "kind: Odd"), "match_unread", "'Odd' is not known"),
        (("&& Path", "&& ClientIP(`10.0.0.0/8`) && Path"), "client_match", ""),
        (("A.example", "a_b"), "host_unread", "no name of a host"),
        (("entryPoints", "parentRefs: [{name: up}]\n  entryPoints"), "delegate", ""),
        (("entryPoints", "odd"), "field_unread", "the field 'odd' is not known"),
        (("routes:", "routes: 1\n  tls:"), "object_unread", "not as its schema says"),
        (("    - {kind", "    [] #"), "routes_missing", ""),
    ],
)  # fmt: skip
def test_what_a_rule_says_beyond_is_told(change, flag, note):
    found = read(ROUTE.replace(*change))
    (api,) = found.apis
    assert flag in {*api.flags, *(name for route in api.routes for name in route.flags)}
    assert note in "".join(found.notes)
    assert bool(note) == bool(found.notes)


def test_a_child_may_be_asked_about_by_its_parent():
    assert only(("entryPoints", "parentRefs: [{name: up}]\n  entryPoints")).asking == "unknown"


def test_the_first_match_comes_first():
    more = "    - {kind: Rule, match: 'Host(`a.example`)', services: [{name: orders, port: 80}]PRIORITY}\n"
    for priority, paths in (("", ["/v1", "/"]), (", priority: 1000", ["/", "/v1"])):
        (api,) = read(ROUTE + more.replace("PRIORITY", priority)).apis
        assert [route.path for route in api.routes] == paths


INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop, annotations: {traefik.ingress.kubernetes.io/router.middlewares: "NAMED"}}
spec: {rules: [{host: i.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: orders, port: {number: 80}}}}]}}]}
"""
HTTP_ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: auth-z}
spec:
  parentRefs: [{name: none}]
  rules:
    - filters: [FILTER]
      backendRefs: [{name: orders, port: 80}]
"""
EXTENSION = "{type: ExtensionRef, extensionRef: {group: traefik.io, kind: Middleware, name: NAME}}"
EXTERNAL = "{type: ExternalAuth, externalAuth: {protocol: GRPC, backendRef: {name: NAME, port: 9191}}}"


@pytest.mark.parametrize(
    ("text", "asking"),
    [
        (INGRESS.replace("NAMED", "shop-strip@kubernetescrd, auth-z-asks@kubernetescrd"), "asks"),
        (INGRESS.replace("NAMED", "shop-other@kubernetescrd"), "does_not"),
        (INGRESS.replace("NAMED", "shop-strip@kubernetescrd"), "unknown"),
        (INGRESS.replace("NAMED", "shop-none@kubernetescrd"), "unknown"),
        (HTTP_ROUTE.replace("FILTER", EXTENSION.replace("NAME", "asks")), "asks"),
        (HTTP_ROUTE.replace("FILTER", EXTENSION.replace("NAME", "none")), "unknown"),
        (HTTP_ROUTE.replace("FILTER", EXTENSION.replace("traefik.io", "x.example")), "unknown"),
        (HTTP_ROUTE.replace("FILTER", EXTERNAL.replace("NAME", "authorizer")), "asks"),
        (HTTP_ROUTE.replace("FILTER", EXTERNAL.replace("NAME", "other")), "does_not"),
        (HTTP_ROUTE.replace("FILTER", EXTERNAL.replace("NAME", "authorizer")) + "    - {backendRefs: [{name: open}]}\n", "unknown"),
    ],
)  # fmt: skip
def test_other_routes_name_who_is_asked_too(text, asking):
    assert {api.asking for api in read(MIDDLEWARES, text).apis} == {asking}


def test_what_middlewares_may_have_of_secrets_is_not_kept():
    spec = {"headers": {"customRequestHeaders": {"x": "secret"}}, "plugin": {"p": {"key": "secret"}}, "stripPrefix": {}}
    left = kept(MIDDLEWARE, {"metadata": {"name": "m"}, "spec": spec})
    assert left["spec"] == {"headers": {}, "plugin": {}, "stripPrefix": {}}


@pytest.mark.parametrize(("entry", "asking"), [([], "does_not"), (["asks@file"], "asks")])
def test_an_ingress_route_and_its_router_are_one_api(entry, asking):
    router = {"rule": "Host(`a.example`) && PathPrefix(`/v1`)", "service": "s", "middlewares": entry}
    asks = {"forwardAuth": {"address": "http://authorizer:9192/authz/traefik"}}
    name = "shop-web-site-6b204d94623b3df4370c@kubernetescrd"
    served = traefik.read({"http": {"routers": {name: router}, "middlewares": {"asks@file": asks}}}, ["authorizer"])
    (api,) = join(read(ROUTE).apis, served.apis)
    assert api.sources == ("kubernetes IngressRoute shop/web.site", f"traefik router {name}")
    assert (api.asking, len(api.routes)) == (asking, 1)


def test_chains_that_name_each_other_again_and_again_cost_little():
    names = [f"m{number}" for number in range(60)]
    chains = [
        {"apiVersion": "traefik.io/v1alpha1", "kind": "Middleware", "metadata": {"name": name, "namespace": "shop"}, "spec": {"chain": {"middlewares": [{"name": each} for each in names]}}}
        for name in names
    ]  # fmt: skip
    (api,) = read(yaml.safe_dump_all(chains), ROUTE.replace("middlewares: []", "middlewares: [{name: m0}]")).apis
    assert api.asking == "unknown"
