"""What the verbs of ``authorizer policy`` share: the documents that they are given, and how they print problems."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from authorizer import bundle, directory
from authorizer.bundle import archive, manifest
from authorizer.bundle.refusals import refusal
from authorizer.errors import DocumentError, Place, Problem
from authorizer.model import Decision
from authorizer.pdp import rehearsal, snapshot
from authorizer.pdp.sources import Sources, compile_documents
from authorizer.policy.authoring import unpacking
from authorizer.policy.pbac.declared import Estate
from authorizer.policy.testing import Case

Form = Mapping[str, Any]
BUNDLE = ".tar.gz"
FAILED = 4
"""The exit status when cases failed, or mutants survived."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the paths of documents and the form of what is printed."""
    parser.add_argument("paths", metavar="PATH", nargs="+", help="document, or directory of documents")
    add_output(parser)


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the form of what is printed."""
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


def read_sources(paths: Sequence[str]) -> Sources:
    """Compile documents, or read bundles (``.tar.gz``) of them, at most one of a kind; what is not given is empty.

    A bundle is studied, not obeyed: its signature is not checked. Raises DocumentError, BundleError, OSError.
    """
    bundles = [path for path in paths if path.endswith(BUNDLE)]
    if not bundles:
        return compile_documents(read_files(paths))
    if len(bundles) < len(paths):
        raise DocumentError([Problem("AZ200", "bundles and documents together", Place(bundles[0]), "give one sort")])
    found = dict(compile_documents({}).documents())
    estate = None
    given: dict[str, str] = {}
    for path in bundles:
        files = archive.unpack(Path(path).read_bytes())
        if manifest.NAME not in files:
            raise refusal("bad_manifest", f"{path} has no manifest")
        stamp = manifest.read(files[manifest.NAME])
        kind = stamp.kind
        if kind in given:
            raise DocumentError([Problem("AZ200", f"a second bundle of {kind}", Place(path))])
        given[kind] = path
        found[kind] = bundle.document_of(stamp, files)
        if kind == "policy":
            estate = unpacking.unpacked(found[kind], files.get(unpacking.SOURCE_MAP, b""))
    if estate is None:
        raise DocumentError([Problem("AZ200", "no bundle of policy", Place(bundles[0]))])
    return Sources(compiled=found, tests=(), problems=(), estate=estate)


def with_cases(paths: Sequence[str]) -> Sources:
    """Compile documents that must hold test cases and what they are about. Raises DocumentError."""
    sources = compile_documents(read_files(paths))
    check_cases(sources, paths[0])
    return sources


def check_cases(sources: Sources, path: str, *, others: bool = False) -> None:
    """Raise DocumentError for documents with an error, without cases (unless there are ``others``) or what they ask."""
    applications = sources.documents()["policy"]["applications"]
    if not sources.tests and not others:
        raise DocumentError([Problem("T304", "no test cases", Place(path), "add a document of kind Tests")])
    if sources.tests and not applications:
        hint = "give the documents that the cases are about too, or their directory"
        raise DocumentError([Problem("T305", "no Application among the paths given", Place(path), hint)])


def estate_of(sources: Sources) -> Estate:
    """Return what documents declare. Raises DocumentError when one has an error."""
    if sources.estate is None:
        raise DocumentError(sources.problems)
    return sources.estate


def answering(sources: Sources) -> Callable[[Form | None], Callable[[Case], Decision]]:
    """Return what makes, of a compiled form (None: the documents' own), the function that answers cases by it."""
    documents = sources.documents()
    revisions = dict.fromkeys(documents, "0")
    rego = {"rego": documents["policy"]["rego"]} if "rego" in documents["policy"] else {}
    first = snapshot.build(documents, revisions, snapshot.Options())
    built = 0

    def answers(form: Form | None) -> Callable[[Case], Decision]:
        nonlocal built
        found = first
        if form is not None:
            built += 1
            asked = {**documents, "policy": {**form, **rego}}
            found = snapshot.build(asked, {**revisions, "policy": str(built)}, first.options, first)
        return partial(rehearsal.ask, found)

    return answers


def print_problems(problems: Sequence[Problem], output: str) -> int:
    """Print problems and how many there are; return the exit status."""
    errors = sum(problem.severity == "error" for problem in problems)
    if output == "json":
        print_json({"problems": [problem.members() for problem in problems]})
    else:
        for problem in problems:
            print(problem.render(), file=sys.stderr)
        print(f"{_counted(errors, 'error')}, {_counted(len(problems) - errors, 'warning')}")
    return DocumentError.exit_status if errors else 0


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def print_json(shown: Mapping[str, object]) -> None:
    """Print one JSON object with the version of its shape."""
    print(orjson.dumps({"version": 1, **shown}, option=orjson.OPT_INDENT_2).decode())
