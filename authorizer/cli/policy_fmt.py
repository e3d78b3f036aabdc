"""``authorizer policy fmt``: documents in their one layout, or written out."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from authorizer.cli import policy_rego
from authorizer.cli.policy_documents import read_files
from authorizer.errors import DocumentError, Problem
from authorizer.pdp.rego_manifest import rego_versions
from authorizer.pdp.sources import TEXT_SUFFIXES
from authorizer.policy.authoring.expansion import expanded
from authorizer.policy.authoring.layout import laid_out
from authorizer.policy.authoring.writing import write
from authorizer.policy.documents import Node, decoded, load_bytes
from authorizer.policy.rego.layout import layout

CHANGED = 4


def add_verbs(verbs: Any) -> None:
    """Register the verb."""
    fmt = verbs.add_parser("fmt", help="lay documents out in one way, in place; or print them written out")
    fmt.add_argument("paths", metavar="PATH", nargs="+", help="document, or directory of documents")
    how = fmt.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="change nothing; exit status 4 if a file would be changed")
    how.add_argument("--expand", action="store_true", help="print rules as rights and policies, 'for each' as its rows")
    policy_rego.add_options(fmt)
    fmt.set_defaults(run=_fmt)


def _fmt(args: argparse.Namespace) -> int:
    policy_rego.concerns(args)
    files = dict(sorted(read_files(args.paths).items()))
    if args.expand:
        documents = {name: text for name, text in files.items() if name.endswith(TEXT_SUFFIXES)}
        print(write(expanded(_documents(documents))), end="")
        return 0
    changed: dict[str, str] = {}
    versions, problems = rego_versions(files, args.rego_version)
    for name, content in files.items():
        if not name.endswith((*TEXT_SUFFIXES, policy_rego.SUFFIX)):
            continue
        try:
            text = decoded(content, name)
            result = layout(text, name, versions[name]) if name in versions else laid_out(text, name)
        except DocumentError as error:
            problems += error.problems
            continue
        if result != text:
            changed[name] = result
    if problems:
        raise DocumentError(problems)
    for name, result in changed.items():
        print(name)
        if not args.check:
            Path(name).write_text(result, encoding="utf-8")
    return CHANGED if args.check and changed else 0


def _documents(files: Mapping[str, bytes]) -> list[Node]:
    documents: list[Node] = []
    problems: list[Problem] = []
    for name, content in files.items():
        try:
            documents += load_bytes(content, name)
        except DocumentError as error:
            problems += error.problems
    if problems:
        raise DocumentError(problems)
    return documents
