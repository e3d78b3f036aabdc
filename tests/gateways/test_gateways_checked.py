"""``authorizer gateway KIND --check``: nothing in what we print, and each mistake that is planted in it."""

import json

import pytest
import yaml
from msgspec.structs import replace

from authorizer.errors import GatewayError
from authorizer.gateways import mesh
from authorizer.gateways.checks import CHECKS
from authorizer.gateways.envoy import Check, bootstrap
from authorizer.gateways.findings import Expected
from authorizer.gateways.kinds import KINDS
from authorizer.settings import IDENTITY_HEADERS
from tests.gateways.examples import SITE, SITES

EXPECTED = Expected(identity=tuple(IDENTITY_HEADERS))
HTTP = replace(SITE, grpc=())
REMOTE = replace(SITE, grpc=("auth.example:9191",), tls=True)
BODIES = replace(SITE, body_bytes=65_536)
GATEWAYS = ("envoy", "istio", "envoy-gateway", "nginx", "caddy", "traefik")
MAIN = {"nginx": ("authorizer.conf",)}


def printed(kind, site=None):
    files = KINDS[kind](site or SITES[kind])
    return (
        "\n---\n".join(files[name] for name in MAIN.get(kind, files)) if kind != "nginx" else files["authorizer.conf"]
    )


def codes(kind, text, expected=EXPECTED):
    return {problem.code for problem in CHECKS[kind]([("a file", text)], expected)}


@pytest.mark.parametrize("kind", GATEWAYS)
def test_nothing_is_unsafe_in_what_we_print(kind):
    remote = {"envoy-gateway": replace(SITE, grpc=("auth.example:9191",), tls=True), "istio": REMOTE, "envoy": REMOTE}
    workers = ("unix:/run/a-0.sock", "unix:/run/a-1.sock")
    sites = [SITES[kind], replace(SITES[kind], body_bytes=65_536), replace(SITES[kind], identity=("x-auth-subject",))]
    sites += [replace(SITE, grpc=workers, http=workers)] if kind != "traefik" else []
    for site in [*sites, *([remote[kind]] if kind in remote else [])]:
        expected = Expected(identity=site.identity, bodies=bool(site.body_bytes))
        assert codes(kind, printed(kind, site), expected) == set()
    if kind == "envoy":
        assert codes(kind, printed(kind, HTTP)) == set()


ENVOY = [
    (SITE, "envoy.filters.http.ext_authz", "ignored", None, ""),
    (SITE, "failure_mode_allow: false", "failure_mode_allow: true", "AZ911", ""),
    (SITE, "timeout: 0.500s}", "timeout: 600s}", "AZ912", ""),
    (SITE, "timeout: 0.500s}", "timeout: 0s}", "AZ912", ""),
    (SITE, "validate_mutations: true", "shadow_mode: true\n                      validate_mutations: true", "AZ915", ""),
    (SITE, "validate_mutations: true", "validate_mutations: false", "AZ926", ""),
    (SITE, "encode_raw_headers: true", "encode_raw_headers: false", "AZ925", ""),
    (SITE, "normalize_path: true", "normalize_path: false", "AZ916", ""),
    (SITE, "merge_slashes: true", "merge_slashes: false", "AZ916", ""),
    (SITE, "REJECT_REQUEST\n                strip", "KEEP_UNCHANGED\n                strip", "AZ916", ""),
    (SITE, "headers_with_underscores_action: REJECT_REQUEST", "headers_with_underscores_action: ALLOW", "AZ917", ""),
    (SITE, "use_remote_address: true", "use_remote_address: false", "AZ918", ""),
    (SITE, "use_remote_address: true", "use_remote_address: true\n                xff_num_trusted_hops: 2", "AZ919", ""),
    (SITE, "SANITIZE", "APPEND_FORWARD", "AZ920", ""),
    (SITE, "SANITIZE", "ALWAYS_FORWARD_ONLY", "AZ920", ""),
    (SITE, "route: {cluster: api, timeout: 15s}", "route: {cluster: api, prefix_rewrite: /x}", "AZ930", ""),
    (SITE, "127.0.0.1, port_value: 9191", "10.1.2.3, port_value: 9191", "AZ923", ""),
    (SITE, "127.0.0.1, port_value: 9901", "0.0.0.0, port_value: 9901", "AZ931", ""),
    (SITE, "{cluster_name: authorizer}", "{cluster_name: other}", "AZ932", ""),
    (SITE, "", "", "AZ927", "bodies"),
    (BODIES, "max_request_bytes: 65536", "max_request_bytes: 9999999", "AZ928", ""),
    (BODIES, "pack_as_bytes: true", "pack_as_bytes: false", "AZ925", ""),
    (BODIES, "with_request_body", "ignored", "AZ927", ""),
    (BODIES, "check_settings:", "check_settings:\n                            disable_request_body_buffering: true", "AZ927", ""),
    (REMOTE, "match_typed_subject_alt_names", "ignored", "AZ924", ""),
    (REMOTE, "trusted_ca: {filename: /etc/authorizer/ca.pem}", "ignored: 1", "AZ924", ""),
    (HTTP, "[{prefix: x-auth-}]", "[{exact: x-auth-subject}]", "AZ921", ""),
    (HTTP, "[{prefix: x-auth-}]", '[{prefix: ""}]', "AZ922", ""),
    (HTTP, "[{prefix: x-auth-}]", '[{safe_regex: {regex: ".*"}}]', "AZ922", ""),
    (HTTP, "allowed_upstream_headers:", "allowed_client_headers_on_success: {patterns: [{prefix: x-}]}\n                          allowed_upstream_headers:", "AZ922", ""),
    (HTTP, "path_prefix: /authz/envoy", "path_prefix: /authz", "AZ929", ""),
    (HTTP, "allowed_headers", "ignored", "AZ933", ""),
]  # fmt: skip


@pytest.mark.parametrize(("site", "old", "new", "code", "more"), ENVOY[1:])
def test_mistakes_in_envoy(site, old, new, code, more):
    text = printed("envoy", site)
    assert old in text
    assert code in codes("envoy", text.replace(old, new), replace(EXPECTED, bodies=more == "bodies"))


def test_mistakes_of_envoys_routes_and_listeners():
    def found(change):
        config = bootstrap(Check(address="127.0.0.1:9191"), [], listen="127.0.0.1:1")
        (listener,) = config["static_resources"]["listeners"]
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        manager["route_config"]["virtual_hosts"][0]["routes"] = [
            {"match": {"prefix": path}, "route": {"cluster": "api"}} for path in ("/a", "/")
        ]
        change(manager)
        as_dump = {"configs": [{"dynamic_listeners": [{"active_state": {"listener": listener}}]}]}
        return codes("envoy", yaml.safe_dump(config)), codes("envoy", json.dumps(as_dump)) - {"AZ932"}

    def off(manager):
        kind = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"
        route = manager["route_config"]["virtual_hosts"][0]["routes"][0]
        route["typed_per_filter_config"] = {"authorizer": {"@type": kind, "disabled": True}}

    def sometimes(manager):
        manager["http_filters"][0]["typed_config"]["filter_enabled"] = {"default_value": {"numerator": 50}}

    assert found(lambda manager: None) == (set(), set())
    assert found(off) == ({"AZ913"}, {"AZ913"})
    assert found(sometimes) == ({"AZ914"}, {"AZ914"})
    assert found(lambda manager: manager["http_filters"].pop(0)) == ({"AZ910"}, {"AZ910"})


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("failOpen: false", "failOpen: true", "AZ911"),
        ("timeout: 0.500s", "timeout: 600s", "AZ912"),
        ("timeout: 0.500s", "ignored: 1", "AZ912"),
        ("maxRequestBytes: 65536", "maxRequestBytes: 99999999", "AZ928"),
        ("packAsBytes: true", "packAsBytes: false", "AZ925"),
        ("normalization: MERGE_SLASHES", "normalization: BASE", "AZ916"),
        ("SANITIZE_SET", "APPEND_FORWARD", "AZ920"),
        ("numTrustedProxies: 0", "numTrustedProxies: 1", "AZ919"),
        ("action: CUSTOM", "action: ALLOW", "AZ910"),
        ("rules: [{}]", "rules: []", "AZ910"),
        ("rules: [{}]", "rules: [{to: [{operation: {paths: [/a]}}]}]", "AZ914"),
        ("provider: {name: authorizer}", "provider: {name: other}", "AZ910"),
        ("kind: AuthorizationPolicy\nmetadata: {", "kind: AuthorizationPolicy\nmetadata: {annotations: {istio.io/dry-run: 'true'}, ", "AZ915"),
        ("encode_raw_headers: true", "failure_mode_allow: true", "AZ911"),
        ("strip_any_host_port: true", "use_remote_address: false", "AZ918"),
        ("strip_any_host_port: true", "merge_slashes: false", "AZ916"),
        ("address: 127.0.0.1, ports", "address: 10.0.0.1, ports", "AZ923"),
    ],
)  # fmt: skip
def test_mistakes_in_istio(old, new, code):
    text = printed("istio", BODIES)
    assert old in text
    assert code in codes("istio", text.replace(old, new))


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ({"kind": "VirtualService", "spec": {"http": [{"rewrite": {"uri": "/x"}}]}}, {"AZ930"}),
        ({"kind": "VirtualService", "spec": {"http": [{"rewrite": {"authority": "x"}}]}}, set()),
        ({"kind": "HTTPRoute", "spec": {"rules": [{"filters": [{"urlRewrite": {"path": {"x": 1}}}]}]}}, {"AZ930"}),
    ],
)
def test_routes_beside_istios_objects(route, expected):
    assert codes("istio", printed("istio") + "\n---\n" + yaml.safe_dump(route)) == expected


def test_traefiks_toml_is_read():
    good = """
        [http.routers.a]
        middlewares = ["clean", "ask"]
        [http.middlewares.clean.headers.customRequestHeaders]
        X-Forwarded-Client-Cert = ""
        [http.middlewares.ask.forwardAuth]
        address = "http://127.0.0.1:9192/authz/traefik"
        authResponseHeaders = ["X-Auth-Subject", "X-Auth-Client", "X-Auth-Decision"]
    """
    assert CHECKS["traefik"]([("a.toml", good)], EXPECTED) == []
    (problem,) = CHECKS["traefik"]([("a.toml", good.replace('"X-Auth-Client", ', ""))], EXPECTED)
    assert problem.code == "AZ921"
    with pytest.raises(GatewayError, match="AZ901"):
        CHECKS["traefik"]([("a.toml", "[")], EXPECTED)


def test_istios_other_shapes_are_read():
    settings, objects = (mesh.istio(SITE)[name] for name in ("mesh.yaml", "authorizer.yaml"))
    plain = yaml.safe_load(settings)["meshConfig"]
    plain["extensionProviders"][0]["envoyExtAuthzGrpc"]["failOpen"] = True
    config_map = {"kind": "ConfigMap", "data": {"mesh": yaml.safe_dump(plain)}}
    for shape in (
        plain,
        config_map,
        {"kind": "IstioOperator", "spec": {"meshConfig": plain}},
        {"kind": "List", "items": [config_map]},
    ):
        assert codes("istio", yaml.safe_dump(shape) + "\n---\n" + objects) == {"AZ911"}
    http = {"service": "a", "port": 1, "timeout": "1s", "pathPrefix": "/x", "headersToUpstreamOnAllow": ["*"]}
    plain["extensionProviders"][0] = {"name": "authorizer", "envoyExtAuthzHttp": http}
    assert codes("istio", yaml.safe_dump(plain) + "\n---\n" + objects) == {"AZ922", "AZ929", "AZ933"}
    secured = "".join(mesh.istio(REMOTE).values())
    assert codes("istio", secured.replace("subjectAltNames", "ignored")) >= {"AZ924"}
    assert codes("istio", secured.replace("mode: SIMPLE", "mode: DISABLE")) >= {"AZ923"}


ENVOY_GATEWAY = replace(SITE, grpc=("unix:/run/authorizer/grpc.sock",), body_bytes=65_536)
OPEN_ROUTE = """
---
kind: SecurityPolicy
metadata: {name: cors}
spec: {targetRefs: [{kind: HTTPRoute, name: a}], cors: {allowOrigins: ['*']}}
"""
REWRITE = "\n---\nkind: HTTPRoute\nspec: {rules: [{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath}}}]}]}\n"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("failOpen: false", "failOpen: true", "AZ911"),
        ("timeout: 500ms", "timeout: 10s", "AZ912"),
        ("timeout: 500ms", "ignored: 1", "AZ912"),
        ("maxRequestBytes: 65536", "maxRequestBytes: 99999999", "AZ928"),
        ("disableMergeSlashes: false", "disableMergeSlashes: true", "AZ916"),
        ("escapedSlashesAction: RejectRequest", "escapedSlashesAction: KeepUnchanged", "AZ916"),
        ("withUnderscoresAction: RejectRequest", "withUnderscoresAction: Allow", "AZ917"),
        ("{mode: Sanitize}", "{mode: AlwaysForwardOnly}", "AZ920"),
        ("  headers:", "  clientIPDetection: {customHeader: {name: x}}\n  headers:", "AZ918"),
        ("  headers:", "  clientIPDetection: {xForwardedFor: {numTrustedHops: 1}}\n  headers:", "AZ919"),
        ("unix: {path: /run/authorizer/grpc.sock}", "fqdn: {hostname: auth.example, port: 1}", "AZ923"),
        ("  extAuth:", "  other:", "AZ910"),
        ("    grpc:", "    headersToExtAuth: [cookie]\n    grpc:", "AZ933"),
        ("kind: ClientTrafficPolicy", "kind: Other", "AZ932"),
        ("disableMergeSlashes: false", "disableMergeSlashes: false" + "PLANT", "AZ913"),
        ("disableMergeSlashes: false", "disableMergeSlashes: false" + "REWRITE", "AZ930"),
    ],
)
def test_mistakes_in_envoy_gateway(old, new, code):
    text = printed("envoy-gateway", ENVOY_GATEWAY)
    assert old in text
    changed = text.replace(old, new.removesuffix("PLANT").removesuffix("REWRITE"))
    changed += OPEN_ROUTE if new.endswith("PLANT") else REWRITE if new.endswith("REWRITE") else ""
    assert code in codes("envoy-gateway", changed)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("auth_request /_authorizer;", "", "AZ910"),
        ("    location / {", "    location /open { proxy_pass http://api; }\n    location / {", "AZ913"),
        ("    location / {", "    location /open { auth_request off; root /srv; }\n    location / {", "AZ913"),
        ("    location / {", "    error_page 401 403 =200 /ok;\n    location / {", "AZ915"),
        ("    location / {", "    error_page 500 = @fallback;\n    location / {", "AZ915"),
        ("auth_request /_authorizer;", "auth_request /_authorizer; satisfy any;", "AZ914"),
        ("auth_request /_authorizer;", "auth_request /_elsewhere;", "AZ932"),
        ("proxy_read_timeout 500ms;", "", "AZ912"),
        ("proxy_read_timeout 500ms;", "proxy_read_timeout 1m;", "AZ912"),
        ("proxy_connect_timeout 250ms;", "", "AZ912"),
        ("internal;", "internal; proxy_cache answers;", "AZ915"),
        ("internal;", "", "AZ929"),
        ("/authz/nginx", "/authz/caddy", "AZ929"),
        ("X-Original-URI $request_uri", "X-Original-URI $uri", "AZ929"),
        ("proxy_set_header X-Original-Method $request_method;", "", "AZ929"),
        ("proxy_pass_request_body off;", "", "AZ929"),
        ("X-Forwarded-For $remote_addr", "X-Forwarded-For $proxy_add_x_forwarded_for", "AZ918"),
        ("proxy_set_header X-Auth-Client $authorizer_x_auth_client;", "", "AZ921"),
        ("$authorizer_x_auth_client;\n        proxy_set_header X-Auth-D", "$http_x_auth_client;\n        proxy_set_header X-Auth-D", "AZ921"),
        ('proxy_set_header X-Forwarded-Client-Cert "";', "", "AZ920"),
        ("proxy_pass http://api;", "proxy_pass http://api/;", "AZ930"),
        ("proxy_pass http://api;", "rewrite ^/a /b break; proxy_pass http://api;", "AZ930"),
        ("underscores_in_headers off;", "underscores_in_headers on;", "AZ917"),
        ("underscores_in_headers off;", "merge_slashes off;", "AZ916"),
        ("underscores_in_headers off;", "set_real_ip_from 0.0.0.0/0;", "AZ918"),
        ("    location / {", "    location /files {\n    }\n    location / {", "AZ913"),
        ("    location / {", "    location @app {\n        proxy_pass http://api;\n    }\n    location / {", "AZ932"),
        ("proxy_pass http://api;", "fastcgi_pass api;", "AZ932"),
        ("server 127.0.0.1:9192;", "server auth.example:9192;", "AZ923"),
        ("http://authorizer/authz", "https://authorizer/authz", "AZ924"),
    ],
)  # fmt: skip
def test_mistakes_in_nginx(old, new, code):
    text = printed("nginx")
    assert old in text
    assert code in codes("nginx", text.replace(old, new))


@pytest.mark.parametrize("kind", ["nginx", "caddy", "traefik"])
def test_the_header_that_tells_of_certificates_is_the_gateways_own(kind):
    expected = Expected(identity=SITE.identity, certificate="x-client-cert")
    assert codes(kind, printed(kind, replace(SITE, certificate="x-client-cert")), expected) == set()
    assert codes(kind, printed(kind), expected) == {"AZ920"}
    text = printed("nginx", replace(SITE, certificate="x-client-cert", pem=True))
    assert codes("nginx", text, expected) == set()
    for verify, found in (("optional", set()), ("optional_no_ca", {"AZ932"})):
        served = text.replace("client_max_body_size", f"ssl_verify_client {verify}; client_max_body_size")
        assert codes("nginx", served, expected) == found
    for wrong in ("$http_x_client_cert", ""):
        lines = text.rpartition("proxy_set_header X-Client-Cert $ssl_client_escaped_cert;")
        line = f"proxy_set_header X-Client-Cert {wrong};" if wrong else ""
        assert codes("nginx", f"{lines[0]}{line}{lines[2]}", expected) == {"AZ920"}


def test_what_nginx_answers_by_itself_needs_no_question():
    for block in ("return 204;", "internal;\n proxy_pass http://api;", "deny all;"):
        text = printed("nginx").replace("    location / {", "    location /x {\n" + block + "}\n    location / {")
        assert codes("nginx", text) == set()
    assert codes("nginx", "server { return 301 https://a.example; }") == set()
    assert codes("nginx", "server { root /srv; }") == {"AZ910"}


def test_nginx_files_that_include_others_are_read_where_they_lie(tmp_path):
    for name, text in KINDS["nginx"](SITE).items():
        (tmp_path / name).write_text(text.replace("proxy_read_timeout 500ms;", ""))
    main = tmp_path / "nginx.conf"
    (problem,) = CHECKS["nginx"]([(str(main), main.read_text())], EXPECTED)
    assert (problem.code, problem.place.file) == ("AZ912", str(tmp_path / "authorizer.conf"))
    dumped = "".join(
        f"# configuration file {path}:\n{path.read_text()}\n" for path in (main, tmp_path / "authorizer.conf")
    )
    assert CHECKS["nginx"]([("-", dumped)], EXPECTED) == [problem]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("forward_auth", "ignored", "AZ910"),
        ("\troute {", "\thandle /open/* {\n\t\treverse_proxy 127.0.0.1:1\n\t}\n\troute {", "AZ913"),
        ("\t\tforward_auth", "\t\treverse_proxy /open 127.0.0.1:1\n\t\tforward_auth", "AZ913"),
        ("forward_auth 127", "forward_auth /api/* 127", "AZ914"),
        ("\t\treverse_proxy", "\t\trewrite /a /b\n\t\treverse_proxy", "AZ930"),
        ("response_header_timeout 500ms", "", "AZ912"),
        ("response_header_timeout 500ms", "response_header_timeout 1m", "AZ912"),
        ("copy_headers X-Auth-Subject", "copy_headers", "AZ921"),
        ("uri /authz/caddy", "uri /authz/traefik", "AZ929"),
        ("uri /authz/caddy", "uri /authz/caddy\n\t\t\theader_up X-Forwarded-Uri {http.request.header.X-Uri}", "AZ929"),
        ("uri /authz/caddy", "uri /authz/caddy\n\t\t\thandle_response @no {\n\t\t\t}", "AZ915"),
        ("request_header @plain -Connection", "", "AZ934"),
        ("request_header -X-Forwarded-Client-Cert", "", "AZ920"),
        ("forward_auth 127.0.0.1:9192", "forward_auth auth.example:9192", "AZ923"),
        ("dial_timeout 250ms", "tls_insecure_skip_verify", "AZ924"),
        ("http://:8080 {", "{\n\tadmin 0.0.0.0:2019\n}\nhttp://:8080 {", "AZ931"),
        ("http://:8080 {", "{\n\tservers {\n\t\ttrusted_proxies static 0.0.0.0/0\n\t}\n}\nhttp://:8080 {", "AZ918"),
        ("\troute {", "\thandle_errors {\n\t\treverse_proxy 127.0.0.1:1\n\t}\n\troute {", "AZ911"),
    ],
)
def test_mistakes_in_caddy(old, new, code):
    text = printed("caddy")
    assert old in text
    assert code in codes("caddy", text.replace(old, new))


def test_caddy_files_of_one_site_need_no_braces():
    assert codes("caddy", "a.example\nreverse_proxy 127.0.0.1:1\n") == {"AZ910"}
    assert codes("caddy", "a.example {\n\timport elsewhere/*\n\trespond 204\n}\n") == {"AZ932"}


def test_caddy_without_a_route_takes_connection_away_too_late():
    text = "a.example {\n\trequest_header -Connection\n\trequest_header -X-Forwarded-Client-Cert\n\timport ask\n\treverse_proxy 127.0.0.1:1\n}\n"
    asking = "(ask) {\n\tforward_auth 127.0.0.1:9192 {\n\t\turi /authz/caddy\n\t\tcopy_headers X-Auth-Subject X-Auth-Client X-Auth-Decision\n\t\ttransport http {\n\t\t\tresponse_header_timeout 1s\n\t\t}\n\t}\n}\n"
    assert codes("caddy", asking + text) == {"AZ920", "AZ934"}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("forwardAuth", "ignored", "AZ910"),
        ("[clean, authorizer]", "[clean]", "AZ913"),
        ("[clean, authorizer]", "[authorizer]", "AZ920"),
        ("[clean, authorizer]", "[authorizer, clean]", "AZ920"),
        ("[clean, authorizer]", "[clean, authorizer, strip]", "AZ930"),
        ("trustForwardHeader: false", "trustForwardHeader: true", "AZ918"),
        ("insecure: false", "insecure: true", "AZ918"),
        ("insecure: false", "trustedIPs: [0.0.0.0/0]", "AZ918"),
        ("insecure: false", "connection: [x-auth-subject]", "AZ934"),
        ("[X-Auth-Subject, ", "[", "AZ921"),
        ("trustForwardHeader: false", 'authResponseHeadersRegex: ".*"', "AZ922"),
        ("http://127.0.0.1:9192", "http://auth.example:9192", "AZ923"),
        ("trustForwardHeader: false", "tls: {insecureSkipVerify: true}", "AZ924"),
        ("maxBodySize: 65536", "maxBodySize: -1", "AZ928"),
        ("maxBodySize: 65536", "maxBodySize: 99999999", "AZ928"),
        ("forwardBody: true", "forwardBody: false", "AZ927"),
        ("trustForwardHeader: false", "authRequestHeaders: [Cookie]", "AZ933"),
        ("/authz/traefik", "/authz/envoy", "AZ929"),
        ("providers:", "api: {insecure: true}\nproviders:", "AZ931"),
        ("forwardedHeaders: {insecure: false}", "http: {sanitizePath: false}", "AZ916"),
        ("routers:", "ignored:", "AZ932"),
    ],
)
def test_mistakes_in_traefik(old, new, code):
    text = printed("traefik", BODIES).replace("    clean:", "    strip: {stripPrefix: {prefixes: [/a]}}\n    clean:")
    assert old in text
    assert code in codes("traefik", text.replace(old, new), replace(EXPECTED, bodies=True))


def caddy_json():
    """Return what ``caddy adapt`` makes of the Caddyfile that we print."""
    from_answer = {
        name: [f"{{http.reverse_proxy.header.{name}}}"]
        for name in ("X-Auth-Subject", "X-Auth-Client", "X-Auth-Decision")
    }
    copies = {"handle": [{"handler": "headers", "request": {"set": from_answer}}]}
    told = {"X-Forwarded-Method": ["{http.request.method}"], "X-Forwarded-Uri": ["{http.request.uri}"]}
    guard = {
        "handler": "reverse_proxy",
        "handle_response": [{"match": {"status_code": [2]}, "routes": [copies]}],
        "headers": {"request": {"set": told}},
        "rewrite": {"method": "GET", "uri": "/authz/caddy"},
        "transport": {"protocol": "http", "response_header_timeout": 500_000_000},
        "upstreams": [{"dial": "127.0.0.1:9192"}],
    }
    routes = [
        {"match": [{"header": {}}], "handle": [{"handler": "headers", "request": {"delete": ["Connection"]}}]},
        {"handle": [{"handler": "headers", "request": {"delete": ["X-Forwarded-Client-Cert"]}}]},
        {"handle": [guard]},
        {"handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": "127.0.0.1:8081"}]}]},
    ]  # fmt: skip
    server = {"listen": [":8080"], "routes": [{"handle": [{"handler": "subroute", "routes": routes}]}]}
    return (
        {"admin": {"listen": "localhost:2019"}, "apps": {"http": {"servers": {"srv0": server}}}},
        server,
        routes,
        guard,
    )


OPEN = {"handle": [{"handler": "file_server"}]}
CADDY_JSON = {
    "nothing": (lambda *_: None, set()),
    "no guard": (lambda _, __, routes, ___: routes.pop(2), {"AZ910"}),
    "a guard for some": (lambda _, __, routes, ___: routes[2].update(match=[{"path": ["/a"]}]), {"AZ913"}),
    "served before": (lambda _, __, routes, ___: routes.insert(0, OPEN), {"AZ913"}),
    "served outside": (lambda _, server, *__: server["routes"].insert(0, OPEN), {"AZ913"}),
    "served after": (lambda _, server, *__: server["routes"].append(OPEN), set()),
    "rewritten": (lambda _, __, routes, ___: routes.insert(3, {"handle": [{"handler": "rewrite", "uri": "/x"}]}), {"AZ930"}),
    "no timeout": (lambda *all: all[3]["transport"].pop("response_header_timeout"), {"AZ912"}),
    "another address": (lambda *all: all[3]["rewrite"].update(uri="/authz"), {"AZ929"}),
    "a client's uri": (lambda *all: all[3]["headers"]["request"]["set"].pop("X-Forwarded-Uri"), {"AZ929"}),
    "errors handled": (lambda *all: all[3]["handle_response"].append({"match": {"status_code": [5]}}), {"AZ915"}),
    "one name": (lambda *all: all[3]["handle_response"][0].update(routes=[]), {"AZ921"}),
    "far away": (lambda *all: all[3].update(upstreams=[{"dial": "10.0.0.1:1"}]), {"AZ923"}),
    "unverified": (lambda *all: all[3]["transport"].update(tls={"insecure_skip_verify": True}), {"AZ924"}),
    "connection": (lambda _, __, routes, ___: routes.pop(0), {"AZ934"}),
    "certificates": (lambda _, __, routes, ___: routes.pop(1), {"AZ920"}),
    "admin": (lambda config, *_: config["admin"].update(listen="0.0.0.0:2019"), {"AZ931"}),
    "trusts all": (lambda _, server, *__: server.update(trusted_proxies={"ranges": ["::/0"]}), {"AZ918"}),
    "errors": (lambda _, server, routes, __: server.update(errors={"routes": [routes[3]]}), {"AZ911"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CADDY_JSON)
def test_mistakes_in_the_json_of_caddy(name):
    change, expected = CADDY_JSON[name]
    parts = caddy_json()
    change(*parts)
    assert codes("caddy", json.dumps(parts[0])) == expected


def test_the_json_of_caddy_says_which_certificate_header_is_its_own():
    config, _, routes, _ = caddy_json()
    expected = replace(EXPECTED, certificate="x-client-cert")
    assert codes("caddy", json.dumps(config), expected) == {"AZ920"}
    routes[1]["handle"][0]["request"]["delete"].append("X-Client-Cert")
    assert codes("caddy", json.dumps(config), expected) == set()
