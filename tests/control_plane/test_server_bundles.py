"""Bundles over a real socket: fetched, waited for, signed anew; and the directory that they come from."""

import asyncio
import time

import aiohttp

from authorizer.control_plane.server import edition, publisher
from authorizer.control_plane.server.running import Config
from authorizer.pdp.sources import compile_documents
from tests.control_plane.plane import (
    BROKEN,
    LONG_POLL,
    ONE,
    THREE,
    TOKENS,
    TWO,
    Plane,
    applications,
    serving,
)


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


async def told(plane: Plane, code: str) -> list[dict[str, object]]:
    """Wait until a problem with the documents has a code; return all there are."""
    for _ in range(600):
        problems = (await plane.get("/v1/problems"))["problems"]
        if code in {problem["code"] for problem in problems}:
            return problems
        await asyncio.sleep(0.05)
    raise AssertionError(problems)


async def test_a_directory_is_followed_and_named_in_its_problems(tmp_path) -> None:
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "a.yaml").write_bytes(ONE)
    async with serving(Config(state=tmp_path / "state", tokens=TOKENS, policies=policies)) as plane:
        _, headers, data = await plane.bundle()
        assert applications(plane.config, data) == {"one"}
        (policies / "a.yaml").write_bytes(b"\n\n" + BROKEN)
        problems = await told(plane, "A001")
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
        for step, code in (((policies / "a.yaml").unlink, "AZ587"), (policies.rmdir, "AZ585")):
            step()
            assert len(await told(plane, code)) == 1
            assert applications(plane.config, (await plane.bundle())[2]) == {"one"}
