"""``authorizer health``: ask a running authorizer whether it can decide. For containers without a shell or curl."""

import argparse
import http.client
import os
import sys
from typing import Any

from authorizer import settings
from authorizer.cli import config
from authorizer.doors.listen import TcpAddress, parse
from authorizer.errors import ListenError

_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a door is told, not what is bound here
_SECONDS = 5
_READ = 1000


def add_parser(subparsers: Any) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "health", help="ask a running authorizer whether it can decide",
        description=f"{__doc__} Exit status 69 if it cannot, or does not answer in {_SECONDS} seconds.",
    )  # fmt: skip
    parser.add_argument(
        "address",
        nargs="?",
        default="",
        metavar="HOST:PORT",
        help="default: admin.listen of the settings, or 127.0.0.1:9193",
    )
    parser.add_argument("--live", action="store_true", help="only whether it answers at all")
    config.add_arguments(parser)
    parser.set_defaults(run=run)


def _configured(args: argparse.Namespace) -> str:
    """Return ``admin.listen`` of the settings, or its default where nothing is set at all."""
    said = args.config or args.policies or args.set
    if said or any(name.startswith(settings.ENVIRONMENT_PREFIX) for name in os.environ):
        return config.read(args).admin.listen
    return settings.Admin().listen


def run(args: argparse.Namespace) -> int:
    """Ask, and print the answer. Raises SettingsError, ListenError."""
    address = args.address or _configured(args)
    if not address:
        raise ListenError("AZ713", "admin.listen is empty: nobody can be asked", hint="name an address")
    parsed = parse(address)
    if not isinstance(parsed, TcpAddress):
        raise ListenError("AZ701", f"{address!r} is not HOST:PORT")
    host = _HERE.get(parsed.host, parsed.host)
    asked = http.client.HTTPConnection(host, parsed.port, timeout=_SECONDS)
    try:
        asked.request("GET", "/livez" if args.live else "/readyz")
        answer = asked.getresponse()
        said = answer.read(_READ).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise ListenError("AZ713", f"{address} does not answer: {str(error) or type(error).__name__}") from None
    finally:
        asked.close()
    good = answer.status == http.HTTPStatus.OK
    shown = "".join(char if char.isprintable() else " " for char in said)
    print(shown, file=sys.stdout if good else sys.stderr)
    return 0 if good else ListenError.exit_status
