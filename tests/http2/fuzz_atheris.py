"""``python -m tests.http2.fuzz_atheris [CORPUS] [-runs=N] [-max_total_time=S]``: libFuzzer looks for new paths.

It steers the conversations of ``fuzz`` and, for every fourth input, sends its bytes as they are, cut where it says. What
it found useful is kept in CORPUS; an input that fails is written to a file whose name repeats it.
"""

import sys
from collections.abc import Sequence
from typing import Any

import atheris

with atheris.instrument_imports(include=["authorizer.http2"]):
    from authorizer.http2.connection import Connection
    from authorizer.http2.frames import PREFACE
    from authorizer.http2.limits import Pool
    from tests.http2.fuzz import LIMITS, conversation
    from tests.http2.talk import Service, parse, raw

FRAMES = 300
"""Of one conversation: a short input decides few things, and the rest of a long one would be all alike."""


class Chosen:
    """Answers what a conversation asks of ``random.Random`` from the fuzzer's bytes; zeros when they are used up."""

    def __init__(self, data: atheris.FuzzedDataProvider) -> None:
        self._data = data

    def random(self) -> float:
        return self._data.ConsumeIntInRange(0, 255) / 256

    def randint(self, low: int, high: int) -> int:
        return self._data.ConsumeIntInRange(low, high)

    def randrange(self, stop: int) -> int:
        return self.randint(0, stop - 1)

    def choice(self, options: Sequence[Any]) -> Any:
        return options[self.randrange(len(options))]

    def randbytes(self, count: int) -> bytes:
        return self._data.ConsumeBytes(count).ljust(count, b"\0")


def one(octets: bytes) -> None:
    """Try one input."""
    data = atheris.FuzzedDataProvider(octets)
    if data.ConsumeIntInRange(0, 3):
        conversation(Chosen(data), FRAMES)
    else:
        bare(data)


def bare(data: atheris.FuzzedDataProvider) -> None:
    service, pool = Service(), Pool()
    connection = Connection(service.methods(), LIMITS, pool, 0.0)
    connection.receive(PREFACE + raw(4, 0, 0), 0.0)
    while data.remaining_bytes():
        connection.receive(data.ConsumeBytes(data.ConsumeIntInRange(1, 2000)), 0.0)
        out = connection.take()
        while connection.blocked:
            connection.receive(b"", 0.0)
            out += connection.take()
        parse(out)
        assert pool.buffered <= LIMITS.buffered_bytes
    connection.lose()
    assert pool.buffered == 0


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
