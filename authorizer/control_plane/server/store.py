"""What the control plane must not forget: documents, published bundles, reports; and what databases are asked for it.

The statements are PostgreSQL's; ``sqlite_database`` spells them for SQLite.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, LiteralString, Protocol

from msgspec import Struct

from authorizer.errors import ControlPlaneError

RETENTION = 86_400.0
"""Seconds for which an authorizer that has fallen silent is remembered."""

MAX_AUTHORIZERS = 10_000


class Document(Struct, frozen=True):
    """A document that came by the API. ``changed`` is POSIX seconds."""

    name: str
    content: bytes
    changed: float


class Published(Struct, frozen=True):
    """A signed bundle as it is served. ``key_id`` names the key that signed it; ``published`` is POSIX seconds."""

    kind: str
    serial: int
    revision: str
    key_id: str
    published: float
    data: bytes


class Status(Struct, frozen=True):
    """What an authorizer said of itself last, as JSON. ``heard`` is POSIX seconds."""

    authorizer: str
    heard: float
    body: bytes


class Catalogue(Struct, frozen=True):
    """The APIs that ``reporter`` found last, as JSON; who does not say its name is "". ``heard`` is POSIX seconds."""

    reporter: str
    heard: float
    apis: bytes


class Rows(Protocol):
    """What came of a statement."""

    @property
    def rowcount(self) -> int:
        """Return how many rows it changed."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows that it found."""


class Asked(Protocol):
    """A database that is held: nobody else's statements come between."""

    def execute(self, statement: LiteralString, values: Sequence[object] = (), /) -> Rows:
        """Run a statement with its values."""


class Access(Protocol):
    """How a database is held. Raises ControlPlaneError AZ580 when it cannot be read or written."""

    def reading(self) -> AbstractContextManager[Asked]:
        """Hold it, each statement for itself."""

    def writing(self) -> AbstractContextManager[Asked]:
        """Hold it for one transaction, which counts once the context has ended without an error."""


class Database(Access, Protocol):
    """``shared``: other control planes may publish into it too."""

    shared: bool

    def close(self) -> None:
        """Close it; later calls fail."""

    def turn(self) -> AbstractContextManager[Access]:
        """Take the turn to publish."""


class Turn:
    """What documents and bundles are while nobody else may change them."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def documents(self) -> tuple[Document, ...]:
        """Return all documents by name."""
        with self._access.reading() as database:
            found = database.execute(
                'SELECT name, content, changed FROM authorizer_documents ORDER BY name COLLATE "C"'
            ).fetchall()
        return tuple(Document(*row) for row in found)

    def published(self) -> dict[str, Published]:
        """Return the published bundles by kind."""
        with self._access.reading() as database:
            found = database.execute(
                "SELECT kind, serial, revision, key_id, published, data FROM authorizer_bundles"
            ).fetchall()
        return {row[0]: Published(*row) for row in found}

    def publish(self, bundles: Mapping[str, Published], changes: Mapping[str, Document | None]) -> None:
        """Replace bundles and documents (None deletes one), all or nothing.

        INVARIANT: a serial never falls, whatever the caller computed: an authorizer would refuse the bundle for ever.
        Raises ControlPlaneError AZ581 for one that would not rise.
        """
        with self._access.writing() as database:
            for bundle in bundles.values():
                written = database.execute(
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
                database.execute("DELETE FROM authorizer_documents WHERE name = %s", (name,))
                if document is not None:
                    database.execute(
                        "INSERT INTO authorizer_documents (name, content, changed) VALUES (%s, %s, %s)",
                        (document.name, document.content, document.changed),
                    )


class Store(Turn):
    """The memory of a control plane in a database.

    Every method blocks: call it from a worker thread. Calls from several threads take turns. Raises ControlPlaneError
    AZ580 when the database cannot be opened, read or written.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._database = database
        self.shared = database.shared

    def close(self) -> None:
        """Close the database; later calls fail."""
        self._database.close()

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Take the turn to publish. What was published in it counts once the context has ended without an error."""
        with self._database.turn() as access:
            yield Turn(access)

    def serials(self) -> dict[str, int]:
        """Return the serials of the published bundles by kind."""
        return dict(self._rows("SELECT kind, serial FROM authorizer_bundles"))

    def save_status(self, authorizer: str, body: bytes, now: float) -> None:
        """Replace what an authorizer says of itself; what it found stays as fresh as it is."""
        with self._database.writing() as database:
            database.execute(
                "INSERT INTO authorizer_statuses (authorizer, heard, body) VALUES (%s, %s, %s)"
                " ON CONFLICT (authorizer) DO UPDATE SET heard = excluded.heard, body = excluded.body",
                (authorizer, now, body),
            )
            database.execute("UPDATE authorizer_catalogues SET heard = %s WHERE reporter = %s", (now, authorizer))
            _forget(database, now)

    def save_catalogue(self, reporter: str, apis: bytes, now: float) -> None:
        """Replace what a reporter found."""
        with self._database.writing() as database:
            database.execute(
                "INSERT INTO authorizer_catalogues (reporter, heard, apis) VALUES (%s, %s, %s)"
                " ON CONFLICT (reporter) DO UPDATE SET heard = excluded.heard, apis = excluded.apis",
                (reporter, now, apis),
            )
            _forget(database, now)

    def statuses(self, now: float) -> tuple[Status, ...]:
        """Return what the authorizers say that were heard within RETENTION, by name."""
        found = self._rows(
            'SELECT authorizer, heard, body FROM authorizer_statuses WHERE heard > %s ORDER BY authorizer COLLATE "C"',
            (now - RETENTION,),
        )
        return tuple(Status(*row) for row in found)

    def authorizers(self, now: float) -> int:
        """Return how many authorizers were heard within RETENTION."""
        ((count,),) = self._rows("SELECT count(*) FROM authorizer_statuses WHERE heard > %s", (now - RETENTION,))
        return int(count)

    def catalogues(self, now: float) -> tuple[Catalogue, ...]:
        """Return what was found by authorizers that were heard within RETENTION, and what came without a name."""
        found = self._rows(
            "SELECT reporter, heard, apis FROM authorizer_catalogues WHERE heard > %s OR reporter = ''"
            ' ORDER BY reporter COLLATE "C"',
            (now - RETENTION,),
        )
        return tuple(Catalogue(*row) for row in found)

    def _rows(self, statement: LiteralString, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._database.reading() as database:
            return database.execute(statement, values).fetchall()


def _forget(database: Asked, now: float) -> None:
    """Forget the silent, and of too many the oldest."""
    database.execute("DELETE FROM authorizer_statuses WHERE heard <= %s", (now - RETENTION,))
    database.execute("DELETE FROM authorizer_catalogues WHERE heard <= %s AND reporter <> ''", (now - RETENTION,))
    room = (MAX_AUTHORIZERS, MAX_AUTHORIZERS)  # each report adds one at the most
    database.execute(
        "DELETE FROM authorizer_statuses WHERE authorizer IN"
        " (SELECT authorizer FROM authorizer_statuses ORDER BY heard DESC LIMIT %s OFFSET %s)",
        room,
    )
    database.execute(
        "DELETE FROM authorizer_catalogues WHERE reporter IN"
        " (SELECT reporter FROM authorizer_catalogues ORDER BY heard DESC LIMIT %s OFFSET %s)",
        room,
    )
