"""``authorizer keys``: make an API key. The key is shown once; what is kept is its hash, in a document."""

import argparse
import secrets
import sys
from typing import Any

from authorizer.app.credentials import read_secret
from authorizer.errors import DocumentError
from authorizer.pdp.api_keys import ID_BYTES, SECRET_BYTES, compile_keys, make
from authorizer.policy import documents


def add_parser(subparsers: Any) -> None:
    """Register the verb group."""
    verbs = subparsers.add_parser("keys", help="API keys", description=__doc__).add_subparsers(required=True)
    new = verbs.add_parser("new", help="make a key and the document row that belongs to it")
    owner = new.add_mutually_exclusive_group(required=True)
    owner.add_argument("--client", metavar="NAME", help="the program that the key belongs to")
    owner.add_argument("--person", metavar="NAME", help="the person that the key belongs to")
    new.add_argument("--scope", metavar="SCOPE", action="append", default=[], help="a scope that the key has")
    new.add_argument("--expires", metavar="TIME", help="until when it is valid, as 2027-01-31T00:00:00Z")
    new.add_argument(
        "--pepper-file",
        metavar="FILE",
        default="",
        help="the secret that the authorizers hash keys with (credentials.pepper_file)",
    )
    new.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a key's row, and on standard error the key: no file of documents shall have it. Raises AuthorizerError."""
    pepper = read_secret(args.pepper_file)
    text, name, written = make(secrets.token_bytes(ID_BYTES + SECRET_BYTES), pepper)
    kind, owner = ("client", args.client) if args.client else ("person", args.person)
    row = f"kind: ApiKeys\nkeys:\n  {name}:\n    hash: {written}\n    is: {{{kind}: [{_quoted(owner)}]}}\n"
    if args.scope:
        row += f"    scopes: [{', '.join(map(_quoted, args.scope))}]\n"
    if args.expires:
        row += f"    expires: {_quoted(args.expires)}\n"
    _, problems = compile_keys(documents.load(row, "the command line"))
    if problems:
        raise DocumentError(problems)
    print(f"{text}\nThe key above is shown this once: hand it over. The document below is to be kept.", file=sys.stderr)
    print(row, end="", flush=True)
    return 0


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
