"""What was decided before, of the same caller about the same things, where the moment has no say in it.

Only what cannot differ is answered from here: ``Program.depends`` tells which fields a decision about a route hangs on,
besides the caller and the snapshot, and for which routes it hangs on the moment as well.
"""

from collections.abc import Mapping

from authorizer.model import Decision, Identity
from authorizer.policy.pbac import Route

MOST = 8192
LONGEST = 128
"""Characters of one value; what hangs on longer ones is decided each time."""

Key = tuple[int, int, tuple[object, ...]]


class Answers:
    """The remembered decisions of one snapshot. They have no id: each use of one is a decision of its own.

    Two generations: when the young one is full it becomes the old one, and the old one is dropped. An entry holds its
    identity, so that the number by which it is found cannot become another's. Not thread-safe.
    """

    __slots__ = ("_limit", "_old", "_young")

    def __init__(self, most: int = MOST) -> None:
        self._limit = max(most // 2, 1)
        self._young: dict[Key, tuple[Identity, Decision]] = {}
        self._old: dict[Key, tuple[Identity, Decision]] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def find(self, key: Key) -> Decision | None:
        """Return what was decided."""
        kept = self._young.get(key)
        if kept is None:
            kept = self._old.pop(key, None)
            if kept is None:
                return None
            self._keep(key, kept)
        return kept[1]

    def keep(self, key: Key, identity: Identity, decision: Decision) -> None:
        """Remember a decision without its id. ``identity`` is the one of the key."""
        for value in key[2]:
            if value is not None and not (isinstance(value, str) and len(value) <= LONGEST):
                return
        self._keep(key, (identity, decision))

    def _keep(self, key: Key, kept: tuple[Identity, Decision]) -> None:
        if len(self._young) >= self._limit:
            self._old, self._young = self._young, {}
        self._young[key] = kept


def key_of(identity: Identity, route: Route, fields: tuple[str, ...], resource: Mapping[str, object]) -> Key:
    """Return by what a decision is found: who asks, which route, and the values of the fields that it hangs on."""
    return id(identity), route.index, tuple(map(resource.get, fields))
