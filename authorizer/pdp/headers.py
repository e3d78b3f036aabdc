"""The headers of an allow as they are sent: what they say of the caller, and what policies emit."""

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from urllib.parse import quote

from msgspec import Struct

from authorizer.model import Identity, Request
from authorizer.policy.pbac import Route, Verdict

_SAFE = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")
_SAFE_IN_LIST = _SAFE.replace(",", "")
_is_safe = re.compile(r"[!-$&-~]*").fullmatch


class Told(Struct, frozen=True):
    """Headers towards the API and in the answer, and ``numbers``, which are ``Decision.numbers``."""

    upstream: tuple[tuple[str, str], ...] = ()
    response: tuple[tuple[str, str], ...] = ()
    numbers: tuple[tuple[str, str], ...] = ()

    def unset(self, names: frozenset[str]) -> Iterable[str]:
        """Return which of some headers towards the API are not set."""
        if not names:
            return ()
        numbered = (name for towards, name in self.numbers if towards == "upstream")
        return sorted(names.difference((name for name, _ in self.upstream), numbered))


NOTHING_TOLD = Told()


def visible(text: str) -> str:
    """Return a text as visible ASCII: other characters are percent-encoded as UTF-8."""
    return text if _is_safe(text) else quote(text, safe=_SAFE)


def is_sent(request: Request, names: AbstractSet[str]) -> bool:
    """Tell whether a request has one of these headers, also in the spelling that CGI-like readers take for it.

    INVARIANT: a gateway that asks by forward-auth sets and takes off the headers that it was told of and no others. The
    caller's own copy of another one would reach the API as the policies' word.
    """
    return bool(names) and not names.isdisjoint(name.replace("_", "-") for name in request.headers)


def says(source: str, identity: Identity, application: str) -> str:
    """Return what an identity header says."""
    match source:
        case "subject":
            return visible(identity.subject)
        case "client":
            return visible(identity.client)
        case "issuer":
            return visible(identity.issuer)
        case "exchanged_token":
            return identity.exchanged
        case "scopes":
            return " ".join(quote(scope, safe=_SAFE) for scope in sorted(identity.scopes))
        case _:
            return visible(application)


def tell(verdict: Verdict, identity: Identity, route: Route) -> Told:
    """Return the headers that a verdict's policies emit; one whose value is empty is not set.

    Lists are joined by commas, which are percent-encoded within their members.
    """
    upstream: list[tuple[str, str]] = []
    response: list[tuple[str, str]] = []
    numbers: list[tuple[str, str]] = []
    for header in verdict.headers:
        if header.kind == "decision" and header.value == "id":
            numbers.append((header.towards, header.name))
            continue
        value: str | tuple[str, ...] = header.value
        if header.kind == "literal" and isinstance(value, str):
            text = value
        else:
            if header.kind == "decision":
                value = _decided(str(value), verdict, identity, route)
            text = (
                visible(value) if isinstance(value, str) else ",".join(quote(one, safe=_SAFE_IN_LIST) for one in value)
            )
        if text:
            (upstream if header.towards == "upstream" else response).append((header.name, text))
    return Told(tuple(upstream), tuple(response), tuple(numbers))


def _decided(what: str, verdict: Verdict, identity: Identity, route: Route) -> str | tuple[str, ...]:
    match what:
        case "policies":
            return verdict.by
        case "right":
            return route.right
        case "scopes":
            return tuple(sorted(identity.scopes))
        case _:
            return {
                "application": route.application,
                "subject": identity.subject,
                "client": identity.client,
                "issuer": identity.issuer,
            }.get(what, "")
