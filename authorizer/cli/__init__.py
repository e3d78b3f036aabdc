"""The command line: one module a verb group, each with ``add_parser`` and ``run``. Prints, never decides.

Exit status: 0 good, 1 unexpected, 2 usage, 3 a text was refused, 4 policy tests failed, 69 something needed is not
there, 130 interrupted.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from authorizer import __version__
from authorizer.errors import AuthorizerError, ProblemsError

VERBS = (
    "serve", "demo", "policy", "token", "keys", "bundle", "control_plane", "discover", "gateway", "config", "health",
)  # fmt: skip


def parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of the command line; with ``arguments``, only of the verbs that they can mean."""
    root = argparse.ArgumentParser(
        prog="authorizer", description="Decides at the gateway whether an API request may pass."
    )
    root.add_argument("--version", action="version", version=f"authorizer {__version__}")
    root.add_argument("--debug", action="store_true", help="show tracebacks")
    subparsers = root.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    # Only the verb that is asked for is imported: `policy check` should not wait for the gRPC library.
    first = next((argument for argument in arguments if not argument.startswith("-")), "").replace("-", "_")
    for verb in (first,) if first in VERBS else VERBS:
        importlib.import_module(f"authorizer.cli.{verb}").add_parser(subparsers)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. Errors are one line each on stderr, without traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    args = parser(arguments).parse_args(arguments)
    try:
        return int(args.run(args))
    except ProblemsError as error:
        if args.debug:
            raise
        for problem in error.problems:
            print(problem.render(), file=sys.stderr)
        return error.exit_status
    except AuthorizerError as error:
        if args.debug:
            raise
        print(f"error {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of a pipe went away (`authorizer ... | head`): nothing is left to say and nobody to say it to.
        sys.stderr.close()
        return 1
    except OSError as error:
        if args.debug:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        return 1
