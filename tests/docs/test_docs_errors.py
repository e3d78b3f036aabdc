"""docs/errors.md names every code and every reason there is, and no other."""

import re
from collections.abc import Iterable
from pathlib import Path

from authorizer.reasons import REASONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
SOURCES = [path for path in (ROOT / "authorizer").rglob("*.py") if not path.name.endswith("_pb2.py")]


def codes_of(texts: Iterable[str]) -> set[str]:
    """Return what stands as a string of its own and looks like a code: AZ101, or a letter of the language and R001."""
    return {code for text in texts for code in re.findall(r"""["']((?:AZ|[A-Z])\d{3})["']""", text)}


def rows() -> list[list[str]]:
    lines = (line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("|---"))
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_code_has_one_row_and_every_row_a_code():
    told = [row[0] for row in rows() if re.fullmatch(r"(AZ|[A-Z])\d{3}", row[0])]
    assert sorted(told) == sorted(set(told))
    used = codes_of(path.read_text(encoding="utf-8") for path in SOURCES)
    assert len(used) > 150
    assert (used - set(told), set(told) - used) == (set(), set())


def test_every_row_has_a_meaning_and_a_cure():
    assert [row for row in rows() if not all(row) or len(row) not in {3, 4}] == []


def test_warnings_are_marked():
    shown = {row[0] for row in rows() if row[1].startswith("*warning*")}
    places = r"""(?:\.warn\(\s*|["']warning["'].*)["']((?:AZ|[A-Z])\d{3})["']"""
    used = {code for path in SOURCES for code in re.findall(places, path.read_text(encoding="utf-8"))}
    assert used == shown


def test_the_table_of_reasons_is_that_of_the_code():
    rows = [f"| `{one.code}` | {one.category} | {one.status} | {one.text} |" for one in REASONS.values()]
    table = "\n".join(["| reason | category | status | meaning |", "|---|---|---|---|", *rows])
    assert PAGE.endswith(f"{table}\n")
