"""Has a token of one issuer exchanged for one of ours (RFC 8693): once for each token, as long as both count.

The exchanged token stays in memory. That it is sound is for the decision to say, like of any other token.
"""

import re
from collections.abc import Callable
from typing import Any, Literal

from authorizer.errors import IdentityProviderError
from authorizer.jose.jws import MAX_TOKEN
from authorizer.pdp.needs import Exchanged
from authorizer.pdp.trust import TokenExchange
from authorizer.upstream_idp.calls import parsed
from authorizer.upstream_idp.clients import Clients
from authorizer.upstream_idp.complaints import Complaints
from authorizer.upstream_idp.once import Answer, Once, digest

REFUSED_SECONDS = 5.0
_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a type
_ISSUED = frozenset({_ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt"})
_STATUSES = frozenset({200, 400})
# RFC 8693 section 2.2.2, RFC 6749 section 5.2: the token is the trouble. What else is wrong is ours to mend.
_ABOUT_THE_TOKEN = frozenset({"invalid_request", "invalid_grant", "invalid_target"})
_ABOUT_US = frozenset({"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"})
_token = re.compile(r"[A-Za-z0-9._~+/-]+=*").fullmatch

Got = Exchanged | Literal[False] | None
"""What a token was exchanged for; False if the provider refuses it; None if that cannot be told."""


class Exchanger:
    """Asks as one of ``clients``; ``note`` is told each outcome."""

    def __init__(self, clients: Clients, note: Callable[[str], None]) -> None:
        self._clients = clients
        self._note = note
        self._once: Once[Got] = Once(clients.clock)
        self._complaints = Complaints(clients.clock)

    async def ask(self, issuer: str, how: TokenExchange, token: str, *, known: bool = False) -> Got:
        """Return what a token is exchanged for, which was good lately if it is ``known``. Never raises."""
        key = digest(issuer, how.endpoint, how.client, str(how.seconds), how.audience, " ".join(how.scopes), token)
        return await self._once.ask(key, lambda: self._ask(issuer, how, token, known), self._busy, known=known)

    def _busy(self) -> None:
        self._note("overload")

    async def _ask(self, issuer: str, how: TokenExchange, token: str, known: bool) -> Answer[Got]:
        now = self._clients.clock()
        form = {"grant_type": _GRANT, "subject_token": token, "subject_token_type": _ACCESS_TOKEN}
        form |= {"requested_token_type": _ACCESS_TOKEN}
        form |= {"audience": how.audience} if how.audience else {}
        form |= {"scope": " ".join(how.scopes)} if how.scopes else {}
        try:
            status, body = await self._clients.post(how.client, how.endpoint, form, _STATUSES, known=known)
            answer = await parsed(body)
        except Exception as error:  # noqa: BLE001 - INVARIANT: whatever goes wrong is "cannot be told", which denies
            why = error if isinstance(error, IdentityProviderError) else type(error).__name__
            return self._failed(issuer, how, str(why))
        if answer is None:
            return self._failed(issuer, how, "no JSON object was answered, or one with two readings")
        if status == 400:
            said = str(answer.get("error"))
            if said in _ABOUT_THE_TOKEN:
                self._note("refused")
                return Answer(False, now + REFUSED_SECONDS)
            return self._failed(issuer, how, said if said in _ABOUT_US else "the request is refused")
        got = _read(answer, now + how.seconds, now)
        if isinstance(got, str):
            return self._failed(issuer, how, got)
        self._note("exchanged")
        return Answer(got, got.until, len(got.token))

    def _failed(self, issuer: str, how: TokenExchange, why: str) -> Answer[Got]:
        self._note("failed")
        self._complaints.tell(issuer, f"a token of {issuer} could not be exchanged at {how.endpoint}: {why}")
        return Answer(None, 0.0)


def _read(answer: dict[str, Any], ceiling: float, now: float) -> Exchanged | str:
    """Read a successful response (RFC 8693 section 2.2.1), or tell what is wrong with it."""
    token, kind, lifetime = answer.get("access_token"), str(answer.get("token_type")), answer.get("expires_in")
    if not isinstance(token, str) or len(token) > MAX_TOKEN or not _token(token):
        return "the answer has no access token"
    if str(answer.get("issued_token_type")) not in _ISSUED:
        return "what was issued is no access token"
    if kind.lower() != "bearer":
        return "what was issued is no bearer token"  # the gateway could prove nothing for the caller
    if lifetime is not None and (isinstance(lifetime, bool) or not isinstance(lifetime, int) or lifetime <= 0):
        return "'expires_in' is no number of seconds"
    return Exchanged(token, ceiling if lifetime is None else min(ceiling, now + lifetime))
