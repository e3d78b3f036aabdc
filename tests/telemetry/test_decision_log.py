"""Decision events on their way: bounded, in order, and each told once as written or dropped."""

import asyncio
import json
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from authorizer.model import Decision, Duty, Request
from authorizer.reasons import ALLOWED, reason
from authorizer.telemetry import courier
from authorizer.telemetry.courier import BATCH, Outcome, Tally
from authorizer.telemetry.decision_event import maker
from authorizer.telemetry.decision_log import DecisionLog
from authorizer.telemetry.sinks import appending, to_file
from authorizer.telemetry.spool import Spool

SECRET = "Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
REQUEST = Request(
    method="GET", target="/orders/17?access_token=secret", host="api", headers={"authorization": (SECRET,)},
    body=b"secret", peer="192.0.2.1",
)  # fmt: skip
DENIED = Decision(reason=reason("no_route"))
GLASS = Decision(reason=ALLOWED, allowed=True, obligations=(Duty("d", "notification"),))


class Sink:
    """Takes lines until it is told to fail, and keeps the books."""

    def __init__(self, made=None):
        self.lines: list[dict] = []
        self.told: Counter[str] = Counter()
        self.error: Exception | None = None
        self.threads: set[int] = set()
        self.taken = threading.Event()
        self.made = made

    def take(self, lines) -> Outcome:
        self.threads.add(threading.get_ident())
        if self.error:
            raise self.error
        outcome = self.made(lines) if self.made else Outcome(written=len(lines))
        self.lines += [json.loads(line) for line in lines[: outcome.written]]
        self.taken.set()
        return outcome

    def log(self, capacity: int = 10, spool: Spool | None = None) -> DecisionLog:
        def count(why: str, count: int) -> None:
            self.told[why] += count

        tally = Tally(lambda n: count("written", n), count, lambda: count("failed", 1))
        return DecisionLog(maker({}), self.take, lambda: 1e9, tally, capacity=capacity, spool=spool)

    @property
    def paths(self) -> list[str]:
        return [line["input"]["attributes"]["request"]["http"]["path"] for line in self.lines]


def observe(log: DecisionLog, *numbers: int) -> None:
    for number in numbers:
        log.observe(Request(target=f"/{number}"), DENIED, 0.0)


async def test_events_are_written_in_order_from_a_thread():
    sink = Sink()
    log = sink.log(2000)
    observe(log, *range(BATCH + 1))
    assert log.waiting == BATCH + 1
    assert [await log.turn() for _ in range(3)] == [BATCH, 1, 0]
    assert sink.paths == [f"/{number}" for number in range(BATCH + 1)]
    assert threading.get_ident() not in sink.threads
    assert (sink.told, log.waiting) == ({"written": BATCH + 1}, 0)


@pytest.mark.parametrize(("room", "often"), [(4 * BATCH, True), (BATCH, False)])
def test_a_thread_gives_way_within_a_batch_unless_lines_could_be_lost(room, often):
    """Without that, the loop waits for a whole batch: here nobody can ask for the interpreter."""
    log = Sink().log(room)
    observe(log, *range(BATCH))
    buffer = log._buffer
    seen = set()
    before = sys.getswitchinterval()
    sys.setswitchinterval(60)
    try:
        making = threading.Thread(target=buffer.take)
        making.start()
        while making.is_alive():
            seen.add(len(buffer.notes))
            making.join(1e-5)
    finally:
        sys.setswitchinterval(before)
    making.join()
    assert (len(seen) >= 5) == often


async def test_a_full_buffer_drops_and_counts_the_newest():
    sink = Sink()
    log = sink.log(3)
    observe(log, *range(5))
    await log.turn()
    assert sink.paths == ["/0", "/1", "/2"]
    assert sink.told["buffer_full"] == 2
    observe(log, 5)
    assert await log.turn() == 1
    assert sink.told["buffer_full"] == 2


async def test_a_flood_does_not_hide_a_decision_with_obligations():
    sink = Sink()
    log = sink.log(3)
    observe(log, *range(5))
    log.observe(Request(target="/glass"), GLASS, 0.0)
    await log.turn()
    assert sink.paths == ["/0", "/1", "/2", "/glass"]


@pytest.mark.parametrize("error", [OSError(28, "no space left"), RuntimeError("a fault")])
async def test_what_a_failing_sink_did_not_take_comes_again(error):
    sink = Sink()
    log = sink.log()
    sink.error = error
    observe(log, 1)
    await log.turn()
    observe(log, 2)
    await log.turn()
    sink.error = None
    await log.turn()
    await log.turn()
    assert sink.paths == ["/1", "/2"]
    assert sink.told == {"failed": 2, "written": 2}


async def test_what_was_taken_in_part_comes_again_in_part():
    sink = Sink(lambda lines: Outcome(min(2, len(lines)), {"refused": 1} if len(lines) > 2 else {}))
    log = sink.log()
    observe(log, *range(5))
    await log.turn()
    await log.turn()
    assert sink.paths == ["/0", "/1", "/3", "/4"]
    assert sink.told == {"written": 4, "refused": 1}


async def test_an_event_that_cannot_be_told_does_not_end_the_log():
    sink = Sink()
    log = sink.log()
    log.observe(REQUEST, Decision(reason=reason("no_route"), revision=object()), 0.0)
    observe(log, 1)
    await log.turn()
    assert (sink.paths, sink.told) == (["/1"], {"not_rendered": 1, "written": 1})


async def test_the_task_writes_and_the_drain_writes_the_rest():
    sink = Sink()
    log = sink.log()
    task = asyncio.create_task(log.run())
    observe(log, 1)
    assert await asyncio.to_thread(sink.taken.wait, 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    observe(log, 2)
    await log.drain(10.0)
    assert sink.paths == ["/1", "/2"]
    assert sink.told == {"written": 2}


async def test_the_drain_gives_up_on_a_sink_that_hangs_and_says_so():
    release = threading.Event()
    sink = Sink(lambda lines: release.wait(30) and Outcome(len(lines)))
    log = sink.log()
    observe(log, 1, 2)
    turn = asyncio.create_task(log.turn())
    await asyncio.sleep(0.1)
    observe(log, 3)
    try:
        async with asyncio.timeout(10):
            await log.drain(0.05)
    finally:
        release.set()
    await asyncio.gather(turn, return_exceptions=True)
    assert sink.told == {"shutdown": 3}


def test_a_process_ends_though_its_stdout_is_not_read():
    program = """
import asyncio
from authorizer.telemetry.hand import Hand
from authorizer.telemetry.sinks import to_stdout
async def main():
    sink = to_stdout()
    try:
        async with asyncio.timeout(0.2):
            await Hand("x").do(lambda: sink([b"x" * 10_000_000]))
    except TimeoutError:
        print("given up", file=__import__("sys").stderr)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.wait(30) == 0
        assert process.stderr.read() == b"given up\n"


def test_a_file_is_appended_to_private_and_followed_through_rotation(tmp_path):
    path = tmp_path / "decisions.jsonl"
    path.write_bytes(b"old\n")
    path.chmod(0o600)
    write = to_file(path)
    assert write([b"one\n"]) == Outcome(written=1)
    path.rename(tmp_path / "decisions.jsonl.1")
    write([b"two\n"])
    assert (tmp_path / "decisions.jsonl.1").read_bytes() == b"old\none\n"
    assert path.read_bytes() == b"two\n"
    assert path.stat().st_mode & 0o007 == 0
    path.unlink()
    write([b"three\n"])
    assert path.read_bytes() == b"three\n"


def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path):
    with pytest.raises(OSError, match="decisions"):
        to_file(tmp_path / "absent" / "decisions.jsonl")


def test_a_disk_that_is_full_for_a_while_costs_no_event_and_no_line_is_written_twice():
    lines = [b"%d\n" % (number * 111) for number in range(1, 8)]
    for room in range(sum(map(len, lines))):
        disk, left = bytearray(), room

        def write(data: bytes, disk=disk) -> int:
            nonlocal left
            if not left:
                raise OSError(28, "no space left")
            part = data[:left]
            left -= len(part)
            disk += part
            return len(part)

        sink = appending(write)
        first = sink(lines)
        assert first.failure
        left = 10_000
        assert sink(lines[first.written :]) == Outcome(written=len(lines) - first.written)
        assert [line for line in bytes(disk).splitlines(keepends=True) if line in lines] == lines


async def test_what_a_client_wrote_waits_cut_and_is_shown_as_before():
    sink = Sink()
    log = sink.log()
    long = "x" * 100_000
    request = Request(
        method=long, target="/" + long + "?" + long, host=long, peer=long, headers={"traceparent": (long,)}
    )
    log.observe(request, DENIED, 0.0)
    (event,) = log._buffer.notes
    assert sum(len(part) for part in event if isinstance(part, str)) < 2500
    whole = (1e9, request.method, request.host, request.target, request.peer, "grpc", DENIED, 0.0, long)
    assert maker({})(event) == maker({})(whole)


async def test_a_disk_buffer_holds_what_a_sink_that_is_away_does_not_take(tmp_path):
    sink = Sink()
    sink.error = ConnectionRefusedError(111, "refused")
    log = sink.log(spool=Spool(tmp_path, 1 << 20))
    for number in range(30):
        observe(log, number)
        await log.turn()
    assert (+sink.told).keys() == {"failed"}
    assert (log.waiting, len(list(tmp_path.iterdir()))) == (30, 30)
    await log.drain(0.05)
    again = Sink()
    log = again.log(spool=Spool(tmp_path, 1 << 20))
    observe(log, 30)
    await log.drain(10)
    assert again.paths == [f"/{number}" for number in range(31)]
    assert (again.told, log.waiting, list(tmp_path.iterdir())) == ({"written": 31}, 0, [])


async def test_a_disk_buffer_has_a_bound(tmp_path):
    sink = Sink()
    sink.error = OSError()
    log = sink.log(spool=Spool(tmp_path, 2000))
    for number in range(10):
        observe(log, number)
        await log.turn()
    sink.error = None
    await log.drain(10)
    assert sink.told["written"] + sink.told["disk_buffer_full"] == 10
    assert sink.paths == [f"/{number}" for number in range(sink.told["written"])]
    assert 0 < sink.told["written"] < 4


async def test_a_damaged_file_of_the_disk_buffer_is_given_up_and_counted(tmp_path):
    spool = Spool(tmp_path, 10_000)
    for name in (b"a", b"b", b"c"):
        spool.put([b'"%s"\n' % name] * 2)
    damaged, gone, _ = sorted(tmp_path.iterdir())
    damaged.write_bytes(b"\x00")
    gone.unlink()
    (tmp_path / "7-x-y.jsonl").write_bytes(b"not ours\n")
    sink = Sink()
    await sink.log(spool=Spool(tmp_path, 10_000)).drain(10)
    assert sink.told == {"disk_buffer_damaged": 2, "written": 2}


def test_worker_0_takes_what_workers_that_are_no_more_have_left(tmp_path):
    for worker in range(4):
        Spool(tmp_path, 10_000, worker, 4).put([b"%d\n" % worker])
    shares = [Spool(tmp_path, 10_000, worker, 2) for worker in range(2)]
    assert [share.waiting for share in shares] == [3, 1]


async def test_a_disk_that_takes_nothing_keeps_events_in_memory(tmp_path):
    spool = Spool(tmp_path / "spool", 10_000)
    (tmp_path / "spool").rmdir()
    sink = Sink()
    log = sink.log(spool=spool)
    observe(log, 1)
    await log.turn()
    assert sink.told == {"failed": 1}
    (tmp_path / "spool").mkdir()
    await log.drain(10)
    assert sink.paths == ["/1"]


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("seed", range(3))
async def test_whatever_a_sink_does_each_decision_is_written_once_or_counted_as_dropped(
    monkeypatch, tmp_path, seed, on_disk
):
    monkeypatch.setattr(courier, "FIRST_PAUSE", 0.001)
    chance = random.Random(seed)

    def moods(lines) -> Outcome:
        mood = chance.random()
        if mood < 0.2:
            raise OSError(5, "a fault")
        written = chance.randint(0, len(lines))
        refused = chance.randint(0, len(lines) - written) if mood < 0.6 else 0
        return Outcome(written, {"refused": refused}, "a fault" if mood < 0.4 else "")

    sink = Sink(moods)
    log = sink.log(700, Spool(tmp_path, 400_000) if on_disk else None)
    decided = 0
    for _ in range(40):
        count = chance.randint(0, 300)
        observe(log, *range(count))
        decided += count
        await log.turn()
    await log.drain(10)
    del sink.told["failed"]
    assert sink.told.total() == decided
    assert len(sink.lines) == sink.told["written"]
    assert log.waiting == 0


def test_a_rotated_file_is_closed(tmp_path):
    path = tmp_path / "d"
    write = to_file(path)
    first = path.stat().st_ino
    keep = path.open()
    path.rename(tmp_path / "e")
    write([b"x\n"])
    keep.close()
    assert path.stat().st_ino != first
    assert not [fd for fd in Path("/proc/self/fd").glob("*") if fd.exists() and fd.stat().st_ino == first]
