"""Standard output with several writers: lines of one process never end up within those of another."""

import fcntl
import os
import select

from authorizer.telemetry.courier import Sink
from authorizer.telemetry.sinks import STDOUT, appending


def to_shared_stdout(lock: int) -> Sink:
    """Return a sink that takes turns with every process that locks the file ``lock`` (a descriptor).

    The lock is the process's (POSIX record lock): the system frees it when its holder dies. Within it, lines go out in
    portions that a pipe takes whole or not at all, so that a process killed in between leaves no half of a line; only
    a line longer than PIPE_BUF (4 KiB) could be cut then.
    """

    def write(data: bytes) -> int:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        done = 0
        try:
            while done < len(data):
                end = portion(data, done)
                while done < end:
                    done += os.write(STDOUT, data[done:end])
        except OSError:
            if not done:
                raise
        finally:
            fcntl.lockf(lock, fcntl.LOCK_UN)
        return done

    return appending(write)


def portion(data: bytes, start: int, size: int = select.PIPE_BUF) -> int:
    """Return where a piece of lines from ``start`` on ends: at most ``size`` bytes, but for a longer line."""
    return data.rfind(b"\n", start, start + size) + 1 or data.find(b"\n", start) + 1 or len(data)
