"""``authorizer policy fmt``: documents in another form."""

import argparse
from typing import Any

from authorizer.cli.policy_documents import read_files
from authorizer.errors import DocumentError, Problem
from authorizer.pdp.sources import TEXT_SUFFIXES
from authorizer.policy.authoring.expansion import expanded
from authorizer.policy.authoring.writing import write
from authorizer.policy.documents import Node, load_bytes


def add_verbs(verbs: Any) -> None:
    """Register the verb."""
    fmt = verbs.add_parser("fmt", help="print documents in another form")
    fmt.add_argument("paths", metavar="PATH", nargs="+", help="document, or directory of documents")
    fmt.add_argument(
        "--expand", action="store_true", required=True, help="rules as rights and policies, 'for each' as its rows"
    )
    fmt.set_defaults(run=_fmt)


def _fmt(args: argparse.Namespace) -> int:
    documents: list[Node] = []
    problems: list[Problem] = []
    for name, content in sorted(read_files(args.paths).items()):
        if name.endswith(TEXT_SUFFIXES):
            try:
                documents += load_bytes(content, name)
            except DocumentError as error:
                problems += error.problems
    if problems:
        raise DocumentError(problems)
    print(write(expanded(documents)), end="")
    return 0
