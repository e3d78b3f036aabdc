"""``authorizer policy schema``: what editors complete documents by."""

import argparse
import json
from typing import Any

from authorizer.pdp.schema import schema


def add_verbs(verbs: Any) -> None:
    """Register the verb."""
    parser = verbs.add_parser("schema", help="print the JSON Schema of documents, for the completion of editors")
    parser.set_defaults(run=_schema)


def _schema(_args: argparse.Namespace) -> int:
    print(json.dumps(schema(), indent=2))
    return 0
