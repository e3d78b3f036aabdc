"""Header blocks into what they ask for, remembering blocks that cannot mean anything else the next time."""

from collections.abc import Callable

from authorizer.http2.frames import StreamFault
from authorizer.http2.headers import BlockReader
from authorizer.http2.limits import Limits
from authorizer.http2.requests import Head, Methods, check_trailers, read, too_large

_MAX_KNOWN = 256
_MAX_KNOWN_BYTES = 1024


class Heads:
    """Reads the header blocks of one connection, each exactly once and in order.

    ``known`` says what blocks come to that were read since the decoder's table changed last. A gateway sends the same
    bytes for every check as soon as the table has its fields: 0.1 us instead of 12.

    INVARIANT: whatever changes the table empties ``known``, since the same bytes may mean something else then; and no
    block in it changes the table, so that leaving it out leaves the decoder where it would have been.
    """

    def __init__(self, methods: Methods, limits: Limits, breach: Callable[[str], None]) -> None:
        self._methods = methods
        self._breach = breach
        self._reader = BlockReader(limits.header_list_bytes, limits.header_list_most)
        self.known: dict[bytes, Head] = {}

    def request(self, block: bytes) -> Head:
        """Read the block of a request. Raises ConnectionFault; StreamFault for a malformed request."""
        head = self.known.get(block)
        if head is not None:
            return head
        generation = self._reader.generation
        fields, whole = self._reader.read(block)
        changed = self._reader.generation != generation
        if changed or len(self.known) >= _MAX_KNOWN:
            self.known.clear()
        if not whole:
            self._breach("header_list")
            return too_large(fields, self._methods)
        head = read(fields, self._methods)
        if not changed and len(block) <= _MAX_KNOWN_BYTES:
            self.known[block] = head
        return head

    def trailers(self, block: bytes) -> StreamFault | None:
        """Read a block that is no request; return what is wrong with it as trailers. Raises ConnectionFault."""
        generation = self._reader.generation
        fields, whole = self._reader.read(block)
        if self._reader.generation != generation:
            self.known.clear()
        return check_trailers(fields, whole=whole)
