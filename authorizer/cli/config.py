"""``authorizer config``: check a configuration, print the reference of all settings."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from authorizer import directory, settings
from authorizer.app.credentials import no_client
from authorizer.errors import AuthorizerError, Place, Problem, SettingsError
from authorizer.pdp import trust
from authorizer.pdp.sources import compile_documents


def add_parser(subparsers: Any) -> None:
    """Register the verb group."""
    group = subparsers.add_parser("config", help="check and explain the configuration of serve")
    verbs = group.add_subparsers(dest="verb", required=True, metavar="VERB")
    show = verbs.add_parser("show", help="check a configuration and print what results from all its sources")
    add_arguments(show)
    show.set_defaults(run=_show)
    verbs.add_parser("reference", help="print every setting with default and meaning").set_defaults(run=_reference)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that name the sources of settings."""
    parser.add_argument("--config", metavar="FILE", help="YAML configuration file")
    parser.add_argument("--policies", metavar="DIR", help="short for --set policies=DIR")
    parser.add_argument("--set", metavar="PATH=VALUE", action="append", default=[], help="override one setting")


def read(args: argparse.Namespace) -> settings.Settings:
    """Return the settings that the flags name. Raises SettingsError or DocumentError."""
    return settings.load(*_file(args), environment=os.environ, flags=_flags(args))


def _file(args: argparse.Namespace) -> tuple[str, str]:
    return (_text(args.config), args.config) if args.config else ("", "")


def _flags(args: argparse.Namespace) -> list[str]:
    return [*args.set, *([f"policies={args.policies}"] if args.policies else [])]


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not UTF-8"
        raise SettingsError([Problem("AZ107", f"the configuration cannot be read: {why}", Place(path))]) from None


def _show(args: argparse.Namespace) -> int:
    found, warnings = settings.look(*_file(args), environment=os.environ, flags=_flags(args))
    for warning in warnings:
        print(warning.render(), file=sys.stderr)
    for error in _lacking(found):
        print(f"warning {error}", file=sys.stderr)
    print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    return 0


def _lacking(found: settings.Settings) -> list[AuthorizerError]:
    """Return which clients the settings lack, where the documents that need them are at hand and good."""
    documents = compile_documents(directory.read(Path(found.policies)).files).compiled if found.policies else {}
    trusted = trust.load(documents["trust"]) if documents else trust.NOBODY
    return [no_client(*each) for each in trust.unknown_clients(trusted, found.identity_providers.clients)]


def _reference(_args: argparse.Namespace) -> int:
    print(settings.reference(), end="")
    return 0
