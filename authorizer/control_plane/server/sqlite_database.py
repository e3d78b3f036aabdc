"""One control plane's database: SQLite, which no other process may open meanwhile. See ``store``."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


class SqliteDatabase:
    """The database in the file at ``path``."""

    shared = False

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        with _reported(path):
            path.touch(mode=0o600)
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=1)
        self._asked = _Asked(self._connection)
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
    def turn(self) -> Iterator["SqliteDatabase"]:
        """Hand out the turn: the database has no other user."""
        yield self

    @contextmanager
    def reading(self) -> Iterator["_Asked"]:
        """Hold it, each statement for itself."""
        with self._lock, _reported(self._path):
            yield self._asked

    @contextmanager
    def writing(self) -> Iterator["_Asked"]:
        """Hold it for one transaction."""
        with self.reading() as asked:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield asked
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _prepare(self) -> None:
        with self._lock, _reported(self._path):
            # Two processes on one database would give out the same serials: the second one must not get in.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            # A published serial must outlive a power cut, so the log is synced at each commit.
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
        with self.writing():
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _SCHEMA.strip().rstrip(";").split(";\n"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise ControlPlaneError(
                    "AZ582",
                    f"{self._path} has format {version}, this program knows {VERSION}",
                    hint="run the program that wrote it, or give another state directory",
                )


class _Asked:
    """What ``store`` asks, spelled for SQLite: its tables have short names, and it orders names by their octets."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> sqlite3.Cursor:
        spelled = statement.replace("%s", "?").replace("authorizer_", "").replace(' COLLATE "C"', "")
        return self._connection.execute(spelled, values)


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
