"""``authorizer discover``: print the APIs that a gateway serves."""

import argparse
import asyncio
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec
import yaml

from authorizer.discovery import envoy, kong, traefik
from authorizer.discovery.admin import fetch, parse
from authorizer.discovery.catalogue import Catalogue, catalogue
from authorizer.discovery.flags import MEANING
from authorizer.discovery.kubernetes import files, objects, reading
from authorizer.discovery.kubernetes.access import access
from authorizer.discovery.kubernetes.following import Following
from authorizer.errors import DiscoveryError
from authorizer.model import Api, ApiRoute, Asking

_NAMED = 5
_ASKING = {"asks": "the gateway asks", "does_not": "it does not", "unknown": "cannot be told"}
_HEADINGS = ("hosts", "methods", "path", "cluster", "flags")
_SUFFIX = {"prefix": "*", "segments": "[/*]", "regex": " (regex)", "template": " (template)"}


def add_parser(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser("discover", help="print the APIs that a gateway serves", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--envoy", metavar="URL", help="Envoy's admin interface: http://127.0.0.1:PORT or unix:PATH")
    source.add_argument("--file", metavar="DUMP", type=Path, help="a saved /config_dump")
    source.add_argument("--kubernetes", metavar="WHERE", help="an API server: in-cluster, or the path of a kubeconfig")
    source.add_argument("--manifests", metavar="FILE", type=Path, nargs="+", help="Kubernetes objects in YAML files")
    source.add_argument("--kong", metavar="FILE", type=Path, help="a declarative configuration of Kong (decK, /config)")
    source.add_argument("--traefik", metavar="FILE", type=Path, help="a dynamic configuration of Traefik: YAML or TOML")
    parser.add_argument("--namespace", metavar="NAME", action="append", default=[], help="watch this one only (repeat)")
    parser.add_argument(
        "--asked-as", metavar="NAME", action="append", help="what gateways call the authorizer (repeat; authorizer)"
    )
    parser.add_argument("--output", choices=("table", "json"), default="table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the catalogue. Raises DiscoveryError when the gateway cannot be read."""
    found = _found(args)
    print(_json(found) if args.output == "json" else _table(found))
    return 0


def _found(args: argparse.Namespace) -> Catalogue:
    providers = args.asked_as or ["authorizer"]
    if args.kubernetes:
        cluster = Following(access(args.kubernetes), args.namespace, providers)
        listed = asyncio.run(cluster.list_once())
        return catalogue(listed.apis, listed.notes)
    if args.manifests:
        return _from_manifests(args.manifests, providers)
    if args.kong or args.traefik:
        value = _mapping(args.kong or args.traefik)
        told = kong.read(value) if args.kong else traefik.read(value, providers)
        return catalogue(told.apis, told.notes)
    dump = asyncio.run(fetch(args.envoy)) if args.envoy else parse(_read(args.file))
    return catalogue(envoy.read(dump))


def _from_manifests(paths: Iterable[Path], providers: Sequence[str]) -> Catalogue:
    held, others = [], dict[str, None]()
    for path in paths:
        read, unknown = files.read(_read(path), str(path))
        held += read
        others |= dict.fromkeys(unknown)
    found = reading.read(objects.by_kind(held), providers, whole=False)
    notes = (*found.notes, *(f"{kind}: objects of this kind say nothing of requests here" for kind in others))
    return catalogue(found.apis, notes)


def _mapping(path: Path) -> Mapping[str, Any]:
    content = _read(path)
    try:
        value = tomllib.loads(content.decode()) if path.suffix == ".toml" else yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise DiscoveryError("AZ606", f"{path} cannot be read: {why}") from None
    if not isinstance(value, dict):
        raise DiscoveryError("AZ602", f"{path} is no mapping")
    return value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DiscoveryError("AZ606", f"{path} cannot be read: {error.strerror}") from error


def _json(found: Catalogue) -> str:
    apis = [_shown(api) for api in found.apis]
    shown = {"version": 1, "digest": found.digest, "notes": found.notes, "apis": apis}
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()


def _shown(api: Api) -> dict[str, object]:
    return {**msgspec.structs.asdict(api), "asking": api.asking}


def _table(found: Catalogue) -> str:
    rows = [row for api in found.apis for row in _rows(api)]
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in [tuple(map(str.upper, _HEADINGS)), *rows]]
    lines.append("")
    for flag, meaning in MEANING.items():
        flagged = [api for api in found.apis if flag in api.flags or any(flag in route.flags for route in api.routes)]
        if flagged:
            lines += [f"{flag} ({_names(flagged, len(found.apis))}): {meaning}"]
    lines += [f"note: {_printable(note)}" for note in found.notes]
    asking = {word: sum(api.asking == word for api in found.apis) for word in get_args(Asking)}
    lines.append(", ".join(f"{_ASKING[word]}: {count}" for word, count in asking.items()))
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
