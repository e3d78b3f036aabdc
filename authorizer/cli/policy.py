"""``authorizer policy``: check documents, run the cases they hold, build signed bundles."""

import argparse
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from authorizer import bundle, directory
from authorizer.errors import DocumentError, Place, Problem
from authorizer.jose import sign
from authorizer.jose.algorithms import ALGORITHMS
from authorizer.model import KINDS
from authorizer.pdp import rehearsal, snapshot
from authorizer.pdp.sources import compile_documents
from authorizer.policy import testing


def add_parser(subparsers: Any) -> None:
    """Register the verb group."""
    group = subparsers.add_parser("policy", help="check policy documents, run their tests, build bundles")
    verbs = group.add_subparsers(dest="verb", required=True, metavar="VERB")
    check = verbs.add_parser("check", help="show all problems of documents; exit status 3 if one is an error")
    _add_arguments(check)
    check.set_defaults(run=_check)
    test = verbs.add_parser("test", help="run the cases of Tests documents; exit status 4 if one fails")
    _add_arguments(test)
    test.set_defaults(run=_test)
    build = verbs.add_parser("build", help="compile documents to signed bundles; exit status 3 if one has an error")
    build.add_argument("paths", metavar="PATH", nargs="+", help="document, or directory of documents")
    build.add_argument("-o", "--output", metavar="DIR", required=True, help="directory for KIND.tar.gz")
    build.add_argument("--key", metavar="PEM", required=True, help="private key that signs (authorizer bundle keygen)")
    build.add_argument("--key-id", default="", help="name of the key; default: its RFC 7638 thumbprint")
    build.add_argument("--algorithm", choices=sorted(ALGORITHMS), default="ES256", help="default: ES256")
    build.add_argument(
        "--serial", type=int, default=0, help="number that only grows; default: the time in milliseconds"
    )
    build.set_defaults(run=_build)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", metavar="PATH", nargs="+", help="document, or directory of documents")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="default: text")


def read_files(paths: Sequence[str], *, inside: bool = False) -> dict[str, bytes]:
    """Read documents by the names that problems will show; ``inside`` names those of a directory from there on.

    Raises DocumentError when a path has none or two get one name, OSError.
    """
    files: dict[str, bytes] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise DocumentError([Problem("AZ200", "no such file or directory", Place(str(path)))])
        if path.is_dir():
            reading = directory.read(path)
            if reading.problems:
                raise DocumentError(reading.problems)
            if not reading.files:
                raise DocumentError([Problem("AZ200", "no documents in this directory", Place(str(path)))])
            root, found = path, reading.files
        else:
            root, found = path.parent, {path.name: path.read_bytes()}
        for name, content in found.items():
            shown = name if inside else (root / name).as_posix()
            if shown in files:
                raise DocumentError([Problem("AZ200", "given twice", Place(shown))])
            files[shown] = content
    return files


def _check(args: argparse.Namespace) -> int:
    sources = compile_documents(read_files(args.paths))
    errors = sum(problem.severity == "error" for problem in sources.problems)
    if args.output == "json":
        _print_json({"problems": [problem.members() for problem in sources.problems]})
    else:
        for problem in sources.problems:
            print(problem.render(), file=sys.stderr)
        print(f"{_counted(errors, 'error')}, {_counted(len(sources.problems) - errors, 'warning')}")
    return DocumentError.exit_status if errors else 0


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _test(args: argparse.Namespace) -> int:
    sources = compile_documents(read_files(args.paths))
    documents = sources.documents()
    if sources.tests and not documents["policy"]["applications"]:
        hint = "give the documents that the cases are about too, or their directory"
        raise DocumentError([Problem("T305", "no Application among the paths given", Place(args.paths[0]), hint)])
    found = snapshot.build(documents, {}, snapshot.Options())
    report = testing.run(sources.tests, partial(rehearsal.ask, found))
    if not report.results:
        raise DocumentError([Problem("T304", "no test cases", Place(args.paths[0]), "add a document of kind Tests")])
    if args.output == "json":
        passed = len(report.results) - len(report.failed)
        results = [_result(result) for result in report.results]
        _print_json({"passed": passed, "failed": len(report.failed), "cases": results})
    else:
        for line in _failures(report.failed):
            print(line)
        print(report.summary)
    return 4 if report.failed else 0


def _build(args: argparse.Namespace) -> int:
    # Names from the directory on: a bundle does not tell where on which machine it was built.
    sources = compile_documents(read_files(args.paths, inside=True))
    documents = sources.documents()
    for problem in sources.problems:
        print(problem.render(), file=sys.stderr)
    pem = Path(args.key).read_bytes()
    key_id = args.key_id or str(sign.public_jwk(pem, args.algorithm)["kid"])
    signer = bundle.Signer(private_pem=pem, key_id=key_id, algorithm=args.algorithm)
    serial = args.serial or time.time_ns() // 1_000_000
    # All are made before one is written: a directory never holds bundles of two different runs by an error half-way.
    edition = dict.fromkeys(KINDS, serial)
    made = {kind: bundle.write(kind, documents[kind], serial=serial, signer=signer, edition=edition) for kind in KINDS}
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    for kind, content in made.items():
        path = folder / f"{kind}.tar.gz"
        path.write_bytes(content)
        print(f"{path}  serial {serial}  revision {bundle.revision_of(kind, documents[kind])}  key {key_id}")
    return 0


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
