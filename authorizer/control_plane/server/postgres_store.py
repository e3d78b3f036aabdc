"""The database of several control planes: PostgreSQL 13 or later. See ``store``.

Who publishes holds an advisory lock within one transaction, from reading the documents to the last word: if its
connection breaks, nothing of it counts, and the next one's turn begins. So there is one signer at a time.
"""

import ipaddress
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, LiteralString, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from authorizer.control_plane.server.store import MAX_AUTHORIZERS, RETENTION, Catalogue, Document, Published, Status
from authorizer.errors import ControlPlaneError

VERSION = 1

_TURN = 0x6175_7468_7A70_6C61  # the bytes "authzpla": one number for all control planes on a database
_CONNECT_SECONDS = 5
_RETRY_SECONDS = 1.0
_LIMITS = (
    "SET statement_timeout = '10s'",
    "SET lock_timeout = '10s'",
    "SET idle_in_transaction_session_timeout = '2min'",
    "SET synchronous_commit = on",  # a published serial must outlive a power cut
)
_SCHEMA: LiteralString = """
CREATE TABLE authorizer_format (version BIGINT NOT NULL);
CREATE TABLE authorizer_documents (
    name TEXT PRIMARY KEY, content BYTEA NOT NULL, changed DOUBLE PRECISION NOT NULL);
CREATE TABLE authorizer_bundles (
    kind TEXT PRIMARY KEY, serial BIGINT NOT NULL, revision TEXT NOT NULL, key_id TEXT NOT NULL,
    published DOUBLE PRECISION NOT NULL, data BYTEA NOT NULL);
CREATE TABLE authorizer_statuses (
    authorizer TEXT PRIMARY KEY, heard DOUBLE PRECISION NOT NULL, body BYTEA NOT NULL);
CREATE TABLE authorizer_catalogues (
    reporter TEXT PRIMARY KEY, heard DOUBLE PRECISION NOT NULL, apis BYTEA NOT NULL);
"""
_VERIFIED = frozenset({"verify-ca", "verify-full"})

_Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"


class _Turn:
    """Documents and bundles within one transaction that holds the lock."""

    def __init__(self, database: _Connection) -> None:
        self._database = database

    def documents(self) -> tuple[Document, ...]:
        with _reported():
            return _documents(self._database)

    def published(self) -> dict[str, Published]:
        with _reported():
            return _published(self._database)

    def publish(self, bundles: Mapping[str, Published], changes: Mapping[str, Document | None]) -> None:
        with _reported():
            for bundle in bundles.values():
                written = self._database.execute(
                    "INSERT INTO authorizer_bundles (kind, serial, revision, key_id, published, data)"
                    " VALUES (%s, %s, %s, %s, %s, %s)"
                    " ON CONFLICT (kind) DO UPDATE SET serial = excluded.serial, revision = excluded.revision,"
                    " key_id = excluded.key_id, published = excluded.published, data = excluded.data"
                    " WHERE excluded.serial > authorizer_bundles.serial",
                    (bundle.kind, bundle.serial, bundle.revision, bundle.key_id, bundle.published, bundle.data),
                )
                if written.rowcount != 1:
                    raise ControlPlaneError("AZ581", f"the serial of the {bundle.kind} bundle would not rise")
            for name, document in changes.items():
                self._database.execute("DELETE FROM authorizer_documents WHERE name = %s", (name,))
                if document is not None:
                    self._database.execute(
                        "INSERT INTO authorizer_documents (name, content, changed) VALUES (%s, %s, %s)",
                        (document.name, document.content, document.changed),
                    )


class _Link:
    """One connection, made anew after it broke; one caller at a time."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._lock = threading.Lock()
        self._database: _Connection | None = None
        self._failed = -_RETRY_SECONDS
        self._closed = False

    @contextmanager
    def held(self) -> Iterator[_Connection]:
        with self._lock:
            database = self._open()
            try:
                yield database
            finally:
                if database.broken:
                    self._database = None

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._database is not None:
                self._database.close()

    def _open(self) -> _Connection:
        if self._closed:
            raise _failure("it is closed")
        if self._database is None or self._database.closed:
            # While the database is away, nobody waits for it longer than needed to find that out once a second.
            if time.monotonic() - self._failed < _RETRY_SECONDS:
                raise _failure("it did not answer a moment ago")
            try:
                with _reported():
                    self._database = psycopg.connect(self._conninfo, autocommit=True, prepare_threshold=None)
                    for setting in _LIMITS:
                        self._database.execute(setting)
            except ControlPlaneError:
                self._failed = time.monotonic()
                self._database = None
                raise
        return self._database


class PostgresStore:
    """The database that ``address`` names: a URI or ``key=value`` pairs of libpq.

    Raises ControlPlaneError: AZ590 for an address that is none or leads over a network without verified TLS, AZ580
    for a database that does not answer, AZ582 for one of another format.
    """

    shared = True

    def __init__(self, address: str) -> None:
        conninfo = _checked(address)
        self._writing = _Link(conninfo)
        self._reporting = _Link(conninfo)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections; later calls fail."""
        self._writing.close()
        self._reporting.close()

    @contextmanager
    def turn(self) -> Iterator[_Turn]:
        """Take the turn among all control planes: one transaction with the lock. Waits at most 10 seconds."""
        with self._writing.held() as database, _reported(), database.transaction():
            database.execute("SELECT pg_advisory_xact_lock(%s)", (_TURN,))
            yield _Turn(database)

    def documents(self) -> tuple[Document, ...]:
        """Return all documents by name."""
        with self._reporting.held() as database, _reported():
            return _documents(database)

    def published(self) -> dict[str, Published]:
        """Return the published bundles by kind."""
        with self._reporting.held() as database, _reported():
            return _published(database)

    def serials(self) -> dict[str, int]:
        """Return the serials of the published bundles by kind."""
        with self._reporting.held() as database, _reported():
            return dict(database.execute("SELECT kind, serial FROM authorizer_bundles").fetchall())

    def save_status(self, authorizer: str, body: bytes, now: float) -> None:
        """Replace what an authorizer says of itself; what it found stays as fresh as it is."""
        with self._reporting.held() as database, _reported(), database.transaction():
            database.execute(
                "INSERT INTO authorizer_statuses (authorizer, heard, body) VALUES (%s, %s, %s)"
                " ON CONFLICT (authorizer) DO UPDATE SET heard = excluded.heard, body = excluded.body",
                (authorizer, now, body),
            )
            database.execute("UPDATE authorizer_catalogues SET heard = %s WHERE reporter = %s", (now, authorizer))
            _forget(database, now)

    def save_catalogue(self, reporter: str, apis: bytes, now: float) -> None:
        """Replace what a reporter found."""
        with self._reporting.held() as database, _reported(), database.transaction():
            database.execute(
                "INSERT INTO authorizer_catalogues (reporter, heard, apis) VALUES (%s, %s, %s)"
                " ON CONFLICT (reporter) DO UPDATE SET heard = excluded.heard, apis = excluded.apis",
                (reporter, now, apis),
            )
            _forget(database, now)

    def statuses(self, now: float) -> tuple[Status, ...]:
        """Return what the authorizers say that were heard within RETENTION, by name."""
        query: LiteralString = (
            'SELECT authorizer, heard, body FROM authorizer_statuses WHERE heard > %s ORDER BY authorizer COLLATE "C"'
        )
        with self._reporting.held() as database, _reported():
            return tuple(Status(*row) for row in database.execute(query, (now - RETENTION,)).fetchall())

    def authorizers(self, now: float) -> int:
        """Return how many authorizers were heard within RETENTION."""
        query: LiteralString = "SELECT count(*) FROM authorizer_statuses WHERE heard > %s"
        with self._reporting.held() as database, _reported():
            return sum(row[0] for row in database.execute(query, (now - RETENTION,)).fetchall())

    def catalogues(self, now: float) -> tuple[Catalogue, ...]:
        """Return what was found by authorizers that were heard within RETENTION, and what came without a name."""
        query: LiteralString = (
            "SELECT reporter, heard, apis FROM authorizer_catalogues WHERE heard > %s OR reporter = ''"
            ' ORDER BY reporter COLLATE "C"'
        )
        with self._reporting.held() as database, _reported():
            return tuple(Catalogue(*row) for row in database.execute(query, (now - RETENTION,)).fetchall())

    def _prepare(self) -> None:
        with self._writing.held() as database, _reported(), database.transaction():
            database.execute("SELECT pg_advisory_xact_lock(%s)", (_TURN,))
            # Who may not make tables may use those that somebody made.
            if database.execute("SELECT to_regclass('authorizer_format')").fetchone() == (None,):
                database.execute(_SCHEMA)
            versions = [row[0] for row in database.execute("SELECT version FROM authorizer_format").fetchall()]
            if not versions:
                database.execute("INSERT INTO authorizer_format (version) VALUES (%s)", (VERSION,))
            elif versions != [VERSION]:
                raise ControlPlaneError(
                    "AZ582",
                    f"the database has format {versions[0]}, this program knows {VERSION}",
                    hint="run the program that wrote it, or give another database",
                )


def _documents(database: _Connection) -> tuple[Document, ...]:
    query: LiteralString = 'SELECT name, content, changed FROM authorizer_documents ORDER BY name COLLATE "C"'
    return tuple(Document(*row) for row in database.execute(query).fetchall())


def _published(database: _Connection) -> dict[str, Published]:
    query: LiteralString = "SELECT kind, serial, revision, key_id, published, data FROM authorizer_bundles"
    return {row[0]: Published(*row) for row in database.execute(query).fetchall()}


def _forget(database: _Connection, now: float) -> None:
    """Forget the silent, and of too many the oldest."""
    database.execute("DELETE FROM authorizer_statuses WHERE heard <= %s", (now - RETENTION,))
    database.execute("DELETE FROM authorizer_catalogues WHERE heard <= %s AND reporter <> ''", (now - RETENTION,))
    room = (MAX_AUTHORIZERS,)
    database.execute(
        "DELETE FROM authorizer_statuses WHERE authorizer IN"
        " (SELECT authorizer FROM authorizer_statuses ORDER BY heard DESC OFFSET %s)",
        room,
    )
    database.execute(
        "DELETE FROM authorizer_catalogues WHERE reporter IN"
        " (SELECT reporter FROM authorizer_catalogues ORDER BY heard DESC OFFSET %s)",
        room,
    )


def _checked(address: str) -> str:
    """Return the address with what bounds a connection in time. No error shows any of it: it may hold a password."""
    hint = "write postgresql://USER@HOST/NAME?sslmode=verify-full&sslrootcert=FILE"
    try:
        said = conninfo_to_dict(address)
    except psycopg.Error:
        raise ControlPlaneError("AZ590", "the address of the database is none", hint=hint) from None
    hosts = [one for name in ("host", "hostaddr") for one in str(said.get(name) or "").split(",") if one]
    verified = (said.get("sslmode") or os.environ.get("PGSSLMODE")) in _VERIFIED
    # What is in the database is signed as it stands there, so whoever could change it on the way could write policies.
    if "hostaddr" not in said:
        hosts += [one for one in os.environ.get("PGHOSTADDR", "").split(",") if one]
    # A service of libpq is said in a file that is not seen here: its host could be any.
    elsewhere = said.get("service") or os.environ.get("PGSERVICE")
    near = not elsewhere and all(map(_is_near, hosts or os.environ.get("PGHOST", "").split(",")))
    if not verified and not near:
        raise ControlPlaneError("AZ590", "the database is reached without verified TLS", hint=hint)
    return str(
        make_conninfo(
            address,
            application_name="authorizer",
            client_encoding="UTF8",
            connect_timeout=_CONNECT_SECONDS,
            tcp_user_timeout=10_000,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=2,
        )
    )


def _is_near(host: str) -> bool:
    """Tell whether a host is this one: a directory of sockets, none, or a loopback address."""
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        # Of the error its class and its code only: texts of PostgreSQL may quote what was sent.
        raise _failure(f"{type(error).__name__} {error.sqlstate or ''}".rstrip()) from None


def _failure(why: str) -> ControlPlaneError:
    return ControlPlaneError("AZ580", f"the database failed: {why}", hint="what is published stays in force")
