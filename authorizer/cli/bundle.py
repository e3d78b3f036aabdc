"""``authorizer bundle``: make signing keys, look into bundles, verify them."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from authorizer.bundle import DEFAULT_LIMITS, Verifier, archive, manifest, read, signatures
from authorizer.bundle.refusals import refusal
from authorizer.files import create
from authorizer.jose import jwk, sign
from authorizer.jose.algorithms import ALGORITHMS
from authorizer.model import KINDS

PRIVATE, PUBLIC = "signing.pem", "signing.pub.pem"
_PINNED = "the key of the command line"


def add_parser(subparsers: Any) -> None:
    """Register the verb group."""
    group = subparsers.add_parser("bundle", help="make signing keys, inspect and verify bundles")
    verbs = group.add_subparsers(dest="verb", required=True, metavar="VERB")

    keygen = verbs.add_parser("keygen", help=f"make a key pair for signing bundles: {PRIVATE} and {PUBLIC}")
    keygen.add_argument("-o", "--output", metavar="DIR", default=".", help="directory for the two files")
    _add_algorithm(keygen)
    keygen.set_defaults(run=_keygen)

    inspect = verbs.add_parser("inspect", help="show what a bundle says of itself, without verifying it")
    inspect.add_argument("file", metavar="FILE", help="the .tar.gz, or - for standard input")
    inspect.add_argument("--json", action="store_true", help="print one JSON object")
    inspect.set_defaults(run=_inspect)

    verify = verbs.add_parser("verify", help="check a bundle as an authorizer would; exit status 3 if it is refused")
    verify.add_argument("file", metavar="FILE", help="the .tar.gz, or - for standard input")
    verify.add_argument("--key", metavar="PEM", required=True, help="public key that must have signed it")
    verify.add_argument("--kind", choices=KINDS, help="what the bundle must hold")
    verify.add_argument("--scope", default="", help="scope that the signature must have")
    _add_algorithm(verify)
    verify.set_defaults(run=_verify)


def _add_algorithm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--algorithm", choices=sorted(ALGORITHMS), default="ES256", help="default: ES256")


def _keygen(args: argparse.Namespace) -> int:
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    private, public = folder / PRIVATE, folder / PUBLIC
    taken = next((path for path in (private, public) if path.exists()), None)
    if taken is not None:
        print(f"error: {taken} exists; keys are never overwritten", file=sys.stderr)
        return 1
    pem = sign.generate(args.algorithm)
    try:
        create(private, pem)
        create(public, sign.public_pem(pem), mode=0o644)
    except FileExistsError as error:
        print(f"error: {error.filename} exists; keys are never overwritten", file=sys.stderr)
        return 1
    print(f"private key  {private}  (keep it secret)")
    print(f"public key   {public}")
    print(f"key id       {sign.public_jwk(pem, args.algorithm)['kid']}")
    return 0


def _inspect(args: argparse.Namespace) -> int:
    files = archive.unpack(_content(args.file))
    if manifest.NAME not in files:
        raise refusal("bad_manifest", "the bundle has no manifest")
    stamp = manifest.read(files[manifest.NAME])
    signed_by = signatures.claimed_key(files)
    if args.json:
        shown = {
            "version": 1,
            "kind": stamp.kind,
            "revision": stamp.revision,
            "serial": stamp.serial,
            "roots": stamp.roots,
            "signed_by": signed_by,
            "verified": False,
            "files": {name: len(content) for name, content in sorted(files.items())},
        }
        print(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())
        return 0
    print(f"kind      {stamp.kind}")
    print(f"revision  {stamp.revision}")
    print(f"serial    {stamp.serial}  ({datetime.fromtimestamp(stamp.serial / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC)")
    print(f"roots     {', '.join(stamp.roots)}")
    print(f"signed    {f'with the key {signed_by}, not verified' if signed_by is not None else 'no'}")
    for name, content in sorted(files.items()):
        print(f"{len(content):>10}  {name}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    key = jwk.read_pem(Path(args.key).read_bytes(), args.algorithm)
    verifier = Verifier(keys={_PINNED: key}, key_id=_PINNED, scope=args.scope)
    found = read(_content(args.file), kind=args.kind, verifier=verifier)
    print(f"good: {found.kind} bundle, serial {found.serial}, revision {found.revision}")
    return 0


def _content(name: str) -> bytes:
    limit = DEFAULT_LIMITS.compressed + 1
    if name == "-":
        return sys.stdin.buffer.read(limit)
    with Path(name).open("rb") as file:
        return file.read(limit)
