"""The pages for those who come from elsewhere: tests that they name exist, tables that they show become what they say."""

import re
from functools import partial
from pathlib import Path

import pytest

from authorizer.cli import main
from authorizer.policy.documents import load, plain

ROOT = Path(__file__).parents[2]
LANGUAGE = ROOT / "docs" / "language"
read = partial(Path.read_text, encoding="utf-8")


def test_every_concept_of_the_model_is_shown_by_a_test():
    rows = re.findall(r"^\| (\d+) \|.*\| `(\w+\.py)::(\w+)` \|$", read(LANGUAGE / "from-empowerid.md"), re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, 23))
    for _, file, name in rows:
        (path,) = (ROOT / "tests").rglob(file)
        assert re.search(rf"^(async )?def {name}\(", read(path), re.MULTILINE), name


def test_every_page_is_linked_to():
    overview = read(ROOT / "docs" / "policies.md")
    assert [page.name for page in LANGUAGE.glob("*.md") if f"(language/{page.name}" not in overview] == []


def test_the_tables_become_what_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    page = read(LANGUAGE / "from-spreadsheets.md")
    tables = dict(re.findall(r"^```csv\n# file: (\S+)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))
    for name, text in tables.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert main(["policy", "import", "csv", *(str(tmp_path / name) for name in tables), "--id", "shop"]) == 0
    application, policies = (plain(node) for node in load(capsys.readouterr().out, "made.yaml"))
    (shown,) = re.findall(r"^```yaml\n# run: shop.yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    written, granted, _ = (plain(node) for node in load(shown, "shown.yaml"))
    assert granted == policies
    assert written == {**application, "http": written["http"]}
