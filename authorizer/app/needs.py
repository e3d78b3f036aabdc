"""Answers what decisions have to ask of the world, and keeps the issuers' keys fresh."""

import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from inspect import isawaitable
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from authorizer import files
from authorizer.app.activation import Activation
from authorizer.app.replays import Replays
from authorizer.app.tasks import Tasks
from authorizer.errors import IdentityProviderError, KeyMaterialError
from authorizer.jose.sign import load_private
from authorizer.pdp.needs import Exchange, Introspect, Need
from authorizer.settings import IdentityProviders, ProviderClient
from authorizer.telemetry.metrics import Metrics
from authorizer.upstream_idp.calls import open_session
from authorizer.upstream_idp.clients import Client, Clients
from authorizer.upstream_idp.introspection import Introspector
from authorizer.upstream_idp.refreshing import Pace, Refreshing
from authorizer.upstream_idp.token_exchange import Exchanger

if TYPE_CHECKING:
    from authorizer.app.shared_replays import SharedReplays

_KEYS = "keys"


class Needs:
    """Meets needs. Without ``replays`` it cannot tell of any proof that it is fresh."""

    def __init__(self, replays: "Replays | SharedReplays | None", clock: Callable[[], float]) -> None:
        self._replays = replays
        self._clock = clock
        self._stack = AsyncExitStack()
        self._introspector: Introspector | None = None
        self._exchanger: Exchanger | None = None
        self._activation: Activation | None = None

    async def open(
        self, settings: IdentityProviders, state: str, activation: Activation, metrics: Metrics, tasks: Tasks
    ) -> None:
        """Be ready to ask issuers, and start to keep their keys. Raises IdentityProviderError AZ530."""
        session = await self._stack.enter_async_context(open_session(settings.ca_file))
        clients = Clients(
            known={name: await self._client(client, settings, session) for name, client in settings.clients.items()},
            seconds=settings.introspection_seconds,
            clock=self._clock,
            new_id=secrets.token_urlsafe,
        )
        self._introspector = Introspector(clients, lambda outcome: metrics.asked_provider("introspection", outcome))
        self._exchanger = Exchanger(clients, lambda outcome: metrics.asked_provider("exchange", outcome))
        self._activation = activation
        refreshing = Refreshing(
            session,
            Path(state) / _KEYS if state else None,
            Pace(
                refresh=settings.refresh_seconds,
                max_age=settings.max_age_seconds,
                cooldown=settings.cooldown_seconds,
                timeout=settings.timeout_seconds,
            ),
            lambda: activation.snapshot.trust,
            activation.renew,
            lambda outcome: metrics.asked_provider("keys", outcome),
            metrics.fetched_keys,
            self._clock,
        )
        tasks.spawn("issuers' keys", refreshing.run)

    async def meet(self, need: Need) -> object:
        """Answer a need as ``pdp.needs`` says."""
        if isinstance(need, Introspect | Exchange):
            return await self._asked(need)
        if self._replays is None:
            return None
        fresh = self._replays.spend(need, self._clock())
        return await fresh if isawaitable(fresh) else fresh

    async def close(self) -> None:
        """Let go of the store and the connections."""
        await self._stack.aclose()
        closing = None if self._replays is None else self._replays.close()
        if closing is not None:
            await closing

    async def _asked(self, need: Introspect | Exchange) -> object:
        if self._introspector is None or self._exchanger is None or self._activation is None:
            return None
        snapshot = self._activation.snapshot
        issuer = snapshot.trust.issuers.get(need.issuer)
        if issuer is None:
            return None
        known = snapshot.memo.holds(need.token)
        if isinstance(need, Introspect):
            how = issuer.introspection
            return None if how is None else await self._introspector.ask(need.issuer, how, need.token, known=known)
        where = issuer.exchange
        return None if where is None else await self._exchanger.ask(need.issuer, where, need.token, known=known)

    async def _client(
        self, told: ProviderClient, settings: IdentityProviders, session: aiohttp.ClientSession
    ) -> Client:
        if told.method == "tls_client_auth":
            pair = told.certificate_file, told.key_file
            session = await self._stack.enter_async_context(open_session(settings.ca_file, pair))
        try:
            secret = files.read_secret(Path(told.secret_file), 1).decode() if told.secret_file else ""
            pem = files.read_secret(Path(told.key_file), 1) if told.method == "private_key_jwt" else b""
            key = load_private(pem, told.algorithm) if pem else None
        except (OSError, ValueError, KeyMaterialError) as error:
            raise IdentityProviderError(
                "AZ530", f"the client {told.id!r} of identity_providers cannot be used: {error}"
            ) from None
        return Client(
            id=told.id, method=told.method, session=session, secret=secret, key=key, algorithm=told.algorithm,
            key_id=told.key_id or None, audience=told.audience,
        )  # fmt: skip
