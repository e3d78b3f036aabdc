"""What is remembered of credentials that were good: whose they are, by a digest, so that no credential is kept."""

from hashlib import sha256

from authorizer.model import Identity


def of_token(token: str) -> bytes:
    """Return the digest of a token, which is ASCII."""
    return sha256(token.encode("ascii")).digest()  # processors have it: 0.7 us, against 1.1 for BLAKE2b


def of_other(kind: str, text: str) -> bytes:
    """Return the digest of another credential. INVARIANT: it is of a text with a NUL, which no token has."""
    return sha256(f"{kind}\0{text}".encode("utf-8", "surrogatepass")).digest()


class Memo:
    """The verified credentials of one snapshot, by their digest. It is not told of those that failed.

    Two generations: when the young one is full, it becomes the old one and the old one is dropped. So the memo holds
    at most ``tokens`` tokens of together at most ``characters`` characters, what is in use stays, and no step ever
    costs more than one entry. ``hits`` and ``misses`` count the tokens that were and were not found. Not thread-safe.

    ``before`` is the memo of the snapshot before, if it trusted the same issuers: facts change by the minute, and
    then the identity has to be made anew, but the signature need not be checked again.
    """

    __slots__ = ("_characters", "_limit", "_old", "_tokens", "_young", "before", "hits", "misses")

    def __init__(self, tokens: int = 16_384, characters: int = 32 * 1024 * 1024) -> None:
        self._limit = max(tokens // 2, 1)
        self._characters = self._tokens = max(characters // 2, 1)
        self._young: dict[bytes, Identity] = {}
        self._old: dict[bytes, Identity] = {}
        self.hits = self.misses = 0
        self.before: Memo | None = None

    def successor(self) -> "Memo":
        """Return the memo of the next snapshot, if that trusts the same issuers."""
        self.before = None  # one generation is enough: what nobody asked for since then is forgotten
        following = Memo()
        following.before = self
        return following

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def find(self, digest: bytes, size: int) -> Identity | None:
        """Return what is remembered of a token of ``size`` characters, expired or not."""
        identity = self._young.get(digest)
        if identity is None:
            identity = self._old.pop(digest, None)
            if identity is not None:
                self.keep(digest, size, identity)
        if identity is None:
            self.misses += 1
        else:
            self.hits += 1
        return identity

    def holds(self, token: str) -> bool:
        """Tell whether a token was good lately, expired or not: whoever asks about it anew goes before strangers."""
        digest = of_token(token)
        before = self.before
        return digest in self._young or digest in self._old or (before is not None and before.holds(token))

    def recent(self, digest: bytes) -> Identity | None:
        """Return what is remembered of a token that was asked for lately; ``find`` knows more."""
        identity = self._young.get(digest)
        if identity is not None:
            self.hits += 1
        return identity

    def keep(self, digest: bytes, size: int, identity: Identity) -> None:
        """Remember a verified token."""
        size += identity.extra
        if len(self._young) >= self._limit or size > self._tokens:
            self._old, self._young, self._tokens = self._young, {}, self._characters
        self._tokens -= size
        self._young[digest] = identity
