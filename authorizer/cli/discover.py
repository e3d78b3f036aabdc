"""``authorizer discover``: print the APIs that a gateway serves."""

import argparse
import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from authorizer.discovery import envoy
from authorizer.discovery.admin import fetch, parse
from authorizer.discovery.catalogue import Catalogue, catalogue
from authorizer.discovery.flags import MEANING
from authorizer.errors import DiscoveryError
from authorizer.model import Api, ApiRoute

_NAMED = 5
_HEADINGS = ("hosts", "methods", "path", "cluster", "flags")
_SUFFIX = {"prefix": "*", "segments": "[/*]", "regex": " (regex)", "template": " (template)"}


def add_parser(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser("discover", help="print the APIs that a gateway serves", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--envoy", metavar="URL", help="Envoy's admin interface: http://127.0.0.1:PORT or unix:PATH")
    source.add_argument("--file", metavar="DUMP", type=Path, help="a saved /config_dump")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the catalogue. Raises DiscoveryError when the gateway cannot be read."""
    dump = asyncio.run(fetch(args.envoy)) if args.envoy else parse(_read(args.file))
    found = catalogue(envoy.read(dump))
    print(_json(found) if args.output == "json" else _table(found))
    return 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DiscoveryError("AZ606", f"{path} cannot be read: {error.strerror}") from error


def _json(found: Catalogue) -> str:
    return msgspec.json.format(
        msgspec.json.encode({"version": 1, "digest": found.digest, "apis": found.apis}), indent=2
    ).decode()


def _table(found: Catalogue) -> str:
    rows = [row for api in found.apis for row in _rows(api)]
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in [tuple(map(str.upper, _HEADINGS)), *rows]]
    lines.append("")
    for flag, meaning in MEANING.items():
        flagged = [api for api in found.apis if flag in api.flags or any(flag in route.flags for route in api.routes)]
        if flagged:
            lines += [f"{flag} ({_names(flagged, len(found.apis))}): {meaning}"]
    return "\n".join([*lines, f"{len(found.apis)} APIs, {sum(len(api.routes) for api in found.apis)} routes"])


def _names(apis: Sequence[Api], known: int) -> str:
    if len(apis) == known:
        return "all APIs"
    names = [_printable(api.name or api.id) for api in apis]
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _rows(api: Api) -> Iterable[tuple[str, ...]]:
    hosts = _printable(", ".join(api.hosts) or "-")
    for route in api.routes or (ApiRoute(path="-", kind="exact"),):
        methods = ",".join(route.methods) or "*"
        path = (route.path or "*") + (_SUFFIX.get(route.kind, ""))
        yield hosts, methods, _printable(path), _printable(route.cluster or "-"), " ".join(route.flags)


def _printable(text: str) -> str:
    """Make text from a gateway safe for a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
