"""``authorizer discover``: print the APIs that a gateway serves."""

import argparse
import asyncio
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec
import yaml

from authorizer.discovery import describing, envoy, kong, kong_admin, traefik, traefik_api
from authorizer.discovery.admin import fetch, parse
from authorizer.discovery.catalogue import Catalogue, catalogue
from authorizer.discovery.flags import MEANING
from authorizer.discovery.kubernetes import files, objects, reading
from authorizer.discovery.kubernetes.access import access
from authorizer.discovery.kubernetes.following import Following
from authorizer.discovery.kubernetes.reading import Reading
from authorizer.discovery.refining import refine
from authorizer.errors import DiscoveryError
from authorizer.model import Api, ApiRoute, Asking

_NAMED = 5
_ASKING = {"asks": "the gateway asks", "does_not": "it does not", "unknown": "cannot be told"}
_HEADINGS = ("hosts", "methods", "path", "cluster", "flags")
_SUFFIX = {"prefix": "*", "segments": "[/*]", "regex": " (regex)", "template": " (template)"}


def add_parser(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser("discover", help="print the APIs that a gateway serves", description=__doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--envoy", metavar="URL", help="Envoy's admin interface: http://127.0.0.1:PORT or unix:PATH")
    source.add_argument("--file", metavar="DUMP", type=Path, help="a saved /config_dump")
    source.add_argument("--kubernetes", metavar="WHERE", help="an API server: in-cluster, or the path of a kubeconfig")
    source.add_argument("--manifests", metavar="FILE", type=Path, nargs="+", help="Kubernetes objects in YAML files")
    source.add_argument("--kong", metavar="WHERE", help="a declarative configuration of Kong, or its Admin API's URL")
    source.add_argument("--traefik", metavar="WHERE", help="a dynamic configuration of Traefik, or its API's URL")
    parser.add_argument(
        "--openapi",
        metavar="[API=]WHERE",
        action="append",
        default=[],
        help="an API's OpenAPI or Swagger document, a file or a URL: its operations are shown too (repeat)",
    )
    parser.add_argument(
        "--grpc",
        metavar="API=HOST:PORT",
        action="append",
        default=[],
        help="a gRPC server with reflection: its methods are shown too (repeat)",
    )
    parser.add_argument("--ca-file", metavar="PEM", default="", help="authority of these addresses, not the system's")
    parser.add_argument("--namespace", metavar="NAME", action="append", default=[], help="watch this one only (repeat)")
    parser.add_argument(
        "--asked-as", metavar="NAME", action="append", help="what gateways call the authorizer (repeat; authorizer)"
    )
    parser.add_argument("--output", choices=("table", "json"), default="table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the catalogue. Raises DiscoveryError when the gateway or a description cannot be read."""
    found = _refined(_found(args), args)
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
        told = _kong(args) if args.kong else _traefik(args, providers)
        return catalogue(told.apis, told.notes)
    if args.envoy or args.file:
        dump = asyncio.run(fetch(args.envoy)) if args.envoy else parse(_read(args.file))
        return catalogue(envoy.read(dump))
    if args.openapi or args.grpc:
        return catalogue(())
    raise DiscoveryError("AZ606", "there is nothing to read", hint="name a source; --help lists them")


def _kong(args: argparse.Namespace) -> Reading:
    if _is_url(args.kong):
        return asyncio.run(kong_admin.ask(args.kong, args.ca_file)).reading
    return kong.read(_mapping(Path(args.kong)))


def _traefik(args: argparse.Namespace, providers: Sequence[str]) -> Reading:
    if _is_url(args.traefik):
        return asyncio.run(traefik_api.ask(args.traefik, providers, args.ca_file)).reading
    return traefik.read(_mapping(Path(args.traefik)), providers)


def _refined(found: Catalogue, args: argparse.Namespace) -> Catalogue:
    if not args.openapi and not args.grpc:
        return found
    places = [_place(said, args.ca_file, grpc=False) for said in args.openapi]
    places += [_place(said, args.ca_file, grpc=True) for said in args.grpc]
    refined = refine(found.apis, [asyncio.run(describing.look(place)).described for place in places])
    return catalogue(refined.apis, (*found.notes, *refined.notes))


def _place(said: str, ca_file: str, *, grpc: bool) -> describing.Place:
    api, equals, where = said.partition("=")
    if not equals or "://" in api or api.startswith((".", "/")):  # the '=' is of an address or of a path
        api, where = "", said
    if not api and (grpc or _is_url(where)):
        raise DiscoveryError("AZ610", f"{where} is not said to speak of an API", hint=f"write API={where}")
    if grpc:
        return describing.place(where, api, grpc=where, ca_file=ca_file)
    if _is_url(where):
        return describing.place(where, api, url=where, ca_file=ca_file)
    return describing.place(where, api, file=where)


def _is_url(where: str) -> bool:
    return where.startswith(("http://", "https://"))


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
        flagged = [api for api in found.apis if _has(api, flag)]
        if flagged:
            lines += [f"{flag} ({_names(flagged, len(found.apis))}): {meaning}"]
    lines += [f"note: {_printable(note)}" for note in found.notes]
    asking = {word: sum(api.asking == word for api in found.apis) for word in get_args(Asking)}
    lines.append(", ".join(f"{_ASKING[word]}: {count}" for word, count in asking.items()))
    counts = {"routes": sum(len(api.routes) for api in found.apis)}
    if described := sum(len(api.operations) for api in found.apis):
        counts["operations"] = described
    return "\n".join([*lines, ", ".join([f"{len(found.apis)} APIs", *(f"{n} {what}" for what, n in counts.items())])])


def _has(api: Api, flag: str) -> bool:
    return any(
        flag in flags for flags in (api.flags, *(r.flags for r in api.routes), *(o.flags for o in api.operations))
    )


def _names(apis: Sequence[Api], known: int) -> str:
    if len(apis) == known:
        return "all APIs"
    names = [_printable(api.name or api.id) for api in apis]
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _rows(api: Api) -> Iterable[tuple[str, ...]]:
    hosts = _printable(", ".join(api.hosts) or "-")
    nothing = () if api.operations else (ApiRoute(path="-", kind="exact"),)
    for route in api.routes or nothing:
        methods = ",".join(route.methods) or "*"
        path = (route.path or "*") + (_SUFFIX.get(route.kind, ""))
        yield hosts, methods, _printable(path), _printable(route.cluster or "-"), " ".join(route.flags)
    for one in api.operations:
        yield hosts, one.method, _printable(one.path), _printable(f"operation {one.id}".rstrip()), " ".join(one.flags)


def _printable(text: str) -> str:
    """Make text from a gateway safe for a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
