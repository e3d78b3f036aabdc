"""The database of several control planes: PostgreSQL 13 or later. See ``store``.

Who publishes holds an advisory lock within one transaction, from reading the documents to the last word: if its
connection breaks, nothing of it counts, and the next one's turn begins. So there is one signer at a time.
"""

import ipaddress
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from authorizer.errors import ControlPlaneError

VERSION = 1

_TURN = 0x6175_7468_7A70_6C61  # the bytes "authzpla": one number for all control planes on a database
_CONNECT_SECONDS = 5
_RETRY_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0
"""How long others wait for a connection that one holds: where a statement hangs, those behind it would add up."""
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
    """The one transaction that holds the lock."""

    def __init__(self, database: _Connection) -> None:
        self._database = database

    @contextmanager
    def reading(self) -> Iterator[_Connection]:
        with _reported():
            yield self._database

    writing = reading


class _Link:
    """One connection, made anew after it broke; one caller at a time."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._lock = threading.Lock()
        self._database: _Connection | None = None
        self._failed = -_RETRY_SECONDS
        self._since = 0.0
        self._closed = False

    @contextmanager
    def held(self) -> Iterator[_Connection]:
        left = self._since + _PATIENCE_SECONDS - time.monotonic()
        if not self._lock.acquire(timeout=max(left, 0.0)):
            raise _failure("it has not answered somebody else yet")
        try:
            self._since = time.monotonic()
            database = self._open()
            try:
                yield database
            finally:
                if database.broken:
                    self._database = None
        finally:
            self._lock.release()

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


class PostgresDatabase:
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

    @contextmanager
    def reading(self) -> Iterator[_Connection]:
        """Hold the connection that is not for turns, each statement for itself."""
        with self._reporting.held() as database, _reported():
            yield database

    @contextmanager
    def writing(self) -> Iterator[_Connection]:
        """Hold it for one transaction."""
        with self.reading() as database, database.transaction():
            yield database

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
