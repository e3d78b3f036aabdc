"""What the control plane must not forget: documents, published bundles, reports; and what a place to keep it can do."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct

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


class Turn(Protocol):
    """What documents and bundles are while nobody else may change them."""

    def documents(self) -> tuple[Document, ...]:
        """Return all documents by name."""

    def published(self) -> dict[str, Published]:
        """Return the published bundles by kind."""

    def publish(self, bundles: Mapping[str, Published], changes: Mapping[str, Document | None]) -> None:
        """Replace bundles and documents (None deletes one), all or nothing.

        INVARIANT: a serial never falls, whatever the caller computed: an authorizer would refuse the bundle for ever.
        Raises ControlPlaneError AZ581 for one that would not rise.
        """


class Store(Protocol):
    """Every method blocks: call it from a worker thread. Calls from several threads take turns.

    Raises ControlPlaneError AZ580 when the database cannot be opened, read or written. ``shared``: other control planes
    may publish into it too.
    """

    shared: bool

    def close(self) -> None:
        """Close the database; later calls fail."""

    def turn(self) -> AbstractContextManager[Turn]:
        """Take the turn to publish. What was published in it counts once the context has ended without an error."""

    def documents(self) -> tuple[Document, ...]:
        """Return all documents by name."""

    def published(self) -> dict[str, Published]:
        """Return the published bundles by kind."""

    def serials(self) -> dict[str, int]:
        """Return the serials of the published bundles by kind."""

    def save_status(self, authorizer: str, body: bytes, now: float) -> None:
        """Replace what an authorizer says of itself; what it found stays as fresh as it is."""

    def save_catalogue(self, reporter: str, apis: bytes, now: float) -> None:
        """Replace what a reporter found."""

    def statuses(self, now: float) -> tuple[Status, ...]:
        """Return what the authorizers say that were heard within RETENTION, by name."""

    def authorizers(self, now: float) -> int:
        """Return how many authorizers were heard within RETENTION."""

    def catalogues(self, now: float) -> tuple[Catalogue, ...]:
        """Return what was found by authorizers that were heard within RETENTION, and what came without a name."""
