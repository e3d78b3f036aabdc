"""``authorizer policy``: check documents, run the cases they hold, build signed bundles."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from authorizer import bundle
from authorizer.cli import (
    policy_access,
    policy_explain,
    policy_fmt,
    policy_import,
    policy_rego,
    policy_schema,
    policy_test,
)
from authorizer.cli.policy_documents import add_arguments, print_problems, read_files
from authorizer.errors import ordered
from authorizer.jose import sign
from authorizer.jose.algorithms import ALGORITHMS
from authorizer.model import KINDS
from authorizer.pdp.agreement import uncredentialed
from authorizer.pdp.sources import compile_documents
from authorizer.policy.authoring import unpacking
from authorizer.policy.documents import excerpted
from authorizer.policy.pbac.dead import ended
from authorizer.policy.reading import Findings


def add_parser(subparsers: Any) -> None:
    """Register the verb group."""
    group = subparsers.add_parser("policy", help="check policy documents, run their tests, build bundles")
    verbs = group.add_subparsers(dest="verb", required=True, metavar="VERB")
    check = verbs.add_parser("check", help="show all problems of documents; exit status 3 if one is an error")
    add_arguments(check)
    policy_rego.add_options(check)
    check.set_defaults(run=_check)
    build = verbs.add_parser("build", help="compile documents to signed bundles; exit status 3 if one has an error")
    build.add_argument("paths", metavar="PATH", nargs="+", help="document, or directory of documents")
    build.add_argument("-o", "--output", metavar="DIR", required=True, help="directory for KIND.tar.gz")
    build.add_argument("--key", metavar="PEM", required=True, help="private key that signs (authorizer bundle keygen)")
    build.add_argument("--key-id", default="", help="name of the key; default: its RFC 7638 thumbprint")
    build.add_argument("--algorithm", choices=sorted(ALGORITHMS), default="ES256", help="default: ES256")
    build.add_argument(
        "--serial", type=int, default=0, help="number that only grows; default: the time in milliseconds"
    )
    build.add_argument(
        "-e", "--entrypoint", metavar="PATH", action="append", default=[], help="Rego: what is asked: acme/allow"
    )
    policy_rego.add_options(build, data=True)
    build.add_argument("--source-map", action="store_true", help="add where each comparison stands, for policy explain")
    build.set_defaults(run=_build)
    policy_test.add_verbs(verbs)
    policy_access.add_verbs(verbs)
    policy_explain.add_verbs(verbs)
    policy_fmt.add_verbs(verbs)
    policy_import.add_verbs(verbs)
    policy_schema.add_verbs(verbs)


def _check(args: argparse.Namespace) -> int:
    if policy_rego.concerns(args):
        return policy_rego.check(args)
    files = read_files(args.paths)
    sources = compile_documents(files)
    found = Findings()
    if sources.estate is not None:
        ended(sources.estate.policies, time.time(), found)
        if sources.compiled:
            uncredentialed(sources.estate, sources.compiled["trust"], found)
    texts = {name: content.decode("utf-8", "replace") for name, content in files.items()} if found.problems else {}
    return print_problems(ordered([*sources.problems, *excerpted(found.problems, texts)]), args.output)


def _build(args: argparse.Namespace) -> int:
    pem = Path(args.key).read_bytes()
    key_id = args.key_id or str(sign.public_jwk(pem, args.algorithm)["kid"])
    signer = bundle.Signer(private_pem=pem, key_id=key_id, algorithm=args.algorithm)
    serial = args.serial or time.time_ns() // 1_000_000
    if policy_rego.concerns(args):
        return policy_rego.build(args, signer, serial)
    # Names from the directory on: a bundle does not tell where on which machine it was built.
    sources = compile_documents(read_files(args.paths, inside=True))
    documents = sources.documents()
    for problem in sources.problems:
        print(problem.render(), file=sys.stderr)
    # All are made before one is written: a directory never holds bundles of two different runs by an error half-way.
    edition = dict.fromkeys(KINDS, serial)
    extra = {}
    if args.source_map and sources.estate is not None:
        extra["policy"] = {unpacking.SOURCE_MAP: unpacking.source_map(sources.estate)}
    made = {
        kind: bundle.write(kind, documents[kind], serial=serial, signer=signer, edition=edition, extra=extra.get(kind))
        for kind in KINDS
    }
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    for kind, content in made.items():
        path = folder / f"{kind}.tar.gz"
        path.write_bytes(content)
        revision = bundle.revision_of(kind, documents[kind], extra.get(kind))
        print(f"{path}  serial {serial}  revision {revision}  key {key_id}")
    return 0
