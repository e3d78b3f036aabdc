"""Asks an issuer whether a token is active (RFC 7662): once at a time for each token, and not again right after a no.

What is active is remembered by the decision itself, as a verified token; what is not, here, for a moment.
"""

import asyncio
import logging
from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Literal
from urllib.parse import quote_plus

import aiohttp
from msgspec import Struct

from authorizer.errors import IdentityProviderError
from authorizer.jose.encoding import read_object
from authorizer.jose.sign import sign
from authorizer.pdp.trust import Introspection
from authorizer.upstream_idp.exchange import exchange

log = logging.getLogger("authorizer.upstream_idp")

MAX_PENDING = 1024
MAX_REFUSED = 16_384
REFUSED_SECONDS = 5.0
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS = 60

Told = Mapping[str, Any] | Literal[False] | None
"""What an issuer says of an active token; False if it is not active; None if it could not be asked."""


class Client(Struct, frozen=True, kw_only=True):
    """As whom issuers are asked. ``method`` is of RFC 7591's names; ``secret`` or ``key`` (PEM) as it needs them.

    ``session`` brings the client certificate for ``tls_client_auth``.
    """

    id: str
    method: Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth"]
    session: aiohttp.ClientSession
    secret: str = ""
    key: bytes = b""
    algorithm: str = ""
    key_id: str | None = None

    def __repr__(self) -> str:
        return f"Client({self.id!r})"


class Introspector:
    """Asks, within ``seconds``; ``note`` is told each outcome. ``name`` makes the id of each client assertion."""

    def __init__(
        self,
        clients: Mapping[str, Client],
        seconds: float,
        clock: Callable[[], float],
        name: Callable[[], str],
        note: Callable[[str], None],
    ) -> None:
        self._clients = clients
        self._seconds = seconds
        self._clock = clock
        self._name = name
        self._note = note
        self._pending: dict[bytes, asyncio.Task[Told]] = {}
        self._refused: dict[bytes, float] = {}

    async def ask(self, issuer: str, how: Introspection, token: str) -> Told:
        """Return what an issuer says of a token. Never raises."""
        digest = blake2b(f"{issuer}\0{token}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if self._refused.get(digest, 0.0) > self._clock():
            return False
        task = self._pending.get(digest)
        if task is None:
            if len(self._pending) >= MAX_PENDING:
                self._note("overload")
                return None
            task = self._pending[digest] = asyncio.create_task(self._ask(digest, issuer, how, token))
            task.add_done_callback(lambda _: self._pending.pop(digest, None))
        # Shielded: one caller that gives up must not take the answer from the others.
        return await asyncio.shield(task)

    async def _ask(self, digest: bytes, issuer: str, how: Introspection, token: str) -> Told:
        client = self._clients.get(how.client)
        if client is None:
            self._note("failed")
            log.error("issuer %s is asked as client %r, which the settings do not have", issuer, how.client)
            return None
        try:
            form, authorization = self._form(client, how.endpoint, token)
            answer = read_object(
                await exchange(
                    client.session, how.endpoint, seconds=self._seconds, form=form, authorization=authorization
                )
            )
        except Exception as error:  # noqa: BLE001 - INVARIANT: whatever goes wrong is "could not be asked", which denies
            self._note("failed")
            why = error if isinstance(error, IdentityProviderError) else type(error).__name__
            log.warning("issuer %s could not be asked about a token: %s", issuer, why)
            return None
        active = answer.get("active") if answer is not None else None
        if active is True and answer is not None:
            self._note("active")
            return {name: value for name, value in answer.items() if name != "active" and value is not None}
        if active is not False:
            self._note("failed")
            log.warning("issuer %s answered no introspection response", issuer)
            return None
        self._note("inactive")
        while len(self._refused) >= MAX_REFUSED:
            del self._refused[next(iter(self._refused))]
        self._refused[digest] = self._clock() + REFUSED_SECONDS
        return False

    def _form(self, client: Client, endpoint: str, token: str) -> tuple[dict[str, str], str]:
        form = {"token": token, "token_type_hint": "access_token"}
        match client.method:
            case "client_secret_basic":
                # RFC 6749 section 2.3.1: both are form-encoded before they are joined.
                pair = f"{quote_plus(client.id)}:{quote_plus(client.secret)}"
                return form, f"Basic {b64encode(pair.encode()).decode()}"
            case "client_secret_post":
                return form | {"client_id": client.id, "client_secret": client.secret}, ""
            case "tls_client_auth":
                return form | {"client_id": client.id}, ""
        now = int(self._clock())
        claims = {
            "iss": client.id, "sub": client.id, "aud": endpoint, "iat": now, "exp": now + _ASSERTION_SECONDS,
            "jti": self._name(),
        }  # fmt: skip
        assertion = sign(claims, client.key, client.algorithm, client.key_id)
        return form | {"client_id": client.id, "client_assertion_type": _ASSERTION, "client_assertion": assertion}, ""
