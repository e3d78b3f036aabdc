"""The last good bundle on disk: durable, checked again when read back, never older than one accepted before."""

import os
import stat
from pathlib import Path

import pytest

from authorizer import bundle
from authorizer.bundle import Limits, Signer, Verifier, store
from authorizer.errors import BundleError
from authorizer.jose import jwk, sign

PEM = sign.generate("ES256")
SIGNER = Signer(private_pem=PEM, key_id="k")
VERIFIER = Verifier(keys={"k": jwk.read_pem(sign.public_pem(PEM), "ES256")})


def made(serial: int, document: dict[str, object] | None = None) -> bytes:
    return bundle.write("policy", document or {}, serial=serial, signer=SIGNER)


def put(at: store.Store, data: bytes) -> None:
    store.save(at, bundle.read(data, kind=None, verifier=VERIFIER), data)


@pytest.fixture
def place(tmp_path: Path) -> store.Store:
    return store.Store(directory=tmp_path / "state", verifier=VERIFIER, limits=Limits(compressed=100_000))


def code(place: store.Store) -> str:
    with pytest.raises(BundleError) as caught:
        store.load(place, "policy")
    return caught.value.code


def archive_of(place: store.Store) -> Path:
    return place.directory / "bundles" / "policy" / "bundle.tar.gz"


def test_nothing_kept(place: store.Store) -> None:
    assert store.load(place, "policy") is None
    assert store.highest(place, "policy") == 0


def test_kept_and_private(place: store.Store) -> None:
    put(place, made(5, {"a": 1}))
    store.confirm(place, "policy", 1234.5)
    kept = store.load(place, "policy")
    assert (kept.bundle.serial, kept.bundle.document, kept.confirmed) == (5, {"a": 1}, 1234.5)
    assert stat.S_IMODE(archive_of(place).stat().st_mode) == 0o600
    assert {entry.name for entry in archive_of(place).parent.iterdir()} == {"bundle.tar.gz", "serial"}


def test_older_is_refused_also_after_a_restart(place: store.Store) -> None:
    old, new = made(5), made(6)
    put(place, old)
    put(place, new)
    with pytest.raises(BundleError) as caught:
        put(place, old)
    assert caught.value.code == "AZ330"
    assert store.load(place, "policy").bundle.serial == 6
    archive_of(place).write_bytes(old)
    assert code(place) == "AZ330"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data[:-9], "AZ301"),
        (lambda _: b"", "AZ301"),
        (lambda _: bundle.write("policy", {}, serial=9, signer=None), "AZ320"),
        (lambda _: bundle.write("facts", {}, serial=9, signer=SIGNER), "AZ311"),
        (lambda _: bytes(200_000), "AZ303"),
    ],
    ids=["truncated", "emptied", "unsigned", "another kind", "too large"],
)
def test_the_disk_is_not_trusted(place: store.Store, change, expected: str) -> None:
    put(place, made(5))
    archive_of(place).write_bytes(change(archive_of(place).read_bytes()))
    assert code(place) == expected
    kept, refused = store.restore(place, ("policy", "facts"))
    assert (kept, [error.code for error in refused]) == ([], [expected])
    put(place, made(6))
    assert store.load(place, "policy").bundle.serial == 6


def test_damaged_serial_is_refused(place: store.Store) -> None:
    put(place, made(5))
    (archive_of(place).parent / "serial").write_text("soon")
    assert code(place) == "AZ341"


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_only_plain_files_are_read(place: store.Store, tmp_path: Path, kind: str) -> None:
    put(place, made(5))
    path = archive_of(place)
    moved = path.rename(tmp_path / "elsewhere")
    {"pipe": os.mkfifo, "link": lambda p: p.symlink_to(moved), "folder": os.mkdir}[kind](path)
    assert code(place) == "AZ340"


def test_a_disk_that_refuses_changes_nothing(place: store.Store) -> None:
    place.directory.write_text("a file where the directory should be")
    with pytest.raises(BundleError) as caught:
        put(place, made(5))
    assert caught.value.code == "AZ340"
    with pytest.raises(BundleError) as caught:
        store.confirm(place, "policy", 1.0)
    assert caught.value.code == "AZ340"


def test_a_crash_before_the_rename_leaves_the_old_one(place: store.Store, monkeypatch) -> None:
    put(place, made(5))

    def crash(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(BundleError, match="No space left"):
        put(place, made(6))
    monkeypatch.undo()
    assert store.load(place, "policy").bundle.serial == 5
    assert {entry.name for entry in archive_of(place).parent.iterdir()} == {"bundle.tar.gz", "serial"}
