"""Rules that no linter holds: what the pure rooms may not call, and how large a module may be."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "authorizer"
PURE = [file for room in ("policy", "pdp", "jose", "http2") for file in sorted((ROOT / room).rglob("*.py"))]
PURE += [ROOT / f"{name}.py" for name in ("model", "reasons", "strict_json", "grammar", "timestamps")]
MODULES = [file for file in sorted(ROOT.rglob("*.py")) if "_pb2" not in file.name]
FORBIDDEN = {"open", "compile", "eval", "exec", "input", "print", "__import__", "breakpoint"}
GENERATOR = ROOT / "policy/plan/compile.py"
"""The one module that makes functions, of syntax trees and never of text."""
CLOCKS = {"now", "today", "utcnow"}


def calls(file: Path):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            yield node, node.func


@pytest.mark.parametrize("file", PURE, ids=lambda file: str(file.relative_to(ROOT)))
def test_deciding_reads_no_file_no_clock_and_runs_no_text(file):
    for node, called in calls(file):
        if isinstance(called, ast.Name):
            allowed = {"compile", "exec"} if file == GENERATOR else set()
            assert called.id not in FORBIDDEN - allowed, f"line {node.lineno}"
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            clock = called.value.id in {"datetime", "date"} and called.attr in CLOCKS
            assert not clock, f"line {node.lineno}"


def test_allow_is_written_in_one_place():
    places = [
        (file.relative_to(ROOT).as_posix(), node.lineno)
        for file in MODULES
        for node, called in calls(file)
        if isinstance(called, ast.Name) and called.id == "Decision"
        for keyword in node.keywords
        if keyword.arg == "allowed"
    ]
    assert [file for file, _ in places] == ["pdp/decide.py"]


def test_no_module_is_over_500_lines():
    assert [file.name for file in MODULES if len(file.read_text().splitlines()) > 500] == []
