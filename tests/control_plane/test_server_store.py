import sqlite3
import stat
import threading

import pytest

from authorizer.control_plane.server import store as server_store
from authorizer.control_plane.server.sqlite_database import SqliteDatabase
from authorizer.control_plane.server.store import RETENTION, Document, Published, Store
from authorizer.errors import ControlPlaneError


def bundle(serial: int, kind: str = "policy") -> Published:
    return Published(kind, serial, f"r{serial}", "k", 1.0, b"data")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.interop)])
def store(request, tmp_path):
    if request.param == "postgres":
        pytest.importorskip("psycopg")
        from authorizer.control_plane.server.postgres_database import PostgresDatabase

        opened = Store(PostgresDatabase(request.getfixturevalue("database").address()))
    else:
        opened = Store(SqliteDatabase(tmp_path / "db.sqlite"))
    yield opened
    opened.close()


@pytest.fixture
def sqlite(tmp_path):
    opened = Store(SqliteDatabase(tmp_path / "db.sqlite"))
    yield opened
    opened.close()


def publish(store: Store, bundles, changes) -> None:
    with store.turn() as turn:
        turn.publish(bundles, changes)


def test_all_is_there_after_a_restart(tmp_path) -> None:
    first = Store(SqliteDatabase(tmp_path / "db.sqlite"))
    publish(first, {"policy": bundle(5)}, {"a.yaml": Document("a.yaml", b"x: 1", 2.0)})
    first.save_status("one", b"{}", 3.0)
    first.save_catalogue("one", b"[]", 3.0)
    first.close()
    second = Store(SqliteDatabase(tmp_path / "db.sqlite"))
    assert second.published() == {"policy": bundle(5)}
    assert second.documents() == (Document("a.yaml", b"x: 1", 2.0),)
    assert [status.authorizer for status in second.statuses(4.0)] == ["one"]
    assert [found.apis for found in second.catalogues(4.0)] == [b"[]"]
    second.close()


@pytest.mark.parametrize("serial", [4, 5])
def test_a_serial_that_does_not_rise_changes_nothing(store: Store, serial: int) -> None:
    publish(store, {"policy": bundle(5)}, {})
    with pytest.raises(ControlPlaneError, match="AZ581"):
        publish(store, {"facts": bundle(9, "facts"), "policy": bundle(serial)}, {"a.yaml": Document("a.yaml", b"", 0)})
    assert store.published() == {"policy": bundle(5)}
    assert store.documents() == ()


def test_a_document_is_replaced_and_deleted(store: Store) -> None:
    publish(store, {}, {"a.yaml": Document("a.yaml", b"1", 1.0)})
    publish(store, {}, {"a.yaml": Document("a.yaml", b"2", 2.0)})
    assert store.documents() == (Document("a.yaml", b"2", 2.0),)
    publish(store, {}, {"a.yaml": None, "never.yaml": None})
    assert store.documents() == ()


def test_the_silent_are_forgotten_but_not_what_came_without_a_name(store: Store) -> None:
    store.save_catalogue("", b"[1]", 0.0)
    store.save_catalogue("gone", b"[2]", 0.0)
    store.save_catalogue("alive", b"[3]", 0.0)
    store.save_status("gone", b"{}", 0.0)
    store.save_status("alive", b"{}", RETENTION - 1)
    assert [found.reporter for found in store.catalogues(RETENTION + 1)] == ["", "alive"]
    assert [status.authorizer for status in store.statuses(RETENTION + 1)] == ["alive"]


def test_too_many_authorizers_push_out_the_oldest(store: Store, monkeypatch) -> None:
    monkeypatch.setattr(server_store, "MAX_AUTHORIZERS", 3)
    for number in range(6):
        store.save_status(f"a{number}", b"{}", float(number))
        store.save_catalogue(f"a{number}", b"[]", float(number))
    assert [status.authorizer for status in store.statuses(6.0)] == ["a3", "a4", "a5"]
    assert [found.reporter for found in store.catalogues(6.0)] == ["a3", "a4", "a5"]


def test_threads_take_turns(store: Store) -> None:
    failures = []

    def work(name: str) -> None:
        try:
            for number in range(20):
                store.save_status(name, str(number).encode(), 1.0)
        except ControlPlaneError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert {status.body for status in store.statuses(1.0)} == {b"19"}


def test_a_database_of_another_format_is_left_alone(tmp_path) -> None:
    Store(SqliteDatabase(tmp_path / "db.sqlite")).close()
    with sqlite3.connect(tmp_path / "db.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ControlPlaneError, match="AZ582"):
        Store(SqliteDatabase(tmp_path / "db.sqlite"))


@pytest.mark.parametrize("damage", ["text", "folder"])
def test_what_is_no_database_is_refused(tmp_path, damage: str) -> None:
    path = tmp_path / "db.sqlite"
    path.mkdir() if damage == "folder" else path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(ControlPlaneError, match="AZ580"):
        SqliteDatabase(path)


def test_a_second_server_on_the_same_state_is_kept_out(sqlite: Store, tmp_path) -> None:
    with pytest.raises(ControlPlaneError, match="AZ580"):
        Store(SqliteDatabase(tmp_path / "db.sqlite"))
    sqlite.save_status("one", b"{}", 1.0)


def test_the_database_is_its_owners_alone(sqlite: Store, tmp_path) -> None:
    sqlite.save_status("one", b"{}", 1.0)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_closed_store_says_so(tmp_path) -> None:
    closed = Store(SqliteDatabase(tmp_path / "db.sqlite"))
    closed.close()
    with pytest.raises(ControlPlaneError, match="AZ580"):
        closed.documents()
