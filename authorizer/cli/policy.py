"""``authorizer policy``: check documents and run the cases they hold."""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from authorizer.errors import DocumentError, Place, Problem
from authorizer.pdp import rehearsal, snapshot
from authorizer.pdp.sources import TEXT_SUFFIXES, compile_sources
from authorizer.policy import testing

_SUFFIXES = (*TEXT_SUFFIXES, ".json")
"""What is read in directories: documents, and the key sets that they may name."""


def add_parser(subparsers: Any) -> None:
    """Register the verb group."""
    group = subparsers.add_parser("policy", help="check policy documents, run their tests")
    verbs = group.add_subparsers(dest="verb", required=True, metavar="VERB")
    check = verbs.add_parser("check", help="show all problems of documents; exit status 3 if one is an error")
    _add_arguments(check)
    check.set_defaults(run=_check)
    test = verbs.add_parser("test", help="run the cases of Tests documents; exit status 4 if one fails")
    _add_arguments(test)
    test.set_defaults(run=_test)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", metavar="PATH", nargs="+", help="document, or directory of documents")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="default: text")


def read_files(paths: Sequence[str]) -> dict[str, bytes]:
    """Read documents by the names that problems will show. Raises DocumentError when a path has none, OSError."""
    files: dict[str, bytes] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise DocumentError([Problem("AZ200", "no such file or directory", Place(str(path)))])
        found = [path]
        if path.is_dir():
            found = sorted(one for one in path.rglob("*") if one.suffix in _SUFFIXES and one.is_file())
        if not found:
            raise DocumentError([Problem("AZ200", "no documents in this directory", Place(str(path)))])
        files.update((one.as_posix(), one.read_bytes()) for one in found)
    return files


def _check(args: argparse.Namespace) -> int:
    sources = compile_sources(read_files(args.paths))
    errors = sum(problem.severity == "error" for problem in sources.problems)
    if args.output == "json":
        _print_json({"problems": [_problem(problem) for problem in sources.problems]})
    else:
        for problem in sources.problems:
            print(problem.render(), file=sys.stderr)
        print(f"{errors} errors, {len(sources.problems) - errors} warnings")
    return DocumentError.exit_status if errors else 0


def _test(args: argparse.Namespace) -> int:
    sources = compile_sources(read_files(args.paths))
    found = snapshot.build(sources.documents(), {}, snapshot.Options())
    report = testing.run(sources.tests, partial(rehearsal.ask, found))
    if not report.results:
        raise DocumentError([Problem("T104", "no test cases", Place(args.paths[0]), "add a document of kind Tests")])
    if args.output == "json":
        passed = len(report.results) - len(report.failed)
        results = [_result(result) for result in report.results]
        _print_json({"passed": passed, "failed": len(report.failed), "cases": results})
    else:
        for line in _failures(report.failed):
            print(line)
        print(report.summary)
    return 4 if report.failed else 0


def _failures(results: Iterable[testing.Result]) -> Iterable[str]:
    for result in results:
        case, decision = result.case, result.decision
        yield f"FAILED {case.suite}: {case.name} ({case.place})"
        yield from (f"    {line}" for line in result.failures)
        answer = "allow" if decision.allowed else "deny"
        by = f" by {', '.join(decision.policies)} ({', '.join(decision.sources)})" if decision.policies else ""
        yield f"    answer: {answer}, {decision.reason.code}{by}"
        if decision.detail and not decision.allowed:
            yield f"    why: {decision.detail}"


def _problem(problem: Problem) -> Mapping[str, object]:
    return {
        "code": problem.code,
        "severity": problem.severity,
        "file": problem.place.file,
        "line": problem.place.line,
        "column": problem.place.column,
        "message": problem.message,
        "hint": problem.hint,
    }


def _result(result: testing.Result) -> Mapping[str, object]:
    return {
        "suite": result.case.suite,
        "name": result.case.name,
        "place": str(result.case.place),
        "passed": not result.failures,
        "failures": result.failures,
        "decision": "allow" if result.decision.allowed else "deny",
        "reason": result.decision.reason.code,
        "policies": result.decision.policies,
        "detail": result.decision.detail,
    }


def _print_json(shown: Mapping[str, object]) -> None:
    print(orjson.dumps({"version": 1, **shown}, option=orjson.OPT_INDENT_2).decode())
