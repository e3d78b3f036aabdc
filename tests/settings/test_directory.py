import os

import pytest

from authorizer import directory
from authorizer.directory import Watch


def settled(watch: Watch):
    watch.poll()
    return watch.poll()


def test_a_change_is_told_once_and_only_when_two_looks_agree(tmp_path) -> None:
    (tmp_path / "a.yaml").write_text("one")
    watch = Watch(tmp_path)
    assert watch.poll() is None
    assert watch.poll().files == {"a.yaml": b"one"}
    assert watch.poll() is None
    (tmp_path / "a.yaml").write_text("a half")
    assert watch.poll() is None
    (tmp_path / "a.yaml").write_text("a half and the other")
    assert watch.poll() is None
    assert watch.poll().files == {"a.yaml": b"a half and the other"}
    (tmp_path / "a.yaml").unlink()
    assert settled(watch).files == {}


def test_a_file_touched_but_not_changed_is_no_news(tmp_path) -> None:
    (tmp_path / "a.yaml").write_text("one")
    watch = Watch(tmp_path)
    settled(watch)
    os.utime(tmp_path / "a.yaml", (1, 1))
    assert settled(watch) is None
    watch.forget()
    assert settled(watch).files == {"a.yaml": b"one"}


def test_only_documents_are_read(tmp_path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("a.yaml", "b.yml", "keys.json", "below/c.yaml", "README.md", ".hidden.yaml", "a.yaml~", "d.yaml.swp"):
        (tmp_path / name).write_text(name)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/e.yaml").write_text("e")
    for name in (".manifest", "below/.manifest"):
        (tmp_path / name).write_text(name)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / ".#a.yaml").symlink_to("an editor's lock")
    assert sorted(settled(Watch(tmp_path)).files) == [".manifest", "a.yaml", "b.yml", "below/c.yaml", "keys.json"]


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("deny.yaml", "nowhere.yaml"),
        ("shared", "nowhere"),
        ("shared", "../elsewhere"),
        ("loop", "."),
        ("a.yml", "/dev/null"),
        ("deny.YAML", ""),
    ],
)
def test_what_may_hold_denies_is_not_passed_over(tmp_path, name: str, target: str) -> None:
    root = tmp_path / "policies"
    for folder in (root, tmp_path / "elsewhere"):
        folder.mkdir()
        (folder / "a.yaml").write_text("one")
    if target:
        (root / name).symlink_to(target)
    else:
        (root / name).write_text("kind: Policies")
    (problem,) = directory.read(root).problems
    assert (problem.code, problem.place.file) == ("AZ585", name)
    watch = Watch(root)
    reading = watch.poll() or watch.poll()
    assert (reading.problems, reading.files) == ((problem,), {})
    (root / name).unlink()
    assert settled(watch).files == {"a.yaml": b"one"}


def test_a_link_that_leads_nowhere_for_a_moment_is_no_problem(tmp_path) -> None:
    (tmp_path / "a.yaml").write_text("one")
    watch = Watch(tmp_path)
    settled(watch)
    (tmp_path / "b.yaml").symlink_to("..data/b.yaml")
    assert watch.poll() is None
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data/b.yaml").write_text("two")
    assert watch.poll() is None
    assert sorted(watch.poll().files) == ["a.yaml", "b.yaml"]


def test_a_mounted_config_map_is_followed_from_one_version_to_the_next(tmp_path) -> None:
    for version in ("..v1", "..v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "a.yaml").write_text(version)
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    watch = Watch(tmp_path)
    assert settled(watch).files == {"a.yaml": b"..v1"}
    (tmp_path / "new").symlink_to("..v2")
    (tmp_path / "new").rename(tmp_path / "..data")
    assert settled(watch).files == {"a.yaml": b"..v2"}


def test_a_directory_that_is_not_there_is_a_problem_told_once(tmp_path) -> None:
    watch = Watch(tmp_path / "policies")
    (problem,) = watch.poll().problems
    assert (problem.code, problem.severity) == ("AZ585", "error")
    assert watch.poll() is None
    (tmp_path / "policies").mkdir()
    assert settled(watch).problems == ()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path) -> None:
    (tmp_path / "a.yaml").write_text("one")
    (tmp_path / "a.yaml").chmod(0)
    (problem,) = settled(Watch(tmp_path)).problems
    assert (problem.code, problem.place.file) == ("AZ585", "a.yaml")


@pytest.mark.parametrize(("limit", "value"), [("MAX_FILES", 1), ("MAX_TOTAL", 5), ("MAX_DEPTH", 0)])
def test_the_directory_is_bounded(tmp_path, monkeypatch, limit: str, value: int) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "a.yaml").write_text("four")
    (tmp_path / "below/b.yaml").write_text("four")
    monkeypatch.setattr(directory, limit, value)
    (problem,) = Watch(tmp_path).poll().problems
    assert problem.code == "AZ585"


def test_names_that_are_no_text_are_refused(tmp_path) -> None:
    (tmp_path / os.fsdecode(b"\xff.yaml")).write_text("x")
    (problem,) = Watch(tmp_path).poll().problems
    assert problem.code == "AZ585"
    assert problem.place.file.isascii()
