"""Every address over a real socket."""

import asyncio
import gzip
import io
import json
import time
from contextlib import asynccontextmanager

import aiohttp
import pytest

from authorizer.bundle import read
from authorizer.control_plane.server import api, door, edition, publisher, signing_key
from authorizer.control_plane.server.running import Config, running
from authorizer.errors import ListenError
from authorizer.pdp.sources import compile_documents
from tests import leaks

TOKENS = {"authorizer": leaks.secret("an-authorizer-credential"), "admin": leaks.secret("an-admin-credential-too")}
LONG_POLL = "application/vnd.openpolicyagent.bundles"


def application(name: str) -> bytes:
    """Return a document that is good by itself, and beside those of other names."""
    return f"kind: Application\nid: {name}\nmodel: pbac\nhttp: {{hosts: [h], routes: {{GET /{name}: }}}}\n".encode()


ONE, TWO, THREE = map(application, ("one", "two", "three"))
BROKEN = b"kind: broken\n"
ODD = b"{kind: Catalog, conditions: {unused: {env.risk: {gt: 1}}}}\n"
TINY = b"kind: Facts"


class Plane:
    def __init__(self, url: str, session: aiohttp.ClientSession, config: Config) -> None:
        self.url, self.session, self.config = url, session, config

    async def ask(self, method, path, *, role="admin", headers=None, **more):
        """Return (status, headers, body: JSON if it is, else bytes)."""
        sent = {"authorization": f"Bearer {TOKENS[role]}"} if role else {}
        async with self.session.request(method, self.url + path, headers={**sent, **(headers or {})}, **more) as got:
            body = await got.read()
            return got.status, got.headers, json.loads(body) if "json" in got.content_type else body

    async def get(self, path, **more):
        status, _, body = await self.ask("GET", path, **more)
        assert status == 200, body
        return body

    async def put(self, name, text):
        status, _, body = await self.ask("PUT", f"/v1/documents/{name}", data=text)
        return status, body

    async def bundle(self, kind="policy", **headers):
        return await self.ask("GET", f"/v1/bundles/{kind}", role="authorizer", headers=headers)


@asynccontextmanager
async def serving(config: Config, **more):
    async with running(config, **more) as server, aiohttp.ClientSession() as session:
        yield Plane(server.url, session, config)


@pytest.fixture
def config(tmp_path) -> Config:
    return Config(state=tmp_path / "state", tokens=TOKENS)


@pytest.fixture
async def plane(config):
    async with serving(config) as made:
        yield made


def applications(config: Config, data: bytes) -> set[str]:
    signer, _ = signing_key.load(None, "", config.state)
    return read(data, kind="policy", verifier=signing_key.verifier(signer)).document["applications"].keys()


# --- who may ask what ------------------------------------------------------

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


# --- documents -------------------------------------------------------------


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


# --- bundles ---------------------------------------------------------------


async def test_a_bundle_is_fetched_once(plane: Plane) -> None:
    await plane.put("a.yaml", ONE)
    status, headers, data = await plane.bundle()
    etag = headers["etag"]
    assert (status, headers["content-type"], applications(plane.config, data)) == (200, "application/gzip", {"one"})
    assert etag.startswith('"')
    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        status, headers, data = await plane.bundle(**{"if-none-match": known})
        assert (status, headers["etag"], data) == (304, etag, b"")
    for unknown in ("", '"x"', etag[:-1], etag.strip('"')):
        assert (await plane.bundle(**{"if-none-match": unknown}))[0] == 200
    facts = (await plane.bundle("facts"))[1]["etag"]
    await plane.put("a.yaml", TWO)
    assert (await plane.bundle())[1]["etag"] != etag
    assert (await plane.bundle("facts"))[1]["etag"] == facts


async def test_a_long_poll_ends_with_the_news(plane: Plane) -> None:
    await plane.put("a.yaml", ONE)
    _, headers, _ = await plane.bundle(prefer="modes=snapshot,delta;wait=20")
    assert headers["content-type"] == LONG_POLL
    known = {"if-none-match": headers["etag"], "prefer": "modes=snapshot;wait=20"}
    waiting = asyncio.create_task(plane.bundle(**known))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await plane.put("b.yaml", BROKEN)
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await plane.put("a.yaml", TWO)
    status, _, data = await asyncio.wait_for(waiting, 10)
    assert (status, applications(plane.config, data)) == (200, {"two"})


async def test_a_long_poll_without_news_ends_in_time(plane: Plane) -> None:
    await plane.put("a.yaml", ONE)
    etag = (await plane.bundle())[1]["etag"]
    assert (await plane.bundle(**{"if-none-match": etag, "prefer": "wait=0.2"}))[0] == 304


async def test_the_first_bundle_can_be_waited_for(plane: Plane) -> None:
    waiting = asyncio.create_task(plane.bundle(prefer="wait=20"))
    await asyncio.sleep(0.1)
    await plane.put("a.yaml", ONE)
    assert (await asyncio.wait_for(waiting, 10))[0] == 200


async def test_the_number_of_those_who_wait_is_bounded(plane: Plane, monkeypatch) -> None:
    monkeypatch.setattr(publisher, "MAX_WAITING", 1)
    waiting = asyncio.create_task(plane.bundle(prefer="wait=20"))
    await asyncio.sleep(0.1)
    status, headers, body = await plane.bundle(prefer="wait=20")
    assert (status, body["code"], headers["retry-after"]) == (503, "AZ565", "30")
    waiting.cancel()  # who hangs up makes room
    await asyncio.sleep(0.1)
    assert (await plane.bundle(prefer="wait=0.1"))[0] == 404


async def test_who_hangs_up_does_not_stop_a_publication_half_way(plane: Plane, monkeypatch) -> None:
    def slow(files):
        time.sleep(0.3)
        return compile_documents(files)

    monkeypatch.setattr(edition, "compile_documents", slow)
    sending = asyncio.create_task(plane.put("a.yaml", ONE))
    await asyncio.sleep(0.1)
    sending.cancel()
    _, _, data = await plane.bundle(prefer="wait=20")
    assert applications(plane.config, data) == {"one"}
    assert len((await plane.get("/v1/documents"))["documents"]) == 1


async def test_who_waits_is_let_go_when_the_server_ends(config: Config) -> None:
    async with aiohttp.ClientSession() as session:
        async with serving(config) as plane:
            await plane.put("a.yaml", ONE)
            etag = (await plane.bundle())[1]["etag"]
            other = Plane(plane.url, session, config)
            waiting = asyncio.create_task(other.bundle(**{"if-none-match": etag, "prefer": "wait=30"}))
            await asyncio.sleep(0.1)
            before = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - before < 20
        assert (await waiting)[0] == 304


async def test_a_restart_goes_on_where_it_was_even_with_the_clock_set_back(config: Config) -> None:
    async with serving(config) as plane:
        await plane.put("a.yaml", ONE)
        first = await plane.get("/v1/status")
        etag = (await plane.bundle())[1]["etag"]
    async with serving(config, clock=lambda: 1000.0) as plane:
        assert (await plane.bundle())[1]["etag"] == etag
        await plane.put("a.yaml", TWO)
        second = await plane.get("/v1/status")
    assert second["bundles"]["policy"]["serial"] == first["bundles"]["policy"]["serial"] + 1
    assert second["bundles"]["facts"] == first["bundles"]["facts"]


async def test_with_another_key_everything_is_signed_anew(config: Config) -> None:
    async with serving(config) as plane:
        await plane.put("a.yaml", ONE)
        first = await plane.get("/v1/status")
    (config.state / "signing.pem").unlink()
    async with serving(config) as plane:
        second = await plane.get("/v1/status")
        assert applications(config, (await plane.bundle())[2]) == {"one"}
    for kind in ("policy", "facts", "trust"):
        assert second["bundles"][kind]["serial"] > first["bundles"][kind]["serial"]
        assert second["bundles"][kind]["revision"] == first["bundles"][kind]["revision"]


# --- the directory ---------------------------------------------------------


async def test_a_directory_is_followed_and_named_in_its_problems(tmp_path) -> None:
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "a.yaml").write_bytes(ONE)
    async with serving(Config(state=tmp_path / "state", tokens=TOKENS, policies=policies)) as plane:
        _, headers, data = await plane.bundle()
        assert applications(plane.config, data) == {"one"}
        (policies / "a.yaml").write_bytes(b"\n\n" + BROKEN)
        problems = []
        for _ in range(40):
            problems = problems or (await plane.get("/v1/problems"))["problems"]
            await asyncio.sleep(0 if problems else 0.05)
        assert [(row["file"], row["line"], row["column"]) for row in problems] == [("a.yaml", 3, 7)]
        metrics = (await plane.get("/metrics", role="authorizer")).decode()
        assert 'authorizer_control_plane_problem{code="A001",column="7",file="a.yaml",line="3"} 1.0' in metrics
        assert (await plane.bundle())[1]["etag"] == headers["etag"]
        status, body = await plane.put("a.yaml", ONE)
        assert (status, body["problems"][0]["code"]) == (422, "AZ589")
        known = {"if-none-match": headers["etag"], "prefer": "wait=20"}
        waiting = asyncio.create_task(plane.bundle(**known))
        await asyncio.sleep(0.1)
        (policies / "a.yaml").write_bytes(TWO)
        status, _, data = await asyncio.wait_for(waiting, 10)
        assert applications(plane.config, data) == {"two"}
        assert (await plane.get("/v1/problems"))["problems"] == []
        await plane.put("b.yaml", THREE)
        assert applications(plane.config, (await plane.bundle())[2]) == {"two", "three"}
        listed = (await plane.get("/v1/documents"))["documents"]
        assert [(row["name"], row["source"]) for row in listed] == [("b.yaml", "api"), ("a.yaml", "directory")]


async def test_a_directory_that_vanishes_unpublishes_nothing(tmp_path) -> None:
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "a.yaml").write_bytes(ONE)
    async with serving(Config(state=tmp_path / "state", tokens=TOKENS, policies=policies)) as plane:
        for step in ((policies / "a.yaml").unlink, policies.rmdir):
            step()
            await asyncio.sleep(0.8)
            (problem,) = (await plane.get("/v1/problems"))["problems"]
            assert problem["code"] in ("AZ585", "AZ587")
            assert applications(plane.config, (await plane.bundle())[2]) == {"one"}


# --- reports ---------------------------------------------------------------

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


async def test_an_address_in_use_is_said(config: Config, tmp_path) -> None:
    async with serving(config) as plane:
        port = int(plane.url.rpartition(":")[2])
        again = Config(state=tmp_path / "other", tokens=TOKENS, port=port)
        with pytest.raises(ListenError, match="AZ711"):
            async with serving(again):
                pass
