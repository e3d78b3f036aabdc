"""Every address over a real socket: who may ask what, and the documents."""

import asyncio
import gzip
import json

import pytest

from authorizer.control_plane.server import api, door, edition, publisher
from authorizer.control_plane.server.running import Config
from authorizer.errors import ListenError
from tests.control_plane.plane import (
    BROKEN,
    ODD,
    ONE,
    TINY,
    TOKENS,
    TWO,
    Plane,
    applications,
    serving,
)

AUTHORIZERS = [("GET", "/v1/bundles/policy"), ("POST", "/v1/apis"), ("POST", "/v1/status"), ("GET", "/metrics")]
ADMINS = [
    ("GET", "/v1/apis"),
    ("GET", "/v1/status"),
    ("GET", "/v1/problems"),
    ("GET", "/v1/documents"),
    ("GET", "/v1/documents/a.yaml"),
    ("PUT", "/v1/documents/a.yaml"),
    ("DELETE", "/v1/documents/a.yaml"),
]


async def test_after_a_body_in_chunks_whose_trailer_could_become_a_header_the_connection_ends(plane: Plane) -> None:
    head = f"Host: a\r\nAuthorization: Bearer {TOKENS['authorizer']}\r\n"
    first = f"POST /v1/status HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\nIf-None-Match: *\r\n\r\n"
    reader, writer = await asyncio.open_connection(*plane.url.removeprefix("http://").split(":"))
    writer.write(f"{first}GET /v1/bundles/policy HTTP/1.1\r\n{head}\r\n".encode())
    async with asyncio.timeout(30):
        assert (await reader.read()).count(b"HTTP/1.1 ") == 1
    writer.close()


@pytest.mark.parametrize(
    "authorization",
    [
        [],
        [""],
        ["Bearer"],
        ["Bearer "],
        ["Bearer wrong-wrong-wrong-wrong"],
        ["Basic " + TOKENS["admin"]],
        [TOKENS["admin"]],
        [f"Bearer {TOKENS['admin']}, Bearer {TOKENS['admin']}"],
        [f"Bearer {TOKENS['admin']}"] * 2,
        [f"Bearer {TOKENS['admin']}x"],
        [f"Bearer {TOKENS['admin'][:-1]}"],
        ["Bearer \xff\xfe"],
    ],
)
async def test_without_its_credential_nothing_is_told(plane: Plane, authorization: list[str]) -> None:
    for method, path in (*AUTHORIZERS, *ADMINS):
        headers = [("authorization", value) for value in authorization]
        async with plane.session.request(method, plane.url + path, headers=headers) as got:
            assert got.status == 401
            assert got.headers["www-authenticate"] == 'Bearer realm="control-plane"'
            assert (await got.json(content_type="application/problem+json"))["code"] == "AZ551"


async def test_an_authorizer_may_not_do_what_an_admin_may(plane: Plane) -> None:
    for method, path in ADMINS:
        status, _, body = await plane.ask(method, path, role="authorizer")
        assert (status, body["code"]) == (403, "AZ552"), path
    for method, path in (*AUTHORIZERS, *ADMINS):
        assert (await plane.ask(method, path))[0] not in (401, 403)


async def test_the_scheme_is_read_without_regard_to_case(plane: Plane) -> None:
    status, _, _ = await plane.ask(
        "GET", "/v1/problems", role=None, headers={"authorization": f"bEaReR  {TOKENS['admin']}"}
    )
    assert status == 200


async def test_probes_are_open(plane: Plane) -> None:
    assert (await plane.get("/livez", role=None)) == {"live": True}
    assert (await plane.get("/readyz", role=None)) == {"ready": True}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "AZ553"),
        ("GET", "/v1/bundles/other", 404, "AZ553"),
        ("GET", "/v1/bundles/policy", 404, "AZ564"),
        ("POST", "/v1/bundles/policy", 405, "AZ554"),
        ("DELETE", "/livez", 405, "AZ554"),
        ("GET", "/v1/documents/none.yaml", 404, "AZ562"),
        ("DELETE", "/v1/documents/none.yaml", 404, "AZ562"),
    ],
)
async def test_refusals_are_problem_details(plane: Plane, method: str, path: str, status: int, code: str) -> None:
    got, headers, body = await plane.ask(method, path)
    assert (got, headers["content-type"]) == (status, "application/problem+json")
    assert (body["status"], body["code"], body["type"]) == (status, code, "about:blank")
    assert ("allow" in headers) == (status == 405)


async def test_documents_are_kept_listed_and_published(plane: Plane) -> None:
    status, body = await plane.put("a.yaml", ONE)
    assert status == 200
    assert set(body["bundles"]) == {"policy", "facts", "trust"}
    await plane.put("b.yaml", TWO + b"---\n" + ODD)
    listed = (await plane.get("/v1/documents"))["documents"]
    assert [(row["name"], row["size"], row["source"]) for row in listed] == [
        ("a.yaml", len(ONE), "api"),
        ("b.yaml", len(TWO + ODD) + 4, "api"),
    ]
    status, headers, content = await plane.ask("GET", "/v1/documents/b.yaml")
    assert (status, content, headers["content-type"]) == (200, TWO + b"---\n" + ODD, "application/yaml; charset=utf-8")
    _, _, data = await plane.bundle()
    assert applications(plane.config, data) == {"one", "two"}
    (warning,) = (await plane.get("/v1/problems"))["problems"]
    assert (warning["severity"], warning["file"], warning["line"], warning["column"]) == ("warning", "b.yaml", 6, 38)
    assert (await plane.ask("DELETE", "/v1/documents/b.yaml"))[0] == 200
    assert (await plane.get("/v1/problems"))["problems"] == []


async def test_a_refused_document_changes_nothing_and_says_where(plane: Plane) -> None:
    await plane.put("a.yaml", ONE)
    _, before, _ = await plane.bundle()
    for name in ("a.yaml", "new.yaml"):
        status, body = await plane.put(name, b"kind: Facts\n---\n" + BROKEN)
        assert (status, body["code"]) == (422, "AZ561")
        (problem,) = body["problems"]
        assert (problem["code"], problem["file"], problem["line"], problem["column"]) == ("A001", name, 3, 7)
    _, after, data = await plane.bundle()
    assert after["etag"] == before["etag"]
    assert applications(plane.config, data) == {"one"}
    assert (await plane.get("/v1/problems"))["problems"] == []


async def test_the_last_document_is_not_taken_away(plane: Plane) -> None:
    await plane.put("a.yaml", ONE)
    status, _, body = await plane.ask("DELETE", "/v1/documents/a.yaml")
    assert (status, body["problems"][0]["code"]) == (422, "AZ587")
    assert (await plane.bundle())[0] == 200


async def test_a_failing_compiler_is_a_refusal_without_internals(plane: Plane, monkeypatch) -> None:
    def fail(files):
        raise RuntimeError("secret internals")

    monkeypatch.setattr(edition, "compile_documents", fail)
    status, body = await plane.put("a.yaml", ONE)
    assert (status, body["problems"][0]["code"]) == (422, "AZ588")
    assert "secret" not in json.dumps(body)


@pytest.mark.parametrize(
    "name", ["a.txt", "a", ".yaml", "-a.yaml", "a%20b.yaml", "%2e%2e%2fa.yaml", "x" * 101 + ".yaml", "é.yaml"]
)
async def test_names_of_documents(plane: Plane, name: str) -> None:
    status, body = await plane.put(name, ONE)
    assert (status, body["code"]) in [(400, "AZ560"), (404, "AZ553")]


async def test_bodies_are_bounded(plane: Plane, monkeypatch) -> None:
    monkeypatch.setattr(api, "MAX_DOCUMENT", len(TINY))
    monkeypatch.setattr(publisher, "MAX_DOCUMENTS", 1)

    async def drip():
        for _ in range(5):
            yield b"12345"

    for body in (TINY + b"\n", drip()):
        status, answer = await plane.put("a.yaml", body)
        assert (status, answer["code"]) == (413, "AZ555")
    headers = {"content-encoding": "gzip"}
    status, _, answer = await plane.ask("PUT", "/v1/documents/a.yaml", data=gzip.compress(b"x" * 1000), headers=headers)
    assert (status, answer["code"]) == (415, "AZ556")
    assert (await plane.put("a.yaml", TINY))[0] == 200
    status, answer = await plane.put("b.yaml", TINY)
    assert (status, answer["code"]) == (413, "AZ563")


async def test_a_body_that_never_ends_is_given_up(plane: Plane, monkeypatch) -> None:
    monkeypatch.setattr(door, "BODY_SECONDS", 0.1)

    async def stalled():
        yield b"x"
        await asyncio.sleep(2)

    status, answer = await plane.put("a.yaml", stalled())
    assert (status, answer["code"]) == (408, "AZ557")


async def test_an_address_in_use_is_said(config: Config, tmp_path) -> None:
    async with serving(config) as plane:
        port = int(plane.url.rpartition(":")[2])
        again = Config(state=tmp_path / "other", tokens=TOKENS, port=port)
        with pytest.raises(ListenError, match="AZ711"):
            async with serving(again):
                pass
