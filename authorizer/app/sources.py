"""What an authorizer is told, from where: set up once, for a process of its own as for a supervisor."""

import platform
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from msgspec import Struct

from authorizer import __version__
from authorizer.app import feeds
from authorizer.app.activation import Activation
from authorizer.app.catalogue import Reporting, following
from authorizer.app.credentials import tell_unknown_clients
from authorizer.app.tasks import Tasks
from authorizer.control_plane import client
from authorizer.directory import Watch
from authorizer.model import KINDS
from authorizer.service import Authorizer
from authorizer.settings import Discovery, Settings
from authorizer.telemetry.metrics import Metrics

Told = Callable[[client.Progress], None]
"""Told of each step with the control plane, after what it brought is in force and kept."""


class Hearer(Struct, frozen=True):
    """Who is told: ``activation`` puts documents in force, ``authorizer`` and ``metrics`` show how current they are."""

    settings: Settings
    activation: Activation
    authorizer: Authorizer
    metrics: Metrics
    tasks: Tasks


def _nobody(_progress: client.Progress) -> None:
    """Tell nobody."""


async def listen(hearer: Hearer, stack: AsyncExitStack, told: Told = _nobody) -> None:
    """Load what there is to decide by, and start the tasks that keep it current. Raises AuthorizerError."""
    settings = hearer.settings
    hearer.activation.told = partial(tell_unknown_clients, settings=settings, metrics=hearer.metrics)
    if settings.policies:
        await _to_directory(hearer)
    link = await _to_control_plane(hearer, stack, told) if settings.control_plane.url else None
    if _discovers(settings.discovery):
        reporting = Reporting(link, _name(settings), lambda: hearer.authorizer.snapshot.revision, hearer.metrics)
        hearer.tasks.spawn("discovery", following(settings.discovery, reporting))


async def _to_directory(hearer: Hearer) -> None:
    watch = Watch(Path(hearer.settings.policies))
    feeds.tell(await feeds.take(await feeds.first_reading(watch), hearer.activation), hearer.metrics)
    hearer.tasks.spawn("policies", partial(feeds.follow_directory, watch, hearer.activation, hearer.metrics))


async def _to_control_plane(hearer: Hearer, stack: AsyncExitStack, told: Told) -> client.Link:
    plane = hearer.settings.control_plane
    feed = await feeds.resume(hearer.settings, hearer.activation, hearer.metrics)
    feeds.refresh_age(feed, plane.max_age_seconds, hearer.authorizer)
    for progress in feed.progress.values():
        told(progress)
    endpoint = client.Endpoint(url=plane.url, token_file=plane.token_file, ca_file=plane.ca_file)
    link = await stack.enter_async_context(client.connect(endpoint))
    for kind in KINDS:
        follow = partial(
            feeds.follow_bundle, kind, feed, link, plane, hearer.activation, hearer.authorizer, hearer.metrics, told
        )
        hearer.tasks.spawn(f"{kind} bundle", follow)
    labels = {"id": _name(hearer.settings), "version": __version__}
    report = partial(feeds.report_status, feed, link, labels, hearer.metrics)
    hearer.tasks.spawn("status", partial(client.report_forever, report, feed.news, every=plane.status_seconds))
    return link


def _discovers(settings: Discovery) -> bool:
    return bool(settings.envoy_admin or settings.kubernetes or settings.kong or settings.traefik or settings.described)


def _name(settings: Settings) -> str:
    return settings.id or platform.node()
