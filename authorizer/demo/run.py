"""``authorizer demo``: start everything, send the eight requests, then show each decision until it is stopped."""

import asyncio
import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Coroutine, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from msgspec import Struct

from authorizer.demo.callers import issue
from authorizer.demo.control_plane import discovered, follow_documents
from authorizer.demo.decisions import Decisions
from authorizer.demo.gateway import Gateway, find_envoy, start_envoy
from authorizer.demo.parts import CONTROL_PLANE, ControlPlane, free_port, start_authorizer, start_control_plane
from authorizer.demo.processes import Children, children
from authorizer.demo.scenario import STEPS, Answer, ask
from authorizer.demo.show import Screen, coloured
from authorizer.demo.upstream import upstream
from authorizer.errors import DemoError
from authorizer.gateways.envoy import Backend, Check, bootstrap

T = TypeVar("T")
_APIS = ("orders", "payments", "reports")
_INTERRUPTED = 130


class Estate(Struct, frozen=True):
    """What runs: the gateway, the control plane, the decisions as they come, and each caller's token."""

    gateway: Gateway
    control_plane: ControlPlane
    decisions: Decisions
    tokens: Mapping[str, str]


async def demo(directory: Path | None, *, once: bool) -> int:
    """Run the demo in ``directory``, or in a temporary one that is removed at the end. Return the exit status.

    It is 0 when all eight answers were as promised, 1 when not, and 130 when a signal came before that was known.
    Raises DemoError when a part is missing, does not start or ends; the directory with its log is kept then.
    """
    find_envoy()
    screen = Screen(colour=coloured())
    stopped = _on_signal()
    with _home(directory) as home:
        async with children() as group, upstream() as apis:
            estate = await _or_stop(_start(group, home, apis), stopped)
            wrong = None if estate is None else await _or_stop(_walk(estate, screen), stopped)
            if estate is None or wrong is None:
                return _INTERRUPTED
            if not once:
                await _invite(screen, estate, home)
                ended = await _or_stop(_live(estate, group, screen), stopped)
                if ended is not None:
                    raise DemoError("AZ803", f"{ended}; its log is in {home}")
    return 1 if wrong else 0


async def _start(group: Children, home: Path, apis: str) -> Estate:
    tokens = issue(home / "policies", home / "tokens", time.time())
    plane = await start_control_plane(group, home)
    door = f"127.0.0.1:{free_port()}"
    backends = [Backend(name, f"/{name}", apis) for name in _APIS]
    gateway = await start_envoy(group, bootstrap(Check(address=door), backends), home)
    output = await start_authorizer(group, home, plane, door, gateway.admin)
    return Estate(gateway, plane, Decisions(output), tokens)


async def _walk(estate: Estate, screen: Screen) -> int:
    """Send the eight requests and print a row each; return how many answers were not the promised ones."""
    async with aiohttp.ClientSession(estate.gateway.url, trust_env=False) as session:
        answers = [await ask(session, step, estate.tokens) for step in STEPS]
    screen.heading()
    for answer in answers:
        event = await estate.decisions.find(answer.decision_id) or _unlogged(answer)
        mark = "" if answer.as_promised else f"expected {answer.step.status} {answer.step.reason}"
        screen.row(event, answer.step.caller or "-", cure=answer.cure, mark=mark)
    return sum(not answer.as_promised for answer in answers)


def _unlogged(answer: Answer) -> Mapping[str, Any]:
    """Make an event for an answer that did not come from the authorizer."""
    asked = {"method": answer.step.method, "path": answer.step.path, "status": answer.status, "decision": "-"}
    return {**asked, "reason": "not the authorizer's answer", "detail": "", "policies": [], "sources": []}


async def _live(estate: Estate, group: Children, screen: Screen) -> str:
    """Show decisions and changes of the policies until the gateway or the authorizer ends; return which and how."""
    shown = [asyncio.create_task(_decisions(estate, screen)), asyncio.create_task(_documents(estate, screen))]
    try:
        async for name, status in group.ends():
            if name != CONTROL_PLANE:
                return f"{name} ended with status {status}"
            screen.note(f" the control plane ended with status {status}; decisions go on", "yellow")
    finally:
        for task in shown:
            task.cancel()
        await asyncio.gather(*shown, return_exceptions=True)
    return "nothing runs"


async def _decisions(estate: Estate, screen: Screen) -> None:
    while (event := await estate.decisions.next()) is not None:
        screen.row(event, event["subject"] or "-")


async def _documents(estate: Estate, screen: Screen) -> None:
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):  # its end is told by _live
        async for problems in follow_documents(estate.control_plane):
            errors = [problem for problem in problems if problem.severity == "error"]
            for problem in problems:
                screen.note(f" {problem.render()}", "red" if problem.severity == "error" else "yellow")
            verdict = (
                " refused: what was in force stays in force"
                if errors
                else " published: the next request is decided by it"
            )
            screen.note(verdict, "red" if errors else "green")


async def _invite(screen: Screen, estate: Estate, home: Path) -> None:
    found = await discovered(estate.control_plane)
    tokens = home / "tokens"
    screen.note()
    if found:
        named = (f"{name} ({'guarded' if guarded else 'no policy: denied'})" for name, guarded in sorted(found.items()))
        screen.note(f" discovered behind Envoy: {', '.join(named)}", "cyan")
    screen.note(f" gateway {estate.gateway.url}   control plane {estate.control_plane.url}   stop: Ctrl-C", "bold")
    screen.note(f" edit:  {home / 'policies' / 'orders.yaml'} (rules), facts.yaml beside it (who has what)")
    others = ", ".join(str(tokens / name) for name in estate.tokens if name != "alice")
    screen.note(f" tokens of the others: {others}")
    screen.note(f' try:   curl -H "Authorization: Bearer $(cat {tokens / "alice"})" {estate.gateway.url}/orders/17')
    screen.note()


@contextlib.contextmanager
def _home(directory: Path | None) -> Iterator[Path]:
    """Give the demo's directory with the policies in it; what is already there is kept."""
    home = Path(tempfile.mkdtemp(prefix="authorizer-demo-")) if directory is None else directory.absolute()
    policies = home / "policies"
    policies.mkdir(parents=True, exist_ok=True)
    for document in resources.files("authorizer.demo").joinpath("policies").iterdir():
        if document.name.endswith(".yaml") and not (policies / document.name).exists():
            (policies / document.name).write_bytes(document.read_bytes())
    yield home
    # Not reached when a part failed: its log is needed then.
    if directory is None:
        shutil.rmtree(home, ignore_errors=True)


def _on_signal() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


async def _or_stop(work: Coroutine[Any, Any, T], stopped: asyncio.Event) -> T | None:
    """Return what ``work`` returns, or None when a signal came first; then ``work`` is cancelled."""
    working, waiting = asyncio.create_task(work), asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else None
    finally:
        for task in (working, waiting):
            task.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)
