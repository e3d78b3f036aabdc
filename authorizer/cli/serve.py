"""``authorizer serve``: the authorizer itself."""

import argparse
import asyncio
import logging
import sys
from importlib.util import find_spec
from typing import Any

from authorizer import app
from authorizer.cli import config
from authorizer.telemetry import logs


def add_parser(subparsers: Any) -> None:
    """Register the verb."""
    parser = subparsers.add_parser("serve", help="answer gateways: ext_authz (gRPC) and forward-auth (HTTP)")
    config.add_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop. Raises AuthorizerError when it cannot start."""
    settings = config.read(args)
    logs.configure(settings.log.format, settings.log.level, sys.stderr, tracebacks=args.debug)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(app.serve(settings, _announce))
    return 0


def _announce(addresses: dict[str, str]) -> None:
    for door, address in addresses.items():
        logging.getLogger("authorizer.app").info(
            "%s listens on %s", door, address, extra={"door": door, "address": address}
        )


def _loop_factory() -> Any:
    """Return uvloop's factory where it is installed (the extra ``fast``)."""
    if find_spec("uvloop") is None:
        return None
    import uvloop  # noqa: PLC0415 - an extra

    return uvloop.new_event_loop
