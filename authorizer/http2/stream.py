"""One stream that is not answered in the same breath: its message on the way in, its answer on the way out."""

from math import inf

from authorizer.http2.requests import Head


class Stream:
    """What a connection knows of an open stream.

    Inbound: ``body`` holds what came of the message and its prefix, ``received`` counts all payload (RFC 9113 section
    8.1.1), ``debt`` is what the peer has sent and not been given back, ``ended`` says that it has ended its side.
    Outbound: ``replied`` says that headers were sent; ``queue`` from ``offset`` on waits for the peer's windows, then
    comes ``last``, a block of trailers (empty: an empty DATA frame; None: more may follow); ``opened`` is what the
    peer's WINDOW_UPDATEs added to the initial window, less what was sent.
    Times of the connection's clock: ``expires`` is the caller's deadline, ``deadline`` when we answer that it has
    passed, ``stalled`` when we give up sending. ``held`` bytes are counted in the pool.
    """

    __slots__ = (
        "body", "closed", "deadline", "debt", "ended", "expires", "head", "held", "id", "last", "offset", "opened",
        "queue", "received", "replied", "stalled",
    )  # fmt: skip

    def __init__(self, number: int, head: Head) -> None:
        self.id = number
        self.head = head
        self.body = bytearray()
        self.received = 0
        self.debt = 0
        self.ended = False
        self.closed = False
        self.replied = False
        self.queue = b""
        self.offset = 0
        self.last: bytes | None = None
        self.opened = 0
        self.held = 0
        self.expires = inf
        self.deadline = inf
        self.stalled = inf

    @property
    def waiting(self) -> int:
        """How many bytes sent earlier still wait for the peer's windows."""
        return len(self.queue) - self.offset
