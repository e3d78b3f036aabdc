"""Asks an issuer whether a token is active (RFC 7662): one call for each token, whose answer counts for a while.

What is sound is remembered by the decision itself too, as a verified token; what is not would be asked about each time.
"""

from collections.abc import Callable
from typing import Literal

from authorizer.errors import IdentityProviderError
from authorizer.pdp.needs import Told
from authorizer.pdp.trust import Introspection
from authorizer.upstream_idp.calls import parsed
from authorizer.upstream_idp.clients import Clients
from authorizer.upstream_idp.complaints import Complaints
from authorizer.upstream_idp.once import Answer, Once, digest

REFUSED_SECONDS = 5.0

Said = Told | Literal[False] | None
"""What an issuer says of an active token; False if it is not active; None if it could not be asked."""


class Introspector:
    """Asks as one of ``clients``; ``note`` is told each outcome."""

    def __init__(self, clients: Clients, note: Callable[[str], None]) -> None:
        self._clients = clients
        self._note = note
        self._once: Once[Said] = Once(clients.clock)
        self._complaints = Complaints(clients.clock)

    async def ask(self, issuer: str, how: Introspection, token: str, *, known: bool = False) -> Said:
        """Return what an issuer says of a token, which was good lately if it is ``known``. Never raises."""
        key = digest(issuer, how.endpoint, how.client, str(how.seconds), token)
        return await self._once.ask(key, lambda: self._ask(issuer, how, token, known), self._busy, known=known)

    def _busy(self) -> None:
        self._note("overload")

    async def _ask(self, issuer: str, how: Introspection, token: str, known: bool) -> Answer[Said]:
        now = self._clients.clock()
        form = {"token": token, "token_type_hint": "access_token"}
        try:
            _, body = await self._clients.post(how.client, how.endpoint, form, known=known)
            answer = await parsed(body)
        except Exception as error:  # noqa: BLE001 - INVARIANT: whatever goes wrong is "could not be asked", which denies
            why = error if isinstance(error, IdentityProviderError) else type(error).__name__
            return self._failed(issuer, f"could not be asked about a token: {why}")
        active = answer.get("active") if answer is not None else None
        if active is True and answer is not None:
            self._note("active")
            claims = {name: value for name, value in answer.items() if name != "active" and value is not None}
            until = now + how.seconds
            return Answer(Told(claims, until, len(body)), until, len(body))
        if active is not False:
            return self._failed(issuer, "answered no introspection response")
        self._note("inactive")
        return Answer(False, now + REFUSED_SECONDS)

    def _failed(self, issuer: str, why: str) -> Answer[Said]:
        self._note("failed")
        self._complaints.tell(issuer, f"issuer {issuer} {why}")
        return Answer(None, 0.0)
