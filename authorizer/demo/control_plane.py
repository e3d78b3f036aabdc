"""Looking at the control plane as an admin would: what it published, what it refused, what nobody guards."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from authorizer.demo.parts import ControlPlane
from authorizer.errors import Problem, problem_from

_LOOK = 0.3  # seconds between two looks
_TIMEOUT = aiohttp.ClientTimeout(total=5)


async def follow_documents(plane: ControlPlane) -> AsyncIterator[tuple[Problem, ...]]:
    """Yield at each change of the documents what is wrong with them; without an error they are published.

    Raises ClientError or TimeoutError when the control plane does not answer.
    """
    last: tuple[object, tuple[Problem, ...]] | None = None
    async with _session(plane) as session:
        while True:
            status = await _get(session, "/v1/status")
            published = {kind: each["revision"] for kind, each in status["bundles"].items()}
            problems = tuple(map(problem_from, (await _get(session, "/v1/problems"))["problems"]))
            if last not in (None, (published, problems)):
                yield problems
            last = published, problems
            await asyncio.sleep(_LOOK)


async def discovered(plane: ControlPlane, within: float = 3.0) -> dict[str, bool]:
    """Return the APIs that were discovered behind the gateway, and whether any policy guards them.

    Waits for the authorizer's first report; nothing is returned when none comes in time.
    """
    async with _session(plane) as session:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(within):
                while True:
                    found = (await _get(session, "/v1/apis"))["apis"]
                    if found:
                        return {api["name"]: any(map(_guarded, api["routes"])) for api in found}
                    await asyncio.sleep(_LOOK / 3)
    return {}


def _guarded(route: Mapping[str, Any]) -> bool:
    return bool(route["guard"] != "unguarded")


def _session(plane: ControlPlane) -> aiohttp.ClientSession:
    token = (plane.state / "admin.token").read_text().strip()
    headers = {"authorization": f"Bearer {token}"}
    return aiohttp.ClientSession(plane.url, headers=headers, timeout=_TIMEOUT, trust_env=False)


async def _get(session: aiohttp.ClientSession, path: str) -> Mapping[str, Any]:
    async with session.get(path, raise_for_status=True) as answer:
        found = await answer.json()
    assert isinstance(found, dict)
    return found
