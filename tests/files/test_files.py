"""Files that a crash leaves whole, and that nobody else can read or put something in the place of."""

import os
import stat
from pathlib import Path

import pytest

from authorizer.files import create, replace


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


@pytest.mark.parametrize("write", [create, replace])
def test_what_is_written_is_private_and_alone(tmp_path, write):
    write(tmp_path / "key", b"secret")
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert names(tmp_path) == {"key"}


def test_a_new_file_replaces_nothing(tmp_path):
    (tmp_path / "key").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("key", "link"):
        with pytest.raises(FileExistsError) as refused:
            create(tmp_path / name, b"new")
        assert refused.value.filename == str(tmp_path / name)
    assert (tmp_path / "key").read_bytes() == b"old"
    assert names(tmp_path) == {"key", "link"}


def test_a_mode_can_be_given(tmp_path):
    before = os.umask(0o022)
    try:
        create(tmp_path / "public", b"key", mode=0o644)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "public").stat().st_mode) == 0o644


def test_a_link_is_replaced_itself(tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"kept")
    (tmp_path / "file").symlink_to(tmp_path / "elsewhere")
    replace(tmp_path / "file", b"new")
    assert (tmp_path / "elsewhere").read_bytes() == b"kept"
    assert not (tmp_path / "file").is_symlink()


@pytest.mark.parametrize("write", [create, replace])
def test_what_stands_beside_is_never_written_to(tmp_path, write):
    (tmp_path / "elsewhere").write_bytes(b"kept")
    (tmp_path / f".file.{os.getpid()}").symlink_to(tmp_path / "elsewhere")
    write(tmp_path / "file", b"secret")
    assert (tmp_path / "elsewhere").read_bytes() == b"kept"
    assert names(tmp_path) == {"elsewhere", "file"}


@pytest.mark.parametrize("write", [create, replace])
def test_nothing_is_named_before_it_is_on_the_disk(tmp_path, write, monkeypatch):
    def crash(_: int) -> None:
        assert names(tmp_path) == {f".file.{os.getpid()}"}
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "file", b"part")
    assert names(tmp_path) == set()


@pytest.mark.parametrize("write", [create, replace])
def test_content_and_folder_are_synced(tmp_path, write, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(stat.S_IFMT(os.fstat(descriptor).st_mode)))
    write(tmp_path / "file", b"all")
    assert synced == [stat.S_IFREG, stat.S_IFDIR]
