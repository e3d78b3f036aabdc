"""How each gateway tells what it was asked, and which answers it obeys: one row a gateway.

A profile reads its own headers and never falls back to those of another: a header that a gateway does not set is the
client's own word. Sources: Envoy ``http_service`` of ext_authz; Traefik ``ForwardAuth``; nginx
``ngx_http_auth_request_module``; Caddy ``forward_auth``; APISIX ``forward-auth``; for HAProxy and Kong our own Lua of
``authorizer gateway``.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from authorizer.model import Headers

PREFIX = "/authz/"

_named = re.compile(rf"{PREFIX}([^/?#]*)").match
_LONG_NAME = 64

_OF_THE_CALL = frozenset({"content-length", "host", "transfer-encoding"})
"""Headers of the call itself: they say nothing about the original request."""


class Profile(Struct, frozen=True, kw_only=True):
    """The contract with one kind of gateway.

    ``method``, ``target``, ``host``, ``scheme`` and ``client`` name the header that carries each; an empty name means
    that the request line, or Host, of the call is that of the original request (``client``: that it is not told).
    ``statuses`` are the denials that reach the client as they are; any other becomes 403. ``sends_body``: whether a
    body can follow; ``partial`` names the header that says whether it was cut. ``unset``: how a managed header that
    this request does not get is kept from passing on: ``listed`` in one header, sent ``blank``, or by the gateway
    itself.
    """

    method: str = ""
    target: str = ""
    host: str = ""
    scheme: str = ""
    client: str = ""
    statuses: frozenset[int]
    sends_body: bool = False
    partial: str = ""
    unset: Literal["gateway", "listed", "blank"] = "gateway"

    @property
    def carriers(self) -> frozenset[str]:
        """The headers that the gateway adds, which are not the client's."""
        return _carriers(self.method, self.target, self.host, self.scheme, self.client)


@lru_cache(maxsize=64)
def _carriers(*names: str) -> frozenset[str]:
    return frozenset(names) - {""}


_FORWARDED = Profile(
    method="x-forwarded-method",
    target="x-forwarded-uri",
    host="x-forwarded-host",
    scheme="x-forwarded-proto",
    client="x-forwarded-for",
    statuses=frozenset(range(400, 600)),
)

PROFILES: Mapping[str, Profile] = {
    # A 5xx is an error to Envoy, and errors pass where failure_mode_allow is set: a denial is never one.
    "envoy": Profile(
        statuses=frozenset(range(400, 500)), sends_body=True, partial="x-envoy-auth-partial-body", unset="listed"
    ),
    # Traefik deletes each of its authResponseHeaders from the client's request before it sets ours.
    "traefik": replace(_FORWARDED, sends_body=True),
    # Before 2.11.2 Caddy lets the client's copy of a header pass that the answer lacks; a blank one overwrites it.
    "caddy": replace(_FORWARDED, unset="blank"),
    # Each of these takes the client's own identity headers away before it sets ours; APISIX can send a body (POST).
    "haproxy": _FORWARDED,
    "kong": _FORWARDED,
    "apisix": replace(_FORWARDED, sends_body=True),
    # auth_request passes 401 and 403 on and makes a 500 of the rest. A variable without a value removes the header.
    "nginx": Profile(
        method="x-original-method",
        target="x-original-uri",
        host="x-original-host",
        scheme="x-original-proto",
        client="x-forwarded-for",
        statuses=frozenset({401, 403}),
    ),
}


class Original(Struct, frozen=True, kw_only=True):
    """The request that the gateway asks about. ``client`` is an address, or empty when it is not known."""

    method: str
    target: str
    host: str
    scheme: str
    client: str
    headers: Headers


def find(target: str) -> tuple[Profile, str] | None:
    """Return the profile that a call's request target names, and what follows the name; None when there is none."""
    named = _named(target)
    if named is None:
        return None
    profile, rest = PROFILES.get(named[1]), target[named.end() :]
    # Only where the path is the original one may something follow; Caddy adds the original query, which is ignored.
    if profile is None or (profile.target and rest[:1] not in {"", "?"}):
        return None
    return profile, rest


def collect(lines: Iterable[tuple[bytes, bytes]]) -> dict[str, tuple[str, ...]]:
    """Return header lines by name in lower case, repeats kept apart. Bytes that are not UTF-8 become surrogates."""
    headers: dict[str, tuple[str, ...]] = {}
    for raw_name, raw_value in lines:
        name = _remembered_name(raw_name) if len(raw_name) <= _LONG_NAME else _name(raw_name)
        value = raw_value.decode("utf-8", "surrogateescape")
        headers[name] = (*headers[name], value) if name in headers else (value,)
    return headers


def _name(raw: bytes) -> str:
    return raw.decode("ascii", "surrogateescape").lower()


_remembered_name = lru_cache(maxsize=1024)(_name)


def read(profile: Profile, method: str, rest: str, headers: Headers, hops: int) -> Original | str:
    """Read the original request, or return the reason code of the denial.

    ``method``, ``rest`` (the target after the profile's name) and ``headers`` are the call's own. ``hops`` is how many
    addresses at the end of the client chain were added by gateways that are trusted; the first of them is the client.
    """
    carriers = profile.carriers
    if carriers and any("_" in name and name.replace("_", "-") in carriers for name in headers):
        return "forwarded_ambiguous"
    told = {name: headers.get(name, ()) for name in carriers if name != profile.client}
    if any(len(values) > 1 for values in told.values()):
        return "forwarded_ambiguous"
    if told and absent(profile, headers):
        return "forwarded_missing"
    target = told[profile.target][0] if profile.target else rest
    if profile.target and _joined(target):
        return "forwarded_ambiguous"
    scheme = told[profile.scheme][0] if profile.scheme else ""
    if "," in scheme:
        return "forwarded_ambiguous"
    host = told[profile.host] if profile.host else headers.get("host", ("",))
    return Original(
        method=told[profile.method][0] if profile.method else method,
        target=target,
        host=host[0],
        scheme=scheme,
        client=client_address(headers.get(profile.client, ()), hops) if profile.client else "",
        headers={name: values for name, values in headers.items() if name not in carriers and name not in _OF_THE_CALL},
    )


def absent(profile: Profile, headers: Headers) -> list[str]:
    """Return the headers that the gateway has to send and did not."""
    return sorted(name for name in profile.carriers - {profile.client} if not headers.get(name))


def client_address(chain: Iterable[str], hops: int) -> str:
    """Return the ``hops``-th address from the right end of a chain, or an empty text when it is not an address.

    Everything left of it was written by the client.
    """
    entries = ",".join(chain).rsplit(",", hops)[-hops:]
    if not 1 <= hops <= len(entries) or "%" in entries[0]:
        return ""
    try:
        return str(ipaddress.ip_address(entries[0].strip()))
    except ValueError:
        return ""


def _joined(target: str) -> bool:
    """Tell whether two header lines may have been joined to one before they came here: a second target starts in it.

    Other commas are common in paths and queries, and no gateway appends to what a client sent.
    """
    return any(part.lstrip().startswith("/") for part in target.split(",")[1:])
