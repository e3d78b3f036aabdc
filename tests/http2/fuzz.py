"""``python -m tests.http2.fuzz FRAMES [SEED]``: random frames against a connection, for as long as it takes.

Each conversation begins well and then mutates; in some, answers come later. Ends at the first exception, or when
something is kept without bound, or when one read takes a second of the processor; it prints the seed that repeats it.
"""

import random
import struct
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import hpack

from authorizer.http2.connection import Connection
from authorizer.http2.frames import PREFACE
from authorizer.http2.grpc import Answer, Later
from authorizer.http2.limits import Limits, Pool
from tests.http2.talk import REQUEST, Service, message, parse, raw, uint

LIMITS = Limits(
    concurrent_streams=20, buffered_bytes=200_000, message_bytes=60_000, stream_window=65_535, connection_window=200_000,
    output_bytes=100_000, patience=2000, header_list_bytes=2000,
)  # fmt: skip
ODD = (b"", b"\0", b"\xff" * 8, b"\0\0\0\0", uint(1), uint(1 << 31), uint((1 << 31) - 1))


class Chance(Protocol):
    """What decides in a conversation: ``random.Random``, or a fuzzer."""

    def random(self) -> float: ...
    def randint(self, a: int, b: int, /) -> int: ...
    def randrange(self, stop: int, /) -> int: ...
    def choice(self, options: Sequence[Any], /) -> Any: ...
    def randbytes(self, count: int, /) -> bytes: ...


def conversation(chance: Chance, most: int = 3000) -> int:
    """Hold one conversation, of about ``most`` frames at most; return its number of frames."""
    service, pool, encoder = Service(), Pool(), hpack.Encoder()
    size = chance.choice((0, 1, 100, 5000, 90_000))
    slow = chance.choice((0.0, 0.0, 0.3))
    waiting: list[Callable[[Answer], None]] = []
    service.answer = lambda _: Later(waiting.append) if chance.random() < slow else bytes(size)
    now, number, count = 0.0, -1, 0
    connection = Connection(service.methods(), LIMITS, pool, now)
    window = raw(4, 0, 0, struct.pack(">HI", 4, chance.choice((0, 10, 65_535, 1 << 30))))
    parts = [PREFACE, window, raw(4, 1, 0), raw(8, 0, 0, uint(1 << 30))]
    calm = chance.random()
    while not connection.finished and count < most:
        for _ in range(chance.randint(1, 40)):
            count += 1
            if chance.random() < 0.5:
                number += 2
                fields = [*REQUEST, ("x", str(chance.randint(0, 9)))] if chance.random() < 0.3 else REQUEST
                parts.append(raw(1, 4, number, encoder.encode(fields)))
                parts.append(raw(0, chance.choice((1, 1, 1, 0)), number, message(bytes(chance.choice((0, 5, 900))))))
                count += 1
            elif chance.random() < calm:
                kind = chance.choice((0, 3, 6, 8, 8))
                payload = bytes(8) if kind == 6 else uint(chance.choice((1, 8, 5000))) if kind else bytes(3)
                parts.append(raw(kind, 0, 0 if kind == 6 else max(1, number - 2 * chance.randint(0, 9)), payload))
            else:
                where = chance.choice((0, 1, 2, max(number, 1), 1 << 31))
                payload = chance.choice((*ODD, chance.randbytes(chance.randint(0, 60))))
                parts.append(raw(chance.randint(0, 11), chance.choice((0, 1, 4, 5, 8, 0x2D, 0xFF)), where, payload))
        data = b"".join(parts)
        parts = []
        if chance.random() < 0.1:
            at = chance.randrange(len(data))
            data = data[:at] + chance.randbytes(1) + data[at + chance.randint(0, 2) :]
        for at in range(0, len(data), step := chance.choice((7, 1000, 1 << 20))):
            now += chance.choice((0.0, 0.001, 0.5))
            if now >= connection.alarm:
                connection.tick(now)
            started = time.process_time()  # not of the clock: others use the machine too
            connection.receive(data[at : at + step], now)
            out = connection.take()
            while connection.blocked:
                connection.receive(b"", now)
                out += connection.take()
            while waiting and chance.random() < 0.7:
                waiting.pop(chance.randrange(len(waiting)))(bytes(size))
            out += connection.take()
            parse(out)
            assert time.process_time() - started < 1
            assert pool.buffered <= LIMITS.buffered_bytes
            assert len(connection._tail) < 16_393
            assert len(connection._streams.open) <= 20
            assert len(connection._heads.known) <= 256
    connection.lose()
    for give in waiting:
        give(bytes(size))
    assert pool.buffered == 0
    return count


def main(frames: int, seed: int) -> None:
    """Hold conversations until there were ``frames``."""
    done, started = 0, time.monotonic()
    while done < frames:
        try:
            done += conversation(random.Random(seed))
        except BaseException:
            print(f"seed {seed}")
            raise
        seed += 1
    print(f"{done:,} frames in {time.monotonic() - started:.0f} s, last seed {seed - 1}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
