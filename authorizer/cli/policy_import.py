"""``authorizer policy import``: documents made of what others wrote."""

import argparse
import sys
from pathlib import Path
from typing import Any

from authorizer.policy.authoring.importing import Imported
from authorizer.policy.authoring.importing.azure import import_azure
from authorizer.policy.authoring.importing.matrix import import_csv
from authorizer.policy.authoring.importing.openapi import import_openapi


def add_verbs(verbs: Any) -> None:
    """Register the verb."""
    group = verbs.add_parser("import", help="make documents of an API description, Azure roles, or tables")
    kinds = group.add_subparsers(dest="kind", required=True, metavar="KIND")
    openapi = kinds.add_parser("openapi", help="OpenAPI 3 or Swagger 2: a route and a right for each operation")
    openapi.add_argument("file", metavar="FILE", help="the description, JSON or YAML")
    openapi.add_argument("--id", default="", help="the application; default: the description's title")
    openapi.set_defaults(make=_openapi)
    azure = kinds.add_parser("azure", help="what az role assignment list and az role definition list print")
    azure.add_argument("assignments", metavar="ASSIGNMENTS", help="JSON of az role assignment list --all")
    azure.add_argument("definitions", metavar="DEFINITIONS", help="JSON of az role definition list")
    azure.add_argument("--id", default="azure", help="the application; default: azure")
    azure.set_defaults(make=_azure)
    tables = kinds.add_parser("csv", help="tables of users, groups, roles and rights")
    tables.add_argument("files", metavar="FILE", nargs="+", help="a list or a matrix; several are read together")
    tables.add_argument("--id", default="app", help="the application; default: app")
    tables.set_defaults(make=_csv)
    for parser in (openapi, azure, tables):
        parser.set_defaults(run=_import)


def _import(args: argparse.Namespace) -> int:
    imported: Imported = args.make(args)
    for note in imported.notes:
        print(f"note: {note}", file=sys.stderr)
    print(imported.text, end="")
    return 0


def _openapi(args: argparse.Namespace) -> Imported:
    return import_openapi(Path(args.file).read_bytes(), args.file, args.id)


def _azure(args: argparse.Namespace) -> Imported:
    return import_azure(Path(args.assignments).read_bytes(), Path(args.definitions).read_bytes(), application=args.id)


def _csv(args: argparse.Namespace) -> Imported:
    return import_csv([(name, Path(name).read_bytes()) for name in args.files], application=args.id)
