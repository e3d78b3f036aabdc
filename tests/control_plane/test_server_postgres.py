"""Several control planes on one real PostgreSQL: one edition for all, one turn at a time, and what outages change."""

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest

from authorizer.bundle import read
from authorizer.cli import control_plane as verb
from authorizer.control_plane.server import signing_key
from authorizer.control_plane.server.running import Config, running
from authorizer.control_plane.server.store import Document, Published, Store
from authorizer.errors import ControlPlaneError
from authorizer.jose.sign import generate

pytestmark = pytest.mark.interop
driver = pytest.importorskip("authorizer.control_plane.server.postgres_database", exc_type=ImportError)

TOKENS = {"authorizer": "an-authorizer-for-the-tests", "admin": "an-admin-for-all-the-tests"}


class Plane:
    def __init__(self, url, session) -> None:
        self.url = url
        self.session = session

    async def ask(self, method, path, role="admin", headers=None, **more):
        sent = {"authorization": f"Bearer {TOKENS[role]}", **(headers or {})}
        async with self.session.request(method, self.url + path, headers=sent, **more) as got:
            body = await got.read()
            return got.status, got.headers, json.loads(body) if "json" in got.content_type else body

    async def put(self, name):
        text = f"kind: Application\nid: {name}\nmodel: pbac\nrights: {{r: {{}}}}\n"
        status, _, body = await self.ask("PUT", f"/v1/documents/{name}.yaml", data=text)
        return status, body

    async def policy(self, tag="", wait=0):
        headers = {**({"if-none-match": tag} if tag else {}), **({"prefer": f"wait={wait}"} if wait else {})}
        status, found, body = await self.ask("GET", "/v1/bundles/policy", role="authorizer", headers=headers)
        return status, found.get("etag", ""), body


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "signing.pem"
    path.write_bytes(generate("ES256"))
    return path


@asynccontextmanager
async def planes(address, key, tmp_path, number=2):
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        made = []
        for each in range(number):
            config = Config(state=tmp_path / f"state{each}", key=key, key_id="main", tokens=TOKENS, database=address)
            made.append(Plane((await stack.enter_async_context(running(config))).url, session))
        yield made


def applications(data, key, tmp_path):
    signer, _ = signing_key.load(key, "main", tmp_path / "state0")
    bundle = read(data, kind="policy", verifier=signing_key.verifier(signer))
    return bundle.document["applications"].keys()


async def test_what_one_publishes_all_serve(database, key, tmp_path):
    async with planes(database.address(), key, tmp_path) as (one, other):
        assert (await one.put("first"))[0] == 200
        _, tag, data = await other.policy(wait=30)
        assert data
        assert (await one.policy())[1:] == (tag, data)
        waiting = asyncio.create_task(other.policy(tag, wait=30))
        assert (await one.put("second"))[0] == 200
        status, newer, data = await waiting
        assert (status, newer > tag, applications(data, key, tmp_path)) == (200, True, {"first", "second"})
        assert (await other.ask("DELETE", "/v1/documents/first.yaml"))[0] == 200
        await other.ask("POST", "/v1/status", role="authorizer", json={"labels": {"id": "pod-1"}})
        shown = (await one.ask("GET", "/v1/status"))[2]["authorizers"]
        assert [each["id"] for each in shown] == ["pod-1"]
    async with planes(database.address(), key, tmp_path, number=1) as (empty,):
        assert (await empty.policy())[0] == 404


async def test_all_publish_at_once_and_serials_only_rise(database, key, tmp_path):
    seen: list[int] = []

    async def watch(plane, ends):
        tag = ""
        while not ends.is_set():
            status, tag, _ = await plane.policy(tag, wait=1)
            if status == 200:
                seen.append(int(tag.strip('"').partition("-")[0]))

    async with planes(database.address(), key, tmp_path, number=3) as made:
        ends = asyncio.Event()
        watching = [asyncio.create_task(watch(made[0], ends))]
        names = [f"app{n}" for n in range(24)]
        answers = await asyncio.gather(*(made[n % 3].put(name) for n, name in enumerate(names)))
        assert {status for status, _ in answers} == {200}
        last = max(answer["bundles"]["policy"]["serial"] for _, answer in answers)
        given = [answer["bundles"]["policy"]["serial"] for _, answer in answers]
        assert len(set(given)) == len(given), "a serial is given to one edition only"
        ends.set()
        await asyncio.gather(*watching)
        found = []
        for plane in made:
            for _ in range(100):
                found.append(await plane.policy())
                if int(found[-1][1].strip('"').partition("-")[0]) == last:
                    break
                found.pop()
                await asyncio.sleep(0.1)
        assert len(found) == 3
        assert len(set(found)) == 1
        assert applications(found[0][2], key, tmp_path) == set(names)
    assert seen == sorted(set(seen))


async def test_while_the_database_is_away_what_is_published_is_served_and_nothing_is_changed(database, key, tmp_path):
    async with planes(database.address(), key, tmp_path) as (one, other):
        assert (await one.put("first"))[0] == 200
        served = await other.policy(wait=30)
        database.stop()
        try:
            status, body = await one.put("second")
            assert (status, body["code"]) == (503, "AZ567")
            status, headers, _ = await other.ask("POST", "/v1/status", role="authorizer", json={"labels": {"id": "a"}})
            assert (status, headers["retry-after"]) == (503, "5")
            assert [await plane.policy() for plane in (one, other)] == [served, served]
            assert (await one.ask("GET", "/readyz"))[0] == 200
            text = (await one.ask("GET", "/metrics"))[2].decode()
            assert "authorizer_control_plane_database_up 0.0" in text
        finally:
            database.start()
        for _ in range(100):
            status, body = await one.put("second")
            if status == 200:
                break
            await asyncio.sleep(0.2)
        assert status == 200
        assert applications((await other.policy(served[1], wait=30))[2], key, tmp_path) == {"first", "second"}


def bundle(serial):
    return Published("policy", serial, f"r{serial}", "k", 1.0, b"data")


def test_a_turn_whose_connection_breaks_changes_nothing_and_ends(database):
    address = database.address()
    elsewhere = driver.PostgresDatabase(address)
    one, other = Store(driver.PostgresDatabase(address)), Store(elsewhere)
    turn = one.turn()
    held = turn.__enter__()
    held.publish({"policy": bundle(5)}, {"a.yaml": Document("a.yaml", b"", 0.0)})
    with elsewhere.reading() as link:
        link.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    with pytest.raises(ControlPlaneError, match="AZ580"):
        turn.__exit__(None, None, None)
    with other.turn() as turn:
        assert (turn.published(), turn.documents()) == ({}, ())
        turn.publish({"policy": bundle(3)}, {})
    assert one.serials() == {"policy": 3}
    one.close()
    with pytest.raises(ControlPlaneError, match="it is closed"):
        one.serials()
    other.close()


async def test_while_a_statement_hangs_nobody_queues_behind_it(database, key, tmp_path):
    address = database.address()
    stranger = driver.PostgresDatabase(address)
    async with planes(address, key, tmp_path, number=1) as (one,):
        assert (await one.put("first"))[0] == 200
        with stranger.writing() as link:
            link.execute("LOCK TABLE authorizer_statuses IN ACCESS EXCLUSIVE MODE")
            # One after the other, each for as long as a statement may take, they would need five minutes.
            asked = (
                one.ask("POST", "/v1/status", role="authorizer", json={"labels": {"id": f"a{n}"}}) for n in range(30)
            )
            async with asyncio.timeout(60):
                assert {status for status, _, _ in await asyncio.gather(*asked)} == {503}
                text = (await one.ask("GET", "/metrics"))[2].decode()
                assert "authorizer_control_plane_database_up 0.0" in text
        assert (await one.ask("POST", "/v1/status", role="authorizer", json={"labels": {"id": "a"}}))[0] == 200
    stranger.close()


def test_a_database_of_another_format_is_left_alone(database):
    address = database.address()
    first = driver.PostgresDatabase(address)
    with first.writing() as link:
        link.execute("UPDATE authorizer_format SET version = 99")
    first.close()
    with pytest.raises(ControlPlaneError, match="AZ582"):
        driver.PostgresDatabase(address)


def test_who_may_not_make_tables_uses_those_that_are_there(database):
    address = database.address()
    first = driver.PostgresDatabase(address)
    with first.writing() as link:
        link.execute(
            "CREATE ROLE plain LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO plain"
        )
    first.close()
    second = Store(driver.PostgresDatabase(address.replace("authorizer:", "plain:")))
    with second.turn() as turn:
        turn.publish({"policy": bundle(1)}, {})
    second.save_status("a", b"{}", 1.0)
    second.close()


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("no pair s3cret", "AZ590"),
        ("postgresql://u:s3cret@[", "AZ590"),
        ("postgresql://u:s3cret@db.example/x", "AZ590"),
        ("postgresql://u:s3cret@db.example/x?sslmode=require", "AZ590"),
        ("postgresql://u:s3cret@127.0.0.1,db.example/x?sslmode=prefer", "AZ590"),
        ("host=127.0.0.1 hostaddr=10.0.0.1 password=s3cret", "AZ590"),
        ("service=prod password=s3cret", "AZ590"),
        ("postgresql://u:s3cret@127.0.0.1:1/x", "AZ580"),
        ("postgresql://u:s3cret@127.0.0.1:1/x?sslmode=verify-full", "AZ580"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_not_shown(address, code):
    with pytest.raises(ControlPlaneError) as caught:
        driver.PostgresDatabase(address)
    assert caught.value.code == code
    assert "s3cret" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("content", "flags"),
    [
        ("postgresql:///x", []),
        ("postgresql:///x", ["--key", "k.pem"]),
        ("\n", ["--key", "k.pem", *[f"--{role}-token-file=t" for role in TOKENS]]),
    ],
)
def test_several_control_planes_need_one_key_and_one_set_of_credentials(content, flags, tmp_path, capsys):
    import argparse

    (tmp_path / "dsn").write_text(content)
    parser = argparse.ArgumentParser()
    verb.add_parser(parser.add_subparsers())
    args = parser.parse_args(["control-plane", "--database", str(tmp_path / "dsn"), *flags])
    with pytest.raises(SystemExit) as caught:
        verb._config(args, {})
    assert caught.value.code == 2
    assert "--database" in capsys.readouterr().err
