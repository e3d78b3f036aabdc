"""``authorizer demo``: a whole estate on this machine, with a real Envoy in front."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

_DESCRIPTION = (
    "Start sample APIs, a control plane, the authorizer and a real Envoy on free loopback ports; send eight requests"
    " and show what was decided and why; then show each decision until Ctrl-C."
)


def add_parser(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser("demo", help="watch a real Envoy ask and obey", description=_DESCRIPTION)
    parser.add_argument(
        "--once",
        action="store_true",
        help="end after the eight requests; exit status 1 unless all is as promised",
    )
    parser.add_argument(
        "--dir", type=Path, metavar="DIR", help="keep policies, tokens and logs here (default: a temporary directory)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo. Raises DemoError when a part of it cannot be started or ends."""
    from authorizer.demo.run import demo  # noqa: PLC0415 - the help of all verbs need not wait for it

    return asyncio.run(demo(args.dir, once=args.once))
