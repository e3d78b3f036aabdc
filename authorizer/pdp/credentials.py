"""The one credential that a request carries, or the reason to refuse what it carries. The credential is not read here.

Several are refused, for whoever sends two may be two; ``pdp.together`` has the exception. A proof of possession and a
client certificate are no credentials by themselves, they go with a token.
"""

from typing import Literal
from urllib.parse import unquote_plus

from msgspec import Struct

from authorizer.grammar import METHOD
from authorizer.model import Reason, Request
from authorizer.pdp.canonical import MAX_CREDENTIAL
from authorizer.reasons import reason

Scheme = Literal["bearer", "dpop", "key"]

_SCHEMES: dict[str, Scheme] = {"Bearer": "bearer", "bearer": "bearer", "DPoP": "dpop", "dpop": "dpop"}
_TOKEN68 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

_REPEATED = reason("credential_repeated")
_MALFORMED = reason("credential_malformed")
_SCHEME = reason("credential_scheme")
_TOO_LARGE = reason("token_too_large")


class Credential(Struct, frozen=True):
    """``bearer`` and ``dpop`` are an access token by its scheme (RFC 6750, RFC 9449 7.1), ``key`` is an API key."""

    scheme: Scheme
    text: str


class KeyPlaces(Struct, frozen=True):
    """Where API keys are looked for: a header's name in lower case and a query parameter's, "" for neither."""

    header: str = ""
    parameter: str = ""


NOWHERE = KeyPlaces()


def read(request: Request, keys: KeyPlaces = NOWHERE) -> Credential | Reason | None:
    """Return the credential of a request, None without one, or why what was sent is refused. Never raises."""
    values = request.headers.get("authorization")
    if keys is not NOWHERE:
        found = keys_of(request, keys)
        if found:
            return Credential("key", found[0]) if len(found) == 1 and not values else _REPEATED
    if not values:
        return None
    return _authorization(values[0]) if len(values) == 1 else _REPEATED


def by_proof(request: Request) -> bool:
    """Tell whether the caller speaks DPoP, whatever else is wrong with its credential."""
    return any(value[:5].lower() == "dpop " for value in request.headers.get("authorization", ()))


def _authorization(value: str) -> Credential | Reason:
    """Read RFC 9110 section 11.4: a scheme in any case, one space or more, a token68.

    A gateway joins repeated lines by commas, so a comma means several credentials.
    """
    if len(value) > MAX_CREDENTIAL:
        return _TOO_LARGE
    name, _, rest = value.partition(" ")
    scheme = _SCHEMES.get(name) or _SCHEMES.get(name.lower())
    if scheme is None:
        return _strange(name)
    token = rest.lstrip(" ")
    if not token or not token.isascii() or token.encode().translate(None, _TOKEN68):
        return _REPEATED if "," in rest else _MALFORMED
    if "=" in token.rstrip("=") or token[0] == "=":
        return _MALFORMED
    return Credential(scheme, token)


def _strange(scheme: str) -> Reason:
    if "," in scheme:
        return _REPEATED
    return _SCHEME if METHOD.fullmatch(scheme) else _MALFORMED


def keys_of(request: Request, places: KeyPlaces) -> list[str]:
    """Return each API key that was sent, as it was sent."""
    found = list(request.headers.get(places.header, ())) if places.header else []
    return found + [value for _, value in keys_in_query(request.target, places.parameter)]


def keys_in_query(target: str, parameter: str) -> list[tuple[str, str]]:
    """Return (name as it is spelled, API key) of each query parameter that is called ``parameter``, "" for none."""
    query = target.partition("?")[2] if parameter else ""
    pairs = (pair.partition("=") for pair in query.split("&")) if query else ()
    lengths = range(len(parameter), 3 * len(parameter.encode()) + 1)  # of a name that may be another spelling
    return [
        (name, value)
        for name, _, value in pairs
        if name == parameter or ("%" in name and len(name) in lengths and unquote_plus(name) == parameter)
    ]
