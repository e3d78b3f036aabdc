"""The part that answers gateways: the Authorizer, its doors, and what is noted of each decision."""

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable
from functools import partial
from pathlib import Path

from authorizer import __version__
from authorizer.app.activation import Activation
from authorizer.app.busy_poll import BusyPoll
from authorizer.app.credentials import options, read_secret, replays
from authorizer.app.letting_go import LettingGo
from authorizer.app.needs import Needs
from authorizer.app.stopping import Stopping
from authorizer.app.tasks import Tasks
from authorizer.doors import faults, forward_auth, forward_auth_peers, grpcio, native, native_tls
from authorizer.doors.http1 import HttpDoor, open_http
from authorizer.model import Decision, Request
from authorizer.service import Authorizer
from authorizer.settings import ExtAuthz, Settings, Tls
from authorizer.telemetry import outlets
from authorizer.telemetry.courier import Sink
from authorizer.telemetry.loop_lag import watch_loop_lag
from authorizer.telemetry.metrics import Metrics

YOUNG_OBJECTS = 10_000
"""How many more objects than before there may be until the youngest are collected."""

SWITCH_SECONDS = 0.0005
"""How long a thread that is busy with a bundle may keep the interpreter from the loop, which asks for it."""

GRACE_SECONDS = 2.0
"""How long calls under way may take to end when a door closes."""


class Answering:
    """One process that answers, the only one or the ``worker`` of that number.

    ``stdout`` takes the lines of decisions where the settings send them to stdout.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        stdout: Sink | None = None,
        worker: int = 0,
    ) -> None:
        self.settings = settings
        self.metrics = Metrics(__version__)
        self._logs = outlets.decision_logs(settings, self.metrics, time.time, stdout, worker)
        self._traces = outlets.traces(settings, self.metrics, time.time)
        self._poll = BusyPoll(settings.busy_poll_microseconds / 1e6) if settings.busy_poll_microseconds else None
        self._needs = Needs(replays(settings), time.time)
        self.authorizer = Authorizer(
            clock=time.time,
            observe=self._observe,
            report=faults.report,
            meet=self._needs.meet,
        )
        self._letting_go = LettingGo()
        self.activation = Activation(
            self.authorizer,
            options(settings),
            lambda kind, revision: self.metrics.bundle_activated(kind, revision, time.time()),
            self._letting_go.keep,
        )
        self.metrics.memo = self.activation.memo_use
        shared = read_secret(settings.forward_auth.shared_secret_file, at_least=1)
        self._secrets = [shared.decode("utf-8", "surrogateescape")] if shared else []
        self._grpc: grpcio.GrpcDoor | native.NativeDoor | None = None
        self._forward: forward_auth.ForwardAuth | None = None
        self._http: HttpDoor | None = None
        self.tasks = Tasks()

    def _observe(self, request: Request, decision: Decision, seconds: float) -> None:
        self.metrics.observe(request, decision, seconds)
        for log in self._logs:
            log.observe(request, decision, seconds)
        if self._traces is not None:
            self._traces.observe(request, decision, seconds)
        if self._poll is not None:
            self._poll.decided()

    def note(self) -> None:
        """Start to write decisions and spans, and to measure the event loop."""
        self.tasks.spawn("letting go", self._letting_go.run)
        self.tasks.spawn("loop lag", lambda: watch_loop_lag(self.metrics.loop_lagged))
        for log in self._logs:
            self.tasks.spawn("decision log", log.run)
        if self._traces is not None:
            self.tasks.spawn("traces", self._traces.run)

    async def open(self, *, shared: bool = False) -> dict[str, str]:
        """Open the doors and return their addresses. ``shared``: other processes serve the same port of HTTP.

        Until there is something to decide by, every answer is a denial. Raises ListenError.
        """
        sys.setswitchinterval(SWITCH_SECONDS)
        # What is there by now lives as long as the process, and no collection need look at it again: with 83,000
        # objects of program and policy, the full collections (nine in 300,000 decisions) stop the process for less
        # than 1 ms each instead of 45 to 54. Not after small snapshots: connections are open then, and one that ends
        # in a cycle would never be freed; after large ones ``memory.uncollected`` does it. An old snapshot has no
        # cycles; it goes with its last reference.
        gc.collect()
        gc.freeze()
        # What waits for the decision log is young and alive, so collecting after every 700 objects finds little: 5 %.
        gc.set_threshold(YOUNG_OBJECTS, 10, 10)
        await self._needs.open(
            self.settings.identity_providers, self.settings.state, self.activation, self.metrics, self.tasks
        )
        addresses = {}
        if self.settings.ext_authz.listen:
            self._grpc = await self._open_grpc(self.settings.ext_authz)
            addresses["ext_authz"] = self._grpc.address
        if listen := self.settings.forward_auth.listen:
            peers = forward_auth_peers.trust(self.settings.forward_auth.trusted_peers, self._secrets)
            hops = self.settings.forward_auth.hops
            self._forward = forward_auth.ForwardAuth(self.authorizer, peers, track=self.metrics.track, hops=hops)
            self._http = await open_http(listen, self._forward.handle, self._forward.malformed, shared=shared)
            addresses["forward_auth"] = self._http.address
        return addresses

    async def _open_grpc(self, settings: ExtAuthz) -> grpcio.GrpcDoor | native.NativeDoor:
        if settings.engine == "grpcio":
            return await grpcio.start(self.authorizer, settings.listen, max_message_bytes=settings.max_message_bytes)
        return await native.start(
            self.authorizer,
            settings.listen,
            max_message_bytes=settings.max_message_bytes,
            tls=_tls(settings.tls),
            max_connection_age=settings.max_connection_age_seconds,
            breach=self.metrics.breached,
            certified=partial(self.metrics.certified, "ext_authz"),
        )

    async def close(self, stopping: Stopping) -> None:
        """Turn gateways away while still answering, as long as there is patience, then close everything in order."""
        if self._grpc is not None:
            self._grpc.drain()
        if self._forward is not None:
            self._forward.draining = True
        await stopping.patience(stopping.drain)
        doors: list[Awaitable[None]] = []
        grace = 0.0 if stopping.hurried.is_set() else GRACE_SECONDS
        if self._http is not None:
            doors.append(self._http.close(grace))
        if self._grpc is not None:
            doors.append(self._grpc.close(grace))
        await asyncio.gather(*doors)
        await self._needs.close()
        await self.tasks.cancel()
        drained = [log.drain(GRACE_SECONDS) for log in self._logs]
        if self._traces is not None:
            drained.append(self._traces.drain(GRACE_SECONDS))
        await asyncio.gather(*drained)


def _tls(settings: Tls) -> native_tls.Tls | None:
    if not settings.certificate:
        return None
    return native_tls.Tls(
        certificate=Path(settings.certificate),
        key=Path(settings.key),
        client_ca=Path(settings.client_ca) if settings.client_ca else None,
        client_names=frozenset(settings.client_names),
    )
