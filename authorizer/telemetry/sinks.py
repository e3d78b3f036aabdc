"""Where lines go on this machine: standard output, or a file."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from authorizer.telemetry.courier import Outcome, Sink

STDOUT = 1


def appending(write: Callable[[bytes], int]) -> Sink:
    """Return a sink over ``write``, which writes as much as it can and returns how many bytes that were.

    It may be stopped within a line, by a disk that is full: then that line is ended there, and comes again as a whole.
    """
    cut = False

    def sink(lines: Sequence[bytes]) -> Outcome:
        nonlocal cut
        began = int(cut)
        data = b"\n" * began + b"".join(lines)
        done = 0
        try:
            while done < len(data):
                done += write(data[done:] if done else data)
        except OSError as error:
            if done:
                cut = not data[:done].endswith(b"\n")
            failure = f"{type(error).__name__}: {error.strerror or error}"
            # Of a line that lacks its end alone, the end is all that comes next.
            ended = done >= began and data[done : done + 1] == b"\n"
            return Outcome(written=data[began:done].count(b"\n") + ended, failure=failure)
        cut = False
        return Outcome(written=len(lines))

    return sink


def to_stdout() -> Sink:
    """Return the sink that writes lines to standard output."""
    return appending(partial(os.write, STDOUT))


def to_file(path: Path) -> Sink:
    """Return a sink that appends to ``path`` (mode 0640) and follows a rotation of the file.

    The file is opened once here, so that a path which cannot be written is an OSError at the start, not later.
    """

    def opened() -> int:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    descriptor = opened()
    append = appending(lambda data: os.write(descriptor, data))

    def sink(lines: Sequence[bytes]) -> Outcome:
        nonlocal descriptor
        # Between batches only: a line begun in one file must not end in another.
        if _moved(path, descriptor):
            old, descriptor = descriptor, opened()
            os.close(old)
        return append(lines)

    return sink


def _moved(path: Path, descriptor: int) -> bool:
    """Tell whether ``path`` is no longer the file that is open."""
    try:
        now, then = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return True
    return (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino)
