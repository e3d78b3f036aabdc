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
    # How a supervisor starts its workers; they get their settings through this socket.
    parser.add_argument("--worker", type=int, metavar="DESCRIPTOR", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop. Raises AuthorizerError when it cannot start."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        if args.worker is not None:
            return runner.run(app.work(args.worker, tracebacks=args.debug))
        settings = config.read(args)
        logs.configure(settings.log.format, settings.log.level, sys.stderr, tracebacks=args.debug)
        return runner.run(app.serve(settings, _announce, _worker(debug=args.debug)))


def _worker(*, debug: bool) -> list[str]:
    """Return the command of a worker, but for its descriptor: a fresh interpreter, for gRPC does not survive a fork.

    ``-P``: what lies in the current directory is not imported.
    """
    return [sys.executable, "-P", "-m", "authorizer", *(["--debug"] if debug else []), "serve", "--worker"]


def _announce(endpoints: dict[str, list[str]]) -> None:
    logging.getLogger("authorizer.app").info("listening", extra={"endpoints": endpoints})


def _loop_factory() -> Any:
    """Return uvloop's factory where it is installed (the extra ``fast``)."""
    if find_spec("uvloop") is None:
        return None
    import uvloop  # noqa: PLC0415 - an extra

    return uvloop.new_event_loop
