"""Several processes write lines to one pipe."""

import os
import subprocess
import sys
import tempfile

from hypothesis import given
from hypothesis import strategies as st

from authorizer.telemetry.shared_output import portion

WRITER = """
import sys
from authorizer.telemetry.shared_output import to_shared_stdout
write = to_shared_stdout(int(sys.argv[1]))
letter = sys.argv[2].encode()
for number in range(30):
    write([letter * size + b"\\n" for size in (10, 3000, 100, 20_000, 4095, 4096, 1)])
"""


def portions(data, size):
    start = 0
    while start < len(data):
        end = portion(data, start, size)
        yield data[start:end]
        start = end


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"") + b"\n")), st.integers(1, 30))
def test_portions_are_whole_lines_in_order(lines, size):
    found = list(portions(b"".join(lines), size))
    assert b"".join(found) == b"".join(lines)
    assert all(part.endswith(b"\n") for part in found)
    assert all(len(part) <= size or part.count(b"\n") == 1 for part in found)


def test_a_line_without_end_is_kept():
    assert list(portions(b"ab\ncd", 2)) == [b"ab\n", b"cd"]


def test_lines_of_processes_never_mix():
    with tempfile.TemporaryFile() as lock:
        os.set_inheritable(lock.fileno(), True)
        reader, writer = os.pipe()
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(lock.fileno()), letter], stdout=writer, pass_fds=(lock.fileno(),)
            )
            for letter in "abc"
        ]
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            lines = pipe.read().splitlines()
        assert [process.wait() for process in writers] == [0, 0, 0]
    assert len(lines) == 3 * 30 * 7
    assert all(len(set(line)) == 1 for line in lines)
