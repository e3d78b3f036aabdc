"""Our own two processes, started as an operator would start them."""

import asyncio
import contextlib
import socket
import sys
from pathlib import Path

import aiohttp
import msgspec
from msgspec import Struct

from authorizer.demo.processes import Children
from authorizer.errors import DemoError
from authorizer.jose.sign import generate, public_pem

_START = 15.0  # seconds
_KEY = "demo"
CONTROL_PLANE = "control plane"


class ControlPlane(Struct, frozen=True):
    """A running control plane: its address and where it keeps its keys and credentials."""

    url: str
    state: Path


async def start_control_plane(children: Children, home: Path) -> ControlPlane:
    """Start a control plane that publishes the policies in ``home`` and reloads them when they change."""
    state = home / "control-plane"
    state.mkdir(mode=0o700, exist_ok=True)
    listen = f"127.0.0.1:{free_port()}"
    signing = state / "signing.pem"
    if not signing.exists():
        signing.touch(mode=0o600)
        signing.write_bytes(generate("ES256"))
    (state / "signing.pub.pem").write_bytes(public_pem(signing.read_bytes()))
    flags = ["--policies", home / "policies", "--state", state, "--listen", listen, "--key", signing, "--key-id", _KEY]
    log = home / "control-plane.log"
    command = [sys.executable, "-m", "authorizer", "control-plane", *flags]
    process = await children.start(CONTROL_PLANE, command, log=log)
    url = f"http://{listen}"
    await _ready(process, f"{url}/readyz", "the control plane", log)
    return ControlPlane(url, state)


async def start_authorizer(
    children: Children, home: Path, plane: ControlPlane, door: str, envoy_admin: str
) -> asyncio.StreamReader:
    """Start an authorizer behind ``door`` that pulls from the control plane; return its decision log."""
    admin = f"127.0.0.1:{free_port()}"
    settings = {
        "id": "demo",
        "state": str(home / "state"),
        "drain_seconds": 0,
        "realm": "shop",
        "ext_authz": {"listen": door},
        "forward_auth": {"listen": ""},
        "admin": {"listen": admin},
        "control_plane": {
            "url": plane.url,
            "token_file": str(plane.state / "authorizer.token"),
            "keys": {_KEY: {"file": str(plane.state / "signing.pub.pem")}},
        },
        "discovery": {"envoy_admin": envoy_admin, "interval_seconds": 1},
    }
    config = home / "authorizer.yaml"
    config.write_bytes(msgspec.yaml.encode(settings))
    command = [sys.executable, "-m", "authorizer", "serve", "--config", config]
    log = home / "authorizer.log"
    process = await children.start("authorizer", command, log=log, read_output=True)
    await _ready(process, f"http://{admin}/readyz", "the authorizer", log)
    assert process.stdout is not None
    return process.stdout


async def _ready(process: asyncio.subprocess.Process, url: str, what: str, log: Path) -> None:
    try:
        async with asyncio.timeout(_START), aiohttp.ClientSession(trust_env=False) as session:
            while process.returncode is None:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(url) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise DemoError("AZ804", f"{what} was not ready within {_START:.0f} seconds; see {log}") from None
    raise DemoError("AZ804", f"{what} ended while starting; see {log}")


def free_port() -> int:
    """Return a loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
