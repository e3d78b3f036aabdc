"""Proofs are remembered across processes, restarts and their whole time, and within the bound."""

import fcntl
import multiprocessing
import os
import resource
import signal
from hashlib import blake2b
from pathlib import Path

import pytest

from authorizer.app.replays import BUCKET, Replays
from authorizer.pdp.proofs import Spend


def proof(name, until=160, holder="ann"):
    return Spend(blake2b(str(name).encode(), digest_size=16).digest(), holder.encode().ljust(8), until)


@pytest.fixture
def replays(tmp_path):
    made = Replays(tmp_path / "state" / "proofs", 64 * BUCKET)
    yield made
    made.close()


def test_a_proof_is_new_once(replays):
    assert replays.spend(proof(1), 100) is True
    assert replays.spend(proof(1), 100) is False
    assert replays.spend(proof(1, 170), 160) is False, "the last moment of its time"
    assert replays.spend(proof(2), 100) is True
    assert replays.spend(proof(1, 220), 160.5) is True, "afterwards it is refused for its age"


def test_a_restart_forgets_nothing(tmp_path):
    first = Replays(tmp_path / "proofs", BUCKET)
    assert first.spend(proof(1), 100)
    first.close()
    again = Replays(tmp_path / "proofs", BUCKET)
    assert again.spend(proof(1), 100) is False
    again.close()
    assert (tmp_path / "proofs").stat().st_mode & 0o777 == 0o600


def test_another_size_or_a_damaged_file_starts_empty(tmp_path):
    path = tmp_path / "proofs"
    path.write_bytes(b"damaged")
    for entries in (BUCKET, 2 * BUCKET):
        made = Replays(path, entries)
        assert made.spend(proof(1), 100) is True
        made.close()


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "proofs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="proofs"):
        Replays(tmp_path / "proofs", BUCKET)


def test_when_it_is_full_it_cannot_be_told(tmp_path):
    made = Replays(tmp_path / "proofs", BUCKET)
    shown = [made.spend(proof(n, holder=str(n)), 100) for n in range(BUCKET + 1)]
    assert shown == [True] * BUCKET + [None]
    assert made.spend(proof(0), 100) is False
    assert made.spend(proof(BUCKET, 260), 161) is True, "what is over makes room"
    made.close()


def test_nobody_fills_it_for_all(tmp_path):
    made = Replays(tmp_path / "proofs", BUCKET)
    assert sum(made.spend(proof(n), 100) is True for n in range(BUCKET)) == BUCKET * 3 // 4
    assert [made.spend(proof(("bob", n), holder="bob"), 100) for n in range(12)] == [True] * 12
    assert made.spend(proof("more"), 100) is None, "whoever holds the most is refused first"
    assert [made.spend(proof(n), 100) for n in range(48)] == [False] * 48, "nothing is forgotten for it"
    assert [made.spend(proof(name, holder=name), 100) for name in ("eve", "dan", "joe", "kim")] == [True] * 4
    assert made.spend(proof("zoe", holder="zoe"), 100) is None
    assert made.spend(proof("more", 260), 161) is True
    made.close()


def test_a_bucket_that_another_process_holds_cannot_be_told(tmp_path):
    made = Replays(tmp_path / "proofs", BUCKET)
    context = multiprocessing.get_context("fork")
    holding, release = context.Event(), context.Event()
    process = context.Process(target=hold, args=(tmp_path / "proofs", holding, release))
    process.start()
    assert holding.wait(10)
    assert made.spend(proof(1), 100) is None
    release.set()
    process.join(10)
    assert made.spend(proof(1), 100) is True
    made.close()


def hold(path: Path, holding, release):
    with path.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        holding.set()
        release.wait(10)


def test_of_all_workers_one_is_told_that_a_proof_is_new(tmp_path):
    made = Replays(tmp_path / "proofs", 16 * BUCKET)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [context.Process(target=race, args=(tmp_path / "proofs", results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    answers = [results.get(timeout=30) for _ in workers]
    for worker in workers:
        worker.join(10)
    assert [sum(column) for column in zip(*answers, strict=True)] == [1] * 300
    made.close()


def race(path, results):
    mine = Replays(path, 16 * BUCKET)
    results.put([mine.spend(proof(n), 100) is True for n in range(300)])


def test_a_file_that_is_cut_short_meanwhile_cannot_be_told(tmp_path):
    # Another process that was told another number of entries does this, and so does whoever tidies up.
    made = Replays(tmp_path / "proofs", 64 * BUCKET)
    assert made.spend(proof(1), 100) is True
    os.truncate(tmp_path / "proofs", 8)
    assert made.spend(proof(1), 100) is None
    made.close()


def test_a_disk_that_is_full_cannot_be_told(tmp_path):
    made = Replays(tmp_path / "proofs", BUCKET)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        assert made.spend(proof(1), 100) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert made.spend(proof(1), 100) is True
    made.close()
