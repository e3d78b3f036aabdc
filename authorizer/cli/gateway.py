"""``authorizer gateway KIND``: print a gateway's configuration, or say what is unsafe in one."""

import argparse
import asyncio
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from msgspec.structs import replace

from authorizer import settings
from authorizer.app import endpoints
from authorizer.cli import config
from authorizer.discovery.admin import fetch
from authorizer.doors.listen import TcpAddress, parse
from authorizer.errors import GatewayError, ordered
from authorizer.gateways.checks import CHECKS
from authorizer.gateways.findings import Expected
from authorizer.gateways.kinds import KINDS
from authorizer.gateways.site import MESSAGE_MARGIN, Site
from authorizer.model import FRAMING

_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - what a door is told, not what is bound here
_NAME = re.compile(r"[a-z0-9-]{1,64}")
_COMMENT = {".lua": "--"}


def add_parser(subparsers: Any) -> None:
    """Register the verb."""
    parser = subparsers.add_parser("gateway", help="print a gateway's configuration, or check one", description=__doc__)
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    config.add_arguments(parser)
    parser.add_argument("--host", default="", help="how gateways reach doors that listen on all addresses")
    parser.add_argument("--listen", metavar="HOST:PORT", default=Site().listen, help="where clients come")
    parser.add_argument("--api", metavar="HOST:PORT", default=Site().api, help="what is behind the gateway")
    parser.add_argument("--timeout", metavar="SECONDS", type=_seconds, default=Site().timeout, help="default: 0.5")
    parser.add_argument("--body-bytes", metavar="N", type=int, default=0, help="send so much of a body; default: none")
    parser.add_argument(
        "--header", metavar="NAME", type=_header, action="append", default=[],
        help="a header that policies set (emit, x-authz-filter, Rego): passed on, a client's own taken off; repeatable;"
        " nothing to Envoy by gRPC, which is told with each answer",
    )  # fmt: skip
    parser.add_argument("--output", metavar="DIR", type=Path, help="write files there instead of printing them")
    parser.add_argument(
        "--check", metavar="SOURCE", nargs="+", default=[],
        help="say what is unsafe in these files (-: standard input), or in the Envoy whose admin interface is at"
        " http://127.0.0.1:PORT or unix:PATH; exit status 3 if something is",
    )  # fmt: skip
    parser.add_argument("--bodies", action="store_true", help="with --check: policies read bodies")
    parser.add_argument("--json", action="store_true", help="with --check: print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print or write configuration, or check one. Raises GatewayError, SettingsError, DiscoveryError."""
    if args.check:
        return _check(args)
    made = KINDS[args.kind](_site(args))
    if args.output is None:
        print(_joined(made), end="")
        return 0
    args.output.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (args.output / name).write_text(text, encoding="utf-8")
        print(args.output / name)
    return 0


def _check(args: argparse.Namespace) -> int:
    if args.kind not in CHECKS:
        raise GatewayError("AZ907", f"{args.kind} cannot be checked", hint=f"there are {', '.join(CHECKS)}")
    told = _settings(args)
    expected = Expected(
        identity=(*told.identity_headers, *args.header),
        certificate=_certificate(told),
        message_bytes=told.ext_authz.max_message_bytes,
        bodies=args.bodies,
    )
    found = ordered(CHECKS[args.kind]([(name, _source(args.kind, name)) for name in args.check], expected))
    errors = sum(problem.severity == "error" for problem in found)
    if args.json:
        shown = {"version": 1, "findings": [problem.members() for problem in found]}
        print(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())
    else:
        for problem in found:
            print("".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(problem)))
        print(f"{errors} unsafe, {len(found) - errors} to look at")
    return GatewayError.exit_status if errors else 0


def _source(kind: str, name: str) -> str:
    if kind == "envoy" and name.startswith(("http:", "unix:")):
        return orjson.dumps(asyncio.run(fetch(name))).decode()
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not UTF-8"
        raise GatewayError("AZ901", f"{name} cannot be read: {why}") from None


def _joined(files: Mapping[str, str]) -> str:
    if len(files) == 1:
        return "".join(files.values())
    return "\n".join(f"{_COMMENT.get(Path(name).suffix, '#')} file: {name}\n{text}" for name, text in files.items())


def _settings(args: argparse.Namespace) -> settings.Settings:
    if not args.config and not args.policies:
        # Where policies come from is all the same to a gateway, and the defaults name no place.
        args = argparse.Namespace(**{**vars(args), "policies": "."})
    return config.read(args)


def _site(args: argparse.Namespace) -> Site:
    told = _settings(args)
    limit = told.ext_authz.max_message_bytes - MESSAGE_MARGIN
    if not 0 <= args.body_bytes <= limit:
        hint = f"ext_authz.max_message_bytes has to be {MESSAGE_MARGIN} more"
        raise GatewayError("AZ905", f"--body-bytes is 0 to {limit} with these settings", hint=hint)
    site = Site(
        grpc=tuple(endpoints.of_ext_authz(told)),
        http=tuple(_forward_auth(told)),
        identity=(*(name for name, source in told.identity_headers.items() if source != "credential"), *args.header),
        shown=tuple(name for name, source in told.identity_headers.items() if source == "credential"),
        api_key=told.credentials.api_key_header.lower(),
        certificate=_certificate(told),
        pem=told.forward_auth.client_certificate.form == "pem",
        timeout=args.timeout,
        body_bytes=args.body_bytes,
        tls=bool(told.ext_authz.tls.certificate),
        client_certificate=bool(told.ext_authz.tls.client_ca),
        secret=bool(told.forward_auth.shared_secret_file),
        listen=_port(args.listen),
        api=_port(args.api),
    )
    return replace(
        site,
        grpc=tuple(_reached(address, args.host) for address in site.grpc),
        http=tuple(_reached(address, args.host) for address in site.http),
    )


def _certificate(told: settings.Settings) -> str:
    of = told.forward_auth.client_certificate
    return of.header.lower() or settings.CERTIFICATE_HEADERS.get(of.form, "")


def _forward_auth(told: settings.Settings) -> list[str]:
    address = told.forward_auth.listen
    if not address or isinstance(parse(address), TcpAddress) or told.workers == 1:
        return [address] if address else []
    return endpoints.each(address, told.workers)


def _reached(address: str, host: str) -> str:
    """Return the address as a gateway writes it: nobody can connect to "all addresses"."""
    parsed = parse(address)
    if not isinstance(parsed, TcpAddress) or parsed.host not in _EVERYWHERE:
        return address
    if not host:
        raise GatewayError("AZ906", f"{address} is no address to connect to", hint="say by which: --host NAME")
    return f"[{host}]:{parsed.port}" if ":" in host else f"{host}:{parsed.port}"


def _port(address: str) -> str:
    if not isinstance(parse(address), TcpAddress):
        raise GatewayError("AZ903", f"{address} is not HOST:PORT", hint="--listen and --api are ports")
    return address


def _header(text: str) -> str:
    name = text.lower()
    if _NAME.fullmatch(name) is None or name in FRAMING:
        raise argparse.ArgumentTypeError("a header's name of letters, digits and '-'")
    return name


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.001 <= value <= 5:
        raise argparse.ArgumentTypeError("0.001 to 5 seconds")
    return value
