"""An issuer's keys, fetched: found by its metadata or at a given URL, and good as a whole or not taken at all.

Sources: OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3, RFC 7517 section 5.
"""

import asyncio
from urllib.parse import urlsplit

import aiohttp

from authorizer.errors import IdentityProviderError, KeyMaterialError
from authorizer.jose.jwk import KeySet, VerifyKey, read_key_set
from authorizer.pdp.trust import DISCOVERY, Issuer
from authorizer.upstream_idp.calls import call, read

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# A provider publishes keys for other uses beside those for signatures; these have no place in a sound set.
_SPOILING = frozenset({"AZ404", "AZ405", "AZ406", "AZ409"})


async def fetch(session: aiohttp.ClientSession, issuer: Issuer, *, seconds: float) -> tuple[VerifyKey, ...]:
    """Return the keys that an issuer publishes now.

    Raises IdentityProviderError: AZ531 to AZ534 for the calls, AZ535 for metadata, AZ536 for keys that are refused.
    """
    url = issuer.keys_from
    if url == DISCOVERY:
        url = await _discover(session, issuer.issuer, seconds)
    _, body = await call(session, url, seconds=seconds)
    try:
        return sound(await asyncio.to_thread(read_key_set, body), issuer.algorithms)
    except KeyMaterialError as error:
        raise IdentityProviderError("AZ536", f"the keys at {url} are refused: {error.message}") from None


def sound(found: KeySet, algorithms: frozenset[str]) -> tuple[VerifyKey, ...]:
    """Return the keys of a set that may replace another.

    Raises KeyMaterialError: for one symmetric, private, weak or ambiguous key the whole set is not to be trusted; a
    set without a key for one of ``algorithms`` is of no use.
    """
    for left_out in found.left_out:
        if left_out.error.code in _SPOILING:
            raise left_out.error
    if all(key.algorithms.isdisjoint(algorithms) for key in found.keys):
        raise KeyMaterialError("AZ408", "no key fits an algorithm of the issuer")
    return found.keys


async def _discover(session: aiohttp.ClientSession, issuer: str, seconds: float) -> str:
    where = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    metadata = await read(session, where, seconds=seconds)
    # OpenID Connect Discovery 4.3: without this comparison, a provider could speak for another.
    if metadata.get("issuer") != issuer:
        raise IdentityProviderError("AZ535", f"{where} is the metadata of another issuer")
    url = metadata.get("jwks_uri")
    try:
        parts = urlsplit(url) if isinstance(url, str) and len(url) <= 2048 else None
    except ValueError:
        parts = None
    if parts is None or not parts.hostname or parts.username:
        raise IdentityProviderError("AZ535", f"{where} has no 'jwks_uri'")
    if parts.scheme != "https" and not (
        parts.scheme == "http" and {parts.hostname, urlsplit(issuer).hostname} <= _LOOPBACK
    ):
        raise IdentityProviderError("AZ535", f"the 'jwks_uri' of {where} is no https URL")
    return str(url)
