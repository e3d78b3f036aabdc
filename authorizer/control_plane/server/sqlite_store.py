"""One control plane's database: SQLite, which no other process may open meanwhile. See ``store``."""

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from authorizer.control_plane.server.store import MAX_AUTHORIZERS, RETENTION, Catalogue, Document, Published, Status
from authorizer.errors import ControlPlaneError

VERSION = 1
_SCHEMA = """
CREATE TABLE documents (name TEXT PRIMARY KEY, content BLOB NOT NULL, changed REAL NOT NULL);
CREATE TABLE bundles (
    kind TEXT PRIMARY KEY, serial INTEGER NOT NULL, revision TEXT NOT NULL, key_id TEXT NOT NULL,
    published REAL NOT NULL, data BLOB NOT NULL);
CREATE TABLE statuses (authorizer TEXT PRIMARY KEY, heard REAL NOT NULL, body BLOB NOT NULL);
CREATE TABLE catalogues (reporter TEXT PRIMARY KEY, heard REAL NOT NULL, apis BLOB NOT NULL);
"""


class SqliteStore:
    """The database in the file at ``path``."""

    shared = False

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        with _reported(path):
            path.touch(mode=0o600)
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=1)
        self._path = path
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the database; later calls fail."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def turn(self) -> Iterator["SqliteStore"]:
        """Hand out the turn: the database has no other user."""
        yield self

    def documents(self) -> tuple[Document, ...]:
        """Return all documents by name."""
        rows = self._rows("SELECT name, content, changed FROM documents ORDER BY name")
        return tuple(Document(*row) for row in rows)

    def published(self) -> dict[str, Published]:
        """Return the published bundles by kind."""
        rows = self._rows("SELECT kind, serial, revision, key_id, published, data FROM bundles")
        return {row[0]: Published(*row) for row in rows}

    def serials(self) -> dict[str, int]:
        """Return the serials of the published bundles by kind."""
        return {row[0]: row[1] for row in self._rows("SELECT kind, serial FROM bundles")}

    def publish(self, bundles: Mapping[str, Published], changes: Mapping[str, Document | None]) -> None:
        """Replace bundles and documents (None deletes one), all or nothing.

        INVARIANT: a serial never falls, whatever the caller computed: an authorizer would refuse the bundle for ever.
        """
        with self._transaction() as database:
            for bundle in bundles.values():
                written = database.execute(
                    "INSERT INTO bundles (kind, serial, revision, key_id, published, data) VALUES (?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT (kind) DO UPDATE SET serial = excluded.serial, revision = excluded.revision,"
                    " key_id = excluded.key_id, published = excluded.published, data = excluded.data"
                    " WHERE excluded.serial > bundles.serial",
                    (bundle.kind, bundle.serial, bundle.revision, bundle.key_id, bundle.published, bundle.data),
                )
                if written.rowcount != 1:
                    raise ControlPlaneError("AZ581", f"the serial of the {bundle.kind} bundle would not rise")
            for name, document in changes.items():
                if document is None:
                    database.execute("DELETE FROM documents WHERE name = ?", (name,))
                else:
                    database.execute(
                        "INSERT OR REPLACE INTO documents (name, content, changed) VALUES (?, ?, ?)",
                        (document.name, document.content, document.changed),
                    )

    def save_status(self, authorizer: str, body: bytes, now: float) -> None:
        """Replace what an authorizer says of itself; what it found stays as fresh as it is."""
        with self._transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO statuses (authorizer, heard, body) VALUES (?, ?, ?)", (authorizer, now, body)
            )
            database.execute("UPDATE catalogues SET heard = ? WHERE reporter = ?", (now, authorizer))
            _forget(database, now)

    def save_catalogue(self, reporter: str, apis: bytes, now: float) -> None:
        """Replace what a reporter found."""
        with self._transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO catalogues (reporter, heard, apis) VALUES (?, ?, ?)", (reporter, now, apis)
            )
            _forget(database, now)

    def statuses(self, now: float) -> tuple[Status, ...]:
        """Return what the authorizers say that were heard within RETENTION, by name."""
        rows = self._rows(
            "SELECT authorizer, heard, body FROM statuses WHERE heard > ? ORDER BY authorizer", (now - RETENTION,)
        )
        return tuple(Status(*row) for row in rows)

    def authorizers(self, now: float) -> int:
        """Return how many authorizers were heard within RETENTION."""
        (row,) = self._rows("SELECT count(*) FROM statuses WHERE heard > ?", (now - RETENTION,))
        return int(row[0])

    def catalogues(self, now: float) -> tuple[Catalogue, ...]:
        """Return what was found by authorizers that were heard within RETENTION, and what came without a name."""
        rows = self._rows(
            "SELECT reporter, heard, apis FROM catalogues WHERE heard > ? OR reporter = '' ORDER BY reporter",
            (now - RETENTION,),
        )
        return tuple(Catalogue(*row) for row in rows)

    def _prepare(self) -> None:
        with self._lock, _reported(self._path):
            # Two processes on one database would give out the same serials: the second one must not get in.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            # A published serial must outlive a power cut, so the log is synced at each commit.
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
        with self._transaction() as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _SCHEMA.strip().rstrip(";").split(";\n"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise ControlPlaneError(
                    "AZ582",
                    f"{self._path} has format {version}, this program knows {VERSION}",
                    hint="run the program that wrote it, or give another state directory",
                )

    def _rows(self, query: str, values: tuple[float, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock, _reported(self._path):
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _reported(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _forget(database: sqlite3.Connection, now: float) -> None:
    """Forget the silent, and of too many the oldest."""
    database.execute("DELETE FROM statuses WHERE heard <= ?", (now - RETENTION,))
    database.execute("DELETE FROM catalogues WHERE heard <= ? AND reporter <> ''", (now - RETENTION,))
    room = (MAX_AUTHORIZERS,)
    database.execute(
        "DELETE FROM statuses WHERE rowid IN (SELECT rowid FROM statuses ORDER BY heard DESC LIMIT -1 OFFSET ?)", room
    )
    database.execute(
        "DELETE FROM catalogues WHERE rowid IN (SELECT rowid FROM catalogues ORDER BY heard DESC LIMIT -1 OFFSET ?)",
        room,
    )


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as problem:
        raise ControlPlaneError(
            "AZ580",
            f"{path}: the database failed: {problem}",
            hint="check the state directory: owner, space, another running control plane",
        ) from problem
