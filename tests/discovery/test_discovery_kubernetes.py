"""Objects of Kubernetes as APIs: hosts, paths, who is asked, and what is flagged."""

from pathlib import Path

import pytest

from authorizer.discovery.joining import join
from authorizer.discovery.kubernetes import files, objects, reading
from authorizer.discovery.kubernetes.kinds import KINDS
from authorizer.model import Api, ApiRoute

CHECKS = Path(__file__).parents[3] / "shared" / "checks"
DEPLOY = Path(__file__).parents[2] / "deploy"

GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: eg}
spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway, namespace: default}
spec:
  gatewayClassName: eg
  listeners: [{name: http, port: 80, protocol: HTTP, hostname: "*.example.com"}]
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: default, annotations: {authorizer/application: Orders}}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: default, annotations: {authorizer/workspace: shop, authorizer/application: other}}
---
"""
ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: default}
spec:
  parentRefs: [{name: gateway}]
  hostnames: [orders.example.com, elsewhere.test]
  rules:
    - matches: [{path: {type: PathPrefix, value: /v1}, method: GET}, {path: {type: Exact, value: /x}}]
      backendRefs: [{name: orders, port: 80}]
"""
ASKED = """
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata: {name: authorizer, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: KIND, name: NAME}]
  extAuth: {failOpen: false, grpc: {backendRefs: [{name: BACKEND, port: 9191}]}}
---
"""
MESH = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web, namespace: shop}
spec: {selector: {istio: ingressgateway}, servers: [{hosts: ["shop/*.example.com"], port: {number: 80}}]}
---
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: istio-system}
spec: {selector: {istio: ingressgateway}, ports: [{port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: pay, namespace: shop}
spec:
  hosts: [pay.example.com]
  gateways: [web]
  http:
    - match: [{uri: {prefix: /pay}, headers: {x: {exact: "1"}}, odd: 1}]
      route: [{destination: {host: pay, port: {number: 8080}}}]
---
"""


def read(*texts: str, whole: bool = True) -> reading.Reading:
    found = [each for text in texts for each in files.read(text.encode(), "t")[0]]
    return reading.read(objects.by_kind(found), ["authorizer"], whole=whole)


def only(*texts: str, whole: bool = True) -> Api:
    (api,) = read(*texts, whole=whole).apis
    return api


def asked(kind: str, name: str, backend: str = "authorizer") -> str:
    return ASKED.replace("KIND", kind).replace("NAME", name).replace("BACKEND", backend)


def test_a_route_is_an_api_on_the_hosts_that_its_listener_leaves():
    api = only(GATEWAY, ROUTE)
    assert api.name == "orders"
    assert api.hosts == ("orders.example.com",)
    assert [(route.path, route.kind, route.methods) for route in api.routes] == [
        ("/v1", "segments", ("GET",)),
        ("/x", "exact", ()),
    ]
    assert api.routes[0].cluster == "default/orders:80"
    assert api.sources == ("kubernetes HTTPRoute default/orders",)
    assert api.bound == (("workspace", "shop"), ("application", "Orders"))


@pytest.mark.parametrize(
    ("texts", "whole", "asking", "flag"),
    [
        ((), True, "does_not", "ext_authz_absent"),
        ((), False, "unknown", "ask_unknown"),
        ((asked("Gateway", "gateway"),), True, "asks", ""),
        ((asked("Gateway", "gateway", "another"),), True, "does_not", "asks_another"),
        ((asked("HTTPRoute", "orders"),), True, "asks", ""),
        (
            (asked("HTTPRoute", "orders").replace("failOpen: false", "failOpen: true"),),
            True,
            "asks",
            "failure_mode_allow",
        ),
        (
            (
                asked("Gateway", "gateway"),
                asked("HTTPRoute", "orders").replace("extAuth", "cors").replace("name: a", "name: b"),
            ),
            True,
            "does_not",
            "ext_authz_disabled",
        ),
    ],
)
def test_who_is_asked(texts, whole, asking, flag):
    api = only(GATEWAY, ROUTE, *texts, whole=whole)
    assert api.asking == asking
    assert not flag or flag in api.flags


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        (("name: gateway}]", "name: none}]"), "gateway_unknown"),
        (("orders.example.com, elsewhere.test", "elsewhere.test"), "not_attached"),
        (("namespace: default}\nspec:\n  parentRefs: [{name: gateway}]", "namespace: far}\nspec:\n  parentRefs: [{name: gateway, namespace: default}]"), "not_attached"),
        (("name: gateway}]", "name: gateway, sectionName: none}]"), "not_attached"),
        (("rules:", "odd: 1\n  rules:"), "field_unread"),
        (("rules:", "rules: 1\n  other:"), "object_unread"),
    ],
)  # fmt: skip
def test_what_is_odd_is_kept_and_flagged(change, flag):
    found = read(GATEWAY, ROUTE.replace(*change))
    assert [api for api in found.apis if flag in api.flags], found.apis
    assert found.notes or not flag.endswith("unread")


@pytest.mark.parametrize(
    ("accepted", "flags"),
    [([], {"acceptance_unknown"}), (["True"], set()), (["False"], {"not_accepted"}), (["False", "True"], set())],
)
def test_the_controllers_word_is_respected(accepted, flags):
    conditions = "".join(f"    - conditions: [{{type: Accepted, status: '{status}'}}]\n" for status in accepted)
    api = only(GATEWAY, ROUTE + (f"status:\n  parents:\n{conditions}" if accepted else ""))
    assert set(api.flags) & {"acceptance_unknown", "not_accepted"} == flags


def test_another_namespace_has_to_grant_the_reference():
    far = ROUTE.replace("name: orders, port", "name: orders, namespace: far, port")
    grant = """
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: far}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]
  to: [{group: "", kind: Service}]
"""
    assert "backend_not_granted" in read(GATEWAY, far).apis[0].routes[0].flags
    assert "backend_not_granted" not in read(GATEWAY, far, "---" + grant).apis[0].routes[0].flags


def test_a_redirect_on_one_backend_hides_no_other():
    refs = "backendRefs: [{name: orders, port: 80}, {name: old, filters: [{type: RequestRedirect}]}]"
    api = only(GATEWAY, ROUTE.replace("backendRefs: [{name: orders, port: 80}]", refs))
    assert api.routes[0].cluster == "default/orders:80,default/old"
    assert "redirect" in api.routes[0].flags


@pytest.mark.parametrize(
    ("match", "path", "kind"),
    [
        ("{service: a.B, method: C}", "/a.B/C", "exact"),
        ("{service: a.B}", "/a.B/", "prefix"),
        ("{method: C}", "/[^/]+/C", "regex"),
        ("{type: RegularExpression, service: 'a.*'}", "/a.*/[^/]+", "regex"),
        ("{type: Odd}", "", "any"),
    ],
)
def test_grpc_methods_are_paths(match, path, kind):
    route = ROUTE.replace("HTTPRoute", "GRPCRoute")
    head, _, tail = route.partition("matches: ")
    api = only(GATEWAY, head + f"matches: [{{method: {match}}}]\n" + tail.partition("\n")[2])
    assert (api.routes[0].path, api.routes[0].kind, api.routes[0].methods) == (path, kind, ("POST",))


def test_a_virtual_service_behind_a_gateway():
    found = read(MESH)
    (api,) = (api for api in found.apis if "VirtualService" in api.id)
    assert api.hosts == ("pay.example.com",)
    assert api.asking == "does_not"
    route = api.routes[0]
    assert (route.path, route.kind, route.cluster) == ("/pay", "prefix", "shop/pay:8080")
    assert {"header_match", "field_unread", "backend_unknown"} <= set(route.flags)
    assert any("'odd'" in note for note in found.notes)


@pytest.mark.parametrize(
    ("change", "asking"),
    [(("", ""), "asks"), (("name: authorizer}\n  rules", "name: x}\n  rules"), "does_not"), (("[{}]", "[{to: [{}]}]"), "unknown"),
     (("ingressgateway", "egressgateway"), "does_not")],
)  # fmt: skip
def test_the_printed_policy_of_istio_is_understood(change, asking):
    text = (DEPLOY / "istio" / "authorizer.yaml").read_text().replace(*change)
    (api,) = (api for api in read(MESH, text).apis if "VirtualService" in api.id)
    assert api.asking == asking


def test_the_printed_policy_of_envoy_gateway_is_understood():
    text = (DEPLOY / "envoy-gateway" / "authorizer.yaml").read_text()
    assert only(GATEWAY, ROUTE, "---\n" + text).asking == "asks"


INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: default
  annotations: {nginx.ingress.kubernetes.io/auth-url: "http://authorizer.default.svc.cluster.local/authz/nginx"}
spec:
  defaultBackend: {service: {name: front, port: {number: 80}}}
  rules:
    - host: a.example
      http: {paths: [{path: /a, pathType: Prefix, backend: {service: {name: orders, port: {name: http}}}}]}
"""


def test_an_ingress_and_its_default():
    default, rule = sorted(read(INGRESS).apis, key=lambda api: api.hosts)
    assert (default.hosts, default.routes[0].flags) == (("*",), ("backend_unknown", "default_backend"))
    assert (rule.hosts, rule.routes[0].path, rule.routes[0].kind) == (("a.example",), "/a", "segments")
    assert rule.asking == "asks"
    assert read(INGRESS.replace("auth-url", "other")).apis[0].asking == "unknown"


def test_services_that_speak_http_and_that_nothing_leads_to():
    http = "---\napiVersion: v1\nkind: Service\nmetadata: {name: NAME, namespace: n}\nspec: {ports: [{port: 1, name: PORT}]}\n"
    found = read(
        http.replace("NAME", "a").replace("PORT", "grpc-api"), http.replace("NAME", "b").replace("PORT", "tcp-db")
    )
    assert [api.name for api in found.apis] == ["a"]


def test_two_objects_for_one_path_are_told():
    second = ROUTE.replace("name: orders, namespace", "name: second, namespace").replace("---", "")
    flags = [route.flags for api in read(GATEWAY, ROUTE + "---" + second).apis for route in api.routes]
    assert all("contested" in one for one in flags)


def test_one_api_from_two_sides():
    declared = read(GATEWAY, ROUTE, whole=False).apis
    way = ApiRoute(path="/v1", kind="segments", methods=("GET",), cluster="httproute/default/orders/rule/0")
    served = Api(
        id="e", name="e", hosts=("orders.example.com:80",), routes=(way,), sources=("envoy x",), flags=("timeout_long",)
    )
    stranger = Api(id="s", name="s", hosts=("s.example",), routes=(), sources=("envoy x",))
    first, other = join(declared, (served, stranger))
    assert first.sources == ("envoy x", "kubernetes HTTPRoute default/orders")
    assert "timeout_long" in first.flags
    assert first.asking == "asks"
    assert len(first.routes) == 2
    assert other == stranger


def manifests(folder: str) -> list[Path]:
    found = sorted((CHECKS / folder).rglob("*.yaml"))
    if not found:
        pytest.skip("the outside checks are not here")
    return found


def test_every_route_of_the_conformance_manifests_is_an_api():
    found = [each for path in manifests("gateway-api") for each in files.read(path.read_bytes(), path.name)[0]]
    known = objects.by_kind(found)
    first = reading.read(known, ["authorizer"], whole=True)
    assert first == reading.read(
        {kind: dict(reversed(held.items())) for kind, held in known.items()}, ["authorizer"], whole=True
    )
    told = {source for api in first.apis for source in api.sources}
    routes = {
        f"kubernetes {kind.name} {key[0]}/{key[1]}"
        for kind in KINDS
        for key in known[kind]
        if kind.name in {"HTTPRoute", "GRPCRoute"}
    }
    assert len(routes) > 100
    assert routes <= told
    assert first.notes == ()
