"""Composition root of ``authorizer serve``: builds the parts, names the tasks, drains on SIGTERM."""

import asyncio
import logging
import platform
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from authorizer import __version__
from authorizer.app import feeds
from authorizer.app.activation import Activation
from authorizer.app.catalogue import Reporting, follow_gateway
from authorizer.bundle import KINDS
from authorizer.control_plane import client
from authorizer.directory import Watch
from authorizer.doors import admin, faults, forward_auth, forward_auth_peers, grpcio
from authorizer.doors.http1 import HttpDoor, open_http
from authorizer.model import Decision, Request
from authorizer.pdp.snapshot import Options
from authorizer.service import Authorizer
from authorizer.settings import Settings
from authorizer.telemetry import decision_log
from authorizer.telemetry.exposition import renderer
from authorizer.telemetry.loop_lag import watch_loop_lag
from authorizer.telemetry.metrics import MemoUse, Metrics

log = logging.getLogger("authorizer.app")

GRACE_SECONDS = 2.0
"""How long calls under way may take to end when a door closes."""

Announce = Callable[[dict[str, str]], None]
"""Told once which doors are open: name -> address."""


class Process:
    """One authorizer: its parts, and the tasks that keep them current."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.metrics = Metrics(__version__)
        self.events: decision_log.DecisionLog | None = None
        if settings.log.decisions:
            write = (
                decision_log.to_stdout
                if settings.log.decisions == "stdout"
                else decision_log.to_file(Path(settings.log.decisions))
            )
            self.events = decision_log.DecisionLog(write, clock, self.metrics.decisions_dropped)
        self.authorizer = Authorizer(clock=clock, observe=self._observe, report=faults.report)
        options = Options(realm=settings.realm, identity_headers=settings.identity_headers)
        self.activation = Activation(
            self.authorizer, options, lambda kind, revision: self.metrics.bundle_activated(kind, revision, time.time())
        )
        secret = settings.forward_auth.shared_secret_file
        self._secrets = [Path(secret).read_text(encoding="utf-8").strip()] if secret else []
        self._name = settings.id or platform.node()
        self.addresses: dict[str, str] = {}
        self._grpc: grpcio.GrpcDoor | None = None
        self._forward: forward_auth.ForwardAuth | None = None
        self._http: list[HttpDoor] = []
        self._tasks: list[asyncio.Task[None]] = []

    def _observe(self, request: Request, decision: Decision, seconds: float) -> None:
        self.metrics.observe(request, decision, seconds)
        if self.events is not None:
            self.events.observe(request, decision, seconds)

    async def open(self) -> None:
        """Open the doors. Until there is something to decide by, every answer is a denial. Raises ListenError."""
        settings = self.settings
        if settings.ext_authz.listen:
            self._grpc = await grpcio.start(
                self.authorizer,
                settings.ext_authz.listen,
                max_message_bytes=settings.ext_authz.max_message_bytes,
            )
            self.addresses["ext_authz"] = self._grpc.address
        if settings.forward_auth.listen:
            self._forward = forward_auth.ForwardAuth(
                self.authorizer,
                forward_auth_peers.trust(settings.forward_auth.trusted_peers, self._secrets),
                track=self.metrics.track,
            )
            door = await open_http(settings.forward_auth.listen, self._forward.handle, self._forward.malformed)
            self._http.append(door)
            self.addresses["forward_auth"] = door.address
        if settings.admin.listen:
            handle = admin.handler(lambda: self.authorizer.ready, renderer(self.metrics, time.time))
            door = await open_http(settings.admin.listen, handle, admin.malformed)
            self._http.append(door)
            self.addresses["admin"] = door.address

    async def start(self, stack: AsyncExitStack) -> None:
        """Load what there is to decide by, and start the tasks that keep it current. Raises AuthorizerError."""
        settings = self.settings
        self.spawn("loop lag", partial(watch_loop_lag, self.metrics.loop_lagged))
        if self.events is not None:
            self.spawn("decision log", self.events.run)
        if settings.policies:
            await self._start_directory()
        self.metrics.memo = self._memo_use
        link = await self._start_control_plane(stack) if settings.control_plane.url else None
        if settings.discovery.envoy_admin:
            reporting = Reporting(link, self._name, lambda: self.authorizer.snapshot.revision, self.metrics)
            self.spawn("discovery", partial(follow_gateway, settings.discovery, reporting))

    async def _start_directory(self) -> None:
        watch = Watch(Path(self.settings.policies))
        feeds.tell(await feeds.take(await feeds.first_reading(watch), self.activation), self.metrics)
        self.spawn("policies", partial(feeds.follow_directory, watch, self.activation, self.metrics))

    async def _start_control_plane(self, stack: AsyncExitStack) -> client.Link:
        settings = self.settings
        plane = settings.control_plane
        feed = await feeds.resume(settings, self.activation, self.metrics)
        feeds.refresh_age(feed, plane.max_age_seconds, self.authorizer)
        endpoint = client.Endpoint(url=plane.url, token_file=plane.token_file, ca_file=plane.ca_file)
        link = await stack.enter_async_context(client.connect(endpoint))
        for kind in KINDS:
            follow = partial(
                feeds.follow_bundle, kind, feed, link, settings, self.activation, self.authorizer, self.metrics
            )
            self.spawn(f"{kind} bundle", follow)
        labels = {"id": self._name, "version": __version__}
        report = partial(feeds.report_status, feed, link, labels, self.metrics.reported)
        self.spawn("status", partial(client.report_forever, report, feed.news, every=plane.status_seconds))
        return link

    def _memo_use(self) -> MemoUse:
        memo = self.authorizer.snapshot.memo
        return MemoUse(len(memo), memo.hits, memo.misses)

    def spawn(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Run a loop as a task of that name, and run it again when it fails: decisions never depend on it."""
        self._tasks.append(asyncio.create_task(_keep(name, loop), name=name))

    async def close(self, drain: float) -> None:
        """Turn gateways away for ``drain`` seconds while still answering, then close everything in order."""
        if self._grpc is not None:
            self._grpc.drain()
        if self._forward is not None:
            self._forward.draining = True
        await asyncio.sleep(drain)
        doors: list[Awaitable[None]] = [door.close(GRACE_SECONDS) for door in self._http]
        if self._grpc is not None:
            doors.append(self._grpc.close(GRACE_SECONDS))
        await asyncio.gather(*doors)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.events is not None:
            await self.events.drain(GRACE_SECONDS)


async def serve(settings: Settings, announce: Announce) -> None:
    """Run until SIGTERM, which drains first, or SIGINT, which does not. Raises AuthorizerError when it cannot start."""
    stopped = asyncio.Event()
    drain = 0.0

    def stop(seconds: float) -> None:
        nonlocal drain
        drain = seconds
        stopped.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop, settings.drain_seconds)
    loop.add_signal_handler(signal.SIGINT, stop, 0.0)
    process = Process(settings)
    async with AsyncExitStack() as stack:
        try:
            await process.start(stack)
            await process.open()
            announce(process.addresses)
            await stopped.wait()
        finally:
            await process.close(drain)


async def _keep(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await loop()
        except Exception:
            log.exception("the task %r failed and is started again", name)
        await asyncio.sleep(1)
