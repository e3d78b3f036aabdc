"""Importers: what they make has no errors, grants what was granted and no more, and tells what is not in it."""

import contextlib
import gzip
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.errors import DocumentError
from authorizer.pdp.sources import compile_documents
from authorizer.policy.authoring.access import what_can
from authorizer.policy.authoring.descriptions import read
from authorizer.policy.authoring.importing.azure import import_azure
from authorizer.policy.authoring.importing.matrix import import_csv
from authorizer.policy.authoring.importing.openapi import import_openapi

OPENAPI = Path(__file__).parents[3] / "shared" / "checks" / "openapi"


def estate(text: str):
    found = compile_documents({"imported.yaml": text.encode()})
    assert [str(problem) for problem in found.problems if problem.severity == "error"] == []
    return found.estate


def routes(text: str) -> dict[str, str]:
    applications = estate(text).applications.values()
    return {
        f"{route.method} {host}{route.template}": route.right
        for app in applications
        for route in app.routes
        for host in app.hosts
    }


def grants(text: str, *tokens: str) -> set[str]:
    return {
        f"{one.right} at {one.allow.point}".removesuffix(" at ") for one in what_can(estate(text), frozenset(tokens))
    }


SHOP = """\
openapi: 3.1.0
info: {title: Shop API}
servers: [{url: "https://{where}.shop.example/v1", variables: {where: {default: api}}}]
security: [{login: [orders.read]}]
components: {securitySchemes: {login: {type: oauth2}, key: {type: apiKey}}}
paths:
  /orders/{order-id}:
    get: {operationId: getOrder}
    delete: {operationId: "orders/delete", security: [{login: [orders.write, orders.read]}, {login: [admin]}]}
    parameters: []
  /orders/{order-id}#again: {get: {operationId: again}}
  /orders/{a}.{b}: {get: {operationId: partial}}
  /health: {get: {security: []}}
  /keys: {post: {operationId: orders.delete, security: [{key: []}]}, servers: [{url: "https://keys.example"}]}
"""


def test_openapi():
    found = import_openapi(SHOP.encode(), "shop.yaml")
    assert routes(found.text) == {
        "GET api.shop.example/v1/orders/{order_id}": "getOrder",
        "DELETE api.shop.example/v1/orders/{order_id}": "orders.delete",
        "GET api.shop.example/v1/health": "get.health",
        "POST keys.example/keys": "orders.delete-2",
    }
    assert grants(found.text, "scope:orders.read") == {"getOrder"}
    assert grants(found.text, "scope:admin") == {"orders.delete"}
    assert "where: {all: [{is: {scope: orders.read}}]}" in found.text
    assert "id: shop_api\n" in found.text
    assert found.notes == (
        "GET /orders/{a}.{b}: left out: 'a}.{b' is not a parameter name: letters, digits and '_' only, no digit first",
        "'key' without scopes is asked for: granted to nobody by that",
        "GET /orders/{order-id}#again: the same requests as GET /orders/{order-id}, whose right it shares",
        "shop_api: 1 of 3 operations are granted to nobody: write to whom",
        "shop_api-keys.example: 1 of 1 operations are granted to nobody: write to whom",
    )


def test_operations_of_one_name_share_no_right():
    made = import_openapi(
        b"""
openapi: 3.0.0
info: {title: Pets}
servers: [{url: "https://api.example"}]
paths:
  /pets/{id}:
    get: {operationId: pet, security: [{o: [read]}]}
    put: {operationId: "delete/pets/{id}", security: [{o: [write]}]}
    delete: {operationId: pet}
    patch: {operationId: "delete/pets/{id}"}
components: {securitySchemes: {o: {type: oauth2, flows: {clientCredentials: {tokenUrl: "https://x.example", scopes: {read: "", write: ""}}}}}}
""",
        "pets.yaml",
    )
    estate = compile_documents({"pets.yaml": made.text.encode()}).estate
    assert {route.method: route.right for route in estate.applications["pets"].routes} == {
        "GET": "pet", "PUT": "delete.pets._id", "DELETE": "delete.pets._id_-2", "PATCH": "patch.pets._id_-2"
    }  # fmt: skip
    assert sorted(policy.target for policy in estate.policies) == ["delete.pets._id", "pet"]
    assert "DELETE /pets/{id}: another operation is called 'pet' too" in made.notes


def test_swagger():
    document = {
        "swagger": "2.0",
        "host": "api.example:8443",
        "basePath": "/v2/",
        "securityDefinitions": {"login": {"type": "oauth2"}},
        "paths": {"/pets": {"get": {"operationId": "pets", "security": [{"login": ["read"]}]}}},
    }
    found = import_openapi(json.dumps(document).encode(), "pets.json", "pets")
    assert routes(found.text) == {"GET api.example/v2/pets": "pets"}
    assert grants(found.text, "scope:read") == {"pets"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"openapi: 3.0.0\n",
        b'{"openapi": "3.0.0", "paths": 1}',
        b"a: &b c\n",
        b'{"openapi": "4"}',
        b'{"a": 1, "a": 2}',
    ],
)
def test_what_is_no_description_is_refused(data):
    with pytest.raises(DocumentError):
        import_openapi(data, "x")


@pytest.mark.parametrize(("items", "refused"), [(599_993, False), (599_994, True)])
def test_a_description_in_yaml_has_fewer_nodes_than_one_in_json(items, refused):
    data = b"openapi: 3.0.0\npaths: {}\nx: [" + b"a," * items + b"]\n"
    with pytest.raises(DocumentError, match="600000 nodes") if refused else contextlib.nullcontext():
        read(data, "x")


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["get", "security", "servers", "url", "/a", "login", "operationId", "variables", "paths"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(JSON, JSON, JSON)
def test_no_description_breaks_the_importer(paths, servers, components):
    document = {
        "openapi": "3.0.0",
        "paths": {"/a": {"get": paths}, "/b": paths},
        "servers": servers,
        "components": components,
    }
    try:
        found = import_openapi(json.dumps(document).encode(), "x")
    except DocumentError:
        return
    assert estate(found.text) is not None


@pytest.mark.skipif(not OPENAPI.is_dir(), reason=f"no API descriptions at {OPENAPI}")
@pytest.mark.parametrize(
    ("document", "table", "left_out"),
    [
        ("github-api.github.com", "github", {"/repos/{owner}/{repo}/compare/{base}...{head}"}),
        ("box-openapi", "box", {"/files/{file_id}/thumbnail.{extension}"}),
    ],
)
def test_large_descriptions(document, table, left_out):
    data = gzip.decompress((OPENAPI / "documents" / f"{document}.json.gz").read_bytes())
    rows = [json.loads(line) for line in gzip.decompress((OPENAPI / f"{table}.jsonl.gz").read_bytes()).splitlines()]
    found = routes(import_openapi(data, document).text)
    listed = {
        (operation.split(" ")[0], "/" + operation.partition("/")[2].replace("2.0/", "", 1)) for operation in found
    }

    def shaped(path: str) -> str:
        return re.sub(r"\{[^}]*\}", "{}", path.partition("#")[0])

    known = {(method, shaped(path)) for method, path in listed}
    wanted = [(row["p"], row["m"], shaped(row["p"])) for row in rows]
    missing = {
        path for path, asked, end in wanted if not any(method == asked and one.endswith(end) for method, one in known)
    }
    assert missing == left_out
    assert len(found) >= len({(row["m"], row["p"].partition("#")[0]) for row in rows}) - 2


READ, WRITE = "Microsoft.Compute/virtualMachines/read", "Microsoft.Compute/virtualMachines/write"
BLOB = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
DEFINITIONS = [
    {"roleName": "Reader", "permissions": [{"actions": ["*/read"], "notActions": [], "dataActions": []}]},
    {"properties": {"roleName": "VM Operator", "permissions": [{"actions": [READ, WRITE], "notActions": []}]}},
    {"roleName": "Contributor", "permissions": [{"actions": ["*"], "notActions": ["microsoft.compute/*/WRITE"]}]},
    {"roleName": "Blob Reader", "permissions": [{"actions": [], "dataActions": [BLOB]}]},
    {"roleName": "Conditional", "permissions": [{"actions": [READ], "condition": "@Resource[x] StringEquals 'y'"}]},
]
SUBSCRIPTION = "/subscriptions/5F3A/"


def assignment(role: str, scope: str, **more: object) -> dict:
    return {
        "name": f"a-{role}-{len(scope)}",
        "roleDefinitionName": role,
        "scope": scope,
        "principalId": "oid-1",
        "principalName": "ann@x",
        "principalType": "User",
        "condition": None,
        **more,
    }


def azure(*assignments: dict):
    return import_azure(json.dumps(assignments).encode(), json.dumps(DEFINITIONS).encode())


def test_azure():
    found = azure(
        assignment("VM Operator", f"{SUBSCRIPTION}resourceGroups/RG-db"),
        assignment("Reader", "/", principalType="Group", principalId="oid-g"),
        assignment(
            "Contributor",
            "/providers/Microsoft.Management/managementGroups/Prod",
            principalType="ServicePrincipal",
            principalName="app-7",
        ),
        assignment("Blob Reader", f"{SUBSCRIPTION}resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/acc"),
        assignment(
            "VM Operator", SUBSCRIPTION, condition="((!(ActionMatches{'x'})) OR (@Resource[a] StringEquals 'b'))"
        ),
        assignment("Owner", "/"),
        assignment("Conditional", "/"),
        assignment("Reader", "/nowhere"),
        assignment("Reader", "/", principalType="ForeignGroup"),
    )
    write, read, blob = (one.replace("/", ".") for one in (WRITE, READ, BLOB))
    assert grants(found.text, "person:oid-1") == {
        f"{read} at resource_group:5f3a/rg-db",
        f"{write} at resource_group:5f3a/rg-db",
        f"{blob} at resource:5f3a/resourcegroups/rg/providers/microsoft.storage/storageaccounts/acc",
    }
    assert grants(found.text, "group:oid-g") == {f"{read} at tenant:root"}
    assert grants(found.text, "client:app-7") == {f"{read} at management_group:prod"}
    told = "\n".join(found.notes)
    for words in (
        "it has a condition: ((!(ActionMatches{'x'}))",
        "the role 'Owner' has no definition",
        "the role 'Conditional' has no action",
        "permissions with a condition are left out",
        "its scope '/nowhere' is none",
        "its principal is a ForeignGroup",
        "role 'Reader': */read stands for the 1 actions named here",
    ):
        assert words in told


@pytest.mark.parametrize(
    ("assignments", "definitions"), [(b"{", b"[]"), (b"[]", b"{}"), (b"[1]", b"[]"), (b"[]", b'[{"roleName": 1}]')]
)
def test_what_is_not_of_azure_is_refused(assignments, definitions):
    with pytest.raises(DocumentError):
        import_azure(assignments, definitions)


LIST = "user;role;right\nann;Clerk;\nbob;;invoice read\n;Clerk;invoice read\n;Clerk;pay\n"
ROLES = "Role,read,write\nEditor,x,X\nReader,yes,\n\n"
USERS = "\ufeffuser,Editor,Reader,Ghost\nann,1,0,\nbob,-,x,x\n"


def test_lists():
    found = import_csv([("list.csv", LIST.encode())])
    assert grants(found.text, "person:ann") == {"invoice_read", "pay"}
    assert grants(found.text, "person:bob") == {"invoice_read"}


def test_matrices():
    found = import_csv([("roles.csv", ROLES.encode()), ("users.csv", USERS.encode())], application="docs")
    assert grants(found.text, "person:ann") == {"read", "write"}
    assert grants(found.text, "person:bob") == {"read"}
    assert found.notes == ("person 'bob': the role 'Ghost' has no rights in these tables: not granted",)


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n1,2\n", "role,read\nEditor,maybe\n", "user,role\nann\n", "user,group,role\na,b,c\n", "role,read,read\nE,x,x\n", "user,Editor\n,x\n", 'role,read\n"E,x\n', "role,right\nE,r,r\n", "user,Editor\nann,x\n"],
)  # fmt: skip
def test_what_is_no_table_is_refused(text):
    with pytest.raises(DocumentError) as told:
        import_csv([("t.csv", text.encode())])
    assert {problem.code for problem in told.value.problems} == {"T312"}


@given(st.text(alphabet='userrolight,;x"\n 1-', max_size=80))
def test_no_table_breaks_the_importer(text):
    try:
        found = import_csv([("t.csv", text.encode())])
    except DocumentError:
        return
    assert estate(found.text) is not None
