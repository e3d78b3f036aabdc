"""Reports to the control plane: the APIs behind the gateway, and how far the bundles have got."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from authorizer.control_plane.client.link import Answer, Link, exchange
from authorizer.control_plane.client.pull import Progress
from authorizer.control_plane.protocol import MAX_PROBLEMS, REPORTER
from authorizer.errors import ControlPlaneError, Problem, problem_from
from authorizer.model import Api
from authorizer.timestamps import rfc3339

log = logging.getLogger("authorizer.control_plane")

MAX_ANSWER = 1 << 20
GATHER_SECONDS = 1.0


class _StatusReply(Struct, frozen=True):
    problems: tuple[dict[str, object], ...] = ()


class _ApisReply(Struct, frozen=True):
    unguarded: int | None = None


_Reply = TypeVar("_Reply", bound=Struct)


async def report_apis(link: Link, apis: Sequence[Api], *, reporter: str = "") -> int | None:
    """Tell the control plane which APIs were found, in the name of ``reporter``; raises ControlPlaneError.

    Returns how many of them no policy guards, or None if the control plane does not say.
    """
    headers = {REPORTER: reporter} if reporter else {}
    body = msgspec.json.encode(apis)
    answer = await exchange(link, "POST", "v1/apis", headers=headers, body=body, limit=MAX_ANSWER)
    return _reply(answer, _ApisReply).unguarded


async def report_status(link: Link, labels: Mapping[str, str], bundles: Iterable[Progress]) -> tuple[Problem, ...]:
    """Tell the control plane what is in force here; return the problems it has with its documents.

    Raises ControlPlaneError.
    """
    body = msgspec.json.encode(status(labels, bundles))
    reply = _reply(await exchange(link, "POST", "v1/status", body=body, limit=MAX_ANSWER), _StatusReply)
    try:
        return tuple(problem_from(members) for members in reply.problems[:MAX_PROBLEMS])
    except msgspec.ValidationError:
        raise _malformed() from None


def status(labels: Mapping[str, str], bundles: Iterable[Progress]) -> dict[str, object]:
    """Return a status in OPA's form (``management-status``): what is in force, since when, and what went wrong."""
    return {"labels": dict(labels), "bundles": {progress.kind: _bundle(progress) for progress in bundles}}


async def report_forever(
    report: Callable[[], Awaitable[None]],
    news: asyncio.Event,
    *,
    every: float,
    gather: float = GATHER_SECONDS,
) -> None:
    """Call ``report`` every ``every`` seconds, and ``gather`` seconds after ``news`` was set, until cancelled."""
    failed = ""
    while True:
        failed = await _attempt(report, failed)
        await _due(news, every, gather)


async def _attempt(report: Callable[[], Awaitable[None]], failed: str) -> str:
    """Report; return the code of the failure, which is logged when it differs from the last one's."""
    try:
        await report()
    except ControlPlaneError as error:
        if error.code != failed:
            log.warning("the report failed: %s %s", error.code, error.message)
        return error.code
    return ""


async def _due(news: asyncio.Event, every: float, gather: float) -> None:
    try:
        async with asyncio.timeout(every):
            await news.wait()
    except TimeoutError:
        return
    await asyncio.sleep(gather)
    news.clear()


def _reply(answer: Answer, kind: type[_Reply]) -> _Reply:
    try:
        return msgspec.json.decode(answer.body or b"{}", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _malformed() from None


def _malformed() -> ControlPlaneError:
    return ControlPlaneError("AZ506", "the control plane's answer to the report is malformed")


def _bundle(progress: Progress) -> dict[str, object]:
    times = {
        "last_request": progress.asked,
        "last_successful_request": progress.answered,
        "last_successful_download": progress.downloaded,
        "last_successful_activation": progress.activated,
    }
    members: dict[str, object] = {"name": progress.kind, "type": "snapshot", "size": progress.size}
    if progress.revision:
        members |= {"active_revision": progress.revision, "serial": progress.serial}
    if progress.code:
        members |= {"code": progress.code, "message": progress.message}
    return members | {name: rfc3339(at) for name, at in times.items() if at}
