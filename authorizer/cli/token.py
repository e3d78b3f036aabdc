"""``authorizer token``: sign a token for trying policies out, with a key of your own. Not an identity provider."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from authorizer import files
from authorizer.cli.policy_documents import read_files
from authorizer.errors import KeyMaterialError
from authorizer.jose import sign
from authorizer.jose.algorithms import ALGORITHMS
from authorizer.pdp.sources import compile_documents

KEY_MODE = 0o600


def add_parser(subparsers: Any) -> None:
    """Register the verb."""
    parser = subparsers.add_parser("token", help="sign a token for trying policies out", description=__doc__)
    parser.add_argument("policies", metavar="PATH", nargs="+", help="documents that say which issuer to be")
    parser.add_argument("--key", metavar="PEM", required=True, help="private key to sign with; made if it is not there")
    parser.add_argument(
        "--jwks", metavar="FILE", help="write the key set that belongs to the key, as jwks_file wants it"
    )
    parser.add_argument("--issuer", metavar="NAME", default="", help="which issuer to be, where there are several")
    parser.add_argument("--subject", metavar="SUB", required=True, help="who the token is about")
    parser.add_argument(
        "--claim", metavar="NAME=VALUE", action="append", default=[],
        help="""a further claim; VALUE is JSON, or else a text: --claim tenant=acme --claim 'groups=["sales"]'""",
    )  # fmt: skip
    parser.add_argument("--algorithm", choices=sorted(ALGORITHMS), default="ES256", help="default: ES256")
    parser.add_argument("--seconds", type=int, default=3600, help="how long it is valid; default: 3600")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a token. Raises AuthorizerError."""
    path = Path(args.key)
    if not path.exists():
        files.create(path, sign.generate(args.algorithm), mode=KEY_MODE)
    pem = path.read_bytes()
    public = sign.public_jwk(pem, args.algorithm)
    if args.jwks:
        # Before the documents are read: they are refused while the file that they name is not there.
        Path(args.jwks).write_text(json.dumps({"keys": [public]}, indent=2) + "\n", encoding="utf-8")
    trust = compile_documents(read_files(args.policies)).documents()["trust"]
    issuer = _issuer(trust["issuers"], args.issuer)
    if public["kid"] not in {key.get("kid") for key in issuer["keys"]} or args.algorithm not in issuer["algorithms"]:
        why = f"issuer {issuer['name']!r} does not accept this key with {args.algorithm}"
        own = "write its key set with --jwks FILE, the jwks_file of the issuer"
        raise KeyMaterialError("AZ431", why, hint=own if issuer["keys"] else "its keys are fetched: ask it for a token")
    now = int(time.time())
    claims = {"iss": issuer["issuer"], "sub": args.subject, issuer["audience_claim"]: issuer["audiences"][0]}
    claims |= {"iat": now, "exp": now + args.seconds, **dict(_claim(text) for text in args.claim)}
    print(sign.sign(claims, pem, args.algorithm, public["kid"]))
    return 0


def _issuer(issuers: list[dict[str, Any]], name: str) -> dict[str, Any]:
    known = ", ".join(sorted(issuer["name"] for issuer in issuers))
    found = [issuer for issuer in issuers if not name or issuer["name"] == name]
    if len(found) != 1:
        raise KeyMaterialError("AZ431", "name the issuer to be", hint=f"--issuer, one of: {known or 'none there'}")
    return found[0]


def _claim(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
