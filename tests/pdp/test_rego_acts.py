"""Rego where it acts: as a condition of the native language, and as the whole decision of an application."""

import io
import json
import tarfile

import pytest

from authorizer import bundle
from authorizer.doors.ext_authz_response import encode
from authorizer.doors.wire.ext_authz_pb2 import CheckResponse
from authorizer.errors import BundleError, DocumentError
from authorizer.model import Request
from authorizer.pdp.rehearsal import ask
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.policy.rego import compile_modules, parse
from authorizer.service import Authorizer

ALLOW, DENY, GATE = (
    b"""
kind: Application
id: api
rights: {read: {}}
http: {hosts: [api.example], routes: {"GET /{id}": {right: read}}}
---
kind: Policies
policies:
"""
    + rows
    for rows in (
        b"  - {id: a, right: api/read, to: {anyone: true}, rego: data.acme.ok}\n",
        b"""  - {id: a, right: api/read, to: {anyone: true}}
  - {id: d, effect: deny, right: api/read, rego: data.acme.ok, reason: blocked}
""",
        b"""  - {id: a, right: api/read, to: {anyone: true}}
  - {id: g, effect: gate, on: api/*, rego: data.acme.ok, reason: closed}
""",
    )
)
RULES = """package acme
import data.opened
default ok := false
ok if input.request.path_params.id in opened
ok := "perhaps" if input.request.path_params.id == "odd"
ok if { input.request.path_params.id == "long"; some i in numbers.range(1, 1000000); i == -1 }
silent if input.request.path_params.id == "1"
"""
FILES = {"rules/acme.rego": RULES.encode(), "data.json": b'{"opened": ["1", "2"]}'}


def authorizer(files, **options):
    return Authorizer(build(compile_documents(files).documents(), {}, Options(**options)))


def check(files, target, headers=None, **more):
    told = {name: (value,) for name, value in (headers or {}).items()}
    request = Request(method=more.pop("method", "GET"), target=target, host="api.example", headers=told, **more)
    return authorizer(files, identity_headers={"x-who": "subject"}).check(request)


@pytest.mark.parametrize(
    ("policies", "yes", "no", "unclear"),
    [
        (ALLOW, "allowed", "no_credential", "no_credential"),
        (DENY, "no_credential", "allowed", "no_credential"),
        (GATE, "allowed", "no_credential", "no_credential"),
    ],
)
def test_a_policy_may_ask_a_rule(policies, yes, no, unclear):
    for target, code in (("/1", yes), ("/3", no), ("/odd", unclear), ("/long", unclear)):
        assert check({"p.yaml": policies, **FILES}, target).reason.code == code, target


def told(files, target):
    case = b"""---
kind: Tests
suite: s
now: 2026-11-20T10:00:00Z
subjects: {joe: {is: {person: [joe]}}}
cases:
  - {name: one, http: GET api.example%s, as: joe, expect: {decision: deny}}
"""
    found = compile_documents({**files, "t.yaml": case % target})
    return ask(build(found.documents(), {}, Options()), found.tests[0])


def test_what_a_rule_does_not_say_denies_and_says_why():
    silent = {"p.yaml": DENY.replace(b"acme.ok", b"acme.silent"), **FILES}
    for files, target, why in (
        ({"p.yaml": DENY, **FILES}, b"/odd", "rego_result"),
        ({"p.yaml": DENY, **FILES}, b"/long", "rego_budget"),
        (silent, b"/9", "rego_undefined"),
    ):
        denied = told(files, target)
        assert (denied.allowed, denied.reason.code, denied.reason.category) == (False, why, "indeterminate")
    closed = told({"p.yaml": GATE, **FILES}, b"/long")
    assert (closed.reason.code, "rego_budget" in closed.detail) == ("closed", True)


def decider(rest=b"", input_=b"envoy"):
    return b"kind: Application\nid: api\nhttp: {hosts: [api.example]}\nrego: {input: " + input_ + rest + b"}\n"


def rego(text):
    return {"app.yaml": decider(), "authz.rego": f"package envoy.authz\n{text}".encode()}


def test_a_rule_decides_an_application_and_the_house_keeps_its_laws():
    files = rego("""
allow if { input.parsed_path == ["a", "b"]; input.parsed_query.x == ["1", "2"] }
allow if input.attributes.request.http.headers["x-who"] == "root"
""")
    assert check(files, "/a/b?x=1&x=2").allowed
    assert check(files, "/a/b?x=1&x=2").remove == ("x-who",)
    assert check(files, "/a/b?x=1").reason.code == "rego_undefined"
    assert check(files, "/a//b?x=1&x=2").reason.category == "bad_path"
    assert check(files, "/a/b?x=1&x=2&y=%zz").reason.code == "query_ambiguous"
    assert check(files, "/a/b?x=1&x=2", method="CONNECT").reason.code == "no_route"


DEEP = {levels: '{"a": ' * (levels - 1) + "{}" + "}" * (levels - 1) for levels in (24, 25)}


@pytest.mark.parametrize(
    ("result", "code"),
    [
        ("true", "allowed"),
        ("false", "rego_denied"),
        ('{"allowed": true}', "allowed"),
        ('{"allowed": "true"}', "rego_result"),
        ('{"allow": true}', "rego_result"),
        ('"true"', "rego_result"),
        ("1", "rego_result"),
        ("null", "rego_result"),
        ('{"allowed": true, "headers": {"host": "x"}}', "rego_result"),
        ('{"allowed": true, "headers": {"content-length": "1"}}', "rego_result"),
        ('{"allowed": true, "headers": {"x": "a\\r\\nb"}}', "rego_result"),
        ('{"allowed": true, "headers": {"x": 1}}', "rego_result"),
        ('{"allowed": true, "headers": [{"x": ["1", "2"]}]}', "allowed"),
        ('{"allowed": true, "request_headers_to_remove": [":path"]}', "rego_result"),
        ('{"allowed": true, "request_headers_to_remove": {"b", "a"}}', "allowed"),
        ('{"allowed": true, "dynamic_metadata": []}', "rego_result"),
        (f'{{"allowed": false, "dynamic_metadata": {DEEP[24]}}}', "rego_denied"),
        (f'{{"allowed": false, "dynamic_metadata": {DEEP[25]}}}', "rego_result"),
        ('{"allowed": false, "http_status": 99}', "rego_result"),
        ('{"allowed": false, "http_status": 200}', "rego_denied"),
    ],
)
def test_results_are_read_as_a_whole(result, code):
    decision = check(rego(f"allow := {result}"), "/")
    assert decision.reason.code == code
    assert CheckResponse.FromString(encode(decision)).status.code == (0 if code == "allowed" else 7)


def test_an_object_tells_headers_status_body_and_metadata():
    allowed = check(
        rego("""allow := {"allowed": true, "headers": {"X-Who": "bob", "x-a": ["1", "2"], "gone": "x"},
    "request_headers_to_remove": ["gone"], "response_headers_to_add": {"x-b": "3"}, "dynamic_metadata": {"a": {"b"}},
    "query_parameters_to_set": {"q": "1"}, "query_parameters_to_remove": ["r"]}"""),
        "/",
    )
    assert allowed.upstream == (("x-who", "bob"), ("x-a", "1"), ("x-a", "2"))
    assert (allowed.remove, allowed.response) == (("gone",), (("x-b", "3"),))
    assert (allowed.metadata, allowed.query_set, allowed.query_remove) == ({"a": ["b"]}, (("q", "1"),), ("r",))
    denied = check(
        rego('allow := {"allowed": false, "http_status": 301, "headers": {"location": "/login"}, "body": "no"}'), "/"
    )
    assert (denied.allowed, denied.reason.status, denied.body) == (False, 301, "no")
    assert denied.response == (("location", "/login"),)


@pytest.mark.parametrize(
    ("kind", "body", "code"),
    [
        ("application/json", b'{"a": {"b": [1, 2.5]}}', "allowed"),
        ("application/json", b'{"a": 1, "a": 2}', "body_malformed"),
        ("application/json", b"[", "body_malformed"),
        ("application/x-www-form-urlencoded", b"a=%62&a=c", "rego_undefined"),
        ("text/plain", b'{"a": {"b": [1, 2.5]}}', "rego_undefined"),
    ],
)
def test_bodies_are_parsed_by_their_type(kind, body, code):
    files = rego('allow if input.parsed_body == {"a": {"b": [1, 2.5]}}')
    assert check(files, "/", {"content-type": kind}, body=body, body_state="complete").reason.code == code


def test_cloudentity_tells_claims_scopes_and_parameters():
    files = {
        "app.yaml": decider(b", entrypoint: acp/authz/allow", b"cloudentity").replace(
            b"hosts: [api.example]", b'hosts: [api.example], routes: {"GET /users/{id}": {}}'
        ),
        "a.rego": b"""package acp.authz
default allow := false
allow if { input.request.path_params.id == "7"; input.request.headers["X-Team-Id"][_] == "red"
    input.authn_ctx == {}; input.contexts.scopes == {}; input.request.query_params.a == ["b c"] }""",
    }
    assert check(files, "/users/7?a=b+c", {"x-team-id": "red"}).allowed
    assert check(files, "/users/8?a=b+c", {"x-team-id": "red"}).reason.code == "no_credential"
    assert check(files, "/other").reason.code == "no_route"
    assert check(files, "/users/7", {"authorization": "Bearer x"}).reason.category == "invalid_credential"


def archived(files, prefix="/"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.USTAR_FORMAT) as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.name = prefix + name
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
    return out.getvalue()


def plan(text, entrypoint="envoy/authz/allow"):
    return json.dumps(compile_modules([parse(text, "a.rego")], entrypoints=[entrypoint])).encode()


SOURCE = "package envoy.authz\nimport data.opened\nallow if input.parsed_path[0] in opened"
BUNDLED = {"app.yaml": decider(b", bundle: opa.tar.gz, verify: false")}


def test_an_archive_of_opa_decides_as_it_was_built():
    files = {
        "data.json": b'{"opened": ["a"]}',
        "a.rego": SOURCE.encode(),
        "plan.json": plan(SOURCE),
        ".manifest": b"{}",
    }
    given = {**BUNDLED, "opa.tar.gz": archived(files)}
    assert check(given, "/a").allowed
    assert check(given, "/b").reason.code == "rego_undefined"


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({**BUNDLED}, "AZ215"),
        ({**BUNDLED, "opa.tar.gz": b"no"}, "AZ300"),
        ({**BUNDLED, "opa.tar.gz": archived({"plan.json": b"{}"})}, "AZ213"),
        ({**BUNDLED, "opa.tar.gz": archived({"plan.json": b'{"plans": []}'})}, "AZ214"),
        ({**BUNDLED, "opa.tar.gz": archived({"data.json": b"{}"})}, "AZ215"),
        ({**BUNDLED, "opa.tar.gz": archived({"plan.json": plan(SOURCE)}, "../")}, "AZ304"),
        ({**BUNDLED, "opa.tar.gz": archived({"plan.json": plan(SOURCE)}, "//")}, "AZ304"),
        ({**BUNDLED, "opa.tar.gz": archived({"plan.json": plan(SOURCE), ".signatures.json": b"{}"})}, "AZ215"),
        ({**BUNDLED, "opa.tar.gz": archived({"plan.json": plan(SOURCE), "patch.json": b"{}"})}, "AZ215"),
        ({**BUNDLED, "opa.tar.gz": archived({"plan.json": plan(SOURCE), "a/data.yaml": b"x: 1"})}, "AZ215"),
        ({"app.yaml": decider(b", bundle: opa.tar.gz")}, "A026"),
        ({"app.yaml": decider(b", bundle: opa.tar.gz, verify: true")}, "A026"),
        ({"app.yaml": decider(b", verify: false")}, "A026"),
        ({"app.yaml": decider(input_=b"json")}, "A026"),
        ({"app.yaml": decider()}, "AZ213"),
        ({"other.tar.gz": b""}, "AZ211"),
        ({"p.yaml": GATE}, "AZ213"),
        ({"p.yaml": GATE.replace(b"data.acme.ok", b"acme.ok"), **FILES}, "R024"),
        ({"p.yaml": GATE, **FILES, "bad.rego": b"package"}, "G102"),
        ({"p.yaml": GATE, **FILES, "acme/data.json": b'{"ok": 1}'}, "G205"),
        ({"p.yaml": GATE, **FILES, "data.json": b'{"a": 1, "a": 2}'}, "AZ215"),
    ],
)
def test_what_cannot_act_is_refused(files, code):
    with pytest.raises(DocumentError) as refused:
        compile_documents(files).documents()
    assert code in {problem.code for problem in refused.value.problems}, refused.value


def test_a_signed_bundle_carries_the_plan():
    made = compile_documents({"p.yaml": GATE, **FILES}).documents()
    read = {
        kind: bundle.read(bundle.write(kind, document, serial=1, signer=None), kind=kind, verifier=None).document
        for kind, document in made.items()
    }
    now = Authorizer(build(read, {}, Options()))
    passes = [now.check(Request(method="GET", target=f"/{n}", host="api.example")).allowed for n in (1, 2, 3)]
    assert passes == [True, True, False]
    broken = {**read, "policy": {**read["policy"], "rego": {}}}
    with pytest.raises(BundleError, match="AZ391"):
        build(broken, {}, Options())


def test_names_are_meant_from_the_folder_of_the_documents():
    files = {f"estate/{name}": content for name, content in FILES.items()}
    assert check({"estate/p.yaml": GATE, **files}, "/1").allowed
    given = {"x/opa.tar.gz": archived({"plan.json": plan(SOURCE), "data.json": b'{"opened": ["a"]}'})}
    assert check({"x/app.yaml": BUNDLED["app.yaml"], **given}, "/a").allowed


def test_the_id_of_a_decision_is_never_a_rules():
    files = rego('allow := {"allowed": true, "headers": {"x-id": "1", "x-who": "2"}}')
    decision = authorizer(files, identity_headers={"x-id": "decision_id", "x-who": "subject"}).check(
        Request(method="GET", target="/", host="api.example")
    )
    assert decision.upstream == (("x-who", "2"), ("x-id", decision.id))


def test_policies_beside_a_rule_that_decides_all_are_refused():
    policies = b"---\nkind: Policies\npolicies: [{id: x, right: 'api/* /{path=**}', to: {anyone: true}}]\n"
    files = rego("allow := true")
    with pytest.raises(DocumentError, match="R023"):
        compile_documents({**files, "p.yaml": policies}).documents()
