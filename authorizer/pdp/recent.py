"""A bounded memory of what was found out lately. It belongs to one snapshot and dies with it."""

from typing import Generic, TypeVar

Key = TypeVar("Key")
Found = TypeVar("Found")


class Recent(Generic[Key, Found]):
    """Remembers at most ``most`` things.

    Two generations: when the young one is full it becomes the old one, and the old one is dropped. So what is in use
    stays, and no step ever costs more than one entry. Not thread-safe.
    """

    __slots__ = ("_limit", "_old", "_young")

    def __init__(self, most: int) -> None:
        self._limit = max(most // 2, 1)
        self._young: dict[Key, Found] = {}
        self._old: dict[Key, Found] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def find(self, key: Key) -> Found | None:
        """Return what is remembered under ``key``."""
        found = self._young.get(key)
        if found is None:
            found = self._old.pop(key, None)
            if found is not None:
                self.keep(key, found)
        return found

    def keep(self, key: Key, found: Found) -> None:
        """Remember something."""
        if len(self._young) >= self._limit:
            self._old, self._young = self._young, {}
        self._young[key] = found
