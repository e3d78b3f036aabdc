"""What authorizers report, over a real socket."""

import io
import json

import pytest

from tests.control_plane.plane import ODD, ONE, Plane

API = {"id": "a", "name": "A", "hosts": ["a.example"], "routes": [{"path": "/x", "kind": "exact"}], "sources": ["test"]}


@pytest.mark.parametrize("path", ["/v1/apis", "/v1/status"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b'{"labels": {"id": "x"}, "labels": {"id": "y"}}',
        b'[{"id": "a", "id": "b"}]',
        b"[NaN]",
        b"[" * 100_000,
        b'"\\ud800"',
        b"\xff\xfe",
        b'{"labels": {"id": 1}}',
        b'{"labels": {}}',
        b'{"labels": {"id": ""}}',
        b'{"labels": {"id": "a\\nb"}}',
        b'{"labels": {"id": "x"}, "bundles": {"policy": {"serial": "one"}}}',
        b'[{"id": 1}]',
        b'[{"id": "a", "name": "A", "hosts": [], "routes": [{"path": "/", "kind": "odd"}], "sources": ["t"]}]',
        b'[{"id": "a", "name": "A", "hosts": [], "routes": [], "sources": ["t"], "flags": [1e999]}]',
    ],
)
async def test_bad_reports_are_refused_and_change_nothing(plane: Plane, path: str, body: bytes) -> None:
    status, _, answer = await plane.ask("POST", path, role="authorizer", data=body)
    assert (status, answer["code"]) in [(400, "AZ558"), (400, "AZ559")]
    assert (await plane.get("/v1/apis"))["apis"] == []
    assert (await plane.get("/v1/status"))["authorizers"] == []


async def test_the_fleet_is_shown_with_what_is_in_force_there(plane: Plane) -> None:
    await plane.put("a.yaml", ONE + b"---\n" + ODD)
    published = (await plane.get("/v1/status"))["bundles"]
    report = {
        "labels": {"id": "pod-1", "zone": "north"},
        "bundles": {
            "policy": {"name": "policy", "active_revision": published["policy"]["revision"], "metrics": {"x": 1}},
            "facts": {"active_revision": "old", "code": "AZ330", "message": "older"},
            "trust": None,
        },
        "plugins": {},
    }
    status, _, body = await plane.ask("POST", "/v1/status", role="authorizer", json=report)
    assert status == 200
    assert [(row["code"], row["file"], row["line"], row["column"]) for row in body["problems"]] == [
        ("L003", "a.yaml", 6, 38)
    ]
    (shown,) = (await plane.get("/v1/status"))["authorizers"]
    assert (shown["id"], shown["labels"]["zone"], shown["age_seconds"] < 5) == ("pod-1", "north", True)
    assert {kind: bundle["current"] for kind, bundle in shown["bundles"].items()} == {
        "policy": True, "facts": False, "trust": False,
    }  # fmt: skip
    assert shown["bundles"]["facts"]["code"] == "AZ330"
    assert "authorizer_control_plane_authorizers 1.0" in (await plane.get("/metrics")).decode()


async def test_apis_are_kept_a_reporter_and_shown_once(plane: Plane) -> None:
    other = {**API, "id": "b"}
    for reporter, apis in (("one", [API, other]), ("two", [API]), ("", [API]), ("one", [API])):
        headers = {"x-authorizer-id": reporter} if reporter else {}
        status, _, body = await plane.ask("POST", "/v1/apis", role="authorizer", json=apis, headers=headers)
        assert (status, body["unguarded"]) == (200, len(apis))
    shown = await plane.get("/v1/apis")
    assert [(row["id"], row["reporters"]) for row in shown["apis"]] == [("a", ["one", "two"])]
    assert shown["apis"][0]["routes"][0]["guard"] == "unguarded"
    assert shown["routes"] == {"whole": 0, "partial": 0, "unguarded": 1}


async def test_operations_are_guarded_one_by_one(plane: Plane) -> None:
    policy = "kind: Application\nid: a\nmodel: pbac\nrights: {r: {}}\nhttp: {hosts: [h], routes: {'GET /a/{id}': {right: r}}}\n"
    assert (await plane.put("a.yaml", policy))[0] == 200
    told = [
        ("GET", "/a/{x}", []),
        ("PUT", "/a/{x}", []),
        ("GET", "/a/{y}", ["path_unknown"]),
        ("GET", "/b", ["unreached"]),
    ]
    operations = [{"method": method, "path": path, "id": "", "flags": flags} for method, path, flags in told]
    api = {**API, "hosts": ["h"], "routes": [], "operations": operations}
    guarded = {**api, "id": "b", "operations": [operations[0], operations[3]]}
    _, _, body = await plane.ask("POST", "/v1/apis", role="authorizer", json=[api, guarded])
    assert body["unguarded"] == 1
    shown = await plane.get("/v1/apis")
    assert [(one["guard"], one["why"]) for one in shown["apis"][0]["operations"]] == [
        ("whole", ""), ("unguarded", ""), ("unguarded", "in_doubt"), ("unguarded", ""),
    ]  # fmt: skip
    assert shown["operations"] == {"whole": 2, "partial": 0, "unguarded": 4}
    short = {"method": "GET", "path": "/"}
    many = io.BytesIO(json.dumps([{**api, "operations": [short] * 100_001}]).encode())
    assert (await plane.ask("POST", "/v1/apis", role="authorizer", data=many))[0] == 400


async def test_a_document_that_would_not_be_read_is_refused(plane: Plane) -> None:
    await plane.put("a.yaml", b"kind: Catalog")
    status, body = await plane.put("deny.json", b'{"kind": "Policies", "policies": []}')
    assert (status, [problem["code"] for problem in body["problems"]]) == (422, ["AZ211"])
    assert [document["name"] for document in (await plane.get("/v1/documents"))["documents"]] == ["a.yaml"]


async def test_a_report_has_a_bounded_number_of_hosts(plane: Plane) -> None:
    apis = [{**API, "hosts": [f"h{number}" for number in range(100_001)]}]
    status, _, body = await plane.ask("POST", "/v1/apis", role="authorizer", json=apis)
    assert (status, body["code"]) == (400, "AZ558")


async def test_metrics_are_bounded_by_what_strangers_cannot_invent(plane: Plane) -> None:
    for number in range(20):
        await plane.ask("PATCH", f"/M{number}", role=None)
    text = (await plane.get("/metrics")).decode()
    assert 'authorizer_control_plane_requests_total{address="other",method="other",status="404"} 20.0' in text
    assert "M3" not in text
