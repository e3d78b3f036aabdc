"""As whom identity providers are asked, and how that is proved to them (RFC 6749 section 2.3, RFC 7523, RFC 8705)."""

import asyncio
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import quote_plus

import aiohttp
from msgspec import Struct, field

from authorizer.errors import IdentityProviderError
from authorizer.jose.algorithms import PrivateKey
from authorizer.jose.sign import sign_with
from authorizer.upstream_idp.calls import MOST_AT_ONCE, call

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS = 60
MAX_ANSWER = 64 * 1024
"""Bytes of what is said of one token."""


class Client(Struct, frozen=True, kw_only=True):
    """One registration of ours. ``method`` is of RFC 7591's names; ``secret`` or ``key`` as it needs them.

    INVARIANT: the key was loaded before: that takes 0.1 s for RSA, and whoever shows a strange token makes a call.
    ``audience`` is what a provider calls itself in assertions, "" for the endpoint that is asked (RFC 7523 section 3).
    ``session`` brings the client certificate for ``tls_client_auth``.
    """

    id: str
    method: Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth"]
    session: aiohttp.ClientSession
    secret: str = ""
    key: PrivateKey | None = None
    algorithm: str = ""
    key_id: str | None = None
    audience: str = ""

    def __repr__(self) -> str:
        return f"Client({self.id!r})"


class Clients(Struct, frozen=True, kw_only=True):
    """All of them by name. A call ends within ``seconds``; ``new_id`` names each client assertion.

    INVARIANT: a call that waits for its turn costs nothing, and of those that begin, other requests wait for one at a
    time (``pace``): strange tokens may come at any rate, and to sign and send a thousand calls takes a second.
    ``turns`` are those of each endpoint: a flood of strange tokens does not keep those from being asked about anew
    that were good a moment ago.
    """

    known: Mapping[str, Client]
    seconds: float
    clock: Callable[[], float]
    new_id: Callable[[], str]
    turns: dict[tuple[str, bool], asyncio.Semaphore] = {}
    pace: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def post(
        self,
        name: str,
        endpoint: str,
        form: Mapping[str, str],
        statuses: frozenset[int] = frozenset({200}),
        *,
        known: bool = False,
    ) -> tuple[int, bytes]:
        """Post a form as the client of that name; return the answer's status, one of ``statuses``, and its body.

        ``known``: it is about what was good lately, and does not wait for strangers.

        Raises IdentityProviderError: AZ531 to AZ533 for the call, AZ537 for a name that the settings do not have.
        """
        client = self.known.get(name)
        if client is None:
            raise IdentityProviderError("AZ537", f"the settings have no client {name!r} to ask {endpoint} as")
        turn = self.turns.setdefault((endpoint, known), asyncio.Semaphore(MOST_AT_ONCE))
        try:
            async with asyncio.timeout(self.seconds), turn:
                async with self.pace:
                    await asyncio.sleep(0)
                    proof, authorization = self._proof(client, endpoint)
                return await call(
                    client.session,
                    endpoint,
                    seconds=self.seconds,
                    form={**form, **proof},
                    authorization=authorization,
                    statuses=statuses,
                    limit=MAX_ANSWER,
                )
        except TimeoutError:
            raise IdentityProviderError("AZ531", f"{endpoint} did not answer within {self.seconds:g}s") from None

    def _proof(self, client: Client, endpoint: str) -> tuple[dict[str, str], str]:
        """Return what goes into the form, and the value of ``Authorization``."""
        match client.method:
            case "client_secret_basic":
                # RFC 6749 section 2.3.1: both are form-encoded before they are joined.
                pair = f"{quote_plus(client.id)}:{quote_plus(client.secret)}"
                return {}, f"Basic {b64encode(pair.encode()).decode()}"
            case "client_secret_post":
                return {"client_id": client.id, "client_secret": client.secret}, ""
            case "tls_client_auth":
                return {"client_id": client.id}, ""
        assert client.key is not None  # it is ``private_key_jwt``
        now = int(self.clock())
        claims = {
            "iss": client.id, "sub": client.id, "aud": client.audience or endpoint, "iat": now,
            "exp": now + _ASSERTION_SECONDS, "jti": self.new_id(),
        }  # fmt: skip
        assertion = sign_with(claims, client.key, client.algorithm, client.key_id)
        return {"client_id": client.id, "client_assertion_type": _ASSERTION, "client_assertion": assertion}, ""
