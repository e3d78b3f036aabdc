"""Where APIs describe themselves: files, addresses over real sockets, Services by annotations; what lies or fails."""

import contextlib
import json

import pytest
from aiohttp import web

from authorizer.discovery import describing, fetching
from authorizer.discovery.kubernetes import files, objects, reading
from authorizer.discovery.polling import Polled
from authorizer.errors import DiscoveryError
from authorizer.policy.authoring import descriptions
from tests.served import served

DOCUMENT = {
    "openapi": "3.1.0",
    "servers": [{"url": "https://shop.example/v1"}],
    "paths": {
        "/orders/{id}": {"get": {"operationId": "getOrder"}, "query": {}},
        "/files/{a}.{b}": {"get": {}},
        "/shared": {"$ref": "#/components/pathItems/shared", "get": {"operationId": "own"}},
        "/round": {"$ref": "#/components/pathItems/round"},
        "/elsewhere": {"$ref": "http://127.0.0.1:1/other.json#/paths/~1x"},
        "/gone": {"$ref": "#/components/pathItems/none"},
        "x-more": {},
    },
    "webhooks": {"paid": {"post": {}}},
    "components": {
        "pathItems": {
            "shared": {"$ref": "#/components/pathItems/deep", "put": {"operationId": "a\nb"}},
            "deep": {"post": {"operationId": "deep"}},
            "round": {"$ref": "#/components/pathItems/about"},
            "about": {"$ref": "#/components/pathItems/round", "get": {"operationId": "about"}},
        }
    },
}


def test_a_document_is_read_with_what_it_refers_to_and_the_rest_is_told():
    found = describing.read(json.dumps(DOCUMENT).encode(), describing.Place("shop", "", "file", "shop.json"))
    assert sorted((one.method, one.path, one.id, one.flags) for one in found.operations) == [
        ("GET", "/v1/files/{a}.{b}", "", ("unwritable",)),
        ("GET", "/v1/orders/{id}", "getOrder", ()),
        ("GET", "/v1/round", "about", ()),
        ("GET", "/v1/shared", "own", ()),
        ("POST", "/v1/shared", "deep", ()),
        ("PUT", "/v1/shared", "", ()),
    ]
    assert found.notes == (
        "/orders/{id}: 'query' is not understood",
        "GET /files/{a}.{b}: left out: 'a}.{b' is not a parameter name: letters, digits and '_' only, no digit first",
        "/round: refers to itself in the end",
        "/elsewhere: refers to another document, which is not read",
        "/gone: refers to what is not there",
        "1 webhooks are calls of the API itself: they are no operations",
        "PUT /shared: its operationId is no name",
    )


@pytest.mark.parametrize(
    "document",
    [
        {"openapi": "3.0.0", "servers": [{"url": "/"}] * 101, "paths": {"/a": {"get": {}}}},
        {"openapi": "3.0.0", "paths": {f"/{n}": {"get": {}} for n in range(20_001)}},
        {"openapi": "2"},
        [],
    ],
)
def test_documents_beyond_bounds_are_refused(document):
    with pytest.raises(DiscoveryError, match="AZ612"):
        describing.read(json.dumps(document).encode(), describing.Place("x", "a", "file", "x.json"))


class Api:
    """An API that answers with ``answer``, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer = web.Response(status=404)
        self.headers: list[dict[str, str]] = []

    async def serve(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        made = self.answer
        return web.Response(status=made.status, body=made.body, headers=made.headers)


@pytest.fixture
async def shop():
    made = Api()
    async with served(made.serve, "/openapi.json") as host:
        made.url = f"{host}/openapi.json"
        yield made


def says(document, **headers) -> web.Response:
    return web.Response(body=json.dumps(document).encode(), headers=headers)


async def test_an_address_is_asked_again_for_what_has_changed_only(shop):
    at = describing.place("shop", "orders", url=shop.url)
    shop.answer = says(DOCUMENT, etag='"1"')
    first = await describing.look(at)
    shop.answer = web.Response(status=304)
    assert await describing.look(at, first) is first
    assert shop.headers[-1]["If-None-Match"] == '"1"'
    shop.answer = says(DOCUMENT, etag='"2"')
    same = await describing.look(at, first)
    assert (same.described is first.described, same.tag) == (True, '"2"')
    shop.answer = says({**DOCUMENT, "paths": {}})
    assert (await describing.look(at, same)).described.operations == ()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (web.Response(status=302, headers={"location": "http://127.0.0.1:1/"}), "AZ611"),
        (web.Response(status=500), "AZ611"),
        (web.Response(status=304), "AZ611"),
        (web.Response(body=b"x", headers={"content-encoding": "gzip"}), "AZ611"),
        (web.Response(body=b"<html>"), "AZ612"),
        (web.Response(body=b'{"a": 1, "a": 2}'), "AZ612"),
        (web.Response(body=b"[" * 4000), "AZ612"),
        (web.Response(body=b"a: &a [*a, *a]\n"), "AZ612"),
        (web.Response(body=b" " * 9000), "AZ605"),
    ],
)
async def test_an_api_that_fails_or_lies_leaves_what_was_known(shop, answer, code, monkeypatch):
    monkeypatch.setattr(descriptions, "MAX_BYTES", 8000)
    heard = []
    at = describing.place("shop", "orders", url=shop.url)
    polled = Polled("shop", lambda last: describing.look(at, last), lambda _: 1, heard.append)
    shop.answer = says(DOCUMENT)
    assert await polled.look_once()
    known = polled.value
    shop.answer = answer
    assert not await polled.look_once()
    assert (polled.value is known, polled.failing, heard) == (True, code, [True, False])
    shop.answer = says({**DOCUMENT, "paths": {}})
    assert await polled.look_once()
    assert (polled.failing, heard[-1]) == ("", True)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "file:///etc/passwd",
            "ftp://h/x",
            "http://u:p@h/x",
            "http://h/x#y",
            "http:///x",
            "//h/x",
            "",
            "http://h/a b",
        ),
        *("http://[::1", "http://h:0/", "http://h:99999/", "http://hö/", "http://h/\n"),
    ],
)
def test_only_plain_addresses_are_asked(address):
    with pytest.raises(DiscoveryError, match="AZ610"):
        fetching.checked(address)


@pytest.mark.parametrize(
    "address", ["http://kong.example:8001", "http://127.0.0.1:8001/x", "http://127.0.0.1:8001?x=1"]
)
def test_admin_interfaces_are_near_or_secured(address):
    with pytest.raises(DiscoveryError, match="AZ610"):
        fetching.checked(address, alone=True, near=True)
    assert fetching.checked("https://kong.example:8444/", alone=True, near=True) == "https://kong.example:8444"


async def test_files_are_read_and_their_faults_coded(tmp_path, monkeypatch):
    file = tmp_path / "a.json"
    at = describing.place("a", "", file=str(file))
    with pytest.raises(DiscoveryError, match="AZ606"):
        await describing.look(at)
    file.write_text(json.dumps(DOCUMENT))
    seen = await describing.look(at)
    assert (await describing.look(at, seen)).described is seen.described
    monkeypatch.setattr(descriptions, "MAX_BYTES", 10)
    with pytest.raises(DiscoveryError, match="AZ605"):
        await describing.look(at)


SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: orders, namespace: shop, annotations: {{{annotations}}}}}
spec: {{clusterIP: {address}, ports: [{{port: 80}}, {{port: 9090}}, {{port: 53, protocol: UDP}}], type: {type}}}
"""


def named(annotations, address="10.0.0.7", kind="ClusterIP"):
    text = SERVICE.format(annotations=annotations, address=address, type=kind)
    held, _ = files.read(text.encode(), "a.yaml")
    found = reading.read(objects.by_kind(held), ["authorizer"], whole=True)
    return [(place.kind, place.where, place.host) for place in found.described], found.notes


@pytest.mark.parametrize(
    ("annotations", "address", "where"),
    [
        ("authorizer/openapi: /v3/api-docs", "10.0.0.7", "http://10.0.0.7:80/v3/api-docs"),
        ("authorizer/openapi: 9090/o.json", "10.0.0.7", "http://10.0.0.7:9090/o.json"),
        ("authorizer/openapi: /o.json", "fd00::7", "http://[fd00::7]:80/o.json"),
        ('authorizer/grpc: "9090"', "10.0.0.7", "10.0.0.7:9090"),
        ('authorizer/grpc: ""', "10.0.0.7", "10.0.0.7:80"),
    ],
)
def test_an_annotation_names_a_port_and_a_path_of_its_service(annotations, address, where):
    (place,), notes = named(annotations, address)
    assert (place[1], notes) == (where, ())


@pytest.mark.parametrize(
    ("annotations", "address", "kind"),
    [
        ("authorizer/openapi: http://169.254.169.254/", "10.0.0.7", "ClusterIP"),
        ("authorizer/openapi: //evil.example/", "None", "ClusterIP"),
        ("authorizer/openapi: 81/o.json", "10.0.0.7", "ClusterIP"),
        ("authorizer/openapi: 53/o.json", "10.0.0.7", "ClusterIP"),
        ("authorizer/openapi: '@evil.example/o.json'", "10.0.0.7", "ClusterIP"),
        ('authorizer/grpc: "9090/x"', "10.0.0.7", "ClusterIP"),
        ("authorizer/openapi: /o.json", "None", "ClusterIP"),
        ("authorizer/openapi: /o.json", '""', "ExternalName"),
        ("authorizer/openapi: /o.json", "10.0.0.7", "ExternalName"),
    ],
)
def test_an_annotation_leads_nowhere_else(annotations, address, kind):
    places, notes = named(annotations, address, kind)
    assert (places, len(notes)) == ([], 1)
    assert notes[0].startswith("Service shop/orders: the annotation authorizer/")


def _bombs():
    """Short documents that would take long, or much memory, if each reference to a part were followed each time."""
    get = {"get": {}}
    many = {f"/p{number}": {"$ref": "#/x/a0"} for number in range(5_000)}
    paths = {f"/p{number}": get for number in range(5_000)}
    chain = {f"a{number}": {"$ref": f"#/x/a{number + 1}"} for number in range(5_000)}
    schemes = {"securitySchemes": {"s": {"type": "oauth2"}}}
    return {
        "a chain of references": {"paths": many, "x": chain},
        "members referred to": {"paths": many, "x": {"a0": {f"x-{number}": 1 for number in range(5_000)}}},
        "a long server": {"servers": [{"url": "/" + "a" * 3_000_000}], "paths": paths},
        "open braces": {"paths": {"/" + "{" * 300_000: get, **{"/" + "{" * number: get for number in range(1, 500)}}},
        "variables": {
            "servers": [{"url": "/" + "{a}" * 600, "variables": {"a": {"default": "b" * 3_000_000}}}],
            "paths": paths,
        },
        "notes": {"paths": {"/" + "a" * 2000: {f"{number}" * 1000: 1 for number in range(5000)}}},
        "security": {"security": [{"s": ["a"]}] * 5_000, "components": schemes, "paths": paths},
        "operationId": {"paths": many, "x": {"a0": {"get": {"operationId": ["b"] * 300_000}}}},
    }


@pytest.mark.parametrize("name", _bombs())
def test_a_document_costs_what_it_is_long(name):
    """Without the bounds each of these takes minutes or gigabytes."""
    data = json.dumps({"openapi": "3.0.0", **_bombs()[name]}).encode()
    refused = name in {"a chain of references", "members referred to", "security", "variables"}
    with pytest.raises(DiscoveryError, match="AZ612") if refused else contextlib.nullcontext():
        found = describing.read(data, describing.place("it", "", file="it.json"))
        assert len(found.operations) <= 20_000
        assert sum(map(len, found.notes)) < 8_000_000
