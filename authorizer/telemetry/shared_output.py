"""Standard output with several writers: lines of one process never end up within those of another."""

import fcntl
import os
import select
from collections.abc import Callable, Iterator

STDOUT = 1


def to_shared_stdout(lock: int) -> Callable[[bytes], None]:
    """Return a writer of whole lines that takes turns with every process that locks the file ``lock`` (a descriptor).

    The lock is the process's (POSIX record lock): the system frees it when its holder dies. Within it, lines go out in
    portions that a pipe takes whole or not at all, so that a process killed in between leaves no half of a line; only
    a line longer than PIPE_BUF (4 KiB) could be cut then.
    """

    def write(lines: bytes) -> None:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        try:
            for portion in portions(lines):
                rest = memoryview(portion)
                while rest:
                    rest = rest[os.write(STDOUT, rest) :]
        finally:
            fcntl.lockf(lock, fcntl.LOCK_UN)

    return write


def portions(lines: bytes, size: int = select.PIPE_BUF) -> Iterator[bytes]:
    """Cut at ends of lines, into few pieces of at most ``size`` bytes, in order; a longer line stays whole."""
    start = 0
    while start < len(lines):
        end = lines.rfind(b"\n", start, start + size) + 1 or lines.find(b"\n", start) + 1 or len(lines)
        yield lines[start:end]
        start = end
