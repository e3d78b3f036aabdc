"""``authorizer control-plane``: check documents, publish signed bundles, know what is guarded."""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from authorizer.control_plane.server import private_files, signing_key
from authorizer.control_plane.server.credentials import ROLES, Role
from authorizer.control_plane.server.running import Config, Running, running
from authorizer.telemetry import logs

_VARIABLE = "AUTHORIZER_CONTROL_PLANE_"
_MAX_ADDRESS = 4096
_FORMATS: tuple[logs.LogFormat, ...] = ("json", "text")


def add_parser(subparsers: Any) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "control-plane",
        help="publish signed bundles from policy documents",
        description="Checks policy documents, publishes them as signed bundles, and knows which APIs they guard.",
        epilog=f"Each flag may be given as a variable instead: {_VARIABLE}LISTEN and so on. Credentials may also be "
        f"given as {_VARIABLE}AUTHORIZER_TOKEN and {_VARIABLE}ADMIN_TOKEN; those that are not given are made "
        "in the state directory.",
    )
    _add(parser, "--policies", "DIR", "directory of documents, followed for changes; without it they come by the API")
    _add(parser, "--state", "DIR", "directory for the database, keys and credentials", "control-plane")
    _add(parser, "--listen", "HOST:PORT", "address to listen on; port 0 takes a free one", "127.0.0.1:9180")
    _add(parser, "--key", "PEM", "private ES256 key that signs bundles; without it one is made in the state directory")
    _add(parser, "--key-id", "NAME", "name that authorizers know the key by; without it, its thumbprint")
    _add(parser, "--database", "FILE", "file with the address of a PostgreSQL, for several control planes with one key")
    for role in ROLES:
        _add(parser, f"--{role}-token-file", "FILE", f"file with the bearer credential of role {role}")
    _add(parser, "--tls-certificate", "PEM", "certificate chain; with it the server speaks TLS")
    _add(parser, "--tls-key", "PEM", "private key of the certificate")
    _add(parser, "--log-format", "FORMAT", " or ".join(_FORMATS), "json")
    parser.set_defaults(run=run)


def _add(parser: argparse.ArgumentParser, flag: str, metavar: str, meaning: str, default: str = "") -> None:
    shown = f"{meaning} (default: {default})" if default else meaning
    value = os.environ.get(_VARIABLE + flag[2:].replace("-", "_").upper(), default)
    parser.add_argument(flag, metavar=metavar, help=shown, default=value)


def run(args: argparse.Namespace) -> int:
    """Run the control plane until SIGINT or SIGTERM. Raises ControlPlaneError, KeyMaterialError, ListenError."""
    if args.log_format not in _FORMATS:
        raise SystemExit(_usage(f"--log-format {args.log_format!r} is none of {', '.join(_FORMATS)}"))
    logs.configure(args.log_format, "info", sys.stderr, tracebacks=args.debug)
    asyncio.run(_serve(_config(args, os.environ)))
    return 0


def _config(args: argparse.Namespace, environment: Mapping[str, str]) -> Config:
    host, port = _address(args.listen)
    if bool(args.tls_certificate) != bool(args.tls_key):
        raise SystemExit(_usage("--tls-certificate and --tls-key go together"))
    files: dict[Role, str] = {role: getattr(args, f"{role}_token_file") for role in ROLES}
    tokens = {role: environment.get(f"{_VARIABLE}{role.upper()}_TOKEN", "") for role in ROLES}
    database = ""
    if args.database:
        shared = {"--key": args.key, **{f"--{role}-token-file": files[role] or tokens[role] for role in ROLES}}
        if missing := [flag for flag, value in shared.items() if not value]:
            raise SystemExit(_usage(f"--database needs {', '.join(missing)}: all who use it are one control plane"))
        database = private_files.read(Path(args.database), _MAX_ADDRESS).decode("utf-8", "replace").strip()
        if not database:
            raise SystemExit(_usage(f"--database {args.database} is empty"))
    return Config(
        state=Path(args.state),
        policies=_path(args.policies),
        host=host,
        port=port,
        key=_path(args.key),
        key_id=args.key_id,
        token_files={role: Path(file) for role, file in files.items() if file},
        tokens={role: token for role, token in tokens.items() if token},
        certificate=_path(args.tls_certificate),
        certificate_key=_path(args.tls_key),
        database=database,
    )


async def _serve(config: Config) -> None:
    serving = asyncio.create_task(_forever(config))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def _forever(config: Config) -> None:
    async with running(config) as server:
        for path in server.made:
            print(f"made {path}", file=sys.stderr)
        print(_for_serve(server), file=sys.stderr, flush=True)
        print(f"control plane ready at {server.url}, signing with key {server.key_id}", flush=True)
        await asyncio.Event().wait()


def _for_serve(server: Running) -> str:
    """Return the settings of an authorizer on this machine that follows this control plane, in YAML."""
    secure = server.url.startswith("https:")
    key = _quoted(server.key_file.absolute())
    token = _quoted(server.token_file.absolute()) if server.token_file else '""  # a file with the credential'
    lines = [
        "# for 'authorizer serve --config FILE':",
        "state: authorizer-state",
        "control_plane:",
        f"  url: {_quoted(server.url)}",
        f"  token_file: {token}",
        *(['  ca_file: ""  # PEM file of the certificate\'s authority, unless the system trusts it'] if secure else []),
        "  keys:",
        f"    {_quoted(server.key_id)}: {{file: {key}, algorithm: {signing_key.ALGORITHM}}}",
    ]
    return "\n".join(lines)


def _quoted(value: object) -> str:
    return msgspec.json.encode(str(value)).decode()


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not port.isascii() or int(port) > 65535:
        raise SystemExit(_usage(f"--listen {text!r} is not HOST:PORT"))
    return host.removeprefix("[").removesuffix("]"), int(port)


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _usage(message: str) -> int:
    print(f"authorizer control-plane: {message}", file=sys.stderr)
    return 2
